"""11-average-precision: judge a whole ranking with several right answers by one number."""

from __future__ import annotations

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def average_precision(right):
    places = torch.arange(1, len(right) + 1)
    precision = right.cumsum(dim=0) / places
    return precision[right].mean().item()


def _ranking(count, wanted):
    """A ranking of `count` items, of which `wanted` are right, the first place wrong or right by chance."""

    def inputs(generator):
        right = torch.zeros(count, dtype=torch.bool)
        right[torch.randperm(count, generator=generator)[:wanted]] = True
        return (right,)

    return inputs


def _all_at_the_end(count):
    def inputs(generator):
        right = torch.zeros(count + int(torch.randint(9, (1,), generator=generator)), dtype=torch.bool)
        right[-2:] = True
        return (right,)

    return inputs


def _averaged(*, precision=None, end=None):
    """The same with another precision at each place, or another summary of (precision, right)."""

    def answer(right):
        places = torch.arange(1, len(right) + 1)
        at = right.cumsum(dim=0) / places if precision is None else precision(right, places)
        return (at[right].mean() if end is None else end(at, right)).item()

    return answer


EXERCISE = Exercise(
    id="11-average-precision",
    title="A whole ranking in one number",
    goal="judge a whole ranking with several right answers by one number",
    stars=2,
    minutes=10,
    points=2,
    reference=average_precision,
    ready_made=(metrics.mean_average_precision, metrics.retrieval),
    cases=(
        Case(name="four right answers among 20", inputs=_ranking(20, 4)),
        Case(name="nine among 30", inputs=_ranking(30, 9)),
        Case(name="one among 15: its reciprocal rank", inputs=_ranking(15, 1)),
        Case(name="the right ones come last", inputs=_all_at_the_end(12)),
    ),
    mistakes=(
        Mistake(
            message="The precision is averaged over all places. Average it over the places of right answers.",
            answer=_averaged(end=lambda at, right: at.mean()),
        ),
        Mistake(
            message="The precisions are added up and divided by the length of the ranking. Divide by the number of "
            "right answers.",
            answer=_averaged(end=lambda at, right: at[right].sum() / len(right)),
        ),
        Mistake(
            message="The precisions are added up. Divide by the number of right answers.",
            answer=_averaged(end=lambda at, right: at[right].sum()),
        ),
        Mistake(
            message="Places begin at 0 here, so the first one is divided by 0. Of the first g items, g is the number.",
            answer=_averaged(precision=lambda right, places: right.cumsum(dim=0) / (places - 1)),
        ),
        Mistake(
            message="Every place is taken one too late: of the first g items, g is the number.",
            answer=_averaged(precision=lambda right, places: right.cumsum(dim=0) / (places + 1)),
        ),
        Mistake(
            message="This is recall at each place. Precision divides the right ones so far by the items so far.",
            answer=_averaged(precision=lambda right, places: right.cumsum(dim=0) / right.sum()),
        ),
        Mistake(
            message="This is the mean reciprocal rank of all right answers. At each, count the right ones so far.",
            answer=_averaged(precision=lambda right, places: 1 / places),
        ),
        Mistake(
            message="Only the first right answer counts: that is the reciprocal rank.",
            answer=_averaged(end=lambda at, right: at[right][0]),
        ),
        Mistake(
            message="Only the last right answer counts.",
            answer=_averaged(end=lambda at, right: at[right][-1]),
        ),
        Mistake(
            message="This is the share of right items in the whole list, which no order can change.",
            answer=_averaged(end=lambda at, right: right.double().mean()),
        ),
        Mistake(
            message="The ranking is read from its end.",
            answer=lambda right: average_precision(right.flip(0)),
        ),
        Mistake(
            message="The median is taken. Average precision is a mean.",
            answer=_averaged(end=lambda at, right: at[right].median()),
        ),
    ),
    hints=(
        "`right.cumsum(dim=0)` counts the right items down to each place.",
        "Divided by the places 1, 2, 3, … it is the precision at each place.",
        "`precision[right].mean()` keeps the places where a right item stands.",
    ),
)
