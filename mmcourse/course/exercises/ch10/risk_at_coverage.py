"""10-risk-at-coverage: how often an answerer is wrong if it may stay silent."""

from __future__ import annotations

import math

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def risk_at_coverage(confidence, right, coverage):
    answered = math.ceil(coverage * len(confidence))
    surest = confidence.argsort(descending=True)[:answered]
    return 1 - right[surest].float().mean()


def _answers(count, coverage, honest=True):
    """Answers with confidences that all differ; the surer ones are right more often, unless they are dishonest."""

    def inputs(generator):
        confidence = torch.randperm(count, generator=generator).float() / count
        sure = confidence if honest else 1 - confidence
        return confidence, torch.rand(count, generator=generator) < sure, coverage

    return inputs


def _in_turn(count, coverage):
    """From the surest answer on: wrong, right, wrong, right; so that one more or less is seen."""

    def inputs(generator):
        confidence = torch.randperm(count, generator=generator).float() / count
        return confidence, (-confidence).argsort().argsort() % 2 == 1, coverage

    return inputs


def _risk(order=None, share=None, answered=None):
    """Another order, another share of those answered, or another number of them."""

    def answer(confidence, right, coverage):
        number = math.ceil(coverage * len(right)) if answered is None else answered(coverage, len(right))
        places = confidence.argsort(descending=True) if order is None else order(confidence)
        mine = right[places[:number]].double()
        return 1 - mine.mean() if share is None else share(mine, len(right))

    return answer


EXERCISE = Exercise(
    id="10-risk-at-coverage",
    title="Silence has a price",
    goal="measure how often an answerer is wrong if it may stay silent",
    stars=2,
    minutes=10,
    points=2,
    reference=risk_at_coverage,
    ready_made=(metrics.risk_coverage,),
    cases=(
        Case(name="forty answers, half are given", inputs=_answers(40, 0.5)),
        Case(name="a quarter of nine: three are given", inputs=_in_turn(9, 0.25)),
        Case(name="all are given", inputs=_answers(12, 1.0)),
        Case(name="sure and wrong", inputs=_answers(30, 0.3, honest=False)),
    ),
    mistakes=(
        Mistake(
            message="The least sure answers are given. Sort by confidence, the highest first.",
            answer=_risk(order=lambda confidence: confidence.argsort()),
        ),
        Mistake(
            message="That is the accuracy of what is answered. The risk is the share that is wrong.",
            answer=_risk(share=lambda mine, count: mine.mean()),
        ),
        Mistake(
            message="Divided by all questions. The risk is the share of wrong ones among those that are *answered*.",
            answer=_risk(share=lambda mine, count: (1 - mine).sum() / count),
        ),
        Mistake(
            message="Too few are answered: of nine questions a quarter is 2.25, and at least that share is to be "
            "answered, "
            "so three. Round up.",
            answer=_risk(answered=lambda coverage, count: max(1, int(coverage * count))),
        ),
        Mistake(
            message="All questions are answered. Answer only the share that `coverage` names.",
            answer=_risk(answered=lambda coverage, count: count),
        ),
        Mistake(
            message="`coverage` is taken for a limit on the confidence. It is the share of questions that is answered, "
            "whatever their confidence.",
            answer=lambda confidence, right, coverage: 1 - right[confidence >= coverage].double().mean(),
        ),
        Mistake(
            message="The first questions are answered, sure or not. Sort by confidence first.",
            answer=_risk(order=lambda confidence: torch.arange(len(confidence))),
        ),
        Mistake(
            message="The wrong answers are counted. Divide by how many are given.",
            answer=_risk(share=lambda mine, count: (1 - mine).sum()),
        ),
    ),
    hints=(
        "Which questions are answered at all? Those with the highest confidence: how many are they?",
        "`confidence.argsort(descending=True)[:number]` are their places.",
        "The risk is 1 minus the mean of `right` at these places.",
    ),
)
