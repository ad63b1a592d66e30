"""11-dot-as-distance: turn a search by dot product into a search by distance with one more coordinate."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def lift(table, queries):
    squares = table.square().sum(dim=1, keepdim=True)
    more = (squares.max() - squares).sqrt()
    return torch.cat((table, more), dim=1), torch.cat((queries, torch.zeros(len(queries), 1)), dim=1)


def _inputs(count, asked, width):
    def inputs(generator):
        table = torch.randn(count, width, generator=generator) * (0.3 + 2 * torch.rand(count, 1, generator=generator))
        return table, torch.randn(asked, width, generator=generator)

    return inputs


def _lifted(*, more=None, query=None, swapped=False, front=False):
    """A lift with another last coordinate of the table or of the queries, or with it in another place."""

    def answer(table, queries):
        squares = table.square().sum(dim=1, keepdim=True)
        last = (squares.max() - squares).sqrt() if more is None else more(squares)
        own = torch.zeros(len(queries), 1) if query is None else query(queries, squares)
        sides = [(last, table), (own, queries)] if front else [(table, last), (queries, own)]
        lifted = [torch.cat(side, dim=1) for side in sides]
        return tuple(lifted[::-1] if swapped else lifted)

    return answer


EXERCISE = Exercise(
    id="11-dot-as-distance",
    title="One more coordinate",
    goal="turn a search by dot product into a search by distance with one more coordinate",
    stars=2,
    minutes=12,
    points=2,
    reference=lift,
    nothing_ready="the library searches by dot product directly and has no such step",
    cases=(
        Case(name="30 vectors, four queries", inputs=_inputs(30, 4, 5)),
        Case(name="seven vectors, ten queries", inputs=_inputs(7, 10, 3)),
        Case(name="one vector", inputs=_inputs(1, 2, 4)),
    ),
    mistakes=(
        Mistake(
            message="The root is missing: the new coordinate is squared in the length, so it must be √(M² − |x|²).",
            answer=_lifted(more=lambda squares: squares.max() - squares),
        ),
        Mistake(
            message="The new coordinate is the difference of the lengths. Take the root of the difference of squares.",
            answer=_lifted(more=lambda squares: squares.max().sqrt() - squares.sqrt()),
        ),
        Mistake(
            message="The new coordinate is 0 for all, so the lengths still differ.",
            answer=_lifted(more=torch.zeros_like),
        ),
        Mistake(
            message="The new coordinate is the length itself. Long vectors need the small one: √(M² − |x|²).",
            answer=_lifted(more=lambda squares: squares.sqrt()),
        ),
        Mistake(
            message="Each vector is compared with the shortest one, and a negative number has no root. M belongs to "
            "the longest.",
            answer=_lifted(more=lambda squares: (squares.min() - squares).sqrt()),
        ),
        Mistake(
            message="The queries get a 1 in the new place, which changes every dot product. Give them a 0.",
            answer=_lifted(query=lambda queries, squares: torch.ones(len(queries), 1)),
        ),
        Mistake(
            message="The queries are lifted like the table, which changes every dot product. Give them a 0.",
            answer=_lifted(
                query=lambda queries, squares: (
                    (squares.max() - queries.square().sum(dim=1, keepdim=True)).clamp(min=0).sqrt()
                )
            ),
        ),
        Mistake(
            message="The table is brought to length 1. That throws the lengths away, which a dot product needs.",
            answer=lambda table, queries: (
                torch.cat((F.normalize(table, dim=1), torch.zeros(len(table), 1)), dim=1),
                torch.cat((queries, torch.zeros(len(queries), 1)), dim=1),
            ),
        ),
        Mistake(message="The two results are in the other order: first the table.", answer=_lifted(swapped=True)),
        Mistake(message="The new coordinate stands first. Put it last.", answer=_lifted(front=True)),
    ),
    hints=(
        "With |q − x|² = |q|² − 2 q·x + |x|², the order by distance is that by dot product once all |x| are equal.",
        "The new coordinate of a vector x is √(M² − |x|²), with M the length of the longest; that of a query is 0.",
        "`squares = table.square().sum(dim=1, keepdim=True)`, then `(squares.max() - squares).sqrt()` as a column.",
    ),
)
