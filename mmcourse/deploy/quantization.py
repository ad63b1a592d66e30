"""Weights as whole numbers of eight bits: a grid of 256 places, laid over the numbers that there are.

Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference" (2018),
section 2.1, equation 1: r = S (q − Z) with a scale S and a zero point Z. *Affine* puts the ends of the grid at the
smallest and the largest number; *symmetric* has Z = 0 and as many places below 0 as above, so −128 is not used. One
grid serves a whole tensor, or each channel has its own, as one large channel would cost all others their digits
(Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference: a whitepaper", 2018).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Scheme = Literal["symmetric", "affine"]
SCHEMES = ("symmetric", "affine")
LOWEST, HIGHEST = -128, 127  # of int8


class Grid(NamedTuple):
    """How far apart places are, and which of them means 0; both broadcast against what they are the grid of.

    `scale` is float32 and above 0, `zero_point` int8, of one shape: the tensor's with 1 wherever a grid is shared.
    """

    scale: Tensor
    zero_point: Tensor


def fit_grid(x: Tensor, *, scheme: Scheme = "symmetric", axis: int | None = None) -> Grid:
    """The finest grid that reaches all numbers of x and has a place for 0.

    Args:
        x: floating-point, any shape.
        scheme: "symmetric" or "affine".
        axis: dimension whose entries have a grid each, such as 0 for the output channels of a weight; None = one grid.
    Raises:
        ValueError: x is empty, no floating-point tensor or not finite, or an option is none that there is.
    Source: as `MinMaxObserver` of PyTorch, whose smallest scale of 1.2e-7 would take small channels for zeros.

    >>> fit_grid(torch.tensor([[-1.27, 0.5], [0.0, 2.54]]), axis=0).scale
    tensor([[0.0100],
            [0.0200]])
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}")
    if not x.is_floating_point() or not x.numel():
        raise ValueError(f"x must be floating-point numbers, at least one, got {x.dtype} {tuple(x.shape)}")
    if axis is not None and not -x.dim() <= axis < x.dim():
        raise ValueError(f"axis must be one of the {x.dim()} dimensions of x, got {axis}")
    x = x.detach().float()
    low, high = _ends(x, None if axis is None else axis % x.dim())
    # Equal to PyTorch's observers only if divided in this order.
    scale = torch.maximum(-low, high) / HIGHEST if scheme == "symmetric" else (high - low) / (HIGHEST - LOWEST)
    if not scale.isfinite().all():
        raise ValueError("x must be finite, and its range one that float32 can hold; got infinities or NaN")
    scale = scale.clamp(min=torch.finfo(torch.float32).tiny)  # what is divided by is never 0
    zero = torch.zeros_like(scale) if scheme == "symmetric" else LOWEST - (low / scale).round()
    return Grid(scale, zero.clamp(LOWEST, HIGHEST).to(torch.int8))


def quantize(x: Tensor, grid: Grid) -> Tensor:
    """The places nearest to x, halves to the even one: q = clamp(round(x / S) + Z), int8 of the shape of x.

    What lies outside the grid goes to its end. Equals `torch.quantize_per_tensor` and `torch.quantize_per_channel` to
    the bit.

    Raises:
        ValueError: x is not floating-point, or the grid does not broadcast to it.

    >>> quantize(torch.tensor([-1.0, 0.2, 0.3, 9.0]), Grid(torch.tensor(0.1), torch.tensor(5, dtype=torch.int8)))
    tensor([-5,  7,  8, 95], dtype=torch.int8)
    """
    if not x.is_floating_point():
        raise ValueError(f"x must be floating-point numbers, got {x.dtype}")
    _check_grid(x, grid)
    places = (x.float() * (1 / grid.scale)).round() + grid.zero_point  # as PyTorch: times the inverse, not divided
    return places.clamp(LOWEST, HIGHEST).to(torch.int8)


def dequantize(values: Tensor, grid: Grid) -> Tensor:
    """What the places mean, r = S (q − Z): int8 -> float32 of the same shape.

    Raises:
        ValueError: values are not int8, or the grid does not broadcast to them.

    >>> dequantize(torch.tensor([-5, 5], dtype=torch.int8), Grid(torch.tensor(0.5), torch.tensor(5, dtype=torch.int8)))
    tensor([-5.,  0.])
    """
    if values.dtype != torch.int8:
        raise ValueError(f"values must be int8, got {values.dtype}")
    _check_grid(values, grid)
    return (values.float() - grid.zero_point) * grid.scale


def _ends(x: Tensor, axis: int | None) -> tuple[Tensor, Tensor]:
    """The smallest and largest number of each grid, 0 among them, with the dimensions that it covers kept as 1."""
    shared = [dim for dim in range(x.dim()) if dim != axis]
    low, high = (x.amin(shared, keepdim=True), x.amax(shared, keepdim=True)) if shared else (x, x)
    return low.clamp(max=0), high.clamp(min=0)


def _check_grid(x: Tensor, grid: Grid) -> None:
    shapes = tuple(grid.scale.shape), tuple(grid.zero_point.shape)
    fits = len(shapes[0]) <= x.dim() and all(
        size in (1, wanted) for size, wanted in zip(reversed(shapes[0]), reversed(x.shape), strict=False)
    )
    if shapes[0] != shapes[1] or not fits:
        raise ValueError(f"grid must have one shape that broadcasts to {tuple(x.shape)}, got {shapes[0]}, {shapes[1]}")
