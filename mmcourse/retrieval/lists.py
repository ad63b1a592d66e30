"""Inverted lists: vectors sorted into groups around centers, of which a search opens only the nearest few.

Sivic and Zisserman, "Video Google" (2003), brought the idea from text to pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.retrieval.clusters import assign
from mmcourse.retrieval.neighbors import Neighbors, largest, merge, nearest, nothing

ROWS = 1 << 17  # compared at once


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
    score: Callable[[Tensor, Tensor, Tensor], Tensor],
    *,
    metric: str = "dot",
) -> Searched:
    """The k best rows of the `probes` lists whose centers are nearest to each query (Q, D).

    Args:
        score: `score(which, rows, numbers)` gives the scores (n, m) of queries `which` (n,) with rows (n, m) in the
            order of the lists, each in the list of its number (n, m).
        metric: which centers are near.
    """
    if len(queries) == 0:
        return Searched(nothing(0, k, queries), torch.zeros(0, dtype=torch.int64, device=queries.device))
    opened = nearest(queries, lists.centers, min(probes, len(lists.centers)), metric=metric).ids  # (Q, probes)
    sizes = lists.starts.diff()[opened]  # (Q, probes)
    scanned = sizes.sum(dim=1)
    together = max(1, ROWS // max(1, int(scanned.max())))
    parts = []
    for which in torch.arange(len(queries), device=queries.device).split(together):
        rows, numbers, real = _rows_of(lists, opened[which], sizes[which])
        scores = score(which, rows, numbers).masked_fill_(~real, -torch.inf)
        best = largest(scores, k, lists.order[rows])
        parts.append(merge(nothing(len(which), k, queries), best, k))  # filled up where there are fewer than k
    return Searched(Neighbors(*(torch.cat(part) for part in zip(*parts, strict=True))), scanned)


def _rows_of(lists: Lists, opened: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of all opened lists side by side, padded: rows, the numbers of their lists, which are real, (n, m)."""
    ends = sizes.cumsum(dim=1)
    places = torch.arange(max(1, int(ends[:, -1].max())), device=sizes.device).expand(len(sizes), -1).contiguous()
    turn = torch.searchsorted(ends, places, right=True).clamp(max=sizes.shape[1] - 1)  # which opened list it falls into
    numbers = opened.gather(1, turn)
    rows = lists.starts[numbers] + places - (ends - sizes).gather(1, turn)
    real = places < ends[:, -1:]
    return rows.masked_fill(~real, 0), numbers, real
