"""02-label-smoothing: build targets with label smoothing."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def smooth_targets(targets, classes, smoothing):
    return (1 - smoothing) * F.one_hot(targets, classes).float() + smoothing / classes


def _targets(samples, classes, smoothing):
    return lambda generator: (torch.randint(classes, (samples,), generator=generator), classes, smoothing)


def _mixed(right, others):
    """Targets with one value at the right class and another elsewhere, both functions of (V, ε)."""

    def answer(targets, classes, smoothing):
        y = F.one_hot(targets, classes).float()
        return right(classes, smoothing) * y + others(classes, smoothing) * (1 - y)

    return answer


EXERCISE = Exercise(
    id="02-label-smoothing",
    title="Smooth the targets",
    goal="build targets with label smoothing",
    stars=2,
    minutes=5,
    points=2,
    reference=smooth_targets,
    nothing_ready="one_hot is a part; torch smooths inside its loss only and returns no targets",
    cases=(
        Case(name="four samples, three classes, ε = 0.1", inputs=_targets(4, 3, 0.1)),
        Case(name="two samples, ten classes, ε = 0.3", inputs=_targets(2, 10, 0.3)),
        Case(name="ε = 0 gives plain one-hot targets", inputs=_targets(5, 4, 0.0)),
    ),
    mistakes=(
        Mistake(
            message="ε is shared among the wrong classes alone, ε / (V − 1). All V classes share it, "
            "the right one too: ε / V for each.",
            answer=_mixed(lambda v, e: 1 - e, lambda v, e: e / (v - 1)),
        ),
        Mistake(
            message="The right class keeps its whole 1, so rows sum to more than 1. Scale the one-hot part by 1 − ε.",
            answer=_mixed(lambda v, e: 1 + e / v, lambda v, e: e / v),
        ),
        Mistake(
            message="The right class has 1 instead of 1 − ε + ε/V, so the rows sum to more than 1.",
            answer=_mixed(lambda v, e: 1.0, lambda v, e: e / v),
        ),
        Mistake(
            message="Every class gets the whole ε. It is shared: ε / V for each, so that the rows sum to 1.",
            answer=_mixed(lambda v, e: 1.0, lambda v, e: e),
        ),
        Mistake(
            message="The right class has 1 − ε and misses its own share ε / V: the rows sum to less than 1.",
            answer=_mixed(lambda v, e: 1 - e, lambda v, e: e / v),
        ),
        Mistake(
            message="The right class has 1 − ε and all others have the whole ε. Share ε among all V classes.",
            answer=_mixed(lambda v, e: 1 - e, lambda v, e: e),
        ),
        Mistake(
            message="These are plain one-hot targets: ε is not used.",
            answer=_mixed(lambda v, e: 1.0, lambda v, e: 0.0),
        ),
        Mistake(
            message="Right and wrong are exchanged: 1 − ε belongs to the one-hot part, ε to the even part.",
            answer=_mixed(lambda v, e: e + (1 - e) / v, lambda v, e: (1 - e) / v),
        ),
    ),
    hints=(
        "Start with one-hot targets as floating-point numbers: shape (N, V).",
        "y′ = (1 − ε) y + ε / V, for every entry. Which value has the right class then? 1 − ε + ε/V.",
        "Check yourself: each row must sum to 1.",
    ),
)
