"""15-quantize: put numbers on a grid of 256 places, one of which is exactly 0.

`quantize(x, low, high)` gives int8 places, the scale and the zero point. The range is given, as it was measured before
on other data, and has to be widened where 0 lies outside; what of x lies outside goes to the end of the grid.
"""

from __future__ import annotations

import torch

from mmcourse import deploy
from mmcourse.course.exercise import Case, Exercise, Mistake


def quantize(x, low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    zero_point = round(-128 - low / scale)
    places = (x / scale).round() + zero_point
    return places.clamp(-128, 127).to(torch.int8), scale, zero_point


def _draw(generator, low, high):
    return low + (high - low) * torch.rand(1, generator=generator).item()


def _numbers(count, below, scale, generator):
    """Within the range and beyond both ends, never halfway between two places; the first is 0."""
    places = torch.randint(-below - 90, 255 - below + 90, (count,), generator=generator)
    places[1:3] = torch.tensor([-below - 60, 255 - below + 60])
    x = (places + 0.8 * torch.rand(count, generator=generator) - 0.4) * scale
    x[0] = 0
    return x


def _on_both_sides(count, fewest, most):
    """0 inside of the range, with from `fewest` to `most` places below it, between two of them."""

    def inputs(generator):
        below = int(torch.randint(fewest, most, (1,), generator=generator))
        scale = _draw(generator, 0.01, 0.05)
        low = -(below + 0.2 + _draw(generator, 0, 0.2)) * scale
        return _numbers(count, below, scale, generator), low, low + 255 * scale

    return inputs


def _on_one_side(count, sign):
    """0 outside of the range."""

    def inputs(generator):
        scale = _draw(generator, 0.01, 0.05)
        far, near = sign * 255 * scale, sign * 40 * scale
        x = _numbers(count, 0 if sign > 0 else 255, scale, generator)
        return x, min(far, near), max(far, near)

    return inputs


def _grid(low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def _made(*, grid=None, places=None, result=None):
    """The same with another grid of (low, high), other places of (x, scale, zero), or another result."""

    def answer(x, low, high):
        scale, zero = _grid(low, high) if grid is None else grid(low, high)
        if places is None:
            values = ((x / scale).round() + zero).clamp(-128, 127).to(torch.int8)
        else:
            values = places(x, scale, zero)
        return (values, scale, zero) if result is None else result(values, scale, zero)

    return answer


def _as_given(low, high):
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def _symmetric(low, high):
    return max(abs(low), abs(high)) / 127, 0


def _not_rounded(low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    return (high - low) / 255, -128 - low * 255 / (high - low)


def _of_256(low, high):
    low, high = min(low, 0.0), max(high, 0.0)
    return (high - low) / 256, round(-128 - 256 * low / (high - low))


def _other_sign(low, high):
    scale, zero = _grid(low, high)
    return scale, -256 - zero


def _from_the_lowest(x, low, high):
    scale, zero = _grid(low, high)
    return ((x - min(low, 0.0)) / scale - 128).round().clamp(-128, 127).to(torch.int8), scale, zero


EXERCISE = Exercise(
    id="15-quantize",
    title="256 places",
    goal="put numbers on a grid of 256 places, one of which is exactly 0",
    stars=2,
    minutes=10,
    points=2,
    reference=quantize,
    ready_made=(deploy.fit_grid, deploy.quantize),
    cases=(
        Case(name="60 numbers, 0 in the middle", inputs=_on_both_sides(60, 90, 125)),
        Case(name="50 numbers, most of the range above 0", inputs=_on_both_sides(50, 20, 50)),
        Case(name="the range lies above 0", inputs=_on_one_side(40, 1)),
        Case(name="the range lies below 0", inputs=_on_one_side(40, -1)),
    ),
    mistakes=(
        Mistake(
            message="0 lies outside of the range, and padding and pruned weights would be something else than 0. Widen "
            "it: `min(low, 0)` and `max(high, 0)`.",
            answer=_made(grid=_as_given),
        ),
        Mistake(
            message="The range is taken from x. It is given, as it was measured before; what lies outside goes to the "
            "ends.",
            answer=lambda x, low, high: quantize(x, x.min().item(), x.max().item()),
        ),
        Mistake(
            message="The grid is symmetric: its zero point is 0, and where the range is not, places are wasted. Put "
            "its ends at low and high.",
            answer=_made(grid=_symmetric),
        ),
        Mistake(
            message="The zero point is not rounded, so 0 lies between two places. It must be a place itself.",
            answer=_made(
                grid=_not_rounded, places=lambda x, scale, zero: (x / scale + zero).round().clamp(-128, 127).char()
            ),
        ),
        Mistake(
            message="The places are counted from low, which is none of them: 0 does not come to the zero point. Count "
            "from there: round(x / scale) + zero point.",
            answer=_from_the_lowest,
        ),
        Mistake(
            message="The range is divided by 256. Between 256 places there are 255 steps.",
            answer=_made(grid=_of_256),
        ),
        Mistake(
            message="low enters the zero point with the wrong sign: low itself must come to −128, so it is "
            "−128 − low / scale.",
            answer=_made(grid=_other_sign),
        ),
        Mistake(
            message="These are places from 0 to 255, those of uint8. int8 has −128 to 127.",
            answer=_made(
                places=lambda x, scale, zero: ((x / scale).round() + zero + 128).clamp(0, 255).to(torch.uint8),
                result=lambda values, scale, zero: (values, scale, zero + 128),
            ),
        ),
        Mistake(
            message="Nothing is clamped: in int8 what comes after 127 is −128, and large numbers turn into small ones.",
            answer=_made(places=lambda x, scale, zero: ((x / scale).round() + zero).long().to(torch.int8)),
        ),
        Mistake(
            message="The zero point is added after the clamp, and leads out of int8 again. Clamp last.",
            answer=_made(
                places=lambda x, scale, zero: ((x / scale).round().clamp(-128, 127) + zero).long().to(torch.int8)
            ),
        ),
        Mistake(
            message="The places end at −127, as in a symmetric grid. Here −128 is the place of low.",
            answer=_made(places=lambda x, scale, zero: ((x / scale).round() + zero).clamp(-127, 127).to(torch.int8)),
        ),
        Mistake(
            message="Numbers go to the place towards 0, as `.to(torch.int8)` alone does it. `.round()` goes to the "
            "nearest.",
            answer=_made(places=lambda x, scale, zero: ((x / scale).trunc() + zero).clamp(-128, 127).to(torch.int8)),
        ),
        Mistake(
            message="Numbers go to the place below. `.round()` goes to the nearest.",
            answer=_made(places=lambda x, scale, zero: ((x / scale).floor() + zero).clamp(-128, 127).to(torch.int8)),
        ),
        Mistake(
            message="The scale is upside down: it says how far apart two places are, not how many come to 1.",
            answer=_made(result=lambda values, scale, zero: (values, 1 / scale, zero)),
        ),
        Mistake(
            message="These are the numbers that the places stand for. Return the places.",
            answer=_made(result=lambda values, scale, zero: ((values.float() - zero) * scale, scale, zero)),
        ),
    ),
    hints=(
        "First let the range hold 0; the 255 steps between 256 places then have the size (high − low) / 255.",
        "The zero point is the place of 0, `round(-128 - low / scale)`: so low comes to −128, or next to it.",
        "`((x / scale).round() + zero_point).clamp(-128, 127).to(torch.int8)`, in this order.",
    ),
)
