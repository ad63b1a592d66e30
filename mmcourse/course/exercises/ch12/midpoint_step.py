"""12-midpoint-step: follow a velocity for one step, with what it is in the middle of the step."""

from __future__ import annotations

import torch

from mmcourse import flow
from mmcourse.course.exercise import Case, Exercise, Mistake


def midpoint_step(velocity, x, t, h):
    middle = x + h / 2 * velocity(x, torch.full((len(x),), t))
    return x + h * velocity(middle, torch.full((len(x),), t + h / 2))


def _bent(strength):
    """A velocity that depends on place and time, and on neither along a straight line."""

    def velocity(x, times):
        if not torch.is_tensor(times) or times.shape != x.shape[:1]:
            came = f"shape {tuple(times.shape)}" if torch.is_tensor(times) else type(times).__name__
            raise ValueError(f"velocity wants one time for each row of x, a tensor of shape ({len(x)},), got {came}")
        t = times.reshape(-1, *[1] * (x.dim() - 1))
        return strength * (3 * x).sin() * t + 0.3 * x.square() * (1 - t**2) - t

    return velocity


def _step(answer, x, t, h, strength):
    """Gives the answer a velocity to follow."""
    return answer(_bent(strength), x, t, h)


def _inputs(*shape, time=None, size=None):
    """Places (B, …); time and size of the step by chance where none is given."""

    def inputs(generator):
        chances = torch.rand(3, generator=generator).tolist()
        t = 0.1 + 0.4 * chances[0] if time is None else time
        h = 0.2 + 0.3 * chances[1] if size is None else size
        return torch.randn(shape, generator=generator), t, h, 1 + chances[2]

    return inputs


def _with(formula):
    """An answer made of v(place, moment), where the moment is one number for all."""

    def answer(velocity, x, t, h):
        return formula(lambda place, moment: velocity(place, torch.full((len(x),), moment)), x, t, h)

    return answer


def _half(v, x, t, h):
    return x + h / 2 * v(x, t)


EXERCISE = Exercise(
    id="12-midpoint-step",
    title="The midpoint step",
    goal="follow a velocity for one step, with what it is in the middle of the step",
    stars=2,
    minutes=8,
    points=2,
    reference=midpoint_step,
    ready_made=(flow.midpoint_step,),
    cases=(
        Case(name="seven places in the plane", inputs=_inputs(7, 2), probe=_step, atol=1e-5),
        Case(name="three small pictures", inputs=_inputs(3, 3, 4, 4), probe=_step, atol=1e-5),
        Case(name="the first step, from time 0", inputs=_inputs(5, 3, time=0.0), probe=_step, atol=1e-5),
        Case(name="a step back in time", inputs=_inputs(4, 2, time=1.0, size=-0.4), probe=_step, atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="This is an Euler step, with the velocity at the beginning. Go to the middle and ask again there.",
            answer=_with(lambda v, x, t, h: x + h * v(x, t)),
        ),
        Mistake(
            message="This is Heun's step: the mean of the velocities at both ends. Take the one in the middle.",
            answer=_with(lambda v, x, t, h: x + h / 2 * (v(x, t) + v(x + h * v(x, t), t + h))),
        ),
        Mistake(
            message="In the middle of the step it is t + h/2. The velocity is asked there as if it were still t.",
            answer=_with(lambda v, x, t, h: x + h * v(_half(v, x, t, h), t)),
        ),
        Mistake(
            message="The velocity is asked with the time of the end, t + h. In the middle it is t + h/2.",
            answer=_with(lambda v, x, t, h: x + h * v(_half(v, x, t, h), t + h)),
        ),
        Mistake(
            message="The velocity is asked with the time of the middle, but at the place of the beginning.",
            answer=_with(lambda v, x, t, h: x + h * v(x, t + h / 2)),
        ),
        Mistake(
            message="The place of the middle is a whole Euler step away. Half a step leads there.",
            answer=_with(lambda v, x, t, h: x + h * v(x + h * v(x, t), t + h / 2)),
        ),
        Mistake(
            message="The step ends in the middle. From there only the velocity is wanted.",
            answer=_with(_half),
        ),
        Mistake(
            message="The whole step begins in the middle, so it goes too far. It begins at x.",
            answer=_with(lambda v, x, t, h: _half(v, x, t, h) + h * v(_half(v, x, t, h), t + h / 2)),
        ),
        Mistake(
            message="These are two Euler steps of half the size: the mean of the velocities of the beginning and the "
            "middle. Go the whole way from x with that of the middle.",
            answer=_with(lambda v, x, t, h: _half(v, x, t, h) + h / 2 * v(_half(v, x, t, h), t + h / 2)),
        ),
        Mistake(
            message="This is the step of Runge and Kutta, with four velocities. The midpoint step takes two.",
            answer=lambda velocity, x, t, h: flow.runge_kutta_step(velocity, x, t, h),
        ),
        Mistake(
            message="The second velocity is not multiplied by h.",
            answer=_with(lambda v, x, t, h: x + v(_half(v, x, t, h), t + h / 2)),
        ),
        Mistake(
            message="This is how far the step goes. Add it to x.",
            answer=_with(lambda v, x, t, h: h * v(_half(v, x, t, h), t + h / 2)),
        ),
    ),
    hints=(
        "First half an Euler step: from x with the velocity there, for a time of h/2.",
        "Ask for the velocity again: at the place of the middle, and at its time, t + h/2.",
        "Return `x + h * velocity(middle, torch.full((len(x),), t + h / 2))`: from x, and the whole way.",
    ),
)
