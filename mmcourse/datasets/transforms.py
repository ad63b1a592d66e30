"""From a picture to what a network reads, and the small random changes that make pictures go further in training.

The steps are those that pretrained networks were trained with (He et al., 2016, section 3.4): resize, cut out the
center, scale to [0, 1], subtract the mean and divide by the standard deviation of each color. Pictures are uint8
(…, 3, H, W). torchvision is imported where it is first needed: that takes a second, and most chapters do without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

STRIP = 8  # times as long as wide: the ends of such a picture are cut off before it is resized
KEPT = 0.875  # of the shorter side, by classic networks: it becomes 256 pixels, of which the middle 224 are read
CHANNELS = {
    1: "one channel is gray, repeat it with torch.cat([images] * 3, dim=-3)",
    4: "four channels have transparency, lay them on a color with mmcourse.datasets.on_background",
}


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What a network wants done to a picture before it reads it; the defaults are those of ImageNet.

    Args:
        size: side of the square that the network reads, 2 pixels or more.
        resize: what the shorter side becomes before the center is cut out, at least `size`; None for size / 0.875,
            rounded down. Equal to `size`, nothing of a square picture is cut off.
        mean, std: of red, green and blue in [0, 1]: what is subtracted, and what the rest is divided by.
        interpolation: "bicubic" or "bilinear", always with antialiasing.
    Raises:
        ValueError: size is below 2 or above resize, std is not positive, or one of the three colors is missing.

    >>> Preprocessing(size=32)(torch.zeros(2, 3, 50, 80, dtype=torch.uint8)).shape
    torch.Size([2, 3, 32, 32])
    """

    size: int = 224
    resize: int | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):  # a list from a configuration file is as good as a tuple
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
            if len(getattr(self, name)) != 3:
                raise ValueError(f"{name} must have a number for red, green and blue, got {getattr(self, name)}")
        if self.size < 2 or self.shorter_side < self.size:  # PyTorch cannot resize uint8 pictures to a single pixel
            raise ValueError(f"want 2 <= size <= resize, got size {self.size} and resize {self.shorter_side}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be above 0 for every color, got {self.std}")
        if self.interpolation not in ("bicubic", "bilinear"):
            raise ValueError(f"interpolation must be 'bicubic' or 'bilinear', got {self.interpolation!r}")

    @property
    def shorter_side(self) -> int:
        """What the shorter side of a picture becomes before the center is cut out."""
        return int(self.size / KEPT) if self.resize is None else self.resize

    @property
    def key(self) -> str:
        """Everything that the result depends on, for the key of a cache."""
        colors = f"mean {self.mean}, std {self.std}"
        return f"resize {self.shorter_side} {self.interpolation}, center {self.size}, {colors}"

    def __call__(self, images: Tensor) -> Tensor:
        """Pictures uint8 (…, 3, H, W) of one size -> float32 (…, 3, size, size).

        Raises:
            ValueError: images are not uint8, have no three channels or no pixels.
        """
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional

        _check_pictures(images)
        mode = InterpolationMode(self.interpolation)
        x = functional.resize(_middle(images), [self.shorter_side], interpolation=mode, antialias=True)
        x = functional.center_crop(x, [self.size])
        return functional.normalize(functional.to_dtype(x, torch.float32, scale=True), self.mean, self.std)

    def undo(self, x: Tensor) -> Tensor:
        """Back from numbers (…, 3, H, W) to colors, uint8, to look at what a network was given."""
        mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (self.mean, self.std))  # (3, 1, 1)
        return _to_uint8((x.float() * std + mean) * 255)


def augment(
    images: Tensor,
    *,
    generator: torch.Generator,
    flip: bool = True,
    crop: float = 0.2,
    color: float = 0.2,
) -> Tensor:
    """A slightly different copy of each picture: uint8 (B, 3, H, W) -> the same shape and type.

    Nothing here may change what a picture is of. That holds for drawings and photographs with one thing in them, but
    in scenes, whose captions tell left from right, sizes and places, use flip=False and crop=0: a mirrored picture
    makes "a cat left of a dog" false.

    Args:
        generator: where the randomness comes from; each picture takes the same seven numbers whatever is switched on.
        flip: mirror left and right, with probability 1/2.
        crop: cut out a window with sides between 1 − crop and 1 of the picture, and stretch it to the whole size.
        color: change brightness, contrast and saturation, each by a factor between 1 − color and 1 + color.
    Raises:
        ValueError: images are not uint8 (B, 3, H, W), or an amount is out of its range.
    """
    _check_pictures(images)
    if images.dim() != 4:
        raise ValueError(f"images must be a batch (B, 3, H, W), got shape {tuple(images.shape)}")
    for name, value in (("crop", crop), ("color", color)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value}")
    draws = torch.rand(len(images), 7, generator=generator, device=generator.device).to(images.device)  # in [0, 1)
    if flip:
        images = torch.where(draws[:, 0].lt(0.5)[:, None, None, None], images.flip(-1), images)
    if len(images) == 0 or crop == color == 0:
        return images.clone()
    x = images.float()
    x = _crop(x, 1 - crop * draws[:, 1], draws[:, 2:4]) if crop else x
    return _to_uint8(_recolor(x, 1 + color * (2 * draws[:, 4:] - 1)) if color else x)


def _crop(x: Tensor, share: Tensor, place: Tensor) -> Tensor:
    """Windows with sides `share` (B,) of the picture, at `place` (B, 2) from one end of the room (0) to the other."""
    center = (1 - share)[:, None] * (2 * place - 1)  # in coordinates from −1 to 1, (B, 2)
    scale = share[:, None, None] * torch.eye(2, device=x.device)  # (B, 2, 2)
    grid = F.affine_grid(torch.cat((scale, center[:, :, None]), dim=2), list(x.shape), align_corners=False)
    if x.device.type == "mps":  # before torch 2.13 it knows no "border"
        return F.grid_sample(x, _between_centers(grid, x.shape[-2:]), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _between_centers(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Coordinates (…, 2), x before y, moved to the nearest point between the centers of the outer pixels."""
    edge = 1 - 1 / torch.tensor(size[::-1], dtype=grid.dtype, device=grid.device)  # (2,)
    return grid.clamp(-edge, edge)


def _recolor(x: Tensor, factors: Tensor) -> Tensor:
    """Blends each picture with black, then its mean gray, then its own gray; `factors` (B, 3), 1 changes nothing."""
    from torchvision.transforms.v2 import functional

    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)  # each (B, 1, 1, 1)
    x = (x * brightness).clamp(0, 255)
    mean = functional.rgb_to_grayscale(x).mean(dim=(1, 2, 3), keepdim=True)
    x = (mean + contrast * (x - mean)).clamp(0, 255)
    gray = functional.rgb_to_grayscale(x)
    return gray + saturation * (x - gray)


def _middle(images: Tensor) -> Tensor:
    """Pictures (…, 3, H, W) without the far ends of long strips, of which nobody sees anything once the center is cut.

    Resized as a whole, a strip of 20,000 × 1 pixels would take gigabytes.
    """
    for dim in (-2, -1):
        long, short = images.shape[dim], images.shape[-3 - dim]
        if long > STRIP * short:
            kept = 4 * short + 16  # twice what the center shows, and what resizing reads beside it
            kept += (long - kept) % 2  # cut as much from either end
            images = images.narrow(dim, max(long - kept, 0) // 2, min(kept, long))
    return images


def _to_uint8(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255).to(torch.uint8)


def _check_pictures(images: Tensor) -> None:
    shape = tuple(images.shape)
    if images.dtype == torch.uint8 and len(shape) >= 3 and shape[-3] == 3 and 0 not in shape[-2:]:
        return
    if images.dtype != torch.uint8:
        hint = "numbers in [0, 1] become colors with (images * 255).round().to(torch.uint8)"
    elif len(shape) < 3:
        hint = "the dimension of the colors is missing"
    elif shape[-3] == 3:
        hint = "there is no pixel in it"
    else:
        last = "the colors stand last, write images.movedim(-1, -3)" if shape[-1] == 3 else "choose three channels"
        hint = CHANNELS.get(shape[-3], last)
    raise ValueError(f"images must be uint8 (…, 3, H, W), got {images.dtype} {shape}; {hint}")
