"""15-power-law: find out how the loss falls as models grow.

`power_law(sizes, losses, floor)` gives A and a of L(N) = E + A · N^(−a), by least squares on logarithms, for a given E
(the form of Hoffmann et al., 2022, equation 2, without the part of the data).
"""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def power_law(sizes, losses, floor):
    x, y = sizes.log(), (losses - floor).log()
    apart = x - x.mean()
    slope = (apart @ y / (apart @ apart)).item()
    return (y.mean() - slope * x.mean()).exp().item(), -slope


def _inputs(count, *, noise=0.15, floor=None):
    """Sizes at uneven distances, from about 10⁴ on; a floor by chance where none is given."""

    def inputs(generator):
        steps = 0.4 + torch.rand(count, generator=generator, dtype=torch.float64)
        sizes = (1e3 * 10 ** steps.cumsum(0)).round()
        chances = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        exponent, factor = 0.2 + 0.3 * chances[0], 8 + 30 * chances[1]
        lowest = 0.5 + chances[2] if floor is None else floor
        around = (noise * torch.randn(count, generator=generator, dtype=torch.float64)).exp()
        return sizes, lowest + factor * sizes**-exponent * around, lowest

    return inputs


def _line(x, y):
    """Height at 0 and slope of the line of least squares."""
    apart = x - x.mean()
    slope = apart @ y / (apart @ apart)
    return y.mean() - slope * x.mean(), slope


def _fitted(*, x=None, y=None, line=None, result=None):
    """The same with other coordinates, another line through them, or another result of (height, slope)."""

    def answer(sizes, losses, floor):
        right = sizes.log() if x is None else x(sizes)
        up = (losses - floor).log() if y is None else y(losses, floor)
        height, slope = (_line if line is None else line)(right, up)
        return (height.exp().item(), -slope.item()) if result is None else result(height, slope)

    return answer


def _by_ends(x, y):
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    return y[0] - slope * x[0], slope


def _other_way(x, y):
    height, slope = _line(y, x)
    return -height / slope, 1 / slope


def _through_zero(x, y):
    slope = x @ y / (x @ x)
    return torch.zeros_like(slope), slope


def _mean_of_slopes(x, y):
    slope = (y.diff() / x.diff()).mean()
    return y.mean() - slope * x.mean(), slope


EXERCISE = Exercise(
    id="15-power-law",
    title="A scaling law",
    goal="find out how the loss falls as models grow",
    stars=2,
    minutes=9,
    points=2,
    reference=power_law,
    nothing_ready="a fit of a line is a part; what becomes a line, and what it says, is the exercise",
    cases=(
        Case(name="eight sizes, with noise", inputs=_inputs(8)),
        Case(name="five sizes, exactly on the law", inputs=_inputs(5, noise=0.0)),
        Case(name="six sizes, a floor of 0", inputs=_inputs(6, floor=0.0)),
        Case(name="three sizes, with noise", inputs=_inputs(3)),
    ),
    mistakes=(
        Mistake(
            message="E stays in the losses, and their logarithms lie on a curve. Take it off first.",
            answer=_fitted(y=lambda losses, floor: losses.log()),
        ),
        Mistake(
            message="E is taken off the logarithm. Take it off the losses, before.",
            answer=_fitted(y=lambda losses, floor: losses.log() - floor),
        ),
        Mistake(
            message="The exponent is the slope itself, and negative. In the law it stands as −a: turn the sign.",
            answer=_fitted(result=lambda height, slope: (height.exp().item(), slope.item())),
        ),
        Mistake(
            message="The factor is still a logarithm. A is exp of the height of the line at log N = 0.",
            answer=_fitted(result=lambda height, slope: (height.item(), -slope.item())),
        ),
        Mistake(
            message="The sizes are not made logarithms: only in both logarithms is a power law a line.",
            answer=_fitted(x=lambda sizes: sizes),
        ),
        Mistake(
            message="The losses are not made logarithms: only in both logarithms is a power law a line.",
            answer=_fitted(y=lambda losses, floor: losses - floor),
        ),
        Mistake(
            message="The logarithms have base 10, but the factor is made with e. Use one base for both: `log` and "
            "`exp`.",
            answer=_fitted(x=lambda sizes: sizes.log10(), y=lambda losses, floor: (losses - floor).log10()),
        ),
        Mistake(
            message="The two logarithms have different bases, and the slope counts in both.",
            answer=_fitted(x=lambda sizes: sizes.log10()),
        ),
        Mistake(
            message="The line goes through the first and the last point alone. Least squares uses all of them.",
            answer=_fitted(line=_by_ends),
        ),
        Mistake(
            message="The squares are those along log N. What is measured, with its noise, is the loss: make the "
            "squares along log(L − E) least.",
            answer=_fitted(line=_other_way),
        ),
        Mistake(
            message="The line is forced through 0, as if A were 1. It has a height of its own: take the means off "
            "first.",
            answer=_fitted(line=_through_zero),
        ),
        Mistake(
            message="This is the mean of the slopes from each point to the next, in which close ones count as much as "
            "far ones. Use least squares.",
            answer=_fitted(line=_mean_of_slopes),
        ),
        Mistake(
            message="Exponent and factor are exchanged: A comes first.",
            answer=_fitted(result=lambda height, slope: (-slope.item(), height.exp().item())),
        ),
    ),
    hints=(
        "log(L − E) = log A − a · log N is a line: x is log N, y is log(L − E).",
        "The slope of least squares is Σ (x − x̄) · y / Σ (x − x̄)², and a is minus that.",
        "The height at x = 0 is ȳ − slope · x̄; `exp` of it is A.",
    ),
)
