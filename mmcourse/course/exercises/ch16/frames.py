"""16-frames: cut a sound into pieces that overlap, each under a window that begins and ends in silence.

`frames(wave, size, hop)` of (T,) gives (F, N): N = `size` samples each, one frame every `hop` samples, times a Hann
window of one whole period, ½ − ½ · cos(2π·n / N). There is no padding: the first frame begins at sample 0, and what is
left at the end and does not fill a frame is dropped (`mmcourse.encoders.audio.cut` mirrors both ends instead).
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def frames(wave, size, hop):
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(size) / size)
    return wave.unfold(0, size, hop) * window


def _inputs(samples, size, hop):
    """A sound that is nowhere near 0 on average, so that what is multiplied can be told from what is added."""
    return lambda generator: (0.5 + torch.randn(samples, generator=generator), size, hop)


def _hann(size, period=None):
    return 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(size) / (size if period is None else period))


def _cut(*, pieces=None, window=None, result=None):
    """The same with other pieces of (wave, size, hop), under another window, or another result of both."""

    def answer(wave, size, hop):
        cut = wave.unfold(0, size, hop) if pieces is None else pieces(wave, size, hop)
        hill = _hann(size) if window is None else window(size)
        return cut * hill if result is None else result(cut, hill)

    return answer


def _padded_at_the_end(wave, size, hop):
    return F.pad(wave, (0, -(len(wave) - size) % hop)).unfold(0, size, hop)


def _centered(wave, size, hop):
    half = size // 2
    return F.pad(wave[None], (half, half), mode="reflect")[0].unfold(0, size, hop)


def _window_first(wave, size, hop):
    return (wave * _hann(len(wave))).unfold(0, size, hop)


EXERCISE = Exercise(
    id="16-frames",
    title="A sound in pieces",
    goal="cut a sound into pieces that overlap, each under a window",
    stars=2,
    minutes=8,
    points=2,
    reference=frames,
    nothing_ready="the library mirrors both ends first, and weighs the frames in another function",
    cases=(
        Case(name="30 samples, frames of 8 every 4", inputs=_inputs(30, 8, 4)),
        Case(name="41 samples, frames of 9 every 3", inputs=_inputs(41, 9, 3)),
        Case(name="25 samples, frames of 6 with gaps between", inputs=_inputs(25, 6, 7)),
        Case(name="a single frame", inputs=_inputs(10, 10, 5)),
    ),
    mistakes=(
        Mistake(
            message="There is no window. A frame that is cut off sharply has clicks at both ends, and those fill the "
            "whole spectrum.",
            answer=_cut(result=lambda cut, hill: cut.clone()),
        ),
        Mistake(
            message="The window is divided by N − 1, so that it ends with a second 0. One whole period is divided by "
            "N; then frames that overlap by half add up to the sound.",
            answer=_cut(window=lambda size: _hann(size, size - 1)),
        ),
        Mistake(
            message="This window is 0 in its middle and full at both ends: the sign of the cosine is wrong.",
            answer=_cut(window=lambda size: 1 - _hann(size)),
        ),
        Mistake(
            message="The window has half a period only, so it rises and does not come down: the angle is 2π·n / N.",
            answer=_cut(window=lambda size: _hann(size, 2 * size)),
        ),
        Mistake(
            message="This is the window of Hamming, which ends at 0.08 and not in silence. Hann's is ½ − ½ · cos.",
            answer=_cut(window=lambda size: 0.08 + 0.92 * _hann(size)),
        ),
        Mistake(
            message="This window is a sine, the root of Hann's.",
            answer=_cut(window=lambda size: _hann(size).sqrt()),
        ),
        Mistake(
            message="The window is laid over the whole sound, and its beginning and end fade. Each frame has its own.",
            answer=lambda wave, size, hop: _window_first(wave, size, hop),
        ),
        Mistake(
            message="Frames begin every `size` samples. They begin every `hop`, so that they overlap.",
            answer=_cut(pieces=lambda wave, size, hop: wave.unfold(0, size, size)),
        ),
        Mistake(
            message="Frames begin at every sample. They begin every `hop`.",
            answer=_cut(pieces=lambda wave, size, hop: wave.unfold(0, size, 1)),
        ),
        Mistake(
            message="The last frame is missing: there are (T − N) // hop + 1.",
            answer=_cut(pieces=lambda wave, size, hop: wave.unfold(0, size, hop)[:-1]),
        ),
        Mistake(
            message="The rest at the end is filled up with zeros to one more frame. Here it is dropped.",
            answer=_cut(pieces=_padded_at_the_end),
        ),
        Mistake(
            message="Half a frame is mirrored at both ends, as `torch.stft` does it. Here there is no padding: the "
            "first frame begins at sample 0.",
            answer=_cut(pieces=_centered),
        ),
        Mistake(
            message="Frames lie in columns. They are rows: (F, N).",
            answer=_cut(result=lambda cut, hill: (cut * hill).T),
        ),
        Mistake(
            message="The window is added. It says how much each sample counts: multiply.",
            answer=_cut(result=lambda cut, hill: cut + hill),
        ),
    ),
    hints=(
        "Frame f holds the samples from f · hop to f · hop + N − 1. How many such f are there without going past the "
        "end?",
        "`wave.unfold(0, size, hop)` gives all of them at once, (F, N).",
        "The window is `0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(size) / size)`, and (N,) multiplies every "
        "row of (F, N).",
    ),
)
