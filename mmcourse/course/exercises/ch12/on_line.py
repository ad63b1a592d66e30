"""12-on-line: say where a straight line from noise to data is at a time, and how fast it moves."""

from __future__ import annotations

import torch

from mmcourse import flow
from mmcourse.course.exercise import Case, Exercise, Mistake


def line(noise, data, times):
    t = _columns(times, data)
    return (1 - t) * noise + t * data, data - noise


def _columns(times, data):
    """Times (B,) as (B, 1, …), to stand beside data (B, …)."""
    return times.reshape(-1, *[1] * (data.dim() - 1))


def _inputs(*shape):
    def inputs(generator):
        noise, data = torch.randn(2, *shape, generator=generator)
        return noise, data, 0.1 + 0.8 * torch.rand(shape[0], generator=generator)

    return inputs


def _ends(generator):
    noise, data = torch.randn(2, 4, 3, generator=generator)
    return noise, data, torch.tensor([0.0, 1.0, 0.0, 1.0])


def _otherwise(*, place=None, velocity=None, swapped=False):
    """The same line with other places or velocities, or the two in the other order."""

    def answer(noise, data, times):
        t = _columns(times, data)
        found = [
            (1 - t) * noise + t * data if place is None else place(noise, data, t),
            data - noise if velocity is None else velocity(noise, data, t),
        ]
        return tuple(found[::-1] if swapped else found)

    return answer


def _times_along_the_last(noise, data, times):
    if times.shape[0] != data.shape[-1]:
        times = times.mean().expand(data.shape[-1])
    return (1 - times) * noise + times * data, data - noise


EXERCISE = Exercise(
    id="12-on-line",
    title="On the line",
    goal="say where a straight line from noise to data is at a time, and how fast it moves",
    stars=1,
    minutes=6,
    points=1,
    reference=line,
    ready_made=(flow.on_line,),
    cases=(
        Case(name="four points in the plane", inputs=_inputs(4, 2)),
        Case(name="as many numbers as samples", inputs=_inputs(5, 5)),
        Case(name="three pictures", inputs=_inputs(3, 3, 6, 6)),
        Case(name="times 0 and 1 are the ends", inputs=_ends),
    ),
    mistakes=(
        Mistake(
            message="Time runs the other way round: at time 0 there is noise, at time 1 data.",
            answer=_otherwise(place=lambda noise, data, t: t * noise + (1 - t) * data),
        ),
        Mistake(
            message="The velocity points from data to noise. Moving forward in time leads to the data.",
            answer=_otherwise(velocity=lambda noise, data, t: noise - data),
        ),
        Mistake(
            message="Both run the other way round: at time 0 there is noise, and the velocity leads to the data.",
            answer=_otherwise(
                place=lambda noise, data, t: t * noise + (1 - t) * data, velocity=lambda noise, data, t: noise - data
            ),
        ),
        Mistake(
            message="The times stand along the last axis, or one time is used for all. Give each sample its own: "
            "reshape times to (B, 1, …).",
            answer=_times_along_the_last,
        ),
        Mistake(
            message="One time is used for the whole batch. Each sample has its own.",
            answer=_otherwise(
                place=lambda noise, data, t: (1 - t.flatten()[0]) * noise + t.flatten()[0] * data,
            ),
        ),
        Mistake(
            message="The velocity is scaled by the time. On a straight line it is the same everywhere.",
            answer=_otherwise(velocity=lambda noise, data, t: t * (data - noise)),
        ),
        Mistake(
            message="This is the way that is left. The velocity is the whole way, as the line takes time 1 for it.",
            answer=_otherwise(velocity=lambda noise, data, t: (1 - t) * (data - noise)),
        ),
        Mistake(
            message="Noise is added to the data and not taken away: its share must fall as 1 − t.",
            answer=_otherwise(place=lambda noise, data, t: noise + t * data),
        ),
        Mistake(
            message="The data are there in full from the beginning: their share must rise as t.",
            answer=_otherwise(place=lambda noise, data, t: (1 - t) * noise + data),
        ),
        Mistake(
            message="The shares are roots, as in some diffusion models. On a straight line they are 1 − t and t.",
            answer=_otherwise(place=lambda noise, data, t: (1 - t).sqrt() * noise + t.sqrt() * data),
        ),
        Mistake(
            message="The velocity is the data. It is the difference of data and noise.",
            answer=_otherwise(velocity=lambda noise, data, t: data),
        ),
        Mistake(
            message="The two results are in the other order: first the places.",
            answer=_otherwise(swapped=True),
        ),
    ),
    hints=(
        "At time 0 the place is the noise, at time 1 the data; in between it is a mixture with shares 1 − t and t.",
        "`times.reshape(-1, *[1] * (noise.dim() - 1))` gives each sample of the batch its own time.",
        "The velocity is the derivative of the place with respect to t: `data - noise`.",
    ),
)
