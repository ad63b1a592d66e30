"""01-causal-mask: say with a mask which token may look at which."""

from __future__ import annotations

import torch

from mmcourse import attention
from mmcourse.course.exercise import Case, Exercise, Mistake


def causal_mask(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def _length(generator):
    return (int(torch.randint(9, 40, (), generator=generator)),)


EXERCISE = Exercise(
    id="01-causal-mask",
    title="Nobody sees the future",
    goal="say with a mask which token may look at which",
    stars=1,
    minutes=5,
    points=1,
    reference=causal_mask,
    ready_made=(attention.causal_mask,),
    cases=(
        Case(name="4 tokens", inputs=lambda generator: (4,)),
        Case(name="7 tokens", inputs=lambda generator: (7,)),
        Case(name="a single token sees itself", inputs=lambda generator: (1,)),
    ),
    fresh=(Case(name="a length of chance", inputs=_length),),
    mistakes=(
        Mistake(
            message="The mask is inverted: it is True for the future. Here True means “may attend”.",
            answer=lambda length: ~causal_mask(length),
        ),
        Mistake(
            message="The mask is turned over: each token sees itself and the future. Row i is the token that looks, "
            "column j the one looked at; keep j ≤ i.",
            answer=lambda length: causal_mask(length).mT.clone(),
        ),
        Mistake(
            message="The diagonal is missing: a token may look at itself. Else the first one could look at nothing.",
            answer=lambda length: causal_mask(length).tril(-1),
        ),
        Mistake(
            message="Everything is allowed. Set the places where the column lies after the row to False.",
            answer=lambda length: torch.ones(length, length, dtype=torch.bool),
        ),
        Mistake(
            message="The right pattern, but as numbers. A mask is bool in this course: True and False.",
            answer=lambda length: causal_mask(length).float(),
        ),
        Mistake(
            message="The right pattern, but as numbers. A mask is bool in this course: True and False.",
            answer=lambda length: causal_mask(length).long(),
        ),
        Mistake(
            message="This is the mask that is added to scores, 0 and −inf. The course uses bool: True may attend.",
            answer=lambda length: torch.zeros(length, length).masked_fill(~causal_mask(length), float("-inf")),
        ),
    ),
    hints=(
        "Write the 3 × 3 mask on paper: row i looks, column j is looked at, True when j ≤ i.",
        "`torch.arange(length)` compared with itself, once as a column and once as a row, gives the whole matrix.",
        "`torch.ones(length, length, dtype=torch.bool)` and `.tril()` do it in one line.",
    ),
)
