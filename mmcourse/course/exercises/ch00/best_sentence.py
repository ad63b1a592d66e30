"""00-best-sentence: Read a table of scores the right way round: this is retrieval.."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcourse.course.exercise import Case, Exercise, Mistake


def best_sentence(scores: Tensor) -> Tensor:
    """The reference for `00-best-sentence`: scores (P, S) -> for each picture the number of its best sentence (P,)."""
    return scores.argmax(dim=1)


def _scores(pictures: int, sentences: int):
    return lambda generator: (torch.randn(pictures, sentences, generator=generator),)


def _negative_scores(generator: torch.Generator) -> tuple[Tensor]:
    return (-1 - torch.rand(5, 5, generator=generator),)


EXERCISE = Exercise(
    id="00-best-sentence",
    title="Which sentence fits this picture best?",
    goal="Read a table of scores the right way round: this is retrieval.",
    stars=2,
    minutes=6,
    points=2,
    reference=best_sentence,
    nothing_ready="argmax is the answer itself; along which dimension is the exercise",
    cases=(
        Case(name="a table of 4 pictures and 4 sentences", inputs=_scores(4, 4)),
        Case(name="a table of 3 pictures and 6 sentences", inputs=_scores(3, 6)),
        Case(name="a table of 6 pictures and 3 sentences", inputs=_scores(6, 3)),
        Case(name="a table in which every score is negative", inputs=_negative_scores),
    ),
    mistakes=(
        Mistake(
            message="You searched down the columns: that finds the best picture for each sentence. Rows are "
            "pictures, so "
            "search along dim=1.",
            answer=lambda scores: scores.argmax(dim=0),
        ),
        Mistake(
            message="You returned the best scores themselves. Return where they stand: argmax, or .indices of max.",
            answer=lambda scores: scores.max(dim=1).values,
        ),
        Mistake(
            message="You returned the worst sentence of each picture. A high score means that they fit: argmax.",
            answer=lambda scores: scores.argmin(dim=1),
        ),
        Mistake(
            message="Without dim, argmax looks for one single place in the whole table. Say dim=1 for one answer "
            "per row.",
            answer=lambda scores: scores.argmax(),
        ),
        Mistake(
            message="You returned the whole ranking of each row, worst to best or best to worst. Keep the best "
            "place only.",
            answer=lambda scores: scores.argsort(dim=1, descending=True),
        ),
        Mistake(
            message="You returned the result of max as a pair of values and places. Return only the places: .indices.",
            answer=lambda scores: tuple(scores.max(dim=1)),
        ),
        Mistake(
            message="You took the best absolute value, so a strongly negative score wins. Negative means: does not "
            "fit.",
            answer=lambda scores: scores.abs().argmax(dim=1),
        ),
    ),
    hints=(
        "One row of the table belongs to one picture. The answer has one number per row.",
        "torch has a function for the place of the largest value: argmax. Its argument dim says along which axis.",
        "The axis that disappears is the one of the sentences, the last: dim=1.",
    ),
)
