"""12-cloud-velocity: compute the mean velocity of all lines that pass through a place, for data of one normal cloud."""

from __future__ import annotations

import torch

from mmcourse import flow
from mmcourse.course.exercise import Case, Exercise, Mistake


def velocity(x, t, center, spread):
    variance = (1 - t) ** 2 + (t * spread) ** 2
    rate = (t * spread**2 - (1 - t)) / variance
    return center + rate * (x - t * center)


def _inputs(count, width, *, t=None, spread=None):
    def inputs(generator):
        dice = torch.rand(2, generator=generator).tolist()
        x, center = torch.randn(count, width, generator=generator), 2 * torch.randn(width, generator=generator)
        return x, 0.15 + 0.7 * dice[0] if t is None else t, center, 0.3 + 0.5 * dice[1] if spread is None else spread

    return inputs


def _otherwise(*, variance=None, covariance=None, base=None, around=None):
    """The same with another variance or covariance, another base, or another place that distances are taken from."""

    def answer(x, t, center, spread):
        below = (1 - t) ** 2 + (t * spread) ** 2 if variance is None else variance(t, spread)
        above = t * spread**2 - (1 - t) if covariance is None else covariance(t, spread)
        middle = t * center if around is None else around(t, center)
        return (center if base is None else base(t, center)) + above / below * (x - middle)

    return answer


def _towards(x, t, center, spread):
    return (center - x) / (1 - t)


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
        Case(name="five places in the plane", inputs=_inputs(5, 2)),
        Case(name="places in three dimensions", inputs=_inputs(4, 3)),
        Case(name="time 0: all is noise", inputs=_inputs(4, 2, t=0.0)),
        Case(name="a cloud without spread is a point", inputs=_inputs(3, 2, spread=0.0)),
    ),
    mistakes=(
        Mistake(
            message="This leads straight to the center. A cloud with a spread has data beside it: the rate is "
            "covariance over variance.",
            answer=_towards,
        ),
        Mistake(
            message="The covariance has the wrong sign before the noise: cov(x₁ − ε, x_t) = t·s² − (1 − t).",
            answer=_otherwise(covariance=lambda t, spread: t * spread**2 + (1 - t)),
        ),
        Mistake(
            message="The rate has the wrong sign.",
            answer=_otherwise(covariance=lambda t, spread: (1 - t) - t * spread**2),
        ),
        Mistake(
            message="The spread is not squared in the covariance: t·s² belongs there.",
            answer=_otherwise(covariance=lambda t, spread: t * spread - (1 - t)),
        ),
        Mistake(
            message="The standard deviation is in the denominator. Divide by the variance.",
            answer=_otherwise(variance=lambda t, spread: ((1 - t) ** 2 + (t * spread) ** 2) ** 0.5),
        ),
        Mistake(
            message="The variance is missing t: σ² = (1 − t)² + t²·s².",
            answer=_otherwise(variance=lambda t, spread: (1 - t) ** 2 + spread**2),
        ),
        Mistake(
            message="The variance is missing its noise: σ² = (1 − t)² + t²·s².",
            answer=_otherwise(variance=lambda t, spread: (t * spread) ** 2 + 1e-3),
        ),
        Mistake(
            message="The shares are not squared in the variance: σ² = (1 − t)² + t²·s².",
            answer=_otherwise(variance=lambda t, spread: (1 - t) + t * spread**2),
        ),
        Mistake(
            message="The distance is taken from the center. At time t the cloud is around t·c.",
            answer=_otherwise(around=lambda t, center: center),
        ),
        Mistake(
            message="The distance is taken from 0. At time t the cloud is around t·c.",
            answer=_otherwise(around=lambda t, center: 0 * center),
        ),
        Mistake(
            message="The velocity of the middle is c and not t·c: in time 1 it goes from 0 to c.",
            answer=_otherwise(base=lambda t, center: t * center),
        ),
        Mistake(
            message="The velocity of the middle, c, is missing.",
            answer=_otherwise(base=lambda t, center: 0 * center),
        ),
    ),
    hints=(
        "x_t is normal around t·c with variance (1 − t)² + t²·s², and x₁ − ε has mean c.",
        "For jointly normal variables: mean + covariance / variance · (x − t·c). The covariance of x₁ − ε with "
        "(1 − t)·ε + t·x₁ is t·s² − (1 − t).",
        "`center + (t * spread**2 - (1 - t)) / ((1 - t) ** 2 + (t * spread) ** 2) * (x - t * center)`.",
    ),
)
