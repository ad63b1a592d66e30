"""02-calibration-error: measure calibration yourself."""

from __future__ import annotations

import math

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


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


EXERCISE = Exercise(
    id="02-calibration-error",
    title="Expected calibration error",
    goal="measure calibration yourself",
    stars=3,
    minutes=15,
    points=3,
    reference=calibration_error,
    ready_made=(metrics.expected_calibration_error,),
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
