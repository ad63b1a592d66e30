"""Exercises of chapter 02, second part: smoothed targets, perplexity, calibration."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake

# --- label smoothing --------------------------------------------------------------------------------------------------


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


LABEL_SMOOTHING = Exercise(
    id="02-label-smoothing",
    title="Smooth the targets",
    goal="build targets with label smoothing",
    stars=2,
    minutes=5,
    points=2,
    reference=smooth_targets,
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

# --- perplexity -------------------------------------------------------------------------------------------------------

_CHANCES = (1 / 2, 1 / 4, 1 / 8, 1 / 4)

PERPLEXITY = Exercise(
    id="02-perplexity",
    title="Perplexity by hand",
    goal="from probabilities to perplexity",
    stars=1,
    minutes=5,
    points=1,
    reference=4.0,
    mistakes=(
        Mistake(
            message="This is the mean of 2, 4, 8 and 4. Perplexity is their geometric mean: take logarithms, average, "
            "and exponentiate.",
            answer=sum(1 / p for p in _CHANCES) / 4,
        ),
        Mistake(
            message="This is one over the mean probability. Average the logarithms, not the probabilities.",
            answer=4 / sum(_CHANCES),
        ),
        Mistake(
            message="This is the cross-entropy in nats. Perplexity is its exponential.",
            answer=-sum(math.log(p) for p in _CHANCES) / 4,
        ),
        Mistake(
            message="This is the cross-entropy in bits. Perplexity is 2 to that power.",
            answer=2.0,
        ),
        Mistake(
            message="Base 2 went in and base e came out: with bits, perplexity is 2 to the power of the mean.",
            answer=math.exp(2),
        ),
        Mistake(
            message="This is one over the likelihood of the whole sentence. Perplexity is for each word: take the "
            "fourth root.",
            answer=256.0,
        ),
        Mistake(
            message="This is the surprise of the whole sentence. Take the mean over the four words, then exponentiate.",
            answer=-sum(math.log(p) for p in _CHANCES),
        ),
        Mistake(
            message="The minus sign is missing, so you got one over the perplexity.",
            answer=0.25,
        ),
    ),
    hints=(
        "Write the surprise of each word in bits: ½ is 1 bit, ¼ is 2 bits, ⅛ is 3 bits.",
        "The mean surprise is (1 + 2 + 3 + 2) / 4 bits.",
        "Perplexity is 2 to the power of the mean in bits, which is e to the power of the mean in nats.",
    ),
)

# --- calibration ------------------------------------------------------------------------------------------------------


def calibration_error(probabilities, targets, bins):
    return _weighted(probabilities, targets, bins, lambda share, gap: share * gap.abs())


def _bins(probabilities, targets, bins, confidence=None):
    """(share of the samples, mean confidence − accuracy) of every bin that is not empty."""
    top, guess = probabilities.max(dim=1)
    confidence = top if confidence is None else confidence
    place = (confidence * bins).long().clamp(max=bins - 1)
    right = (guess == targets).float()
    for number in range(bins):
        held = place == number
        if held.any():
            yield held.float().mean(), confidence[held].mean() - right[held].mean()


def _weighted(probabilities, targets, bins, part):
    return sum(part(share, gap) for share, gap in _bins(probabilities, targets, bins))


def _of_bins(summary):
    """Some other summary of the shares and gaps of all filled bins."""

    def answer(probabilities, targets, bins):
        shares, gaps = (torch.stack(x) for x in zip(*_bins(probabilities, targets, bins), strict=True))
        return summary(shares, gaps)

    return answer


def _of_the_target(probabilities, targets, bins):
    chosen = probabilities.gather(1, targets[:, None]).squeeze(1)
    return sum(share * gap.abs() for share, gap in _bins(probabilities, targets, bins, chosen))


def _nan_from_empty(probabilities, targets, bins):
    filled = len(list(_bins(probabilities, targets, bins)))
    return calibration_error(probabilities, targets, bins) * (1.0 if filled == bins else math.nan)


def _answers(samples, classes, bins, *, size, follow, certain=False):
    """A model that is too sure, or too shy: large logits, and a target that follows them only so often.

    `certain`: the first answer has probability 1, the upper end of the last bin, and is wrong.
    """

    def inputs(generator):
        probabilities = (size * torch.randn(samples, classes, generator=generator)).softmax(dim=1)
        follows = torch.rand(samples, generator=generator) < follow
        anyhow = torch.randint(classes, (samples,), generator=generator)
        targets = torch.where(follows, probabilities.argmax(dim=1), anyhow)
        if certain:
            probabilities[0] = torch.eye(classes)[(targets[0] + 1) % classes]
        return probabilities, targets, bins

    return inputs


CALIBRATION_ERROR = Exercise(
    id="02-calibration-error",
    title="Expected calibration error",
    goal="measure calibration yourself",
    stars=3,
    minutes=15,
    points=3,
    reference=calibration_error,
    cases=(
        Case(
            name="300 answers that are too sure, four classes, ten bins",
            inputs=_answers(300, 4, 10, size=3.0, follow=0.5),
        ),
        Case(
            name="200 answers that are too shy, three classes, five bins",
            inputs=_answers(200, 3, 5, size=1.0, follow=0.8),
        ),
        Case(
            name="six answers, so that most bins are empty",
            inputs=_answers(6, 4, 10, size=3.0, follow=0.5, certain=True),
        ),
    ),
    mistakes=(
        Mistake(
            message="All bins count alike here. Weight each by its share of the answers, or a bin with one lucky "
            "answer counts as much as one with a hundred.",
            answer=_of_bins(lambda shares, gaps: gaps.abs().mean()),
        ),
        Mistake(
            message="All bins count alike here, the empty ones too. Weight each by its share of the answers.",
            answer=lambda p, t, bins: sum(gap.abs() for _, gap in _bins(p, t, bins)) / bins,
        ),
        Mistake(
            message="The distances are added up without weights. Multiply each by the bin's share of the answers.",
            answer=_of_bins(lambda shares, gaps: gaps.abs().sum()),
        ),
        Mistake(
            message="The absolute value is missing: bins that are too sure and bins that are too shy cancel. (This is "
            "mean confidence minus accuracy, and needs no bins at all.)",
            answer=_of_bins(lambda shares, gaps: (shares * gaps).sum()),
        ),
        Mistake(
            message="This is accuracy minus mean confidence: the bins cancel. Take the absolute value in each bin.",
            answer=_of_bins(lambda shares, gaps: -(shares * gaps).sum()),
        ),
        Mistake(
            message="The absolute value is taken once, at the end. Take it in each bin, or bins that are too sure and "
            "bins that are too shy cancel.",
            answer=_of_bins(lambda shares, gaps: (shares * gaps).sum().abs()),
        ),
        Mistake(
            message="This is the largest distance of any bin, the maximum calibration error. The expected one is the "
            "weighted mean.",
            answer=_of_bins(lambda shares, gaps: gaps.abs().max()),
        ),
        Mistake(
            message="The distances are squared. The expected calibration error takes their absolute value.",
            answer=_of_bins(lambda shares, gaps: (shares * gaps.square()).sum()),
        ),
        Mistake(
            message="The confidence here is the probability of the target, which nobody knows when answering. Take the "
            "largest probability of each row.",
            answer=_of_the_target,
        ),
        Mistake(
            message="An empty bin gives 0 divided by 0, and one NaN makes everything NaN. Skip bins without answers.",
            answer=_nan_from_empty,
        ),
    ),
    hints=(
        "`probabilities.max(dim=1)` gives the confidence and the guess; a guess is right where it equals the target.",
        "The bin of an answer is `(confidence * bins).long()`, at most bins − 1.",
        "For each bin that holds answers: its share of all answers, times |mean confidence − accuracy|. Add them up.",
    ),
)
