"""Distillation: a small network learns what a large one would answer, wrong answers and their order among them.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015), section 2. A temperature T softens both
answers, so that the small probabilities are seen; gradients then shrink by 1 / T², which the factor T² makes up for.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from mmcourse.losses import IGNORED, cross_entropy, kl_divergence


class Distilled(NamedTuple):
    """What is made smaller, and its parts: soft_weight · soft + (1 − soft_weight) · hard; each a number."""

    loss: Tensor
    soft: Tensor
    hard: Tensor


def soft_loss(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)) for each sample: (…, V) and (…, V) -> (…), in nats.

    Hinton's cross-entropy with soft targets less the teacher's own entropy, a constant: the gradients are the same, and
    0 means that nothing is left to learn. The teacher gets no gradient.

    Raises:
        ValueError: shapes differ or temperature is not above 0.

    >>> soft_loss(torch.tensor([0.0, 0.0]), torch.tensor([0.0, -torch.inf]), temperature=1.0)  # log 2
    tensor(0.6931)
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    softened = teacher.detach().float() / temperature, student.float() / temperature
    return temperature**2 * kl_divergence(*softened, reduction="none")


def distillation_loss(
    student: Tensor,
    teacher: Tensor,
    targets: Tensor,
    *,
    temperature: float = 2.0,
    soft_weight: float = 0.5,
    ignore_index: int = IGNORED,
) -> Distilled:
    """The mean of `soft_loss` over the samples that count, mixed with the cross-entropy of the true targets.

    Args:
        student: logits (…, V), such as (B, T, V) of captions.
        teacher: logits of the same shape.
        targets: int64 (…), each a class or `ignore_index`.
        temperature: T of the soft part; the hard part has none.
        soft_weight: from 0, the targets alone, to 1, the teacher alone.
        ignore_index: samples of this target, such as padding, count for nothing in both parts.
    Raises:
        ValueError: shapes, types or settings do not fit; the message says which.

    >>> logits, targets = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), torch.tensor([2, -100])
    >>> distillation_loss(logits, logits, targets)
    Distilled(loss=tensor(0.2038), soft=tensor(0.), hard=tensor(0.4076))
    """
    if not 0 <= soft_weight <= 1:
        raise ValueError(f"soft_weight must be from 0 to 1, got {soft_weight}")
    if student.shape != teacher.shape:
        raise ValueError(f"student has shape {tuple(student.shape)}, teacher {tuple(teacher.shape)}; want the same")
    hard = cross_entropy(student, targets, ignore_index=ignore_index)
    counts = targets != ignore_index
    each = soft_loss(student[counts], teacher[counts], temperature=temperature)  # (…, V) -> (N, V) -> (N,)
    soft = each.sum() / max(len(each), 1)
    return Distilled(soft_weight * soft + (1 - soft_weight) * hard, soft, hard)
