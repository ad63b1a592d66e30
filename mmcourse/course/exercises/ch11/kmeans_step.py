"""11-kmeans-step: move each center to the mean of the vectors that are nearest to it."""

from __future__ import annotations

import torch

from mmcourse import retrieval
from mmcourse.course.exercise import Case, Exercise, Mistake


def kmeans_step(vectors, centers):
    owner = torch.cdist(vectors, centers).argmin(dim=1)
    moved = centers.clone()
    for number in owner.unique():
        moved[number] = vectors[owner == number].mean(dim=0)
    return moved, owner


def _groups(count, centers, width, *, empty=0):
    """Random vectors and centers of different lengths; the last `empty` centers are far from everybody."""

    def inputs(generator):
        vectors = torch.randn(count, width, generator=generator) + 1
        start = torch.randn(centers, width, generator=generator) * (
            0.5 + 2 * torch.rand(centers, 1, generator=generator)
        )
        start[centers - empty :] += 50
        return vectors, start

    return inputs


def _stepped(*, owners=None, middle=None, nobody=None):
    """A step with other owners, another middle of a group, or another place for centers that nobody is near."""

    def answer(vectors, centers):
        owner = torch.cdist(vectors, centers).argmin(dim=1) if owners is None else owners(vectors, centers)
        moved = centers.clone() if nobody is None else nobody(vectors, centers)
        for number in owner.unique():
            own = vectors[owner == number]
            moved[number] = own.mean(dim=0) if middle is None else middle(own, centers[number])
        return moved, owner

    return answer


def _by_division(vectors, centers):
    _, owner = kmeans_step(vectors, centers)
    sums = torch.zeros_like(centers).index_add_(0, owner, vectors)
    return sums / owner.bincount(minlength=len(centers))[:, None], owner


EXERCISE = Exercise(
    id="11-kmeans-step",
    title="One round of k-means",
    goal="move each center to the mean of the vectors that are nearest to it",
    stars=2,
    minutes=10,
    points=2,
    reference=kmeans_step,
    ready_made=(retrieval.kmeans,),
    cases=(
        Case(name="60 vectors, four centers", inputs=_groups(60, 4, 3)),
        Case(name="nobody is near two of six centers", inputs=_groups(40, 6, 2, empty=2)),
        Case(name="200 vectors, ten centers", inputs=_groups(200, 10, 5)),
    ),
    mistakes=(
        Mistake(
            message="A center that nobody is near becomes NaN: 0 / 0. Leave it where it is.",
            answer=_by_division,
        ),
        Mistake(
            message="A center that nobody is near moves to the origin. Leave it where it is.",
            answer=_stepped(nobody=lambda vectors, centers: torch.zeros_like(centers)),
        ),
        Mistake(
            message="A center that nobody is near moves to the mean of all vectors. Leave it where it is.",
            answer=_stepped(nobody=lambda vectors, centers: vectors.mean(dim=0).expand_as(centers).clone()),
        ),
        Mistake(
            message="The vectors go to the center with the largest dot product, which favors long centers. Take the "
            "smallest distance.",
            answer=_stepped(owners=lambda vectors, centers: (vectors @ centers.T).argmax(dim=1)),
        ),
        Mistake(
            message="The vectors go to the center that is farthest away.",
            answer=_stepped(owners=lambda vectors, centers: torch.cdist(vectors, centers).argmax(dim=1)),
        ),
        Mistake(
            message="The vectors of a group are added up. A center is their mean.",
            answer=_stepped(middle=lambda own, center: own.sum(dim=0)),
        ),
        Mistake(
            message="The center itself is counted as one of its vectors. Only the vectors count.",
            answer=_stepped(middle=lambda own, center: torch.cat((own, center[None])).mean(dim=0)),
        ),
        Mistake(
            message="This is the median of each coordinate. The mean makes the sum of squared distances smallest.",
            answer=_stepped(middle=lambda own, center: own.median(dim=0).values),
        ),
        Mistake(
            message="The centers move only half of the way.",
            answer=_stepped(middle=lambda own, center: (own.mean(dim=0) + center) / 2),
        ),
        Mistake(
            message="The vectors are assigned again after the centers have moved. Return the owners that moved them.",
            answer=lambda vectors, centers: (
                kmeans_step(vectors, centers)[0],
                torch.cdist(vectors, kmeans_step(vectors, centers)[0]).argmin(dim=1),
            ),
        ),
        Mistake(
            message="The centers have not moved.",
            answer=lambda vectors, centers: (centers, torch.cdist(vectors, centers).argmin(dim=1)),
        ),
    ),
    hints=(
        "`torch.cdist(vectors, centers)` is (N, L): the distance of every vector to every center.",
        "`owner = ….argmin(dim=1)`; the vectors of center l are `vectors[owner == l]`.",
        "Begin with `moved = centers.clone()`, so that a center without vectors stays, and set the others to a mean.",
    ),
)
