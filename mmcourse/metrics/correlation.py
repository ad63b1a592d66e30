"""Whether two rows of numbers put things in the same order."""

from __future__ import annotations

import torch
from torch import Tensor


def spearman(x: Tensor, y: Tensor, *, mask: Tensor | None = None) -> Tensor:
    """Rank correlation: the correlation of the ranks, where equals share the mean of theirs; from −1 to 1.

    Spearman, "The proof and measurement of association between two things" (1904).

    Args:
        x, y: (…, N).
        mask: bool (…, N), True = this pair counts; None = all do.
    Returns:
        (…), float64 on the CPU; NaN where there is no order: fewer than two pairs, or all of one side are equal.
    Raises:
        ValueError: the shapes differ, or a number is not finite.

    >>> spearman(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([10.0, 20.0, 40.0, 30.0])).item()
    0.8
    """
    mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    if x.shape != y.shape or x.shape != mask.shape or x.dim() == 0:
        shapes = f"{tuple(x.shape)}, {tuple(y.shape)} and {tuple(mask.shape)}"
        raise ValueError(f"x, y and mask must be alike, (…, N), got {shapes}")
    if not (x.isfinite() & y.isfinite() | ~mask).all():
        raise ValueError("x and y must be finite, got NaN or infinity")
    x, y, mask = x.cpu().double(), y.cpu().double(), mask.cpu()
    middle = (mask.sum(dim=-1, keepdim=True).double() + 1) / 2
    a, b = (torch.where(mask, _ranks(each, mask) - middle, 0.0) for each in (x, y))  # the mean rank becomes 0
    scale = (a.square().sum(dim=-1) * b.square().sum(dim=-1)).sqrt()
    return (a * b).sum(dim=-1) / scale  # 0 / 0 is NaN


def _ranks(values: Tensor, mask: Tensor) -> Tensor:
    """From 1 for the smallest of those that count, equals in the middle of their places: float64 (…, N)."""
    values = values.masked_fill(~mask, torch.inf)  # behind all others, where they change no rank
    order = values.sort(dim=-1).values
    smaller = torch.searchsorted(order, values, right=False)
    not_larger = torch.searchsorted(order, values, right=True)
    return (smaller + not_larger + 1).double() / 2
