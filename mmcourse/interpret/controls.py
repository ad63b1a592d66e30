"""Maps that know nothing: an explanation that does not beat them explains nothing.

People, and the scenes of most data sets, put things in the middle; the middle alone wins a good part of pointing games
(as the baseline "center" in Zhang et al., "Top-down neural attention by excitation backprop", 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmcourse.interpret.asking import check_images


def center_map(images: Tensor, *, spread: float = 0.25) -> Tensor:
    """A round hill in the middle of each picture, whatever it shows: (B, C, H, W) -> (B, H, W), from 0 to 1.

    Args:
        spread: standard deviation of the hill, as a share of each side.
    Raises:
        ValueError: images are not float (B, C, H, W), or spread is not above 0.

    >>> (center_map(torch.zeros(1, 3, 3, 3)) * 100).int().tolist()
    [[[16, 41, 16], [41, 100, 41], [16, 41, 16]]]
    """
    check_images(images)
    if not spread > 0:
        raise ValueError(f"spread must be above 0, got {spread}")
    hills = []
    for side in images.shape[-2:]:
        place = (torch.arange(side, dtype=images.dtype, device=images.device) + 0.5) / side - 0.5
        hills.append(torch.exp(-((place / spread) ** 2) / 2))
    return (hills[0][:, None] * hills[1]).expand(len(images), -1, -1)  # (H, 1) · (W,) -> (B, H, W)


def random_map(images: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Chance at each pixel, evenly from 0 to 1: (B, C, H, W) -> (B, H, W).

    Raises:
        ValueError: images are not float (B, C, H, W).
    """
    check_images(images)
    return torch.rand(images[:, 0].shape, generator=generator).to(images)
