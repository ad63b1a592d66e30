"""12-midpoint-step: take one midpoint step along any velocity."""

from __future__ import annotations

import torch

from mmcourse import flow
from mmcourse.course.exercise import Case, Exercise, Mistake


def midpoint_step(velocity, x, t, h):
    middle = x + h / 2 * velocity(x, _times(x, t))
    return x + h * velocity(middle, _times(x, t + h / 2))


def _times(x, t):
    return torch.full((len(x),), t)


def _swirl(x, times):
    """A velocity that depends on place and time, and on neither in a straight line."""
    t = times.reshape(-1, *[1] * (x.dim() - 1))
    return torch.sin(2 * x) * (1 + t) + x.flip(-1) * t**2 + torch.cos(3 * t)


def _clock(x, times):
    """A velocity that depends on time alone."""
    return (3 * times**2).reshape(-1, *[1] * (x.dim() - 1)).expand_as(x)


def _spring(x, times):
    """A velocity that depends on the place alone."""
    return -2 * x


def _inputs(velocity, *shape):
    def inputs(generator):
        t, h = (0.1 + 0.3 * torch.rand(2, generator=generator)).tolist()
        return velocity, torch.randn(*shape, generator=generator), t, h

    return inputs


def _stepped(*, look=0.5, clock=0.5, stride=1.0, start="x"):
    """A step that looks `look` of a step ahead, reads the clock there at `clock`, and goes `stride` steps."""

    def answer(velocity, x, t, h):
        middle = x + look * h * velocity(x, _times(x, t))
        return (x if start == "x" else middle) + stride * h * velocity(middle, _times(x, t + clock * h))

    return answer


def _euler(velocity, x, t, h):
    return x + h * velocity(x, _times(x, t))


def _heun(velocity, x, t, h):
    first = velocity(x, _times(x, t))
    return x + h / 2 * (first + velocity(x + h * first, _times(x, t + h)))


def _two_halves(velocity, x, t, h):
    middle = x + h / 2 * velocity(x, _times(x, t))
    return middle + h / 2 * velocity(middle, _times(x, t + h / 2))


def _first_only_in_time(velocity, x, t, h):
    return x + h * velocity(x, _times(x, t + h / 2))


EXERCISE = Exercise(
    id="12-midpoint-step",
    title="The midpoint",
    goal="take one midpoint step along any velocity",
    stars=2,
    minutes=8,
    points=2,
    reference=midpoint_step,
    ready_made=(flow.midpoint_step, flow.sample),
    cases=(
        Case(name="a velocity of place and time", inputs=_inputs(_swirl, 4, 2)),
        Case(name="a velocity of time alone", inputs=_inputs(_clock, 3, 2)),
        Case(name="a velocity of place alone", inputs=_inputs(_spring, 5, 3)),
        Case(name="pictures", inputs=_inputs(_swirl, 2, 3, 4, 4)),
    ),
    mistakes=(
        Mistake(message="This is an Euler step: it uses the velocity at the beginning alone.", answer=_euler),
        Mistake(
            message="This is Heun's method, the mean of the velocities at both ends. Use the velocity in the middle.",
            answer=_heun,
        ),
        Mistake(
            message="These are two Euler steps of half the length. From the middle only its velocity is taken; the "
            "whole step starts at x.",
            answer=_two_halves,
        ),
        Mistake(
            message="The whole step starts in the middle. It starts at x.",
            answer=_stepped(start="middle"),
        ),
        Mistake(
            message="The velocity in the middle is asked for at the time of the beginning. There it is t + h/2.",
            answer=_stepped(clock=0.0),
        ),
        Mistake(
            message="The velocity in the middle is asked for at the time of the end. There it is t + h/2.",
            answer=_stepped(clock=1.0),
        ),
        Mistake(
            message="You look a whole step ahead. The middle is half an Euler step away.",
            answer=_stepped(look=1.0),
        ),
        Mistake(
            message="The place and the time are those of the end. The middle is half an Euler step away, at t + h/2.",
            answer=_stepped(look=1.0, clock=1.0),
        ),
        Mistake(
            message="Only half a step is taken. The velocity of the middle carries through all of h.",
            answer=_stepped(stride=0.5),
        ),
        Mistake(
            message="The time is that of the middle but the place is not: take half an Euler step first.",
            answer=_first_only_in_time,
        ),
        Mistake(
            message="You look back instead of ahead: the middle is at x + h/2 · velocity.",
            answer=_stepped(look=-0.5),
        ),
    ),
    hints=(
        "First half an Euler step: `middle = x + h / 2 * velocity(x, times)`, with times (B,) all equal to t.",
        "Then ask for the velocity there, at time t + h/2.",
        "With it, take the whole step from x: `x + h * velocity(middle, torch.full((len(x),), t + h / 2))`.",
    ),
)
