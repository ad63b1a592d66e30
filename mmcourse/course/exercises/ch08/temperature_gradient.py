"""08-temperature-gradient: derive the gradient of the loss for the logarithm of the scale."""

from __future__ import annotations

import math

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.variants import unit


def scale_gradient(cosines, log_scale):
    logits = log_scale.exp() * cosines
    too_much = logits.softmax(dim=1) + logits.softmax(dim=0) - 2 * torch.eye(len(logits), dtype=logits.dtype)
    return (too_much * logits).sum().item() / (2 * len(logits))


def _cosines(count, scale, noise):
    """Cosines of pairs that fit more or less, in float64, and the logarithm of a scale."""

    def inputs(generator):
        def draw():
            return torch.randn(count, 6, generator=generator, dtype=torch.float64)

        images = draw()
        texts = images + noise * draw()
        return unit(images) @ unit(texts).T, torch.tensor(math.log(scale), dtype=torch.float64)

    return inputs


def _by_parts(*, error=None, factor=None, scaled=None, divide=None):
    """The gradient with another p − y (rows, columns, y), another last factor, or another divisor."""

    def answer(cosines, log_scale):
        logits = log_scale.exp() * cosines if scaled is None else scaled(cosines, log_scale)
        y = torch.eye(len(logits), dtype=logits.dtype)
        p, q = logits.softmax(dim=1), logits.softmax(dim=0)
        too_much = p + q - 2 * y if error is None else error(p, q, y)
        moved = logits if factor is None else factor(cosines, log_scale)
        return (too_much * moved).sum().item() / (2 * len(logits) if divide is None else divide(len(logits)))

    return answer


EXERCISE = Exercise(
    id="08-temperature-gradient",
    title="Which way the temperature moves",
    goal="derive the gradient of the loss for the logarithm of the scale",
    stars=3,
    minutes=15,
    points=3,
    reference=scale_gradient,
    ready_made=(
        torch.autograd.grad,
        torch.autograd.backward,
    ),
    cases=(
        Case(name="pairs that fit, scale 2: sharpen", inputs=_cosines(5, 2.0, 0.3)),
        Case(name="pairs that hardly fit, scale 30: soften", inputs=_cosines(6, 30.0, 3.0)),
        Case(name="three pairs, scale 1 / 0.07", inputs=_cosines(3, 1 / 0.07, 1.0)),
    ),
    mistakes=(
        Mistake(
            message="This is the gradient for the scale s. The parameter is log s, and ds / d log s = s: one "
            "more factor.",
            answer=_by_parts(factor=lambda cosines, log_scale: cosines),
        ),
        Mistake(
            message="This is the gradient for the temperature 1 / s. The parameter is log s.",
            answer=_by_parts(factor=lambda cosines, log_scale: -cosines * log_scale.exp() ** 2),
        ),
        Mistake(
            message="The sign is turned: the gradient of cross-entropy is p − y, what the model says "
            "minus what is right.",
            answer=_by_parts(error=lambda p, q, y: 2 * y - p - q),
        ),
        Mistake(
            message="Only the rows are counted. The columns have a softmax of their own.",
            answer=_by_parts(error=lambda p, q, y: p - y, divide=lambda count: count),
        ),
        Mistake(
            message="Only the columns are counted. The rows have a softmax of their own.",
            answer=_by_parts(error=lambda p, q, y: q - y, divide=lambda count: count),
        ),
        Mistake(
            message="Rows and columns are added. The loss is the mean of both directions.",
            answer=_by_parts(divide=lambda count: count),
        ),
        Mistake(
            message="This is the sum over the pairs. The loss is their mean: divide by N.",
            answer=_by_parts(divide=lambda count: 2),
        ),
        Mistake(
            message="This is the mean over all N² entries. Each row is one choice: add up its entries, then take the "
            "mean over N rows.",
            answer=_by_parts(divide=lambda count: 2 * count**2),
        ),
        Mistake(
            message="The right answers are missing: p − y, and y is 1 on the diagonal.",
            answer=_by_parts(error=lambda p, q, y: p + q),
        ),
        Mistake(
            message="Only the diagonal is counted. Every logit of a row moves with the scale, the wrong ones as well.",
            answer=_by_parts(error=lambda p, q, y: (p + q - 2 * y) * y),
        ),
        Mistake(
            message="The cosines are multiplied by log s. Take exp first: the scale is s.",
            answer=_by_parts(
                scaled=lambda cosines, log_scale: log_scale * cosines,
                factor=lambda cosines, log_scale: log_scale * cosines,
            ),
        ),
        Mistake(
            message="The softmax sees bare cosines. It must see the logits, s times cosine.",
            answer=_by_parts(
                scaled=lambda cosines, log_scale: cosines,
                factor=lambda cosines, log_scale: log_scale.exp() * cosines,
            ),
        ),
    ),
    hints=(
        "Chapter 02: the gradient of a row's cross-entropy for its logits is p − y. How does s_ij = e^t · c_ij "
        "change with t?",
        "d s_ij / dt = e^t · c_ij = the logit itself. So a row gives Σⱼ (pⱼ − yⱼ) · logitⱼ.",
        "`((logits.softmax(1) - eye) * logits).sum() / N` for the rows, the same with softmax(0) for the columns; "
        "return their mean.",
    ),
)
