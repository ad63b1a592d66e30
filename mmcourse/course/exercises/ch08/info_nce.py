"""08-info-nce: read a square of logits as N choices among texts and N choices among pictures."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse import losses
from mmcourse.course.exercise import Case, Exercise, Mistake


def info_nce(logits):
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _logits(count, spread, gap):
    def inputs(generator):
        return (spread * torch.randn(count, count, generator=generator) + gap * torch.eye(count),)

    return inputs


def _directions(one):
    """The mean over both directions of another loss of one direction, which sees one choice a row."""
    return lambda logits: (one(logits) + one(logits.T)) / 2


def _without_the_right_one(logits):
    others = logits.masked_fill(torch.eye(len(logits), dtype=torch.bool), -torch.inf)
    return (others.logsumexp(dim=1) - logits.diagonal()).mean()


def _plain_exponentials(logits):
    return -(logits.exp().diagonal() / logits.exp().sum(dim=1)).log().mean()


EXERCISE = Exercise(
    id="08-info-nce",
    title="Two questions, one loss",
    goal="read a square of logits as N choices among texts and N choices among pictures",
    stars=2,
    minutes=10,
    points=2,
    reference=info_nce,
    ready_made=(losses.info_nce,),
    cases=(
        Case(name="five pairs", inputs=_logits(5, 1.5, 2.0)),
        Case(name="a single pair, nothing to choose", inputs=_logits(1, 1.0, 0.0)),
        Case(name="logits beyond 100", inputs=_logits(7, 70.0, 60.0)),
    ),
    mistakes=(
        Mistake(
            message="Only the rows are asked: which text belongs to this picture? The columns ask the other way round.",
            answer=lambda logits: F.cross_entropy(logits, torch.arange(len(logits))),
        ),
        Mistake(
            message="Only the columns are asked: which picture belongs to this text? The rows ask the other way round.",
            answer=lambda logits: F.cross_entropy(logits.T, torch.arange(len(logits))),
        ),
        Mistake(
            message="Both directions are added. Take their mean.",
            answer=lambda logits: 2 * info_nce(logits),
        ),
        Mistake(
            message="The pairs are added up. Take the mean over the N choices, so that the loss does not grow with the "
            "batch for that reason alone.",
            answer=lambda logits: len(logits) * info_nce(logits),
        ),
        Mistake(
            message="The sign is missing: the loss is minus the log-probability of the right answer.",
            answer=lambda logits: -info_nce(logits),
        ),
        Mistake(
            message="The softmax runs over the whole square. Each row is a choice of its own, and each column is.",
            answer=lambda logits: -logits.flatten().log_softmax(dim=0).view_as(logits).diagonal().mean(),
        ),
        Mistake(
            message="This is the mean over all entries. Only the diagonal holds the right answers.",
            answer=_directions(lambda logits: -logits.log_softmax(dim=1).mean()),
        ),
        Mistake(
            message="The right answer is taken to be number 0 in every row. In row i it is number i.",
            answer=_directions(
                lambda logits: F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long)),
            ),
        ),
        Mistake(
            message="This is one minus the probability of the right answer. Cross-entropy takes minus its logarithm.",
            answer=_directions(lambda logits: (1 - logits.softmax(dim=1).diagonal()).mean()),
        ),
        Mistake(
            message="This is the logarithm of the mean probability. Take the logarithm of each, then the mean.",
            answer=_directions(lambda logits: -logits.softmax(dim=1).diagonal().mean().log()),
        ),
        Mistake(
            message="A softmax has been applied before cross_entropy, which has one inside: it wants logits.",
            answer=_directions(
                lambda logits: F.cross_entropy(logits.softmax(dim=1), torch.arange(len(logits))),
            ),
        ),
        Mistake(
            message="The right answer is left out below the fraction. It is one of the N that compete.",
            answer=_directions(_without_the_right_one),
        ),
        Mistake(
            message="exp of a large logit overflows: infinity divided by infinity is not a number. Use log_softmax or "
            "cross_entropy, as in chapter 02.",
            answer=_directions(_plain_exponentials),
        ),
    ),
    hints=(
        "Row i is a classification among N texts with the right class i. Chapter 02's cross-entropy does the rest.",
        "`F.cross_entropy(logits, torch.arange(N))` is the loss of the rows; the columns are the rows of `logits.T`.",
        "`(F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2`.",
    ),
)
