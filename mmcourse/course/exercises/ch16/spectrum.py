"""16-spectrum: say how strong each frequency is in a frame, by the definition of the discrete Fourier transform.

`spectrum(frame)` of (N,) gives (K,), K = N // 2 + 1: of each k from 0 to N // 2 the size of the complex number
Σₙ x[n] · e^(−2πi·k·n / N). `torch.fft`, which finds the same in N · log N steps, is not to be used.
"""

from __future__ import annotations

import math

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import audio


def spectrum(frame):
    size = len(frame)
    n, k = torch.arange(size), torch.arange(size // 2 + 1)
    angles = 2 * math.pi * n[:, None] * k / size
    return torch.hypot(frame @ angles.cos(), frame @ angles.sin())


def _inputs(size):
    return lambda generator: (torch.randn(size, generator=generator),)


def _tone(size, turns):
    """A cosine that begins anywhere in its period, beside a little noise: its parts differ from draw to draw."""

    def inputs(generator):
        begin = 2 * math.pi * torch.rand(1, generator=generator)
        tone = torch.cos(2 * math.pi * turns * torch.arange(size) / size + begin)
        return (tone + 0.1 * torch.randn(size, generator=generator),)

    return inputs


def _transformed(*, angle=None, count=None, joined=None):
    """The same with other angles of (n, k, N), another number of frequencies, or a sum and size in another way."""

    def answer(frame):
        size = len(frame)
        n, k = torch.arange(size)[:, None], torch.arange((size // 2 + 1) if count is None else count(size))
        angles = 2 * math.pi * n * k / size if angle is None else angle(n, k, size)
        real, imaginary = frame @ angles.cos(), -(frame @ angles.sin())
        return torch.hypot(real, imaginary) if joined is None else joined(real, imaginary, size)

    return answer


EXERCISE = Exercise(
    id="16-spectrum",
    title="How much of each frequency",
    goal="say how strong each frequency is in a frame",
    stars=2,
    minutes=10,
    points=2,
    reference=spectrum,
    ready_made=(audio.dft, torch.fft.rfft),
    cases=(
        Case(name="16 samples of noise", inputs=_inputs(16), rtol=1e-4, atol=1e-3),
        Case(name="15 samples, an odd number", inputs=_inputs(15), rtol=1e-4, atol=1e-3),
        Case(name="a tone of five periods in 32 samples", inputs=_tone(32, 5), rtol=1e-4, atol=1e-3),
        Case(name="a tone of six and a half periods", inputs=_tone(40, 6.5), rtol=1e-4, atol=1e-3),
    ),
    mistakes=(
        Mistake(
            message="Only the cosines are asked, and a tone that begins elsewhere in its period is missed. The size "
            "needs the sines, too.",
            answer=_transformed(joined=lambda real, imaginary, size: real.abs()),
        ),
        Mistake(
            message="Only the sines are asked, and a tone that begins elsewhere in its period is missed. The size "
            "needs the cosines, too.",
            answer=_transformed(joined=lambda real, imaginary, size: imaginary.abs()),
        ),
        Mistake(
            message="This is the power, the square of the size. Take the root.",
            answer=_transformed(joined=lambda real, imaginary, size: real.square() + imaginary.square()),
        ),
        Mistake(
            message="The sizes of both parts are added up. They stand at a right angle: take the root of the sum of "
            "their squares.",
            answer=_transformed(joined=lambda real, imaginary, size: real.abs() + imaginary.abs()),
        ),
        Mistake(
            message="These are the complex numbers. How strong a frequency is, is their size: `.abs()`.",
            answer=_transformed(joined=lambda real, imaginary, size: torch.complex(real, imaginary)),
        ),
        Mistake(
            message="The last frequency, half the rate, is missing: k goes from 0 to N // 2, N // 2 + 1 numbers.",
            answer=_transformed(count=lambda size: size // 2),
        ),
        Mistake(
            message="All N frequencies are here. Of a real sound the second half is the first, mirrored: stop at "
            "N // 2.",
            answer=_transformed(count=lambda size: size),
        ),
        Mistake(
            message="A turn is 2π. With π the frequencies are half of what they should be.",
            answer=_transformed(angle=lambda n, k, size: math.pi * n * k / size),
        ),
        Mistake(
            message="The angles are k·n / N, in turns. `cos` and `sin` want radians: times 2π.",
            answer=_transformed(angle=lambda n, k, size: n * k / size),
        ),
        Mistake(
            message="The angles are divided by the number of frequencies. Divide by N, the number of samples.",
            answer=_transformed(angle=lambda n, k, size: 2 * math.pi * n * k / (size // 2 + 1)),
        ),
        Mistake(
            message="k starts at 1, and every frequency is the one above it. Frequency 0 is the constant part.",
            answer=_transformed(angle=lambda n, k, size: 2 * math.pi * n * (k + 1) / size),
        ),
        Mistake(
            message="The sum is divided by N. The definition that `torch.fft` uses has no factor on the way there; "
            "it is on the way back.",
            answer=_transformed(joined=lambda real, imaginary, size: torch.hypot(real, imaginary) / size),
        ),
        Mistake(
            message="The sum is divided by √N. The definition here has no factor.",
            answer=_transformed(joined=lambda real, imaginary, size: torch.hypot(real, imaginary) / size**0.5),
        ),
        Mistake(
            message="These are logarithms, as pictures show them. Here the sizes themselves are asked.",
            answer=_transformed(joined=lambda real, imaginary, size: torch.hypot(real, imaginary).log()),
        ),
    ),
    hints=(
        "e^(−iα) is cos α − i · sin α: one sum with cosines and one with sines, for each k.",
        "`angles = 2 * math.pi * n[:, None] * k / N` holds all angles, (N, K), and `frame @ angles.cos()` all sums of "
        "the cosines, (K,).",
        "The size of a + ib is √(a² + b²): `torch.hypot(a, b)`.",
    ),
)
