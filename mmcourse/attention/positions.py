"""Where a token stands: attention itself does not know, so these tell it.

Sinusoids follow Vaswani et al., "Attention is all you need" (2017), section 3.5; rotary positions follow Su et al.,
"RoFormer" (2021), with the pairing of channels that Llama uses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """The fixed position signal of Vaswani et al. (2017): (length, width), sines on even and cosines on odd channels.

    >>> sinusoidal_positions(2, 4).shape, sinusoidal_positions(1, 4).tolist()
    (torch.Size([2, 4]), [[0.0, 1.0, 0.0, 1.0]])
    """
    return _sinusoids(torch.arange(length), width)


def sinusoidal_positions_2d(rows: int, columns: int, width: int) -> Tensor:
    """The same for patches in reading order: (rows·columns, width); one half tells the row, the other the column."""
    if width % 4:
        raise ValueError(f"width must be a multiple of 4, got {width}")
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))  # (P, 2)
    return torch.cat([_sinusoids(grid[:, axis], width // 2) for axis in (0, 1)], dim=-1)


def _sinusoids(positions: Tensor, width: int) -> Tensor:
    angles = rotary_angles(positions, width)  # (T, C/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).float()  # (T, C/2, 2) -> (T, C)


class LearnedPositions(nn.Module):
    """Adds a learned vector for each position: (B, T, C) -> (B, T, C)."""

    def __init__(self, max_length: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(max_length, width) * 0.02)

    def forward(self, x: Tensor, *, start: int = 0) -> Tensor:
        """Adds the vectors of positions `start`, `start` + 1, … to the tokens of `x`."""
        end = start + x.shape[-2]
        if end > len(self.table):
            raise ValueError(f"x reaches position {end}, but max_length is {len(self.table)}; shorten x")
        return x + self.table[start:end]


def rotary_angles(positions: Tensor, width: int, *, base: float = 10_000.0) -> Tensor:
    """How far each pair of channels is turned at each position: (T, width/2), pair i by position · base^(−2i/width).

    In float64 where the device has it: in float32 the angle of position 4,000 is right to three decimals only.
    """
    if width < 2 or width % 2:
        raise ValueError(f"width must be even and positive, got {width}")
    exact = torch.float32 if positions.device.type == "mps" else torch.float64
    exponents = torch.arange(0, width, 2, dtype=exact, device=positions.device) / width
    return positions.to(exact)[:, None] * torch.exp(-math.log(base) * exponents)  # (T, 1) · (C/2,) -> (T, C/2)


def apply_rotary(x: Tensor, positions: Tensor, *, base: float = 10_000.0) -> Tensor:
    """Turns channel i together with channel i + D/2 of `x` (…, T, D) by the angle of its position.

    The dot product of a turned query and a turned key depends on how far apart they are, not on where they are.
    """
    if positions.shape != x.shape[-2:-1]:
        raise ValueError(f"positions must have shape ({x.shape[-2]},), one a token, got {tuple(positions.shape)}")
    angles = rotary_angles(positions, x.shape[-1], base=base)  # (T, D/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)  # (…, T, D) -> two of (…, T, D/2)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
