"""01-merge-heads: bring the heads of one token back side by side."""

from __future__ import annotations

from mmcourse import attention
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import normal


def merge_heads(x):
    batch, heads, tokens, size = x.shape
    return x.transpose(1, 2).reshape(batch, tokens, heads * size)


EXERCISE = Exercise(
    id="01-merge-heads",
    title="Merge the heads",
    goal="bring the heads of one token back side by side",
    stars=2,
    minutes=10,
    points=2,
    reference=merge_heads,
    ready_made=(attention.merge_heads,),
    cases=(
        Case(name="2 sequences, 3 heads, 4 tokens, head size 5", inputs=normal((2, 3, 4, 5))),
        Case(name="as many tokens as heads", inputs=normal((1, 4, 4, 2))),
        Case(name="undoes splitting", inputs=normal((2, 2, 6, 3))),
    ),
    mistakes=(
        Mistake(
            message="The heads are merged without transposing: the numbers are read in memory order, so channels of "
            "different tokens get mixed. Swap heads and tokens first.",
            answer=lambda x: x.reshape(x.shape[0], x.shape[2], -1),
        ),
        Mistake(
            message="The channels are interleaved: the first channel of every head, then the second. Head 0 should "
            "come whole, then head 1: transpose to (B, T, H, D).",
            answer=lambda x: x.permute(0, 2, 3, 1).flatten(2),
        ),
        Mistake(
            message="The heads are averaged. They are put side by side, so that each keeps what it found.",
            answer=lambda x: x.mean(dim=1),
        ),
        Mistake(
            message="The heads are added up. They are put side by side, so that each keeps what it found.",
            answer=lambda x: x.sum(dim=1),
        ),
        Mistake(
            message="The heads are joined along the tokens. The number of tokens stays T; the channels become H·D.",
            answer=lambda x: x.flatten(1, 2),
        ),
        Mistake(
            message="Heads and tokens are swapped, but not merged: the last two dimensions (H, D) must become one.",
            answer=lambda x: x.transpose(1, 2),
        ),
    ),
    hints=(
        "Which two dimensions have to be neighbors before they can become one?",
        "`x.transpose(1, 2)` turns (B, H, T, D) into (B, T, H, D).",
        "Follow it with `.flatten(2)` or `.reshape(batch, tokens, heads * size)`.",
    ),
)
