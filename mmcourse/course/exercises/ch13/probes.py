"""13-probes: judge answers to "is there a …?" by more than their accuracy."""

from __future__ import annotations

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def probe_scores(said, true):
    both, yes, there = (said & true).sum().item(), said.sum().item(), true.sum().item()
    right = (said == true).sum().item()
    return right / len(said), both / yes if yes else 0.0, both / there if there else 0.0, yes / len(said)


def _inputs(count, there, right, wrong):
    """Of `count` things a share is there; yes is said to `right` of those and to `wrong` of the others."""

    def inputs(generator):
        order = torch.randperm(count, generator=generator)
        # one more or one less, so that no two submissions are alike
        present = there + int(torch.randint(2, (1,), generator=generator))
        yes = torch.zeros(count, dtype=torch.bool)
        yes[:right] = True
        yes[present : present + wrong] = True
        return yes[order], (torch.arange(count) < present)[order]

    return inputs


def _nobody_says_yes(generator):
    true = torch.rand(12 + int(torch.randint(9, (1,), generator=generator)), generator=generator) < 0.5
    true[0] = True
    return torch.zeros_like(true), true


def _nothing_is_there(generator):
    said = torch.rand(12 + int(torch.randint(9, (1,), generator=generator)), generator=generator) < 0.3
    said[:2] = torch.tensor([True, False])
    return said, torch.zeros_like(said)


def _scores(*, undefined=(0.0, 0.0), result=None):
    """The same with other values for 0 / 0, or with another result of (accuracy, precision, recall, yes rate)."""

    def answer(said, true):
        accuracy, _, _, rate = probe_scores(said, true)
        both, yes, there = ((each).sum().item() for each in (said & true, said, true))
        scores = accuracy, both / yes if yes else undefined[0], both / there if there else undefined[1], rate
        return scores if result is None else result(*scores)

    return answer


def _f1(precision, recall):
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


NAN = float("nan")
EXERCISE = Exercise(
    id="13-probes",
    title="Is there a …?",
    goal="judge yes/no answers by more than their accuracy",
    stars=2,
    minutes=10,
    points=2,
    reference=probe_scores,
    ready_made=(metrics.probes, metrics.precision_recall_f1),
    cases=(
        Case(name="40 probes, a careful model", inputs=_inputs(40, 18, 12, 4)),
        Case(name="30 probes, a model that nearly always says yes", inputs=_inputs(30, 10, 9, 14)),
        Case(name="nobody says yes", inputs=_nobody_says_yes),
        Case(name="nothing is there", inputs=_nothing_is_there),
    ),
    mistakes=(
        Mistake(
            message="Precision and recall are exchanged. Precision divides by how often yes was said, recall by how "
            "many things are there.",
            answer=_scores(result=lambda accuracy, precision, recall, rate: (accuracy, recall, precision, rate)),
        ),
        Mistake(
            message="0 / 0 is no number. Precision is 0.0 where nobody says yes, and recall where nothing is there.",
            answer=_scores(undefined=(NAN, NAN)),
        ),
        Mistake(
            message="Where nobody says yes, precision is 0 / 0, which is no number. Give 0.0 there.",
            answer=_scores(undefined=(NAN, 0.0)),
        ),
        Mistake(
            message="Where nothing is there, recall is 0 / 0, which is no number. Give 0.0 there.",
            answer=_scores(undefined=(0.0, NAN)),
        ),
        Mistake(
            message="0 / 0 counts as 1 here: a model that never says yes would have a perfect precision. Give 0.0.",
            answer=_scores(undefined=(1.0, 1.0)),
        ),
        Mistake(
            message='These are the scores of "no". Count what is said to be there, and what is there.',
            answer=lambda said, true: probe_scores(~said, ~true),
        ),
        Mistake(
            message="Only right answers of yes count for accuracy. A no to what is absent is right, too.",
            answer=lambda said, true: ((said & true).sum().item() / len(said), *probe_scores(said, true)[1:]),
        ),
        Mistake(
            message="Recall is divided by all questions. Divide by the number of things that are there.",
            answer=lambda said, true: (
                *probe_scores(said, true)[:2],
                (said & true).sum().item() / len(said),
                probe_scores(said, true)[3],
            ),
        ),
        Mistake(
            message="The last number is how often the thing is there. It must be how often yes was said.",
            answer=lambda said, true: (*probe_scores(said, true)[:3], true.sum().item() / len(true)),
        ),
        Mistake(
            message="The last number is how often no was said. It must be how often yes was.",
            answer=_scores(result=lambda *scores: (*scores[:3], 1 - scores[3])),
        ),
        Mistake(
            message="The last number is F1. It must be how often yes was said.",
            answer=_scores(result=lambda *scores: (*scores[:3], _f1(*scores[1:3]))),
        ),
        Mistake(
            message="These are percent. Give shares from 0 to 1.",
            answer=_scores(result=lambda *scores: tuple(100 * score for score in scores)),
        ),
    ),
    hints=(
        "`(said & true).sum()` counts the rightly said yes, `(said == true).sum()` all right answers.",
        "Precision divides the first by `said.sum()`, recall by `true.sum()`; the rate is `said.sum()` over all.",
        "Write `both / yes if yes else 0.0`, where nobody may have said yes; `.item()` makes plain numbers.",
    ),
)
