"""16-pitch: read the pitch of a tone between the bins of its spectrum.

`pitch(spectrum, rate)` takes the sizes (K,) of the frequencies of one frame under a Hann window, N = 2 · (K − 1)
samples at `rate` a second, and gives the pitch of the loudest partial in Hz. Bins are rate / N apart; between them, the
pitch is where the parabola through the logarithms of the loudest bin and its two neighbors is highest (Smith and Serra,
"PARSHL: an analysis/synthesis program for non-harmonic sounds", 1987). The loudest bin is never the first or the last.
"""

from __future__ import annotations

import math

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def pitch(spectrum, rate):
    k = int(spectrum.argmax())
    left, middle, right = spectrum[k - 1 : k + 2].log().tolist()
    offset = (left - right) / (2 * (left - 2 * middle + right))
    return (k + offset) * rate / (2 * (len(spectrum) - 1))


def _inputs(size, rate, *, partials=(1.0,), side=None):
    """A tone between two bins, off to a side by a sixth to a third of a bin, and its fainter partials."""

    def inputs(generator):
        chances = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        sign = side if side is not None else (1 if chances[0] < 0.5 else -1)
        low, high = size // 16, size // (3 * len(partials))
        turns = int(low + chances[1] * (high - low)) + sign * (1 + chances[2]) / 6
        n = torch.arange(size, dtype=torch.float64)
        phase = 2 * math.pi * turns * n / size + 6 * chances[0]
        wave = sum(loud * torch.cos(number * phase) for number, loud in enumerate(partials, start=1))
        hill = 0.5 - 0.5 * torch.cos(2 * math.pi * n / size)
        return torch.fft.rfft(wave * hill).abs().float(), rate

    return inputs


def _offset(left, middle, right):
    return (left - right) / (2 * (left - 2 * middle + right))


def _read(*, bin=None, scale=None, offset=None, size=None, result=None):
    """The same with another bin or scale, another place between bins, frame size or result of (place, rate, N)."""

    def answer(spectrum, rate):
        k = int(spectrum.argmax()) if bin is None else bin(spectrum)
        three = spectrum[k - 1 : k + 2]
        three = (three.log() if scale is None else scale(three)).tolist()
        place = k + (_offset if offset is None else offset)(*three)
        count = 2 * (len(spectrum) - 1) if size is None else size(len(spectrum))
        return place * rate / count if result is None else result(place, rate, count)

    return answer


def _center(left, middle, right):
    return (right - left) / (left + middle + right)


def _center_of_all(spectrum, rate):
    places = torch.arange(len(spectrum))
    return ((places * spectrum).sum() / spectrum.sum()).item() * rate / (2 * (len(spectrum) - 1))


EXERCISE = Exercise(
    id="16-pitch",
    title="Between the bins",
    goal="read the pitch of a tone between the bins of its spectrum",
    stars=2,
    minutes=10,
    points=2,
    reference=pitch,
    nothing_ready="neither the library nor torch looks for a pitch",
    cases=(
        Case(name="a pure tone above a bin, frames of 256", inputs=_inputs(256, 8000, side=1)),
        Case(name="a pure tone below a bin, frames of 128", inputs=_inputs(128, 16000, side=-1)),
        Case(name="a tone with two fainter partials", inputs=_inputs(512, 8000, partials=(1.0, 0.6, 0.3))),
        Case(name="a faint tone", inputs=_inputs(200, 11025, partials=(1e-4,))),
    ),
    mistakes=(
        Mistake(
            message="This is the middle of the loudest bin, up to half a bin off. Put a parabola through it and its "
            "neighbors.",
            answer=_read(offset=lambda left, middle, right: 0.0),
        ),
        Mistake(
            message="The offset has the wrong sign, and the pitch moves away from the louder neighbor.",
            answer=_read(offset=lambda *three: -_offset(*three)),
        ),
        Mistake(
            message="The parabola goes through the sizes themselves. The peak of a Hann window is nearly a parabola in "
            "logarithms only: take those first.",
            answer=_read(scale=lambda three: three),
        ),
        Mistake(
            message="The parabola goes through the powers. The peak of a Hann window is nearly a parabola in "
            "logarithms only: take those first.",
            answer=_read(scale=torch.square),
        ),
        Mistake(
            message="This is the center of mass of three bins. It lies too near to the middle; take the top of the "
            "parabola.",
            answer=_read(scale=lambda three: three, offset=_center),
        ),
        Mistake(
            message="This is the center of mass of the whole spectrum, which partials and noise pull away. Look for "
            "the loudest bin.",
            answer=_center_of_all,
        ),
        Mistake(
            message="The offset is twice as large: below the fraction stands 2 · (left − 2 · middle + right).",
            answer=_read(offset=lambda *three: 2 * _offset(*three)),
        ),
        Mistake(
            message="The middle counts once below the fraction. It counts twice: left − 2 · middle + right.",
            answer=_read(
                offset=lambda left, middle, right: (left - right) / (2 * (left - middle + right)),
            ),
        ),
        Mistake(
            message="The louder neighbor is taken for the pitch's own bin. It is between the two, nearer to the "
            "loudest.",
            answer=_read(offset=lambda left, middle, right: 1.0 if right > left else -1.0),
        ),
        Mistake(
            message="The pitch is put halfway to the louder neighbor, however loud that is.",
            answer=_read(offset=lambda left, middle, right: 0.5 if right > left else -0.5),
        ),
        Mistake(
            message="Bins are taken to be rate / K apart, as if K bins went up to the rate. They go up to half of it: "
            "rate / N, N = 2 · (K − 1).",
            answer=_read(size=lambda bins: bins),
        ),
        Mistake(
            message="Bins are taken to be rate / (2K) apart. From 0 to half the rate there are K − 1 steps.",
            answer=_read(size=lambda bins: 2 * bins),
        ),
        Mistake(
            message="Bins are taken to be rate / (K − 1) apart, and the pitch is an octave too high. The last bin is "
            "half the rate.",
            answer=_read(size=lambda bins: bins - 1),
        ),
        Mistake(
            message="This is a number of bins. Each is rate / N wide: say it in Hz.",
            answer=_read(result=lambda place, rate, count: place),
        ),
        Mistake(
            message="This is how long a period is, in samples. The pitch is the rate divided by that.",
            answer=_read(result=lambda place, rate, count: count / place),
        ),
    ),
    hints=(
        "`k = int(spectrum.argmax())` is the loudest bin; `spectrum[k - 1 : k + 2].log()` are the three numbers.",
        "A parabola through a, b and c at −1, 0 and 1 is highest at (a − c) / (2 · (a − 2b + c)), which lies between "
        "−½ and ½.",
        "A bin is rate / N wide, and N is `2 * (len(spectrum) - 1)`.",
    ),
)
