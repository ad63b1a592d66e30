"""06-interaction: measure how much of a score belongs to both modalities together."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def interaction(scores):
    return scores[:, 0, 0] + scores[:, 1, 1] - scores[:, 0, 1] - scores[:, 1, 0]


def _blocks(count):
    return lambda generator: (torch.randn(count, 2, 2, generator=generator),)


def _sum_of_two(generator):
    pictures, sentences = torch.randn(6, 2, 1, generator=generator), torch.randn(6, 1, 2, generator=generator)
    return (pictures + sentences,)


EXERCISE = Exercise(
    id="06-interaction",
    title="Do they talk to each other?",
    goal="measure how much of a score belongs to both modalities together",
    stars=1,
    minutes=5,
    points=1,
    reference=interaction,
    nothing_ready="no function of the library takes it apart",
    cases=(
        Case(name="seven blocks", inputs=_blocks(7), atol=1e-5),
        Case(name="one block", inputs=_blocks(1), atol=1e-5),
        Case(name="0 where the score is a sum of two", inputs=_sum_of_two, atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="The sign is turned around: the diagonal (own sentences) counts plus, the rest minus.",
            answer=lambda s: -interaction(s),
        ),
        Mistake(
            message="This is the sum of all four scores. Two of them count minus.",
            answer=lambda s: s.sum(dim=(1, 2)),
        ),
        Mistake(
            message="This compares the two pictures (rows). What a picture adds by itself must cancel: diagonal minus "
            "the other diagonal.",
            answer=lambda s: s[:, 0].sum(1) - s[:, 1].sum(1),
        ),
        Mistake(
            message="This compares the two sentences (columns). What a sentence adds by itself must cancel: diagonal "
            "minus the other diagonal.",
            answer=lambda s: s[:, :, 0].sum(1) - s[:, :, 1].sum(1),
        ),
        Mistake(
            message="This is the determinant. It multiplies the scores of a diagonal; here they are added.",
            answer=lambda s: torch.linalg.det(s),
        ),
        Mistake(
            message="Only the diagonal is added up (the trace). The other two scores have to be subtracted.",
            answer=lambda s: s.diagonal(dim1=1, dim2=2).sum(1),
        ),
        Mistake(
            message="The blocks are averaged into one number. Return one number for each block.",
            answer=lambda s: interaction(s).mean(),
        ),
        Mistake(
            message="You took the absolute value. The sign tells which diagonal the model likes better: keep it.",
            answer=lambda s: interaction(s).abs(),
        ),
    ),
    hints=(
        "scores[:, p, s] is the score of picture p with sentence s, for every block at once.",
        "Whatever depends on the picture alone must cancel, and whatever depends on the sentence alone, too.",
        "Both scores of the diagonal plus, the other two minus.",
    ),
)
