"""Convolution by hand, and a small residual network made of it.

Residual blocks follow He et al., "Deep residual learning for image recognition" (2016), with batch normalization
(Ioffe and Szegedy, 2015); the stem that cuts pictures into patches is that of Liu et al., "A ConvNet for the 2020s"
(2022).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolution as one matrix product: every window laid out as a column, every kernel as a row.

    As everywhere in deep learning the kernels are not mirrored, so a mathematician would call it cross-correlation.

    Args:
        x: (B, C, H, W).
        weight: (O, C, h, w), one kernel for each output channel.
        bias: (O,), added to every place of its channel.
        stride: how far the window moves each time, in pixels.
        padding: rows and columns of zeros laid around the picture first.
    Returns:
        (B, O, H', W') with H' = (H + 2·padding − h) // stride + 1, and W' likewise.
    Raises:
        ValueError: shapes, types or sizes do not fit.

    >>> import torch
    >>> convolve(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)).flatten().tolist()
    [4.0, 4.0, 4.0, 4.0]
    """
    _check_convolution(x, weight, bias, stride, padding)
    kernel = weight.shape[-2:]
    rows, columns = ((side + 2 * padding - k) // stride + 1 for side, k in zip(x.shape[-2:], kernel, strict=True))
    windows = F.unfold(x, kernel, stride=stride, padding=padding)  # (B, C, H, W) -> (B, C·h·w, H'·W')
    y = weight.flatten(1) @ windows  # (O, C·h·w) · (B, C·h·w, H'·W') -> (B, O, H'·W')
    y = y.unflatten(-1, (rows, columns))  # (B, O, H'·W') -> (B, O, H', W')
    return y if bias is None else y + bias[:, None, None]


def _check_convolution(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> None:
    if x.dim() != 4 or weight.dim() != 4 or x.shape[1] != weight.shape[1]:
        shapes = f"{tuple(x.shape)} and {tuple(weight.shape)}"
        raise ValueError(f"x must be (B, C, H, W) and weight (O, C, h, w) with the same C, got {shapes}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"bias must have shape ({len(weight)},), one an output channel, got {tuple(bias.shape)}")
    types = {t.dtype for t in (x, weight, bias) if t is not None}
    if len(types) > 1 or not x.is_floating_point():
        raise ValueError(f"x, weight and bias must share a floating-point type, got {', '.join(map(str, types))}")
    if stride < 1 or padding < 0:
        raise ValueError(f"stride must be at least 1 and padding at least 0, got {stride} and {padding}")
    if any(side + 2 * padding < k for side, k in zip(x.shape[-2:], weight.shape[-2:], strict=True)):
        sizes = f"a kernel of {tuple(weight.shape[-2:])} and a picture of {tuple(x.shape[-2:])}"
        raise ValueError(f"weight must not be larger than the padded x, got {sizes} with padding {padding}")


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions whose result is added to what came in: (B, channels_in, H, W) -> (B, channels_out, H', W').

    Where the shape changes, a 1×1 convolution with the same stride brings what came in to the new shape.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            across = nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(across, nn.BatchNorm2d(channels_out))
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(y)) + self.shortcut(x))


class CNN(nn.Module):
    """A small residual network: a stem, then a stage for each width, each at half the resolution of the one before.

    Most of the time goes into the first stages, where there are most pixels; the stem decides how many are left.

    Args:
        widths: channels of each stage.
        stem: cuts the picture into patches of stem × stem pixels; 1 reads every pixel with a 3×3 convolution.
        blocks: residual blocks in a stage.

    >>> import torch
    >>> model = CNN((8, 16)).eval()
    >>> model(torch.zeros(2, 3, 64, 64)).shape, model.feature_map(torch.zeros(2, 3, 64, 64)).shape
    (torch.Size([2, 16]), torch.Size([2, 16, 8, 8]))
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128), *, stem: int = 4, blocks: int = 1) -> None:
        super().__init__()
        if len(widths) == 0 or stem < 1 or blocks < 1:
            raise ValueError(
                f"want widths for one stage, stem and blocks of 1 at least, got {widths}, {stem}, {blocks}"
            )
        self.widths, self.stride = tuple(widths), stem
        shape = {"kernel_size": 3, "padding": 1} if stem == 1 else {"kernel_size": stem, "stride": stem}
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], **shape, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU())
        initialize(self.stem)
        stages, channels = [], widths[0]
        for number, width in enumerate(widths):
            first = ResidualBlock(channels, width, stride=1 if number == 0 else 2)
            stages.append(nn.Sequential(first, *(ResidualBlock(width, width) for _ in range(blocks - 1))))
            channels = width
        self.stages = nn.Sequential(*stages)

    @property
    def width(self) -> int:
        """Numbers that describe one picture."""
        return self.widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Features of each picture, the mean over all places: float (B, 3, H, W) -> (B, width)."""
        return self.feature_map(images).mean(dim=(-2, -1))

    def feature_map(self, images: Tensor) -> Tensor:
        """Features of each place: float (B, 3, H, W) -> (B, width, h, w)."""
        shape = tuple(images.shape)
        if images.dim() != 4 or shape[1] != 3 or not images.is_floating_point():
            hint = "colors become numbers with Preprocessing, or with images.float() / 255"
            raise ValueError(f"images must be floating-point (B, 3, H, W), got {images.dtype} {shape}; {hint}")
        if shape[2] % self.stride or shape[3] % self.stride:
            raise ValueError(f"images must have sides that are multiples of {self.stride}, the stem, got {shape[2:]}")
        return self.stages(self.stem(images))


def initialize(module: nn.Module) -> None:
    """He initialization (He et al., 2015) of every convolution: signals keep their size through layers of relu."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
