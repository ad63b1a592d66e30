"""03-bigram: turn counts into probabilities, with no zero among them."""

from __future__ import annotations

import torch

from mmcourse import lm
from mmcourse.course.exercise import Case, Exercise, Mistake


def bigram_probabilities(counts, k):
    weights = counts + k
    return weights / weights.sum(dim=1, keepdim=True)


def _counts(size, k):
    """Inputs: a table of counts with many zeros, and k."""
    return lambda generator: (torch.randint(0, 6, (size, size), generator=generator).sub(2).clamp(min=0).float(), k)


EXERCISE = Exercise(
    id="03-bigram",
    title="From counts to a bigram model",
    goal="turn counts into probabilities, with no zero among them",
    stars=1,
    minutes=5,
    points=1,
    reference=bigram_probabilities,
    ready_made=(lm.Bigram.log_probabilities,),
    cases=(
        Case(name="five words, k = 1", inputs=_counts(5, 1.0)),
        Case(name="eight words, k = 0.1", inputs=_counts(8, 0.1)),
        Case(name="a word that was never seen", inputs=lambda generator: (torch.tensor([[2.0, 1.0], [0.0, 0.0]]), 0.5)),
    ),
    mistakes=(
        Mistake(
            message="The columns sum to 1. Each *row* is a distribution over what follows: sum over dim=1.",
            answer=lambda c, k: (c + k) / (c + k).sum(dim=0, keepdim=True),
        ),
        Mistake(
            message="k is not used, so pairs never seen have probability 0 and an infinite loss.",
            answer=lambda c, k: c / c.sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="The rows sum to more than 1: k is added to every count, so V·k is added to the sum of a row.",
            answer=lambda c, k: (c + k) / c.sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="k is added to the sum of the row once. It is added to V counts: the sum grows by V·k.",
            answer=lambda c, k: (c + k) / (c.sum(dim=1, keepdim=True) + k),
        ),
        Mistake(
            message="k is added to the probabilities. Add it to the counts, before you divide.",
            answer=lambda c, k: c / c.sum(dim=1, keepdim=True) + k,
        ),
        Mistake(
            message="The whole table sums to 1: that is the probability of a pair. Given the first word, each row "
            "sums to 1.",
            answer=lambda c, k: (c + k) / (c + k).sum(),
        ),
        Mistake(
            message="Each row is divided by the sum of another one: without `keepdim=True`, broadcasting lays the sums "
            "along the columns.",
            answer=lambda c, k: (c + k) / (c + k).sum(dim=1),
        ),
        Mistake(
            message="This is a softmax of the counts. Counts are weights already: add k and divide by the sum.",
            answer=lambda c, k: (c + k).softmax(dim=1),
        ),
    ),
    hints=(
        "Add k to every count first.",
        "The sum of a row is `.sum(dim=1, keepdim=True)`, shape (V, 1).",
        "(counts + k) divided by the sums of its rows; check that every row sums to 1.",
    ),
)
