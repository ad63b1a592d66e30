"""06-low-rank-bilinear: multiply two modalities without writing the large tensor."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.fusion import vectors


def low_rank_bilinear(x, y, u, v, p):
    return ((x @ u.T) * (y @ v.T)) @ p.T


def _bilinear_inputs(batch, image, text, rank, outputs):
    def inputs(generator):
        shapes = ((batch, image), (batch, text), (rank, image), (rank, text), (outputs, rank))
        return tuple(torch.randn(shape, generator=generator) for shape in shapes)

    return inputs


EXERCISE = Exercise(
    id="06-low-rank-bilinear",
    title="A product that fits into memory",
    goal="multiply two modalities without writing the large tensor",
    stars=2,
    minutes=10,
    points=2,
    reference=low_rank_bilinear,
    ready_made=(vectors.low_rank_bilinear,),
    cases=(
        Case(name="different widths", inputs=_bilinear_inputs(4, 5, 3, 6, 2), atol=1e-4),
        Case(name="all widths equal, where shapes forgive", inputs=_bilinear_inputs(4, 4, 4, 4, 4), atol=1e-4),
        Case(name="rank one", inputs=_bilinear_inputs(3, 6, 2, 1, 3), atol=1e-4),
    ),
    mistakes=(
        Mistake(
            message="You add the two projections. A sum is late fusion again: multiply them, channel by channel.",
            answer=lambda x, y, u, v, p: ((x @ u.T) + (y @ v.T)) @ p.T,
        ),
        Mistake(
            message="The last map p is missing: these are the products themselves, one for each rank.",
            answer=lambda x, y, u, v, p: (x @ u.T) * (y @ v.T),
        ),
        Mistake(
            message="The products are added up. The map p weighs them, another weight for every output.",
            answer=lambda x, y, u, v, p: ((x @ u.T) * (y @ v.T)).sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="p is applied to the picture before the product. Multiply first, then map.",
            answer=lambda x, y, u, v, p: (x @ u.T @ p.T) * (y @ v.T @ p.T),
        ),
        Mistake(
            message="u and v are exchanged: u belongs to the picture x, v to the sentence y.",
            answer=lambda x, y, u, v, p: ((x @ v.T) * (y @ u.T)) @ p.T,
        ),
        Mistake(
            message="The matrices are not transposed. Each row of u is one direction of the picture: x @ u.T.",
            answer=lambda x, y, u, v, p: ((x @ u) * (y @ v)) @ p,
        ),
        Mistake(
            message="Pictures of the batch meet the sentences of all others (a matrix product). Multiply "
            "elementwise: each picture with its own sentence.",
            answer=lambda x, y, u, v, p: (x @ u.T) @ (y @ v.T).T,
        ),
        Mistake(
            message="There is a ReLU or tanh too many. This form is exactly bilinear: doubling x doubles the result.",
            answer=lambda x, y, u, v, p: ((x @ u.T).tanh() * (y @ v.T).tanh()) @ p.T,
        ),
    ),
    hints=(
        "Project both to the same length R: `x @ u.T` is (B, R), and so is `y @ v.T`.",
        "Multiply the two elementwise: still (B, R).",
        "At the end `@ p.T` takes (B, R) to (B, K).",
    ),
)
