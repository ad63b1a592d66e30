"""Attention as pure functions: scaled dot products, masks, and the cut into heads.

Scaled dot-product attention follows Vaswani et al., "Attention is all you need" (2017), equation 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcourse.runtime import full_precision


class Attention(NamedTuple):
    """What attention gives: `output` (…, T, D) and the `weights` (…, T, S) that made it; a row of weights sums to 1."""

    output: Tensor
    weights: Tensor


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    scale: float | None = None,
    dropout: float = 0.0,
    training: bool = False,
) -> Attention:
    """Scaled dot-product attention, softmax(q kᵀ · scale) v, step by step and with its weights.

    Args:
        q: queries (…, T, D).
        k: keys (…, S, D).
        v: values (…, S, any size).
        mask: bool, broadcasts to (…, T, S), True = may attend.
        scale: factor of the logits, 1/√D by default.
        dropout: share of the weights set to zero while `training`; the returned weights are those before it.
    Raises:
        ValueError: shapes or types do not fit together; the message says which.

    >>> q = k = torch.eye(2)
    >>> attention(q, k, v=torch.tensor([[1.0], [3.0]]), mask=causal_mask(2), scale=0.0).output
    tensor([[1.],
            [2.]])
    """
    _check_inputs(q, k, v, mask)
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    # Logits of half precision overflow at 65,504 (float16) or lose their digits (bfloat16), so they are float32 here.
    exact = torch.promote_types(q.dtype, torch.float32)
    with full_precision(q.device.type):  # autocast would make them half precision again
        logits = (q.to(exact) * scale) @ k.to(exact).transpose(-2, -1)  # (…, T, D) @ (…, D, S) -> (…, T, S)
        if mask is None:
            weights = logits.softmax(dim=-1)
        else:
            # The lowest finite number rather than -inf: a row without any True would be NaN, forward and backward.
            weights = logits.masked_fill(~mask, torch.finfo(exact).min).softmax(dim=-1).masked_fill(~mask, 0.0)
    weights = weights.to(v.dtype)
    return Attention(F.dropout(weights, dropout, training) @ v, weights)


def fused_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """The output of `attention` (…, T, D) by PyTorch's fused kernel, which never stores the weights.

    Args:
        causal: a token attends to itself and those before it. With more keys than queries the queries are the last
            tokens, as they are when the earlier keys come from a cache.
        dropout: applied whenever it is above 0; pass 0 outside training.
    Raises:
        ValueError: as `attention`, or causal with fewer keys than queries.
    """
    _check_inputs(q, k, v, mask)
    length, keys = q.shape[-2], k.shape[-2]
    square = length == keys and mask is None
    if causal and not square:
        if keys < length:
            raise ValueError(f"causal needs at least as many keys as queries, got {length} queries and {keys} keys")
        if length > 1:  # a single query is the last token and sees everything
            earlier = causal_mask(length, past=keys - length, device=q.device)  # (T, S)
            mask = earlier if mask is None else mask & earlier
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal and square, scale=scale
    )


def _check_inputs(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> None:
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"q has head size {q.shape[-1]}, k has {k.shape[-1]}; a dot product needs the same size")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(f"k has {k.shape[-2]} tokens, v has {v.shape[-2]}; every key needs its value")
    if q.shape[:-2] != k.shape[:-2] or k.shape[:-2] != v.shape[:-2]:
        shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
        raise ValueError(f"q, k and v must have the same batch and heads before the last two dimensions, got {shapes}")
    if not q.dtype == k.dtype == v.dtype or not q.dtype.is_floating_point:
        raise ValueError(f"q, k and v must have one floating-point dtype, got {q.dtype}, {k.dtype} and {v.dtype}")
    if mask is not None:
        _check_mask(mask, (*q.shape[:-1], k.shape[-2]))


def _check_mask(mask: Tensor, target: tuple[int, ...]) -> None:
    if mask.dtype != torch.bool:
        added = mask.is_floating_point() and not bool((mask > 0).any())  # a mask of 0 and −inf, to be added to logits
        advice = "mask == 0, as this one is of the kind that is added to logits" if added else "for example mask != 0"
        raise ValueError(f"mask must be bool with True = may attend, got {mask.dtype}; write {advice}")
    sizes = mask.shape
    fits = len(sizes) <= len(target) and all(
        size in (1, wanted) for size, wanted in zip(reversed(sizes), reversed(target), strict=False)
    )
    if not fits:
        hint = "; a padding mask (B, S) is written mask[:, None, None, :]" if len(sizes) == 2 < len(target) else ""
        raise ValueError(f"mask has shape {tuple(sizes)}, it must broadcast to {tuple(target)}{hint}")


def causal_mask(length: int, *, past: int = 0, device: torch.device | str | None = None) -> Tensor:
    """Who may look at whom when nobody sees the future: bool (length, past + length), with `past` tokens before these.

    >>> causal_mask(2, past=1).int()
    tensor([[1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    if length < 0 or past < 0:
        raise ValueError(f"length and past must not be negative, got {length} and {past}")
    return torch.ones(length, past + length, dtype=torch.bool, device=device).tril(past)


def padding_mask(lengths: Tensor | Sequence[int], max_length: int | None = None) -> Tensor:
    """True where there is a token, False where there is padding: bool (B, max_length).

    As a mask for attention write `padding_mask(lengths)[:, None, None, :]`, which is (B, 1, 1, S).

    >>> padding_mask([1, 3]).int()
    tensor([[1, 0, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    lengths = torch.as_tensor(lengths)
    longest = int(lengths.max()) if lengths.numel() else 0
    max_length = longest if max_length is None else max_length
    if longest > max_length or (lengths < 0).any():
        raise ValueError(f"lengths must lie between 0 and max_length {max_length}, got {lengths.tolist()}")
    return torch.arange(max_length, device=lengths.device) < lengths[:, None]  # (T,) < (B, 1) -> (B, T)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, C) -> (B, H, T, D): head h gets channels h·D to (h+1)·D. A view, nothing is copied."""
    if heads < 1 or x.shape[-1] % heads:
        raise ValueError(f"x has {x.shape[-1]} channels, which {heads} heads cannot share equally")
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)  # (B, T, C) -> (B, T, H, D) -> (B, H, T, D)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, C): undoes `split_heads`."""
    return x.transpose(-3, -2).flatten(-2)  # (B, H, T, D) -> (B, T, H, D) -> (B, T, C)
