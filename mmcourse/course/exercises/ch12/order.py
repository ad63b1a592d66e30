"""12-order: measure the order of a method from its errors."""

from __future__ import annotations

import math

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def order(steps, errors):
    x = torch.tensor(steps).double().log()
    y = torch.tensor(errors).double().log()
    apart = x - x.mean()
    return -(apart @ y / (apart @ apart)).item()


def _inputs(*steps):
    """Errors that fall with order 1, 2 or 4, each of them a little off."""

    def inputs(generator):
        power = (1, 2, 4)[int(torch.randint(3, (1,), generator=generator))]
        size = 0.1 + torch.rand(1, generator=generator).item()
        off = (0.2 * torch.randn(len(steps), generator=generator)).exp().tolist()
        return list(steps), [size * count**-power * factor for count, factor in zip(steps, off, strict=True)]

    return inputs


def _slope(x, y):
    x, y = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    return ((x - x.mean()) @ y / (x - x.mean()).square().sum()).item()


def _logs(numbers, log=math.log):
    return [log(number) for number in numbers]


def _between(steps, errors, first, last):
    return math.log(errors[first] / errors[last]) / math.log(steps[last] / steps[first])


def _through_origin(steps, errors):
    x, y = torch.tensor(_logs(steps)), torch.tensor(_logs(errors))
    return -(x @ y / (x @ x)).item()


def _mean_of_pairs(steps, errors):
    return sum(_between(steps, errors, place, place + 1) for place in range(len(steps) - 1)) / (len(steps) - 1)


def _correlation(steps, errors):
    return -torch.corrcoef(torch.tensor([_logs(steps), _logs(errors)], dtype=torch.float64))[0, 1].item()


EXERCISE = Exercise(
    id="12-order",
    title="The order of a method",
    goal="measure the order of a method from its errors",
    stars=2,
    minutes=10,
    points=2,
    reference=order,
    nothing_ready="a fit such as np.polyfit is a part; no function of the library measures an order",
    cases=(
        Case(name="five counts of steps, each twice the last", inputs=_inputs(4, 8, 16, 32, 64)),
        Case(name="uneven counts of steps, from one on", inputs=_inputs(1, 3, 5, 20, 100, 120)),
        Case(name="counts of steps in no order", inputs=_inputs(30, 6, 100, 10)),
        Case(name="only two counts of steps", inputs=_inputs(10, 40)),
    ),
    mistakes=(
        Mistake(
            message="No logarithm is taken. A power is a straight line only where both sides are logarithms.",
            answer=lambda steps, errors: -_slope(steps, errors),
        ),
        Mistake(
            message="Only the errors are logarithms. Take that of the steps, too.",
            answer=lambda steps, errors: -_slope(steps, _logs(errors)),
        ),
        Mistake(
            message="Only the steps are logarithms. Take that of the errors, too.",
            answer=lambda steps, errors: -_slope(_logs(steps), errors),
        ),
        Mistake(
            message="Errors fall with more steps, so the slope is negative. The order has the other sign.",
            answer=lambda steps, errors: _slope(_logs(steps), _logs(errors)),
        ),
        Mistake(
            message="The axes are exchanged: this is how the steps change with the errors.",
            answer=lambda steps, errors: -_slope(_logs(errors), _logs(steps)),
        ),
        Mistake(
            message="Only the first and the last point count here. A line by least squares uses all of them.",
            answer=lambda steps, errors: _between(steps, errors, 0, -1),
        ),
        Mistake(
            message="Only the last two points count here. A line by least squares uses all of them.",
            answer=lambda steps, errors: _between(steps, errors, -2, -1),
        ),
        Mistake(
            message="This is the mean of the slopes from point to point. Fit one line to all points by least squares.",
            answer=_mean_of_pairs,
        ),
        Mistake(
            message="The two sides have logarithms of different bases. Any base will do, but it must be one.",
            answer=lambda steps, errors: -_slope(_logs(steps), _logs(errors, math.log10)),
        ),
        Mistake(
            message="The line is forced through the origin. Let it have a constant: take the mean off the steps first.",
            answer=_through_origin,
        ),
        Mistake(
            message="This is the correlation: how straight the line is. The order is how steep it is.",
            answer=_correlation,
        ),
        Mistake(
            message="The order is rounded. A measured order is no whole number: return what was measured.",
            answer=lambda steps, errors: round(order(steps, errors)),
        ),
    ),
    hints=(
        "If the error is c·steps^(−p), then log error = log c − p·log steps: a straight line of slope −p.",
        "The slope of least squares: Σ (xᵢ − x̄)·yᵢ / Σ (xᵢ − x̄)², with x the logarithms of the steps.",
        "`-np.polyfit(np.log(steps), np.log(errors), 1)[0]` is the same in one line.",
    ),
)
