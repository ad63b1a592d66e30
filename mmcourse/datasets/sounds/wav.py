"""Sound files: WAV with whole numbers for samples (IBM and Microsoft, "Multimedia programming interface", 1991)."""

from __future__ import annotations

import io
import wave as wav
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmcourse.errors import OneSentence
from mmcourse.files import expanded, write_in_one_step

FULL = 1 << 15  # what 1.0 is in 16 bits; the largest number is one less
WIDTHS = (1, 2, 3)  # bytes of a sample; a float32 holds each of their numbers exactly


class WaveFileError(OneSentence, ValueError):
    """A file that is no sound, a damaged one, or one that cannot be read without loss; the text is one sentence."""


class Recording(NamedTuple):
    """A sound, float32 (T,) from −1 to 1, and how many samples a second it has."""

    wave: Tensor
    rate: int


def save_wave(path: str | Path, wave: Tensor, rate: int) -> None:
    """Writes a sound as 16-bit WAV in one step, and makes the folders that it needs.

    Args:
        wave: (T,), from −1 to 1; rounded to whole numbers of 2⁻¹⁵, and 1 itself to the largest of them below.
        rate: samples a second.
    Raises:
        ValueError: wave or rate is of another kind or range.
    """
    if wave.dim() != 1 or not wave.is_floating_point():
        raise ValueError(f"wave must be floating-point (T,), got {wave.dtype} {tuple(wave.shape)}")
    if not (wave.abs() <= 1).all():  # written so that a nan fails too
        raise ValueError(f"wave must lie between -1 and 1, got {wave.min().item():.3g} to {wave.max().item():.3g}")
    if isinstance(rate, bool) or not isinstance(rate, int) or not 0 < rate < 2**31:
        raise ValueError(f"rate must be a whole number of samples a second, got {rate!r}")
    steps = (wave.detach().double() * FULL).round().clamp(max=FULL - 1)
    content = io.BytesIO()
    with wav.open(content, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        file.writeframes(steps.cpu().numpy().astype("<i2").tobytes())
    write_in_one_step(expanded(path), content.getvalue())


def load_wave(path: str | Path) -> Recording:
    """Reads a WAV file of 8, 16 or 24 bits; stereo only where both channels are the same.

    Raises:
        WaveFileError: there is no file, it is cut or no WAV file, or it cannot be read without loss.
    """
    path = expanded(path)
    try:
        with wav.open(io.BytesIO(path.read_bytes()), "rb") as file:
            channels, width, rate, count = file.getparams()[:4]
            content = file.readframes(count)
    except FileNotFoundError:
        raise WaveFileError(f"there is no file {path}") from None
    except (OSError, EOFError, wav.Error) as error:
        raise WaveFileError(f"the file {path} is damaged or no WAV file ({error or 'it ends too early'})") from None
    if len(content) != count * channels * width:
        raise WaveFileError(f"the file {path} is cut: {count} samples were written, {len(content)} bytes are left")
    if width not in WIDTHS:
        raise WaveFileError(f"the file {path} has {8 * width} bits a sample; save it with 8, 16 or 24")
    samples = _numbers(content, width).reshape(count, channels)
    if (samples != samples[:, :1]).any():
        raise WaveFileError(f"the file {path} has {channels} channels that differ; save it with one")
    return Recording(torch.from_numpy(samples[:, 0].astype(np.float32)), rate)


def _numbers(content: bytes, width: int) -> np.ndarray:
    """Samples from −1 to 1, float64; eight bits are counted from 0, more are signed and end with the largest byte."""
    if width == 1:
        return (np.frombuffer(content, dtype=np.uint8) - 128.0) / 128
    parts = np.frombuffer(content, dtype=np.uint8).reshape(-1, width)
    wide = np.zeros((len(parts), 4), dtype=np.uint8)
    wide[:, 4 - width :] = parts  # at the upper end of four bytes, where the sign is
    return wide.view("<i4")[:, 0] / 2.0**31
