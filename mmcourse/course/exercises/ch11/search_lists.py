"""11-search-lists: open the lists of the nearest centers, and compare with nothing else."""

from __future__ import annotations

import torch

from mmcourse import retrieval
from mmcourse.course.exercise import Case, Exercise, Mistake


def search_lists(query, vectors, owner, centers, probes, k):
    opened = torch.cdist(query[None], centers)[0].argsort()[:probes]
    rows = torch.isin(owner, opened).nonzero()[:, 0]
    distances = torch.cdist(query[None], vectors[rows])[0]
    return rows[distances.argsort()[:k]], len(rows)


def _inputs(count, lists, probes, k, *, asked=0.3):
    """Vectors around centers of unequal popularity, and a query between the groups."""

    def inputs(generator):
        centers = 2 * torch.randn(lists, 4, generator=generator)
        place = (lists * torch.rand(count, generator=generator) ** 2).long()
        vectors = centers[place] + 0.8 * torch.randn(count, 4, generator=generator)
        owner = torch.cdist(vectors, centers).argmin(dim=1)
        start = vectors[torch.randint(count, (1,), generator=generator)[0]]
        return start + asked * torch.randn(4, generator=generator), vectors, owner, centers, probes, k

    return inputs


def _searched(*, opened=None, rows=None, found=None, count=None):
    """A search that opens other lists, looks at other rows, orders them otherwise or counts something else."""

    def answer(query, vectors, owner, centers, probes, k):
        near = torch.cdist(query[None], centers)[0].argsort()
        chosen = near[:probes] if opened is None else opened(query, centers, near, probes)
        seen = torch.isin(owner, chosen).nonzero()[:, 0] if rows is None else rows(owner, chosen)
        distances = (vectors[seen] - query).square().sum(dim=1)
        best = seen[distances.argsort()[:k]] if found is None else found(seen, distances, vectors[seen] @ query, k)
        return best, len(seen) if count is None else count(seen, chosen, vectors, centers)

    return answer


EXERCISE = Exercise(
    id="11-search-lists",
    title="Open a few lists",
    goal="open the lists of the nearest centers, and compare with nothing else",
    stars=2,
    minutes=12,
    points=3,
    reference=search_lists,
    ready_made=(retrieval.search_lists, retrieval.nearest),
    cases=(
        Case(name="300 vectors, three of twelve lists", inputs=_inputs(300, 12, 3, 5)),
        Case(name="one list only", inputs=_inputs(200, 8, 1, 3)),
        Case(name="more neighbors asked for than are seen", inputs=_inputs(60, 20, 2, 40)),
        Case(name="every list: the exact search", inputs=_inputs(100, 6, 6, 10, asked=2.0)),
    ),
    mistakes=(
        Mistake(
            message="Every vector is compared: exact, and nothing is saved. Keep only rows of opened lists.",
            answer=_searched(rows=lambda owner, chosen: torch.arange(len(owner))),
        ),
        Mistake(
            message="Only the nearest list is opened, whatever `probes` says.",
            answer=_searched(opened=lambda query, centers, near, probes: near[:1]),
        ),
        Mistake(
            message="The farthest lists are opened.",
            answer=_searched(opened=lambda query, centers, near, probes: near.flip(0)[:probes]),
        ),
        Mistake(
            message="The first lists are opened, not the nearest: sort the centers by their distance to the query.",
            answer=_searched(opened=lambda query, centers, near, probes: torch.arange(probes)),
        ),
        Mistake(
            message="One list too many is opened.",
            answer=_searched(opened=lambda query, centers, near, probes: near[: probes + 1]),
        ),
        Mistake(
            message="The lists are chosen by dot product and the vectors by distance. Use distances for both.",
            answer=_searched(
                opened=lambda query, centers, near, probes: (centers @ query).argsort(descending=True)[:probes]
            ),
        ),
        Mistake(
            message="The neighbors are numbered within what was looked at. Return `rows[…]`: the numbers that the "
            "vectors have in the whole table.",
            answer=_searched(found=lambda seen, distances, products, k: distances.argsort()[:k]),
        ),
        Mistake(
            message="The farthest of the opened vectors come first.",
            answer=_searched(found=lambda seen, distances, products, k: seen[distances.argsort(descending=True)[:k]]),
        ),
        Mistake(
            message="The opened vectors are put in order by dot product. Use the distance.",
            answer=_searched(found=lambda seen, distances, products, k: seen[products.argsort(descending=True)[:k]]),
        ),
        Mistake(
            message="The opened vectors are not put in order of their distance.",
            answer=_searched(found=lambda seen, distances, products, k: seen[:k]),
        ),
        Mistake(
            message="All vectors are counted. Count those that were compared with the query.",
            answer=_searched(count=lambda seen, chosen, vectors, centers: len(vectors)),
        ),
        Mistake(
            message="The opened lists are counted. Count the vectors in them.",
            answer=_searched(count=lambda seen, chosen, vectors, centers: len(chosen)),
        ),
        Mistake(
            message="The centers are counted, too. Here only the vectors count.",
            answer=_searched(count=lambda seen, chosen, vectors, centers: len(seen) + len(centers)),
        ),
    ),
    hints=(
        "`torch.cdist(query[None], centers)[0].argsort()[:probes]` are the numbers of the lists to open.",
        "`torch.isin(owner, opened).nonzero()[:, 0]` are the rows of the vectors in them.",
        "Sort the distances of `vectors[rows]` to the query; `rows[order[:k]]` are the neighbors, `len(rows)` "
        "is the count.",
    ),
)
