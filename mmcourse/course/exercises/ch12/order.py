"""12-order: measure the order of a method from its errors."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def order(steps, errors):
    x, y = torch.tensor(steps).double().log(), torch.tensor(errors).double().log()
    return -_slope(x, y)


def _slope(x, y):
    """The slope of the straight line that fits best."""
    x = x - x.mean()
    return (x @ y / (x @ x)).item()


def _inputs(power, *steps):
    def inputs(generator):
        wobble = (0.25 * torch.randn(len(steps), generator=generator)).exp()
        height = 0.5 + torch.rand(1, generator=generator).item()
        errors = height * torch.tensor(steps).double() ** -power * wobble
        return list(steps), errors.tolist()

    return inputs


def _fitted(*, x=None, y=None, end=None):
    """The same with other axes, or with another number made of the two."""

    def answer(steps, errors):
        steps, errors = torch.tensor(steps).double(), torch.tensor(errors).double()
        across = steps.log() if x is None else x(steps)
        up = errors.log() if y is None else y(errors)
        return -_slope(across, up) if end is None else end(across, up)

    return answer


EXERCISE = Exercise(
    id="12-order",
    title="The order",
    goal="measure the order of a method from its errors",
    stars=2,
    minutes=10,
    points=2,
    reference=order,
    nothing_ready="the library has no such function; a fit by polyfit or lstsq is an answer in its own right",
    cases=(
        Case(name="order 1, four points", inputs=_inputs(1, 8, 16, 32, 64), rtol=1e-4),
        Case(name="order 2, steps of any kind", inputs=_inputs(2, 5, 12, 20, 50, 90), rtol=1e-4),
        Case(name="order 4", inputs=_inputs(4, 4, 8, 12, 20), rtol=1e-4),
        Case(name="two points", inputs=_inputs(2, 10, 30), rtol=1e-4),
    ),
    mistakes=(
        Mistake(
            message="The sign is that of the slope. The errors fall, and the order is a positive number.",
            answer=_fitted(end=lambda x, y: _slope(x, y)),
        ),
        Mistake(
            message="No logarithm is taken: a power is a straight line only on logarithmic axes.",
            answer=_fitted(x=lambda steps: steps, y=lambda errors: errors),
        ),
        Mistake(
            message="Only the errors are on a logarithmic axis. Take the logarithm of the steps as well.",
            answer=_fitted(x=lambda steps: steps),
        ),
        Mistake(
            message="Only the steps are on a logarithmic axis. Take the logarithm of the errors as well.",
            answer=_fitted(y=lambda errors: errors),
        ),
        Mistake(
            message="The line is fitted with the axes exchanged: errors depend on steps.",
            answer=_fitted(end=lambda x, y: -_slope(y, x)),
        ),
        Mistake(
            message="This is one over the order: the axes are exchanged.",
            answer=_fitted(end=lambda x, y: -1 / _slope(y, x)),
        ),
        Mistake(
            message="Only the first and the last point count. Fit a line through all of them.",
            answer=_fitted(end=lambda x, y: ((y[0] - y[-1]) / (x[-1] - x[0])).item()),
        ),
        Mistake(
            message="Only the last two points count. Fit a line through all of them.",
            answer=_fitted(end=lambda x, y: ((y[-2] - y[-1]) / (x[-1] - x[-2])).item()),
        ),
        Mistake(
            message="The slopes between neighbors are averaged. Fit one line through all points by least squares.",
            answer=_fitted(end=lambda x, y: -(y.diff() / x.diff()).mean().item()),
        ),
        Mistake(
            message="The two axes have logarithms of different bases. Use one for both.",
            answer=_fitted(y=lambda errors: errors.log10()),
        ),
        Mistake(
            message="The line is forced through the origin. log C need not be 0: subtract the mean of log steps first.",
            answer=_fitted(end=lambda x, y: -(x @ y / (x @ x)).item()),
        ),
        Mistake(
            message="This is the correlation of the logarithms. The order is the slope.",
            answer=_fitted(end=lambda x, y: -torch.corrcoef(torch.stack((x, y)))[0, 1].item()),
        ),
    ),
    hints=(
        "Take the logarithm of both lists; error = C · steps^−p becomes a straight line with slope −p.",
        "Least squares: subtract the mean from log steps; then the slope is Σ x·y / Σ x·x.",
        "`torch.tensor(steps).double().log()` and the same of errors; return minus the slope, as a float.",
    ),
)
