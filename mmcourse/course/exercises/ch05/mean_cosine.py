"""05-mean-cosine: measure anisotropy."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def mean_cosine(x):
    total = F.normalize(x, dim=1).sum(dim=0).square().sum()
    return (total - len(x)) / (len(x) * (len(x) - 1))


def _cosines(x):
    unit = F.normalize(x, dim=1)
    return unit @ unit.T


def _cloud(entries, width, shift):
    """Random vectors around a common one, with different lengths."""

    def inputs(generator):
        lengths = torch.rand(entries, 1, generator=generator) * 3 + 0.3
        return (lengths * (torch.randn(entries, width, generator=generator) + shift),)

    return inputs


def _absolute(x):
    return (_cosines(x).abs().sum() - len(x)) / (len(x) * (len(x) - 1))


EXERCISE = Exercise(
    id="05-mean-cosine",
    title="How narrow is the cone?",
    goal="measure anisotropy",
    stars=2,
    minutes=10,
    points=2,
    reference=mean_cosine,
    nothing_ready="cosine_similarity is a part; leaving out the diagonal is the exercise",
    cases=(
        Case(name="six vectors around zero", inputs=_cloud(6, 5, 0.0)),
        Case(name="40 vectors in a narrow cone", inputs=_cloud(40, 12, 2.0)),
        Case(name="two vectors", inputs=_cloud(2, 4, 0.5)),
    ),
    mistakes=(
        Mistake(
            message="Each vector is compared with itself, too: N cosines of 1 that say nothing. Leave them out.",
            answer=lambda x: _cosines(x).mean(),
        ),
        Mistake(
            message="The diagonal is left out of the sum, but you still divide by N². There are N(N − 1) pairs.",
            answer=lambda x: (_cosines(x).sum() - len(x)) / len(x) ** 2,
        ),
        Mistake(
            message="The diagonal is counted in the sum, but not in the number of pairs.",
            answer=lambda x: _cosines(x).sum() / (len(x) * (len(x) - 1)),
        ),
        Mistake(
            message="These are dot products: the lengths are still in them. Normalize the rows first.",
            answer=lambda x: (x.sum(dim=0).square().sum() - x.square().sum()) / (len(x) * (len(x) - 1)),
        ),
        Mistake(
            message="Only neighbors in the list are compared. Take all pairs of different rows.",
            answer=lambda x: F.cosine_similarity(x[:-1], x[1:]).mean(),
        ),
        Mistake(
            message="These are the cosines with the mean vector. Compare the vectors with each other.",
            answer=lambda x: F.cosine_similarity(x, x.mean(dim=0)[None]).mean(),
        ),
        Mistake(
            message="Absolute values are averaged, so opposite directions count as alike.",
            answer=_absolute,
        ),
        Mistake(
            message="The rows were centered first. That removes the cone that you are to measure.",
            answer=lambda x: mean_cosine(x - x.mean(dim=0)),
        ),
        Mistake(
            message="The columns are normalized (dim=0). A vector is a row: dim=1.",
            answer=lambda x: mean_cosine(x.T),
        ),
        Mistake(
            message="This is one minus the mean cosine, a distance.",
            answer=lambda x: 1 - mean_cosine(x),
        ),
        Mistake(
            message="Every pair is counted once, but divided by the number of pairs counted twice: half of it.",
            answer=lambda x: mean_cosine(x) / 2,
        ),
    ),
    hints=(
        "With rows of length 1, `x @ x.T` is the table of all cosines, (N, N).",
        "Its diagonal is 1. Take it away from the sum: `cosines.sum() - N`.",
        "There are N · (N − 1) pairs of different rows, each counted twice in the sum as well.",
    ),
)
