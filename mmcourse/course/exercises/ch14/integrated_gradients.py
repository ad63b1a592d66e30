"""14-integrated-gradients: share out the rise of a score, from a baseline to a picture, among the pixels.

Sundararajan et al., "Axiomatic attribution for deep networks" (2017).
"""

from __future__ import annotations

import torch

from mmcourse import interpret
from mmcourse.course.exercise import Case, Exercise, Mistake


def integrated_gradients(gradient, x, baseline, steps):
    shares = [(step + 0.5) / steps for step in range(steps)]
    total = sum(gradient(baseline + share * (x - baseline)) for share in shares)
    return (x - baseline) * total / steps


def _gradient(weights):
    """That of the score tanh(Σ w·x) + Σ (w·x)³ / 3, which is steep in one place and flat in another."""

    def gradient(x):
        if not torch.is_tensor(x) or x.shape != weights.shape:
            came = f"shape {tuple(x.shape)}" if torch.is_tensor(x) else type(x).__name__
            raise ValueError(f"gradient wants one input like x, a tensor of shape {tuple(weights.shape)}, got {came}")
        parts = weights * x
        return weights * (1 - parts.sum().tanh().square() + parts.square())

    return gradient


def _explain(answer, weights, x, baseline, steps):
    """Gives the answer a gradient to ask."""
    return answer(_gradient(weights), x, baseline, steps)


def _inputs(*shape, steps, baseline, same=0):
    """A baseline of one number, or of noise for None; the first `same` numbers of x are those of the baseline."""

    def inputs(generator):
        weights, x, noise = torch.randn(3, *shape, generator=generator)
        # so that tanh bends between the two ends, and is flat at neither
        weights = 1.5 * weights / weights.square().sum().sqrt()
        start = noise if baseline is None else torch.full(shape, baseline)
        x[:same] = start[:same]
        return weights, x, start, steps

    return inputs


def _case(name, *shape, **options):
    return Case(name=name, inputs=_inputs(*shape, **options), probe=_explain, atol=1e-5)


def _along(*, shares=None, points=None, gradients=None, parts=None):
    """The same at other shares of the way, other points, with other gradients, or joined otherwise to (mean, x, b)."""

    def answer(gradient, x, baseline, steps):
        way = [(step + 0.5) / steps for step in range(steps)] if shares is None else shares(steps)
        places = [baseline + s * (x - baseline) if points is None else points(s, x, baseline) for s in way]
        found = torch.stack([gradient(place) for place in places])
        mean = (found if gradients is None else gradients(found)).mean(dim=0)
        return (x - baseline) * mean if parts is None else parts(mean, x, baseline)

    return answer


EXERCISE = Exercise(
    id="14-integrated-gradients",
    title="Gradients along the way",
    goal="share out the rise of a score, from a baseline to a picture, among the pixels",
    stars=2,
    minutes=10,
    points=2,
    reference=integrated_gradients,
    ready_made=(interpret.integrated_gradients, interpret.token_gradients),
    cases=(
        _case("six numbers, from zeros, eight steps", 6, steps=8, baseline=0.0),
        _case("a small picture, from noise, five steps", 3, 4, 5, steps=5, baseline=None),
        _case("a gray baseline that half of x is equal to", 4, 3, steps=7, baseline=0.5, same=2),
        _case("one step", 5, steps=1, baseline=-0.5),
    ),
    mistakes=(
        Mistake(
            message="Only the gradient at x counts here. Where the score is flat by now it is 0, although the way up "
            "was steep: take the mean along the way.",
            answer=_along(shares=lambda steps: [1.0]),
        ),
        Mistake(
            message="Each gradient is taken at the beginning of its step. Take it in the middle: (step + 0.5) / steps.",
            answer=_along(shares=lambda steps: [step / steps for step in range(steps)]),
        ),
        Mistake(
            message="Each gradient is taken at the end of its step. Take it in the middle: (step + 0.5) / steps.",
            answer=_along(shares=lambda steps: [(step + 1) / steps for step in range(steps)]),
        ),
        Mistake(
            message="The gradients are taken from end to end, with both ends among them. Take one in the middle of "
            "each step.",
            answer=_along(shares=lambda steps: torch.linspace(0, 1, steps)),
        ),
        Mistake(
            message="This is the mean gradient: how steep the way is. Times how far it goes, x − baseline, it is what "
            "a pixel adds.",
            answer=_along(parts=lambda mean, x, baseline: mean),
        ),
        Mistake(
            message="The mean gradient is multiplied by x. The way begins at the baseline: multiply by x − baseline.",
            answer=_along(parts=lambda mean, x, baseline: x * mean),
        ),
        Mistake(
            message="The gradients are added up. Take their mean, or more steps would mean more.",
            answer=lambda gradient, x, baseline, steps: steps * integrated_gradients(gradient, x, baseline, steps),
        ),
        Mistake(
            message="The way begins at 0 and not at the baseline: baseline + share · (x − baseline).",
            answer=_along(points=lambda share, x, baseline: share * x),
        ),
        Mistake(
            message="The whole of x is added to the baseline, so the way does not end at x. Add a share of "
            "x − baseline.",
            answer=_along(points=lambda share, x, baseline: baseline + share * x),
        ),
        Mistake(
            message="The baseline is left out: both the way and the difference begin at 0.",
            answer=_along(points=lambda share, x, baseline: share * x, parts=lambda mean, x, baseline: x * mean),
        ),
        Mistake(
            message="The sign is turned: the way goes from the baseline to x, so multiply by x − baseline.",
            answer=_along(parts=lambda mean, x, baseline: (baseline - x) * mean),
        ),
        Mistake(
            message="The gradients lose their signs, so ups and downs on the way add up. Keep the signs.",
            answer=_along(gradients=lambda found: found.abs()),
        ),
        Mistake(
            message="The result loses its sign. A pixel that lowers the score has a negative part.",
            answer=_along(parts=lambda mean, x, baseline: ((x - baseline) * mean).abs()),
        ),
    ),
    hints=(
        "Step number `step` has its middle at the share (step + 0.5) / steps of the way, which begins at the baseline.",
        "Ask for `gradient(baseline + share * (x - baseline))` at each share, and take the mean of what comes.",
        "Multiply it by `x - baseline`: the parts add up to score(x) − score(baseline), the better the more steps.",
    ),
)
