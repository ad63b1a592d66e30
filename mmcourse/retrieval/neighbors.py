"""Exact search: the nearest rows of a large table, block by block, so that the table of scores never exists as a whole.

Scores are "dot" products, "cosine"s, or "euclidean": minus the squared distance. The largest come first, and of equal
scores the one with the smaller number, so that the same table gives the same answer on every machine and in any blocks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

METRICS = ("dot", "cosine", "euclidean")
BLOCK = 1 << 22  # scores at once: 16 MiB, which a processor's cache still reads fast
FEW = 1 << 14  # scores that are not worth a plan


class Neighbors(NamedTuple):
    """What a search found for Q queries, the best first; where there are fewer than k, the rest is -inf and -1."""

    scores: Tensor  # (Q, k)
    ids: Tensor  # int64 (Q, k)


def nearest(queries: Tensor, table: Tensor, k: int, *, metric: str = "dot", block: int | None = None) -> Neighbors:
    """The k rows of `table` (N, D) with the largest scores for each of `queries` (Q, D).

    Args:
        block: rows of the table at once; as many as fit into `BLOCK` scores by default.
    Raises:
        ValueError: shapes do not fit, or a number is out of range.

    >>> nearest(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), 2).ids
    tensor([[1, 2]])
    """
    check(queries, table.shape[-1], k, metric)
    if table.dim() != 2:
        raise ValueError(f"table must be (N, {queries.shape[1]}), got {tuple(table.shape)}")
    if metric == "cosine":
        queries, table = F.normalize(queries, dim=1), F.normalize(table, dim=1)
    block = max(BLOCK // max(len(queries), 1), k, 1) if block is None else block
    found = nothing(len(queries), k, queries) if len(table) < max(k, 1) else None
    squares = table.square().sum(dim=1) if metric == "euclidean" else None
    for start in range(0, len(table), block):
        scores = queries @ table[start : start + block].T  # (Q, block)
        if squares is not None:
            scores = scores.mul_(2).sub_(squares[start : start + block])
        best = largest(scores, k)
        best = best._replace(ids=best.ids + start)
        found = best if found is None else merge(found, best, k)
    if squares is not None:  # -|q - x|² = 2 q·x - |x|² - |q|²; the last is the same for all x
        found = found._replace(scores=found.scores - queries.square().sum(dim=1, keepdim=True))
    return found


def largest(scores: Tensor, k: int) -> Neighbors:
    """The k largest of each row (Q, N) and their columns; of equal ones those that stand first."""
    values, columns = _top(scores, min(k + 1, scores.shape[1]))
    best = Neighbors(values[:, :k], columns[:, :k])
    tied = (values[:, 1:] == values[:, :-1]).any(dim=1)
    if tied.any():  # any of equal values may have been taken: where that matters, sort
        ordered, places = scores[tied].sort(dim=1, descending=True, stable=True)
        best.scores[tied], best.ids[tied] = ordered[:, :k], places[:, :k]
    return best


def _top(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`scores.topk(count)`, which looks into a group of scores only where its largest is among the largest."""
    size = math.isqrt(scores.shape[1] // count)
    if size < 4 or scores.numel() < FEW:
        return scores.topk(count, dim=1)
    groups = scores.shape[1] // size
    whole = scores[:, : groups * size].unflatten(1, (groups, size))
    opened = whole.amax(dim=-1).topk(count, dim=1).indices.unsqueeze(-1)  # (Q, count, 1)
    places = (opened * size + torch.arange(size, device=scores.device)).flatten(1)
    rest = torch.arange(groups * size, scores.shape[1], device=scores.device)
    places = torch.cat((places, rest.expand(len(scores), -1)), dim=1)
    values, chosen = scores.gather(1, places).topk(count, dim=1)
    return values, places.gather(1, chosen)


def in_order(scores: Tensor, ids: Tensor) -> Neighbors:
    """The same pairs, the largest score first and of equal ones the smallest id."""
    ids, by_id = ids.sort(dim=1)
    scores, by_score = scores.gather(1, by_id).sort(dim=1, descending=True, stable=True)
    return Neighbors(scores, ids.gather(1, by_score))


def merge(first: Neighbors, second: Neighbors, k: int) -> Neighbors:
    """The k best of both; an id must not be in both."""
    both = in_order(torch.cat((first.scores, second.scores), dim=1), torch.cat((first.ids, second.ids), dim=1))
    missing = both.scores.isneginf()
    ids = both.ids.masked_fill(missing, -1)
    return Neighbors(both.scores[:, :k], ids[:, :k])


def nothing(queries: int, k: int, like: Tensor) -> Neighbors:
    """Neighbors that are yet to be found."""
    ids = torch.full((queries, k), -1, dtype=torch.int64, device=like.device)
    return Neighbors(like.new_full((queries, k), -torch.inf), ids)


def check(queries: Tensor, width: int, k: int, metric: str) -> None:
    """Refuses what cannot be searched."""
    if queries.dim() != 2 or queries.shape[1] != width:
        raise ValueError(f"queries must be (Q, {width}), got {tuple(queries.shape)}")
    if not queries.is_floating_point():
        raise ValueError(f"queries must be floating-point numbers, got {queries.dtype}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
