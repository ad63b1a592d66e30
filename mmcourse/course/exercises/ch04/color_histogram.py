"""04-color-histogram: a feature that forgets where things are."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import pictures


def _boxes(image, bins):
    return image.long() * bins // 256  # (3, H, W), numbers from 0 to bins − 1


def _joint(boxes, bins):
    red, green, blue = boxes
    return torch.bincount((red * bins**2 + green * bins + blue).flatten(), minlength=bins**3)


def color_histogram(image, bins):
    return _joint(_boxes(image, bins), bins).float() / image[0].numel()


def _picture_and_bins(bins, *shape):
    return lambda generator: (pictures(*shape)(generator), bins)


def _little_red(generator):
    """Nothing in the upper half of red, so that the last boxes are empty: a count must not end before them."""
    image = pictures(3, 9, 20)(generator)
    image[0] //= 2
    return image, 4


_WRAPPED = (
    "The arithmetic runs in uint8, which ends at 255: 200 · 4 becomes 32, and 256 becomes 0. Call `.long()` first."
)


EXERCISE = Exercise(
    id="04-color-histogram",
    title="Which colors, how often",
    goal="a feature that forgets where things are",
    stars=2,
    minutes=10,
    points=2,
    reference=color_histogram,
    nothing_ready="histc and bincount are parts, for one channel at a time",
    cases=(
        Case(name="two boxes a color, 16 × 16 pixels", inputs=_picture_and_bins(2, 3, 16, 16)),
        Case(name="four boxes a color, 9 × 20 pixels", inputs=_little_red),
        Case(name="a white picture", inputs=lambda generator: (torch.full((3, 4, 4), 255, dtype=torch.uint8), 3)),
    ),
    mistakes=(
        Mistake(
            message="These are counts. Divide by the number of pixels, so that a large picture is like a small one.",
            answer=lambda x, n: _joint(_boxes(x, n), n).float(),
        ),
        Mistake(
            message="These are counts. Divide by the number of pixels, so that a large picture is like a small one.",
            answer=lambda x, n: _joint(_boxes(x, n), n),
        ),
        Mistake(
            message="You divide by 3·H·W. Every pixel counts once, with its three colors together: divide by H·W.",
            answer=lambda x, n: color_histogram(x, n) / 3,
        ),
        Mistake(
            message="These are three histograms side by side. They cannot tell purple from red beside blue. Count how "
            "often the three colors of a pixel come together: bins³ numbers.",
            answer=lambda x, n: torch.cat(
                [torch.bincount(c.flatten(), minlength=n).float() / c.numel() for c in _boxes(x, n)]
            ),
        ),
        Mistake(message=_WRAPPED, answer=lambda x, n: _joint((x * n // 256).long(), n).float() / x[0].numel()),
        Mistake(message=_WRAPPED, answer=lambda x, n: _joint((x * n / 256).long(), n).float() / x[0].numel()),
        Mistake(
            message="Blue comes first. Put the colors in the order r · bins² + g · bins + b.",
            answer=lambda x, n: color_histogram(x.flip(0), n),
        ),
        Mistake(
            message="You divide by 255, so the value 255 falls into a box of its own behind the last. Divide by 256.",
            answer=lambda x, n: _joint(x.long() * n // 255, n).float() / x[0].numel(),
        ),
        Mistake(
            message="`image // bins` gives 256/bins boxes. You want bins of them: `image.long() * bins // 256`.",
            answer=lambda x, n: _joint(x.long() // n, n).float() / x[0].numel(),
        ),
        Mistake(
            message="The histogram still has three dimensions. Return it flat, with shape (bins³,).",
            answer=lambda x, n: color_histogram(x, n).view(n, n, n),
        ),
    ),
    hints=(
        "`image.long() * bins // 256` gives the number of the box, from 0 to bins − 1, for every color of every pixel.",
        "One number for a pixel: r · bins² + g · bins + b, from 0 to bins³ − 1. Then count.",
        "`torch.bincount(numbers.flatten(), minlength=bins**3)` counts; divide by how many pixels there are.",
    ),
)
