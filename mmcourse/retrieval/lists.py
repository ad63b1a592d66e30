"""Inverted lists: vectors sorted into groups around centers, of which a search opens only the nearest few.

Sivic and Zisserman, "Video Google" (2003), brought the idea from text to pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcourse.retrieval.clusters import assign
from mmcourse.retrieval.neighbors import Neighbors, in_order, nearest, nothing

Score = Callable[[int, list[int]], Tensor]  # of a query and some lists, by their numbers, with all rows of these: (n,)


class Lists(NamedTuple):
    """Rows sorted by list: list l holds rows `starts[l]` to `starts[l + 1]` of `order`, the ids of the vectors."""

    centers: Tensor  # (L, D)
    starts: Tensor  # int64 (L + 1,)
    order: Tensor  # int64 (N,)


class Searched(NamedTuple):
    """Neighbors, and how many vectors were looked at for each query."""

    neighbors: Neighbors
    scanned: Tensor  # int64 (Q,)


def sort_into_lists(vectors: Tensor, centers: Tensor) -> Lists:
    """Puts each vector (N, D) into the list of its nearest center."""
    owner = assign(vectors, centers)
    sizes = owner.bincount(minlength=len(centers))
    starts = torch.cat((sizes.new_zeros(1), sizes.cumsum(0)))
    return Lists(centers, starts, owner.argsort(stable=True))


def search_lists(
    lists: Lists,
    queries: Tensor,
    k: int,
    probes: int,
    score: Score,
    *,
    metric: str = "dot",
) -> Searched:
    """The k best rows of the `probes` lists whose centers are nearest to each query (Q, D).

    Args:
        score: `score(query, numbers)` gives the scores (n,) of the query of this number with all rows of these lists.
        metric: which centers are near.
    """
    if len(queries) == 0:
        return Searched(nothing(0, k, queries), torch.zeros(0, dtype=torch.int64, device=queries.device))
    opened = nearest(queries, lists.centers, min(probes, len(lists.centers)), metric=metric).ids  # (Q, probes)
    numbers = opened.tolist()
    best = [_padded(score(query, of_query), k + 1).topk(k + 1) for query, of_query in enumerate(numbers)]
    scores, places = torch.stack([top.values for top in best]), torch.stack([top.indices for top in best])
    ends = lists.starts[1:][opened]
    passed = (ends - lists.starts[opened]).cumsum(dim=1)  # rows up to the end of each opened list
    turn = torch.searchsorted(passed, places, right=True).clamp(max=passed.shape[1] - 1)  # the list of each place
    rows, missing = (ends - passed).gather(1, turn) + places, scores.isneginf()
    ids = lists.order[rows.masked_fill(missing, 0)].masked_fill(missing, -1)
    for query in (scores.diff(dim=1) == 0).any(dim=1).nonzero()[:, 0].tolist():  # of equal ones, any was taken
        known = torch.cat([lists.order[lists.starts[number] : lists.starts[number + 1]] for number in numbers[query]])
        every, found = in_order(score(query, numbers[query])[None], known[None]), min(k, len(known))
        scores[query, :found], ids[query, :found] = every.scores[0, :found], every.ids[0, :found]
    return Searched(Neighbors(scores[:, :k], ids[:, :k]), passed[:, -1])


def _padded(scores: Tensor, length: int) -> Tensor:
    """At least `length` scores, the last ones those of nothing."""
    return scores if len(scores) >= length else F.pad(scores, (0, length - len(scores)), value=-torch.inf)
