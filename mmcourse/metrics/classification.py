"""How good a classifier is, in numbers: what it gets right, what it confuses, and whether its confidence is deserved.

Predictions and targets are class numbers of any same shape, tensors or lists. Every result is counted exactly and
comes in float64 on the CPU, wherever the tensors were. Definitions are those of scikit-learn's `metrics`; calibration
follows Guo et al., "On calibration of modern neural networks" (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

AVERAGES = (None, "macro", "micro", "weighted")


class PrecisionRecallF1(NamedTuple):
    """Float64 tensors, (classes,) each or one number each when averaged; `support` is the number of true samples."""

    precision: Tensor  # of those called this class, the share that is
    recall: Tensor  # of those that are this class, the share that is called so
    f1: Tensor  # the harmonic mean of the two
    support: Tensor


class Reliability(NamedTuple):
    """What a reliability diagram draws; a bin that holds no sample has NaN confidence and accuracy."""

    edges: Tensor  # (bins + 1,), bin i holds the confidences above edges[i] and up to edges[i + 1]
    confidence: Tensor  # (bins,), the mean confidence
    accuracy: Tensor  # (bins,), the share that is right
    counts: Tensor  # (bins,), int64


def accuracy(predictions: Tensor | Sequence[int], targets: Tensor | Sequence[int]) -> float:
    """The share of predictions that equal their targets.

    >>> accuracy([0, 1, 1, 2], [0, 1, 2, 2])
    0.75
    """
    predictions, targets = _pair(predictions, targets)
    return (predictions == targets).double().mean().item()


def top_k_accuracy(scores: Tensor, targets: Tensor | Sequence[int], *, k: int = 5) -> float:
    """The share of targets among the `k` classes of highest score; of two equal scores the later class is the higher.

    Args:
        scores: (N, V), logits or probabilities.
        targets: (N,).
    Raises:
        ValueError: shapes or k do not fit, or scores hold NaN, which has no rank.

    >>> top_k_accuracy(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), [1, 0], k=2)
    0.5
    """
    targets = _scored(scores, targets, "scores")
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k must lie between 1 and the number of classes {scores.shape[1]}, got {k}")
    column = targets.to(scores.device)[:, None]  # (N, 1)
    own = scores.gather(1, column)  # (N, 1)
    later = torch.arange(scores.shape[1], device=scores.device) > column  # (V,) > (N, 1) -> (N, V)
    ahead = ((scores > own) | ((scores == own) & later)).sum(1)
    return (ahead < k).cpu().double().mean().item()


def confusion_matrix(predictions: Tensor | Sequence[int], targets: Tensor | Sequence[int], classes: int) -> Tensor:
    """Counts int64 (classes, classes): row = the truth, column = what was predicted, the diagonal = what is right.

    >>> confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2], classes=3)
    tensor([[1, 0, 0],
            [0, 1, 0],
            [0, 1, 1]])
    """
    predictions, targets = _pair(predictions, targets, classes)
    return (targets * classes + predictions).bincount(minlength=classes**2).reshape(classes, classes)


def precision_recall_f1(
    predictions: Tensor | Sequence[int],
    targets: Tensor | Sequence[int],
    classes: int,
    *,
    average: str | None = None,
    zero_division: float = 0.0,
) -> PrecisionRecallF1:
    """Precision TP / (TP + FP), recall TP / (TP + FN) and F1 = 2 TP / (2 TP + FP + FN).

    Args:
        average: None for every class by itself, "macro" for their plain mean, "weighted" for the mean weighted by
            support, "micro" for the formulas applied to the counts of all classes together.
        zero_division: what 0 / 0 is taken to be, as for the precision of a class never predicted. With NaN such a
            class is left out of the mean.
    Raises:
        ValueError: `average` is unknown, or predictions and targets do not fit.

    >>> precision_recall_f1([0, 1, 1, 2], [0, 1, 2, 2], 3).precision
    tensor([1.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    if average not in AVERAGES:
        raise ValueError(f"average must be one of None, 'macro', 'micro', 'weighted', got {average!r}")
    matrix = confusion_matrix(predictions, targets, classes)
    right, called, support = matrix.diagonal(), matrix.sum(0), matrix.sum(1)  # (V,): TP, TP + FP, TP + FN
    if average == "micro":
        right, called, support = right.sum(), called.sum(), support.sum()
    scores = [
        _divide(right, called, zero_division),
        _divide(right, support, zero_division),
        _divide(2 * right, called + support, zero_division),
    ]
    if average in ("macro", "weighted"):
        weights = torch.ones_like(support) if average == "macro" else support
        scores = [_mean(score, weights) for score in scores]
        support = support.sum()
    return PrecisionRecallF1(*scores, support)


def reliability(probabilities: Tensor, targets: Tensor | Sequence[int], *, bins: int = 15) -> Reliability:
    """Sorts the samples by confidence, the highest probability of each, into `bins` of equal width from 0 to 1.

    Args:
        probabilities: (N, V), rows that sum to 1. The first class of highest probability counts as predicted.
        targets: (N,).
    Raises:
        ValueError: shapes do not fit, or `probabilities` are none.
    """
    targets = _scored(probabilities, targets, "probabilities")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    tolerance = 1e-4 if probabilities.dtype.itemsize > 2 else 2e-2  # half precision rounds each probability
    if (probabilities < 0).any() or ((probabilities.detach().float().sum(1) - 1).abs() > tolerance).any():
        raise ValueError("probabilities must be at least 0 and sum to 1 in each row; turn logits into them by softmax")
    confidence = probabilities.detach().amax(1).cpu().double()
    right = (probabilities.argmax(1).cpu() == targets).double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    index = torch.bucketize(confidence, edges[1:-1])
    counts = index.bincount(minlength=bins)
    return Reliability(
        edges,
        index.bincount(confidence, minlength=bins) / counts,
        index.bincount(right, minlength=bins) / counts,
        counts,
    )


def expected_calibration_error(probabilities: Tensor, targets: Tensor | Sequence[int], *, bins: int = 15) -> float:
    """Σ_b (n_b / N) |accuracy_b − confidence_b| over the bins b of `reliability`; 0 when confidence is deserved.

    Source: Guo et al. (2017), equation 3.

    >>> expected_calibration_error(torch.tensor([[0.9, 0.1], [0.9, 0.1]], dtype=torch.float64), [0, 1])
    0.4
    """
    _, confidence, right, counts = reliability(probabilities, targets, bins=bins)
    return ((right - confidence).abs().nan_to_num() * counts).sum().item() / len(probabilities)


def perplexity(loss: Tensor | float) -> float:
    """exp(loss) for a mean cross-entropy in nats: among how many equally likely classes the model is as unsure.

    >>> round(perplexity(1.3862943611), 6)  # log 4
    4.0
    """
    return torch.as_tensor(loss, dtype=torch.float64).detach().exp().item()


def _divide(numerator: Tensor, denominator: Tensor, zero_division: float) -> Tensor:
    return (numerator.double() / denominator).masked_fill(denominator == 0, zero_division)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted, or plain when all weights are zero; what is NaN is left out, and nothing left is NaN."""
    there = ~values.isnan()
    values, weights = values[there], weights[there]
    return (values * weights).sum() / weights.sum() if weights.any() else values.mean()


def _classes(values: Tensor | Sequence[int], name: str) -> Tensor:
    """Class numbers as one row of int64, (N,)."""
    values = torch.as_tensor(values)
    if values.numel() == 0:
        raise ValueError(f"{name} must hold at least one sample, got none")
    if values.dtype.is_floating_point or values.dtype.is_complex:
        raise ValueError(f"{name} must be whole class numbers, got {values.dtype}; for scores write scores.argmax(-1)")
    if (values < 0).any():
        raise ValueError(f"{name} must not be negative, got {int(values.min())}; leave ignored samples out beforehand")
    return values.long().cpu().reshape(-1)


def _pair(
    predictions: Tensor | Sequence[int], targets: Tensor | Sequence[int], classes: int | None = None
) -> tuple[Tensor, Tensor]:
    predictions, targets = torch.as_tensor(predictions), torch.as_tensor(targets)
    if predictions.shape != targets.shape:
        raise ValueError(
            f"predictions have shape {tuple(predictions.shape)}, targets {tuple(targets.shape)}; want the same"
        )
    pair = _classes(predictions, "predictions"), _classes(targets, "targets")
    if classes is not None and (largest := max(int(values.max()) for values in pair)) >= classes:
        raise ValueError(f"predictions and targets must be classes 0 to {classes - 1}, got {largest}; raise classes")
    return pair


def _scored(scores: Tensor, targets: Tensor | Sequence[int], name: str) -> Tensor:
    """Checks scores (N, V) and returns their targets (N,)."""
    if scores.dim() != 2 or not scores.dtype.is_floating_point:
        raise ValueError(f"{name} must be floating-point (N, V), got {scores.dtype} {tuple(scores.shape)}")
    if scores.isnan().any():
        raise ValueError(f"{name} must not hold NaN")
    targets = torch.as_tensor(targets)
    if targets.shape != scores.shape[:1]:
        raise ValueError(
            f"targets must have shape ({len(scores)},), one for each row of {name}, got {tuple(targets.shape)}"
        )
    targets = _classes(targets, "targets")
    if targets.max() >= scores.shape[1]:
        raise ValueError(f"targets must be classes 0 to {scores.shape[1] - 1}, got {int(targets.max())}")
    return targets
