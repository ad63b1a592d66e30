"""01-attend-one: compute attention for a single query."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import normal
from mmcourse.course.exercises.ready import ATTENTION


def attend_one(query, keys, values):
    return torch.softmax(keys @ query, dim=0) @ values


def _divided_by_sum(query, keys, values):
    scores = keys @ query
    return (scores / scores.sum()) @ values


EXERCISE = Exercise(
    id="01-attend-one",
    title="One query looks things up",
    goal="compute attention for a single query",
    stars=1,
    minutes=5,
    points=1,
    reference=attend_one,
    ready_made=ATTENTION,
    cases=(
        Case(name="one query, four keys of size 3, values of size 3", inputs=normal((3,), (4, 3), (4, 3))),
        Case(name="values may have another size than keys", inputs=normal((8,), (5, 8), (5, 2))),
        Case(name="a single key gets all the weight", inputs=normal((4,), (1, 4), (1, 6))),
    ),
    mistakes=(
        Mistake(
            message="The raw scores are used as weights. Weights must be positive and add up to 1: put the scores "
            "through softmax first.",
            answer=lambda query, keys, values: (keys @ query) @ values,
        ),
        Mistake(
            message="The scores are divided by their sum, but never exponentiated. Scores can be negative; softmax "
            "takes exp first and then divides.",
            answer=_divided_by_sum,
        ),
        Mistake(
            message="The scores are exponentiated, but not divided by their sum, so the weights do not add up to 1.",
            answer=lambda query, keys, values: (keys @ query).exp() @ values,
        ),
        Mistake(
            message="This takes the value of the best key alone (argmax). Attention is the soft version: every value "
            "takes part, with its softmax weight.",
            answer=lambda query, keys, values: values[(keys @ query).argmax()],
        ),
        Mistake(
            message="This averages the keys. Keys decide the weights; what is averaged are the values.",
            answer=lambda query, keys, values: torch.softmax(keys @ query, dim=0) @ keys,
        ),
        Mistake(
            message="This is the plain mean of the values: the query has no influence. Weight each value by the "
            "softmax of its key's score.",
            answer=lambda query, keys, values: values.mean(dim=0),
        ),
        Mistake(
            message="You already divide by √d. That comes in section 3; here the score is the plain dot product.",
            answer=lambda query, keys, values: torch.softmax(keys @ query / query.shape[0] ** 0.5, dim=0) @ values,
        ),
    ),
    hints=(
        "There are three steps: a score for each key, weights from the scores, a weighted average of the values.",
        "`keys @ query` gives all scores at once: one dot product for each row of `keys`.",
        "`torch.softmax(scores, dim=0)` makes the weights, and `weights @ values` is the weighted average.",
    ),
)
