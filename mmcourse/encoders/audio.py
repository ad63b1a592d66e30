"""From a sound to features: the short-time Fourier transform, bands as wide as the ear's, and a small network.

Frames under a window, each with its own spectrum, are as old as Gabor, "Theory of communication" (1946); the bands
follow the mel scale (Stevens, Volkmann and Newman, 1937) by the formula of HTK (Young et al., "The HTK book"). A
spectrogram is read as a picture by a convolutional network (Hershey et al., "CNN architectures for large-scale audio
classification", 2017), with how it changes as further channels (Furui, "Speaker-independent isolated word recognition
using dynamic features of speech spectrum", 1986).

Here T are samples, F frames, N samples of a frame, and K = N // 2 + 1 frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.datasets import SOUND_RATE
from mmcourse.encoders.cnn import CNN

QUIET = 1e-5  # power that is not told from silence: its logarithm would reach down without end


def hann_window(size: int, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """A hill of one period of a cosine, (N,): frames that overlap by half, so weighed, add up to what they came from.

    >>> hann_window(4).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    turns = torch.arange(size, device=device, dtype=dtype) / size
    return 0.5 - 0.5 * torch.cos(2 * math.pi * turns)


def cut(wave: Tensor, *, size: int, hop: int) -> Tensor:
    """Frames of `size` samples, one every `hop`, each around its place: (…, T) -> (…, F, N).

    At both ends half a frame of the sound is mirrored, so that an even size makes T // hop + 1 frames.

    Raises:
        ValueError: wave is not floating-point or too short, or size or hop is.
    """
    if size < 2 or hop < 1:
        raise ValueError(f"want a size of 2 and a hop of 1 at least, got {size} and {hop}")
    if wave.dim() < 1 or not wave.is_floating_point():
        raise ValueError(f"wave must be floating-point (…, T), got {wave.dtype} {tuple(wave.shape)}")
    half = size // 2
    if wave.shape[-1] <= half:
        raise ValueError(f"wave must be longer than half a frame, {half} samples, got {wave.shape[-1]}")
    ends = wave[..., 1 : half + 1].flip(-1), wave[..., -half - 1 : -1].flip(-1)
    return torch.cat([ends[0], wave, ends[1]], dim=-1).unfold(-1, size, hop)


def dft(frames: Tensor) -> Tensor:
    """The Fourier transform by its definition, one matrix product: (…, N) -> complex (…, K).

    The sum over n of x[n] · e^(−2πi·k·n / N) for k from 0 to N // 2; `torch.fft.rfft` finds it in N · log N steps.

    >>> dft(torch.tensor([1.0, 0.0, -1.0, 0.0])).abs().round().tolist()
    [0.0, 2.0, 0.0]
    """
    size = frames.shape[-1]
    n = torch.arange(size, device=frames.device)
    turns = (n[:, None] * n[: size // 2 + 1]) % size  # whole turns change nothing, and small angles are exact
    angles = turns.to(frames.dtype) * (2 * math.pi / size)  # (N, K)
    return torch.complex(frames @ angles.cos(), -(frames @ angles.sin()))


def stft(wave: Tensor, *, size: int = 256, hop: int = 80) -> Tensor:
    """The spectrum of each frame under a Hann window: (…, T) -> complex (…, K, F), as `torch.stft` gives.

    Raises:
        ValueError: wave is not floating-point or too short, or size or hop is.

    >>> stft(torch.zeros(2, 8000)).shape
    torch.Size([2, 129, 101])
    """
    frames = cut(wave, size=size, hop=hop)
    return torch.fft.rfft(frames * hann_window(size, device=wave.device, dtype=wave.dtype)).mT


def hertz_to_mel(hertz: float | np.ndarray) -> float | np.ndarray:
    """HTK's formula, 2595 · log10(1 + f / 700), on which equal steps sound equally wide.

    >>> round(hertz_to_mel(1000.0))
    1000
    """
    return 2595 * np.log10(1 + hertz / 700)


def mel_to_hertz(mel: float | np.ndarray) -> float | np.ndarray:
    """The way back."""
    return 700 * (10 ** (mel / 2595) - 1)


def mel_filters(bands: int, *, size: int, rate: int, device: torch.device | str | None = None) -> Tensor:
    """How much each frequency counts in each band: float32 (bands, K).

    Triangles of height 1, evenly spread on the mel scale from 0 to half the rate; each begins and ends in the middle of
    its neighbors.

    Raises:
        ValueError: bands or rate is less than 1, or a band is so narrow that it holds no frequency.
    """
    if bands < 1 or rate < 1 or size < 2:
        raise ValueError(f"want bands and rate of 1 and a size of 2 at least, got {bands}, {rate} and {size}")
    edges = mel_to_hertz(np.linspace(0, hertz_to_mel(rate / 2), bands + 2))[:, None]
    hertz = np.arange(size // 2 + 1) * (rate / size)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]  # (bands, 1)
    filters = np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)).clip(min=0)
    if len(empty := np.flatnonzero(filters.max(axis=1) == 0)):
        raise ValueError(f"bands must each hold a frequency, band {empty[0]} of {bands} holds none; use a larger size")
    return torch.tensor(filters, dtype=torch.float32, device=device)


def spectrogram(
    wave: Tensor,
    *,
    rate: int = SOUND_RATE,
    size: int = 256,
    hop: int = 80,
    bands: int = 40,
    filters: Tensor | None = None,
) -> Tensor:
    """Logarithm of the power in each band of each frame: (…, T) -> (…, bands, F).

    Args:
        wave: half-precision sounds are computed in float32.
        rate: samples a second.
        filters: (bands, K) from `mel_filters`, where they are at hand; then `rate` and `bands` do not count.
    Raises:
        ValueError: wave is not floating-point or too short, or a size does not fit.

    >>> spectrogram(torch.zeros(2, 9600)).shape
    torch.Size([2, 40, 121])
    """
    wave = wave.float() if wave.dtype in (torch.float16, torch.bfloat16) else wave
    if filters is None:
        filters = mel_filters(bands, size=size, rate=rate, device=wave.device)
    # Power spans ten orders of magnitude, more than autocast's types hold.
    with torch.autocast(wave.device.type, enabled=False):
        power = stft(wave, size=size, hop=hop).abs().square()
        return (filters.to(power.dtype) @ power).clamp(min=QUIET).log()


def changes(x: Tensor) -> Tensor:
    """How a value moves along the last dimension, half of the step from the one before to the one after: same shape.

    >>> changes(torch.tensor([[0.0, 1.0, 4.0, 9.0]])).tolist()
    [[0.5, 2.0, 4.0, 2.5]]
    """
    ends = torch.cat([x[..., :1], x, x[..., -1:]], dim=-1)
    return (ends[..., 2:] - ends[..., :-2]) / 2


class AudioEncoder(nn.Module):
    """A sound as features: its spectrogram, how it changes, and how that does, read by a `CNN` as colors are.

    How loud a sound is hardly counts: a spectrogram is brought to mean 0 and variance 1 first.

    Args:
        widths: channels of the stages of its `CNN`, whose stem makes a patch of 4 bands in 4 frames.
        rate: samples a second.
        size, hop: samples of a frame, and from frame to frame.
        bands: of the mel scale, a multiple of 4.

    >>> encoder = AudioEncoder((8, 16)).eval()
    >>> encoder(torch.zeros(2, 9600)).shape, encoder.feature_map(torch.zeros(2, 9600)).shape
    (torch.Size([2, 16]), torch.Size([2, 16, 5, 16]))
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        *,
        rate: int = SOUND_RATE,
        size: int = 256,
        hop: int = 80,
        bands: int = 40,
    ) -> None:
        super().__init__()
        self.cnn = CNN(widths)
        if bands % self.cnn.stride:
            raise ValueError(f"bands must be a multiple of {self.cnn.stride}, got {bands}")
        self.size, self.hop = size, hop
        self.register_buffer("filters", mel_filters(bands, size=size, rate=rate), persistent=False)

    @property
    def width(self) -> int:
        """Numbers that describe one sound."""
        return self.cnn.width

    def forward(self, waves: Tensor) -> Tensor:
        """Features of each sound, the mean over all places: (B, T) -> (B, C)."""
        return self.feature_map(waves).mean(dim=(-2, -1))

    def feature_map(self, waves: Tensor) -> Tensor:
        """Features of each place: (B, T) -> (B, C, bands', frames')."""
        if waves.dim() != 2:
            raise ValueError(f"waves must be floating-point (B, T), got {waves.dtype} {tuple(waves.shape)}")
        x = spectrogram(waves, size=self.size, hop=self.hop, filters=self.filters)  # (B, bands, F)
        x = F.layer_norm(x, x.shape[-2:])
        x = F.pad(x, (0, -x.shape[-1] % self.cnn.stride), mode="replicate")  # whole patches
        x = torch.stack([x, changes(x), changes(changes(x))], dim=1)  # (B, bands, F) -> (B, 3, bands, F)
        return self.cnn.feature_map(x)
