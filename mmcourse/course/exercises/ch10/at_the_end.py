"""10-at-the-end: take from each row what stands at its question mark."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def at_the_end(features, ends):
    return features[torch.arange(len(ends)), ends]


def _rows(ends, length, channels=3):
    def inputs(generator):
        return torch.randn(len(ends), length, channels, generator=generator), torch.tensor(ends)

    return inputs


EXERCISE = Exercise(
    id="10-at-the-end",
    title="Where the answer stands",
    goal="take from each row what its question mark has found",
    stars=1,
    minutes=5,
    points=1,
    reference=at_the_end,
    nothing_ready="indexing with two tensors is the whole answer",
    cases=(
        Case(name="three questions of different length", inputs=_rows([4, 2, 6], 8)),
        Case(name="all of one length", inputs=_rows([5, 5], 6)),
        Case(name="one that fills its row, one of a single token", inputs=_rows([3, 0, 1, 2], 4, channels=5)),
    ),
    mistakes=(
        Mistake(
            message="The last column is taken. In a shorter question padding stands there: take the column that `ends` "
            "names for each row.",
            answer=lambda features, ends: features[:, -1],
        ),
        Mistake(
            message="That is one column too early. `ends` is the place of the question mark itself, counted from 0.",
            answer=lambda features, ends: features[torch.arange(len(ends)), ends - 1],
        ),
        Mistake(
            message="That is one column too late. `ends` is the place of the question mark itself, counted from 0.",
            answer=lambda features, ends: features[torch.arange(len(ends)), (ends + 1) % features.shape[1]],
        ),
        Mistake(
            message="Every row is read at every end: the result has shape (B, B, C). Pair row 0 with ends[0], "
            "row 1 with "
            "ends[1]: index rows and columns together.",
            answer=lambda features, ends: features[:, ends],
        ),
        Mistake(
            message="All rows are read at the end of the first question. Each has an end of its own.",
            answer=lambda features, ends: features[:, ends[0]],
        ),
        Mistake(
            message="The words up to the question mark are averaged. The question mark alone has read all of them.",
            answer=lambda features, ends: torch.stack(
                [row[: end + 1].mean(dim=0) for row, end in zip(features, ends, strict=True)]
            ),
        ),
    ),
    hints=(
        "For one row b the answer is `features[b, ends[b]]`, of shape (C,).",
        "Indexing with two tensors of the same length pairs them: `x[rows, columns]`.",
        "`torch.arange(len(ends))` are the rows.",
    ),
)
