"""11-nearest: find the k best rows of a table, and of equal ones always the same."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse import retrieval
from mmcourse.course.exercise import Case, Exercise, Mistake


def nearest(query, table, k):
    return (table @ query).argsort(descending=True, stable=True)[:k]


def _random(count, width, k):
    """Vectors of many lengths, so that dot product, cosine and distance put them in different orders."""

    def inputs(generator):
        table = torch.randn(count, width, generator=generator)
        lengths = 0.5 + 2 * torch.rand(count, 1, generator=generator)
        return torch.randn(width, generator=generator), table * lengths, k

    return inputs


def _tied(count, k):
    """Small whole numbers: exact, and full of equal scores."""

    def inputs(generator):
        table = torch.randint(-1, 2, (count, 3), generator=generator).float()
        return torch.tensor([1.0, 2.0, 1.0]), table, k

    return inputs


_TIES = "Of equal scores any may come first here. Let the row with the smaller number win: sort with `stable=True`."


EXERCISE = Exercise(
    id="11-nearest",
    title="The k best rows",
    goal="find the k best rows of a table, and of equal ones always the same",
    stars=1,
    minutes=6,
    points=1,
    reference=nearest,
    ready_made=(retrieval.nearest,),
    cases=(
        Case(name="50 vectors, the best five", inputs=_random(50, 6, 5)),
        Case(name="200 vectors, the best one", inputs=_random(200, 4, 1)),
        Case(name="40 vectors with many equal scores", inputs=_tied(40, 12)),
        Case(name="all of seven", inputs=_random(7, 3, 7)),
    ),
    mistakes=(
        Mistake(message=_TIES, answer=lambda query, table, k: (table @ query).topk(k).indices),
        Mistake(message=_TIES, answer=lambda query, table, k: (table @ query).argsort(descending=True)[:k]),
        Mistake(
            message="Of equal scores the larger number comes first: turning a sorted list round turns ties round, too.",
            answer=lambda query, table, k: (table @ query).argsort(stable=True).flip(0)[:k],
        ),
        Mistake(
            message="The smallest scores come first. A dot product is large where two vectors agree.",
            answer=lambda query, table, k: (table @ query).argsort(stable=True)[:k],
        ),
        Mistake(
            message="These are the scores. Return the numbers of the rows.",
            answer=lambda query, table, k: (table @ query).sort(descending=True, stable=True).values[:k],
        ),
        Mistake(
            message="The vectors are brought to length 1 first: that is the cosine. Here the dot product counts.",
            answer=lambda query, table, k: nearest(query, F.normalize(table, dim=1), k),
        ),
        Mistake(
            message="These are the rows with the smallest Euclidean distance. Here the dot product counts.",
            answer=lambda query, table, k: (table - query).norm(dim=1).argsort(stable=True)[:k],
        ),
        Mistake(
            message="These are the rows themselves. Return their numbers.",
            answer=lambda query, table, k: table[nearest(query, table, k)],
        ),
        Mistake(
            message="All rows are returned. Cut the list after k.",
            answer=lambda query, table, k: nearest(query, table, len(table)),
        ),
        Mistake(
            message="The best row is left out. Positions begin at 0.",
            answer=lambda query, table, k: (table @ query).argsort(descending=True, stable=True)[1 : k + 1],
        ),
    ),
    hints=(
        "`table @ query` gives the score of every row: (N, D) @ (D,) -> (N,).",
        "`argsort(descending=True)` gives the numbers of the rows, the best first.",
        "`(table @ query).argsort(descending=True, stable=True)[:k]`: stable leaves equal scores in their old order.",
    ),
)
