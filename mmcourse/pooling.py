"""Pooling: a set of tokens becomes one vector, and padding does not count, whatever it holds.

Shapes as in `mmcourse.attention`; a mask is bool (B, T), True = a token, and a set without any token gives zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over the tokens that count, (…, T, C) -> (…, C); without a mask all do.

    Args:
        mask: bool (…, T), True = a token.

    >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    if mask is None:
        return x.mean(dim=-2)
    check_mask(mask, x.shape[:-1])
    # Filled rather than multiplied, so that not even a NaN in the padding comes through.
    return x.masked_fill(~mask[..., None], 0).sum(dim=-2) / mask.sum(dim=-1, keepdim=True).clamp(min=1)


def masked_max(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The largest of each channel over the tokens that count, (B, T, C) -> (B, C); without a mask all do.

    >>> masked_max(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[3.]])
    """
    if mask is None:
        return x.amax(dim=1)
    check_mask(mask, x.shape[:2])
    largest = x.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
    return largest.masked_fill(~mask.any(dim=1, keepdim=True), 0)


def check_mask(mask: Tensor, shape: Sequence[int]) -> None:
    """Whether `mask` says of each token, of which there are `shape` (B, T), if it is one."""
    if mask.dtype != torch.bool or mask.shape != shape:
        wanted, got = f"bool {tuple(shape)}, True = a token", f"{mask.dtype} {tuple(mask.shape)}"
        raise ValueError(f"mask must be {wanted}, got {got}")
