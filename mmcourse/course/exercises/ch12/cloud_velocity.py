"""12-cloud-velocity: compute the mean velocity of all lines that pass through a place, for data of one normal cloud."""

from __future__ import annotations

import torch

from mmcourse import flow
from mmcourse.course.exercise import Case, Exercise, Mistake


def velocity(x, t, center, spread):
    variance = (1 - t) ** 2 + t**2 * spread**2
    rate = (t * spread**2 - (1 - t)) / variance
    return center + rate * (x - t * center)


def _inputs(count, width, *, time=None, spread=None):
    """Places around the cloud of a time; time and spread by chance where none is given."""

    def inputs(generator):
        chances = torch.rand(2, generator=generator).tolist()
        t = 0.25 + 0.5 * chances[0] if time is None else time
        wide = 0.4 + 0.4 * chances[1] if spread is None else spread
        center = 1 + torch.rand(width, generator=generator)
        return t * center + torch.randn(count, width, generator=generator), t, center, wide

    return inputs


def _with(*, variance=None, change=None, middle=None, start=None):
    """The velocity with another variance, another change of it, another middle, or another velocity of the middle."""

    def answer(x, t, center, spread):
        var = (1 - t) ** 2 + t**2 * spread**2 if variance is None else variance(t, spread)
        rate = (t * spread**2 - (1 - t) if change is None else change(t, spread)) / var
        there = t * center if middle is None else middle(t, center)
        return (center if start is None else start(center)) + rate * (x - there)

    return answer


def _expected(x, t, center, spread):
    """The mean of the data that lie on a line through x."""
    return center + t * spread**2 / ((1 - t) ** 2 + t**2 * spread**2) * (x - t * center)


EXERCISE = Exercise(
    id="12-cloud-velocity",
    title="The velocity of a cloud",
    goal="compute the mean velocity of all lines that pass through a place, for data of one normal cloud",
    stars=3,
    minutes=15,
    points=3,
    reference=velocity,
    ready_made=(flow.GaussianMixture.__call__,),
    cases=(
        Case(name="30 places in the plane", inputs=_inputs(30, 2), atol=1e-5),
        Case(name="a wide cloud of five dimensions", inputs=_inputs(8, 5, spread=1.7), atol=1e-5),
        Case(name="at time 0 there is noise alone", inputs=_inputs(6, 3, time=0.0), atol=1e-5),
        Case(name="spread 0: all data are one point", inputs=_inputs(10, 2, spread=0.0), atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="The variance has spread where spread² belongs: a factor is squared in a variance.",
            answer=_with(variance=lambda t, spread: (1 - t) ** 2 + t**2 * spread),
        ),
        Mistake(
            message="The standard deviations are added. Of independent noise and data the variances add: "
            "(1 − t)² + t²·spread².",
            answer=_with(variance=lambda t, spread: ((1 - t) + t * spread) ** 2),
        ),
        Mistake(
            message="The weights 1 − t and t are not squared in the variance.",
            answer=_with(variance=lambda t, spread: (1 - t) + t * spread**2),
        ),
        Mistake(
            message="Noise shrinks while data grow: 1 − t enters the rate with a minus.",
            answer=_with(change=lambda t, spread: t * spread**2 + (1 - t)),
        ),
        Mistake(
            message="The rate has spread where spread² belongs.",
            answer=_with(change=lambda t, spread: t * spread - (1 - t)),
        ),
        Mistake(
            message="This rate is that of the variance. Distances grow with its root, half as fast.",
            answer=_with(change=lambda t, spread: 2 * (t * spread**2 - (1 - t))),
        ),
        Mistake(
            message="The rate is divided by the standard deviation. Divide it by the variance.",
            answer=_with(variance=lambda t, spread: ((1 - t) ** 2 + t**2 * spread**2) ** 0.5),
        ),
        Mistake(
            message="The rate is not divided by the variance.",
            answer=_with(variance=lambda t, spread: 1.0),
        ),
        Mistake(
            message="The distance is taken to where the cloud ends. At time t its middle is at t·center.",
            answer=_with(middle=lambda t, center: center),
        ),
        Mistake(
            message="The cloud grows, but it does not move. Add the velocity of its middle, which is center.",
            answer=_with(start=lambda center: 0.0),
        ),
        Mistake(
            message="This sends all to the center, as if every line ended there. Data are spread around it.",
            answer=lambda x, t, center, spread: (center - x) / (1 - t),
        ),
        Mistake(
            message="This is the way from x to the data that it can expect. Divide it by the time that is left, 1 − t.",
            answer=lambda x, t, center, spread: _expected(x, t, center, spread) - x,
        ),
    ),
    hints=(
        "At time t the places are normal around t·center, with the variance (1 − t)² + t²·spread².",
        "The middle moves with the velocity center, and distances from it grow at the rate "
        "(t·spread² − (1 − t)) / variance.",
        "`center + rate * (x - t * center)`. Check: with spread 0 this must be `(center - x) / (1 - t)`.",
    ),
)
