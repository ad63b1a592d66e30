"""An index: vectors that can be added to, searched, saved and loaded again without reading them all.

Three kinds, from exact to small:

    flat     every vector is compared: exact
    lists    inverted lists: only the vectors of the nearest lists are compared
    codes    inverted lists that keep a few bytes for each vector: what is left after its center, product-quantized
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcourse.retrieval.clusters import kmeans
from mmcourse.retrieval.codes import ProductQuantizer
from mmcourse.retrieval.lists import Lists, Score, Searched, search_lists, sort_into_lists
from mmcourse.retrieval.neighbors import METRICS, Neighbors, check, in_order, nearest

KINDS = ("flat", "lists", "codes")


@dataclass(frozen=True, kw_only=True)
class IndexConfig:
    """What kind of index.

    Args:
        width: D, the length of its vectors.
        kind: one of `KINDS`.
        metric: "dot", "cosine" or "euclidean"; an index of codes has no euclidean one.
        lists: how many; by default 4·√N, as many as balances the two steps of a search.
        parts: bytes of a code.
    """

    width: int
    kind: str = "flat"
    metric: str = "cosine"
    lists: int | None = None
    parts: int = 8

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.metric not in METRICS:
            raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}")
        if self.kind == "codes" and (self.metric == "euclidean" or self.width % self.parts):
            raise ValueError(
                f"codes need a width that is a multiple of parts and the metric dot or cosine, got width {self.width}, "
                f"{self.parts} parts and {self.metric!r}"
            )


class Index:
    """Vectors to be searched. Ids are the numbers in the order of adding, from 0.

    >>> index = Index(IndexConfig(width=2))
    >>> index.add(torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    >>> index.search(torch.tensor([[0.0, 1.0]]), 2).neighbors.ids
    tensor([[1, 2]])
    """

    def __init__(self, config: IndexConfig, *, generator: torch.Generator | None = None) -> None:
        self.config, self.generator = config, generator
        self.vectors = torch.zeros(0, config.width)  # in the order of adding or, where there are lists, of these
        self.lists: Lists | None = None
        self.quantizer: ProductQuantizer | None = None
        self.codes: Tensor | None = None
        self._views: tuple[Tensor, tuple[Tensor, ...]] | None = None

    def __len__(self) -> int:
        return len(self.vectors) if self.codes is None else len(self.codes)

    def add(self, vectors: Tensor) -> None:
        """Adds vectors (N, D). The first ones also place the centers of lists and codes, so let them be many.

        Raises:
            ValueError: the shape is wrong or a number is not finite.
        """
        if vectors.dim() != 2 or vectors.shape[1] != self.config.width or not vectors.is_floating_point():
            found = f"{vectors.dtype} {tuple(vectors.shape)}"
            raise ValueError(f"vectors must be floating-point (N, {self.config.width}), got {found}")
        if not bool(vectors.isfinite().all()):
            bad = int((~vectors.isfinite()).any(dim=1).nonzero()[0])
            raise ValueError(f"vector {bad} holds a number that is not finite; leave it out or mend what made it")
        vectors = F.normalize(vectors, dim=1) if self.config.metric == "cosine" else vectors
        if len(vectors) == 0:
            return
        if self.config.kind == "flat":
            self.vectors = torch.cat((self.vectors, vectors))
        else:
            self._add_to_lists(vectors.float())

    def _add_to_lists(self, vectors: Tensor) -> None:
        if self.lists is None:
            count = self.config.lists or max(1, min(int(4 * math.sqrt(len(vectors))), len(vectors) // 8))
            centers = kmeans(vectors, count, generator=self.generator)
        else:
            centers = self.lists.centers
        new = sort_into_lists(vectors, centers)
        kept = vectors[new.order]
        if self.config.kind == "codes":
            rest = kept - centers.repeat_interleave(new.starts.diff(), dim=0)
            if self.quantizer is None:
                self.quantizer = ProductQuantizer.learn(rest, self.config.parts, generator=self.generator)
            kept = self.quantizer.encode(rest)
        old = self.codes if self.config.kind == "codes" else self.vectors
        if self.lists is not None:
            new, place = _joined(self.lists, new, shift=len(self))
            kept = _placed(old, kept, place)
        self.lists = new
        if self.config.kind == "codes":
            self.codes = kept
        else:
            self.vectors = kept

    def search(self, queries: Tensor, k: int, *, probes: int = 16) -> Searched:
        """The k best for each query (Q, D), and how many vectors each was compared with.

        Args:
            probes: lists to open: more find more, and take longer.
        Raises:
            ValueError: the shape is wrong, or k or probes is below 1.
        """
        metric = self.config.metric
        check(queries, self.config.width, k, metric)
        if probes < 1:
            raise ValueError(f"probes must be at least 1, got {probes}")
        if metric == "cosine":
            queries, metric = F.normalize(queries, dim=1), "dot"
        if self.lists is None:
            scanned = torch.full((len(queries),), len(self))
            return Searched(nearest(queries, self.vectors, k, metric=metric), scanned)
        score = self._coded(queries) if self.codes is not None else self._compared(queries, metric)
        return search_lists(self.lists, queries, k, probes, score, metric=metric)

    def _by_list(self) -> tuple[Tensor, ...]:
        """What is kept for the vectors, list by list: views, made once."""
        kept = self.vectors if self.codes is None else self.codes
        if self._views is None or self._views[0] is not kept:
            self._views = kept, kept.split(self.lists.starts.diff().tolist())
        return self._views[1]

    def _compared(self, queries: Tensor, metric: str) -> Score:
        by_list = self._by_list()

        def score(query: int, numbers: list[int]) -> Tensor:
            vectors = torch.cat([by_list[number] for number in numbers])  # (n, D)
            scores = vectors @ queries[query]
            if metric == "euclidean":
                scores = 2 * scores - vectors.square().sum(dim=-1) - queries[query].square().sum()
            return scores

        return score

    def _coded(self, queries: Tensor) -> Score:
        by_list, sizes = self._by_list(), self.lists.starts.diff()
        tables, near = self.quantizer.tables(queries), queries @ self.lists.centers.T  # (Q, parts, 256), (Q, L)

        def score(query: int, numbers: list[int]) -> Tensor:
            codes = torch.cat([by_list[number] for number in numbers])  # (n, parts)
            of_centers = near[query, numbers].repeat_interleave(sizes[numbers])
            return of_centers + self.quantizer.scores(tables[query : query + 1], codes)[0]

        return score


def rerank(found: Neighbors, score: Callable[[int, Tensor], Tensor], k: int) -> Neighbors:
    """The k best of what a quick search found, by a second and slower score.

    Args:
        score: `score(query, ids)` gives the scores (n,) of the query of this number with those ids.
    """
    scores, ids = torch.full_like(found.scores, -torch.inf), found.ids.clone()
    for query in range(len(ids)):
        real = ids[query] >= 0
        scores[query, real] = score(query, ids[query, real]).to(scores)
    best = in_order(scores, ids)
    return Neighbors(best.scores[:, :k], best.ids[:, :k].masked_fill(best.scores[:, :k].isneginf(), -1))


def _joined(first: Lists, second: Lists, *, shift: int) -> tuple[Lists, Tensor]:
    """Two sets of the same lists as one, and where each row of it stands in both one behind the other."""
    owners = [torch.arange(len(part.centers)).repeat_interleave(part.starts.diff()) for part in (first, second)]
    place = torch.cat(owners).argsort(stable=True)
    order = torch.cat((first.order, second.order + shift))[place]
    return Lists(first.centers, first.starts + second.starts, order), place


def _placed(first: Tensor, second: Tensor, place: Tensor) -> Tensor:
    """`torch.cat((first, second))[place]`, without a third copy of what may fill most of the memory."""
    rank = torch.empty_like(place)
    rank[place] = torch.arange(len(place))
    both = first.new_empty(len(place), *first.shape[1:])
    both[rank[: len(first)]] = first
    both[rank[len(first) :]] = second
    return both
