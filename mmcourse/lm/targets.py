"""What a language model is asked: the next token, everywhere but at padding."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from mmcourse.losses import IGNORED, cross_entropy
from mmcourse.runtime import evaluating, on_best_device


class Shifted(NamedTuple):
    """Tokens and what comes after each: inputs (B, T) and targets (B, T), which are −100 where nothing is asked."""

    inputs: Tensor
    targets: Tensor


def shift(tokens: Tensor, *, pad_id: int | None = None) -> Shifted:
    """Next-token training pairs: all tokens but the last, and all but the first with padding ignored.

    >>> shift(torch.tensor([[2, 7, 3, 0]]), pad_id=0)
    Shifted(inputs=tensor([[2, 7, 3]]), targets=tensor([[   7,    3, -100]]))
    """
    if tokens.dim() != 2 or tokens.shape[1] < 2:
        raise ValueError(f"tokens must have shape (batch, at least 2 tokens), got {tuple(tokens.shape)}")
    targets = tokens[:, 1:]
    return Shifted(tokens[:, :-1], targets if pad_id is None else targets.masked_fill(targets == pad_id, IGNORED))


def mean_loss(model: nn.Module, inputs: Tensor, targets: Tensor, *, batch_size: int = 512) -> float:
    """The cross-entropy of `model` in nats a token, over every target that is not ignored, without dropout."""
    with on_best_device(model) as place, evaluating(model):
        total = sum(
            cross_entropy(model(x.to(place)), y.to(place), ignore_index=IGNORED, reduction="sum").item()
            for x, y in zip(inputs.split(batch_size), targets.split(batch_size), strict=True)
        )
    return total / max(1, int((targets != IGNORED).sum()))
