"""01-scaled-attention: write the formula for any number of leading dimensions."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import normal
from mmcourse.course.exercises.ready import ATTENTION


def scaled_attention(q, k, v):
    return torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v


def _scaled_by(factor, dim=-1):
    """Attention with another factor on the scores, or another softmax axis."""
    return lambda q, k, v: torch.softmax(q @ k.transpose(-2, -1) * factor(q, k), dim=dim) @ v


EXERCISE = Exercise(
    id="01-scaled-attention",
    title="Scaled dot-product attention",
    goal="write the formula for any number of leading dimensions",
    stars=2,
    minutes=10,
    points=2,
    reference=scaled_attention,
    ready_made=ATTENTION,
    cases=(
        Case(name="one sequence of 5 tokens, size 8", inputs=normal((5, 8), (5, 8), (5, 8))),
        Case(name="a batch of 2 with 3 heads", inputs=normal((2, 3, 4, 16), (2, 3, 4, 16), (2, 3, 4, 16))),
        Case(name="3 queries ask 7 keys", inputs=normal((2, 3, 8), (2, 7, 8), (2, 7, 5))),
    ),
    mistakes=(
        Mistake(
            message="The scores are not divided by √d. Without it their variance grows with the head size d.",
            answer=_scaled_by(lambda q, k: 1.0),
        ),
        Mistake(
            message="The softmax runs over the queries (dim=-2). Each query shares out its own attention, so it must "
            "run over the keys: the last dimension.",
            answer=_scaled_by(lambda q, k: q.shape[-1] ** -0.5, dim=-2),
        ),
        Mistake(
            message="The scores are divided by d. The variance of a dot product is d, so its standard deviation is √d: "
            "divide by that.",
            answer=_scaled_by(lambda q, k: 1 / q.shape[-1]),
        ),
        Mistake(
            message="The scores are multiplied by √d. They are too large already: divide.",
            answer=_scaled_by(lambda q, k: q.shape[-1] ** 0.5),
        ),
        Mistake(
            message="You divide by the root of the number of keys. The dot product adds up d products, one for each "
            "feature: take the last dimension of q.",
            answer=_scaled_by(lambda q, k: k.shape[-2] ** -0.5),
        ),
        Mistake(
            message="You divide by √d after the softmax, so the weights no longer add up to 1. Scale the scores first.",
            answer=lambda q, k, v: torch.softmax(q @ k.transpose(-2, -1), dim=-1) / q.shape[-1] ** 0.5 @ v,
        ),
        Mistake(
            message="The softmax is missing: the scaled scores are used as weights.",
            answer=lambda q, k, v: q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 @ v,
        ),
    ),
    hints=(
        "Work on the last two dimensions only: `k.transpose(-2, -1)` swaps them whatever stands before.",
        "The head size is `q.shape[-1]`; the scores have shape (…, T, S).",
        "`torch.softmax(scores / d**0.5, dim=-1) @ v`.",
    ),
)
