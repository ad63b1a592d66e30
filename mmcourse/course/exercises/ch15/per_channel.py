"""15-per-channel: give each output channel of a weight its own grid.

`per_channel(weight)` of (O, C) gives scales (O, 1), int8 values (O, C), and the weight that they stand for. The grids
are symmetric, from −127 to 127, and a channel of zeros has the scale 1.
"""

from __future__ import annotations

import torch

from mmcourse import deploy
from mmcourse.course.exercise import Case, Exercise, Mistake


def per_channel(weight):
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    scale = scale.where(scale > 0, 1.0)
    values = (weight / scale).round().to(torch.int8)
    return scale, values, values * scale


def _inputs(outputs, channels, *, zeros=()):
    """Channels of very different sizes, whose numbers never lie halfway between two places."""

    def inputs(generator):
        places = torch.randint(-126, 127, (outputs, channels), generator=generator)
        numbers = places + 0.8 * torch.rand(outputs, channels, generator=generator) - 0.4
        # the largest of a channel, sometimes the only one that is negative
        ends = torch.randint(2, (outputs,), generator=generator) * 254 - 127
        ends[:2] = torch.tensor([-127, 127])
        where = torch.randint(channels, (outputs,), generator=generator)
        rows, beside = torch.arange(outputs), (where + 1) % channels
        numbers[rows, where] = ends.float()
        numbers[rows, beside] = numbers[rows, beside].abs() * -ends.sign()  # no channel is all of one sign
        scales = 10 ** (-3 + 2.5 * torch.rand(outputs, 1, generator=generator))
        scales[list(zeros)] = 0
        return (numbers * scales,)

    return inputs


def _made(*, largest=None, steps=127, places=None, empty=1.0, result=None):
    """The same with another largest number, another count of steps, other places, or another scale of zeros."""

    def answer(weight):
        top = weight.abs().amax(dim=1, keepdim=True) if largest is None else largest(weight)
        scale = (top / steps).expand(len(weight), 1)
        scale = scale if empty is None else scale.where(scale > 0, empty)
        turned = weight / scale
        values = (turned.round() if places is None else places(turned)).clamp(-128, 127)
        values = values if empty is None else values.to(torch.int8)
        made = scale, values, values * scale
        return made if result is None else result(weight, *made)

    return answer


def _affine(weight):
    low, high = (end(dim=1, keepdim=True) for end in (weight.amin, weight.amax))
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = (high - low) / 255
    scale = scale.where(scale > 0, 1.0)
    zero = (-128 - low / scale).round()
    values = ((weight / scale).round() + zero).clamp(-128, 127)
    return scale, values.to(torch.int8), (values - zero) * scale


EXERCISE = Exercise(
    id="15-per-channel",
    title="A grid for each channel",
    goal="give each output channel of a weight a grid of its own",
    stars=2,
    minutes=8,
    points=2,
    reference=per_channel,
    ready_made=(deploy.fit_grid, deploy.quantize),
    cases=(
        Case(name="six channels of eight numbers", inputs=_inputs(6, 8)),
        Case(name="five channels of five numbers", inputs=_inputs(5, 5)),
        Case(name="four channels of 20 numbers", inputs=_inputs(4, 20)),
        Case(name="a channel of zeros among three", inputs=_inputs(3, 7, zeros=[2])),
    ),
    mistakes=(
        Mistake(
            message="All channels share the grid of the largest, and the small ones lose their digits. Each channel "
            "has its own.",
            answer=_made(largest=lambda weight: weight.abs().amax().view(1, 1)),
        ),
        Mistake(
            message="The largest number is the one above 0 that is largest. Sizes count: `weight.abs()`.",
            answer=_made(largest=lambda weight: weight.amax(dim=1, keepdim=True)),
        ),
        Mistake(
            message="The scale comes from the mean size of a channel, and its large numbers are cut off. Take the "
            "largest.",
            answer=_made(largest=lambda weight: weight.abs().mean(dim=1, keepdim=True)),
        ),
        Mistake(
            message="The largest number is divided by 128, and would come to 128, which int8 does not have. Divide by "
            "127.",
            answer=_made(steps=128),
        ),
        Mistake(
            message="The largest number is divided by 255. From 0 to it there are 127 steps; the others lie on the "
            "other side.",
            answer=_made(steps=255),
        ),
        Mistake(
            message="The ends of the grid lie at the smallest and the largest number. Here the grid is symmetric, so 0 "
            "is the place 0.",
            answer=_affine,
        ),
        Mistake(
            message="Numbers go to the place towards 0, as `.to(torch.int8)` alone does it. `.round()` goes to the "
            "nearest.",
            answer=_made(places=lambda turned: turned.trunc()),
        ),
        Mistake(
            message="Numbers go to the place below. `.round()` goes to the nearest.",
            answer=_made(places=lambda turned: turned.floor()),
        ),
        Mistake(
            message="A channel of zeros has the scale 0, and 0 / 0 is no number. Its scale shall be 1.",
            answer=_made(empty=None),
        ),
        Mistake(
            message="A channel of zeros keeps the scale 0. It shall be 1, as one divides by it.",
            answer=_made(
                result=lambda weight, scale, values, restored: (
                    scale * (weight != 0).any(dim=1, keepdim=True),
                    values,
                    restored,
                )
            ),
        ),
        Mistake(
            message="The last result is the weight itself. It must be what the int8 values stand for, so that one sees "
            "what was lost.",
            answer=_made(result=lambda weight, scale, values, restored: (scale, values, weight.clone())),
        ),
        Mistake(
            message="The last result is what was lost. It must be the weight that the values stand for.",
            answer=_made(result=lambda weight, scale, values, restored: (scale, values, weight - restored)),
        ),
        Mistake(
            message="The scales are upside down: a scale is how far apart two places are. Then values · scale is the "
            "weight.",
            answer=_made(result=lambda weight, scale, values, restored: (1 / scale, values, restored)),
        ),
    ),
    hints=(
        "`weight.abs().amax(dim=1, keepdim=True)` is the largest size of each output channel, (O, 1).",
        "Divided by 127 it is the scale; `scale.where(scale > 0, 1.0)` sees to channels of zeros.",
        "The values are `(weight / scale).round().to(torch.int8)`, and they stand for `values * scale`.",
    ),
)
