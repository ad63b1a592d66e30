"""The U-Net: what velocity a noisy picture has, seen at half and at a quarter of its side, at a time, about some words.

Convolutions see a neighborhood, at two sizes (Ronneberger et al., "U-Net", 2015; for noise Ho et al., "Denoising
diffusion probabilistic models", 2020). Where the map is smallest, its places see each other and the words by attention,
as in Rombach et al., "High-resolution image synthesis with latent diffusion models" (2022).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import sinusoidal_positions_2d
from mmcourse.transformer import Block

GROUPS = 8  # of channels that are normalized together
WAVES = 64  # frequencies by which the time is told
LATEST = 0.95  # of the times that are believed: what is left to go is never taken to be shorter


class Residual(nn.Module):
    """Two convolutions around which their input passes by; time scales and shifts what is between them."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.GroupNorm(GROUPS, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, 2 * outputs)
        self.second_norm = nn.GroupNorm(GROUPS, outputs, affine=False)
        self.second_conv = nn.Conv2d(outputs, outputs, 3, padding=1)
        nn.init.zeros_(self.second_conv.weight)  # so that at the beginning the input passes through unchanged
        nn.init.zeros_(self.second_conv.bias)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, inputs, h, w) and (B, time) -> (B, outputs, h, w)."""
        scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
        h = self.second_norm(self.conv(F.silu(self.norm(x))))
        return self.skip(x) + self.second_conv(F.silu(h * (1 + scale) + shift))


class Look(nn.Module):
    """The places of a map see each other and the words."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.block = Block(width, heads, cross=True, hidden=2 * width)

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """(B, C, h, w), words (B, L, C) with a mask (B, L) -> (B, C, h, w)."""
        tokens = with_places(x).flatten(2).mT  # (B, C, h, w) -> (B, h·w, C)
        return self.block(tokens, words, context_mask=mask[:, None, None]).mT.unflatten(2, x.shape[-2:])


class UNet(nn.Module):
    """Pictures (B, 3, S, S) with noise in them, times and words in, velocities (B, 3, S, S) out.

    What it makes up its mind about is the picture that will come out, which is simpler than noise (Li and He, "Back to
    basics: let denoising generative models denoise", 2025); the velocity is the way there by the time that is left.

    Args:
        channels: of the map at half the side, a multiple of 8.
        width: C, of the map at a quarter of it and of the words, a multiple of 8 and of heads.
        heads: of every attention.
        length: most words, L.
        depth: blocks at half the side on the way down, as many on the way up, and looks at the words.
    """

    def __init__(self, channels: int, width: int, heads: int, length: int, depth: int) -> None:
        super().__init__()
        self.length = length
        time = 2 * width
        self.time = nn.Sequential(nn.Linear(2 * WAVES, time), nn.SiLU(), nn.Linear(time, time))
        self.gist = nn.Linear(length * width, time)  # of all words in their order: attention to them is learned later
        self.first = nn.Conv2d(4 * 3, channels, 3, padding=1)
        self.down = nn.ModuleList(Residual(channels, channels, time) for _ in range(depth))
        self.narrow = nn.Conv2d(channels, width, 3, stride=2, padding=1)
        self.middle = nn.ModuleList(Residual(width, width, time) for _ in range(depth + 1))
        self.looks = nn.ModuleList(Look(width, heads) for _ in range(depth))
        self.widen = nn.Conv2d(width, channels, 3, padding=1)
        self.up = nn.ModuleList(Residual(2 * channels, channels, time) for _ in range(depth))
        self.norm, self.last = nn.GroupNorm(GROUPS, channels), nn.Conv2d(channels, 4 * 3, 3, padding=1)
        self.to(memory_format=torch.channels_last)  # the same numbers in another order, faster on a CPU

    def forward(self, x: Tensor, times: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """The velocity of x (B, 3, S, S) at times (B,), about words (B, L, C), of which mask (B, L) tells the real."""
        in_order = F.pad(words * mask[..., None], (0, 0, 0, self.length - words.shape[1])).flatten(1)  # (B, length·C)
        noisy, time = x, F.silu(self.time(_waves(times)) + self.gist(in_order))
        x = self.first(F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last))  # (B, channels, S/2, S/2)
        x, kept = with_places(x), []
        for part in self.down:
            x = part(x, time)
            kept.append(x)
        x = self.middle[0](self.narrow(x), time)  # (B, C, S/4, S/4)
        for look, part in zip(self.looks, self.middle[1:], strict=True):
            x = part(look(x, words, mask), time)
        x = self.widen(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        for part in self.up:
            x = part(torch.cat((x, kept.pop()), dim=1), time)
        goal = F.pixel_shuffle(self.last(F.silu(self.norm(x))), 2)
        return (goal - noisy) / (1 - times.clamp(max=LATEST))[:, None, None, None]


def with_places(x: Tensor) -> Tensor:
    """A map (B, C, h, w) whose places know where they are."""
    places = sinusoidal_positions_2d(*x.shape[-2:], x.shape[1]).to(x)  # (h·w, C)
    return x + places.T.unflatten(1, x.shape[-2:])


def _waves(times: Tensor) -> Tensor:
    """Times (B,) from 0 to 1 as sines and cosines of 64 frequencies: (B, 128)."""
    angles = 1000 * times[:, None] * torch.exp(torch.linspace(0, -9.2, WAVES, device=times.device))
    return torch.cat((angles.sin(), angles.cos()), dim=1)
