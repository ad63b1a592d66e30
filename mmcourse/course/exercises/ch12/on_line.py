"""12-on-line: say where a straight line from noise to data is at a time, and how fast it moves."""

from __future__ import annotations

import torch

from mmcourse import flow
from mmcourse.course.exercise import Case, Exercise, Mistake


def line(noise, data, times):
    t = times.reshape(-1, *[1] * (noise.dim() - 1))  # (B,) -> (B, 1, …)
    return (1 - t) * noise + t * data, data - noise


def _inputs(*shape):
    """As many samples as a sample is wide, so that times along the wrong axis run without an error."""

    def inputs(generator):
        noise, data = torch.randn(shape, generator=generator), 2 * torch.rand(shape, generator=generator) - 1
        return noise, data, torch.rand(shape[0], generator=generator)

    return inputs


def _ends(generator):
    noise, data = torch.randn(2, 2, generator=generator), torch.randn(2, 2, generator=generator)
    return noise, data, torch.tensor([0.0, 1.0])


def _with(*, times=None, place=None, velocity=None):
    """The line with times in another shape, at another place, or with another velocity."""

    def answer(noise, data, given):
        t = given.reshape(-1, *[1] * (noise.dim() - 1)) if times is None else times(given)
        there = (1 - t) * noise + t * data if place is None else place(noise, data, t)
        return there, data - noise if velocity is None else velocity(noise, data, t, there)

    return answer


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
        Case(name="four points of four numbers", inputs=_inputs(4, 4)),
        Case(name="six pictures of 6 × 6", inputs=_inputs(6, 3, 6, 6)),
        Case(name="the two ends, times 0 and 1", inputs=_ends),
        Case(name="one picture", inputs=_inputs(1, 3, 5, 5)),
    ),
    mistakes=(
        Mistake(
            message="The line runs the other way. At time 0 there is noise, at time 1 data.",
            answer=_with(place=lambda noise, data, t: t * noise + (1 - t) * data),
        ),
        Mistake(
            message="The times run along the last axis, so that each column has a time and not each sample. Give them "
            "the shape (B, 1, …).",
            answer=_with(times=lambda given: given),
        ),
        Mistake(
            message="Times of shape (B, 1) fit a table, but in pictures they run along the rows. Add one axis of "
            "length 1 for every axis behind the first.",
            answer=_with(times=lambda given: given[:, None]),
        ),
        Mistake(
            message="Times of shape (B, 1, 1, 1) fit pictures, but they blow up a table. Ask `noise.dim()` how many "
            "axes there are.",
            answer=_with(times=lambda given: given.view(-1, 1, 1, 1)),
        ),
        Mistake(
            message="The velocity points from data to noise. It goes where time goes: data − noise.",
            answer=_with(velocity=lambda noise, data, t, place: noise - data),
        ),
        Mistake(
            message="The velocity is multiplied by the time: that is how far the line has come. A straight line moves "
            "with one velocity all the way.",
            answer=_with(velocity=lambda noise, data, t, place: t * (data - noise)),
        ),
        Mistake(
            message="This is the way that is left, from the place to the data. The velocity is the whole way, "
            "data − noise, because all of it takes a time of 1.",
            answer=_with(velocity=lambda noise, data, t, place: data - place),
        ),
        Mistake(
            message="The way that is left, divided by the time that is left, is 0 / 0 at time 1. The whole way is the "
            "same velocity without a division.",
            answer=_with(velocity=lambda noise, data, t, place: (data - place) / (1 - t)),
        ),
        Mistake(
            message="The way so far, divided by the time so far, is 0 / 0 at time 0. The whole way is the same "
            "velocity without a division.",
            answer=_with(velocity=lambda noise, data, t, place: (place - noise) / t),
        ),
        Mistake(
            message="The path is bent: its weights are the roots of 1 − t and t. On a straight line they are 1 − t "
            "and t themselves.",
            answer=_with(place=lambda noise, data, t: (1 - t).sqrt() * noise + t.sqrt() * data),
        ),
        Mistake(
            message="This is the place alone. Return two things: the place and the velocity.",
            answer=lambda noise, data, times: line(noise, data, times)[0],
        ),
        Mistake(
            message="The two results are in the other order: first the place.",
            answer=lambda noise, data, times: line(noise, data, times)[::-1],
        ),
    ),
    hints=(
        "At time t the place is a mixture of both ends, with the weights 1 − t and t.",
        "Times (B,) must stretch over all axes of a sample: (B, 1) for a table, (B, 1, 1, 1) for pictures.",
        "`t = times.reshape(-1, *[1] * (noise.dim() - 1))`; the velocity is what the place gains for each unit of t.",
    ),
)
