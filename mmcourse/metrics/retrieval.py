"""How good a search is: pictures found by a text, or texts by a picture.

`similarity` (Q, G) scores Q queries against a gallery of G items, `relevant` bool (Q, G) says which items are right;
None means the diagonal, query i looking for item i. The other direction is the same call with `similarity.T` (and
`relevant.T`). Of two equal scores the wrong item ranks first, so a model that gives all the same score gains nothing.
Results are counted exactly. Definitions are those of Manning et al., "Introduction to information retrieval" (2008),
chapter 8; recall@k counts a query as right when any of its items is found, as is usual for pictures and captions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ROWS = 1024  # queries looked at together: sorting a whole 40,000 × 40,000 table would take 13 GB


class Retrieval(NamedTuple):
    """What `retrieval` measures."""

    recall: dict[int, float]  # for each k, the share of queries with a right item among the first k
    median_rank: float  # of the first right item, 1 = at the top
    mean_average_precision: float


def retrieval(similarity: Tensor, relevant: Tensor | None = None, *, ks: Sequence[int] = (1, 5, 10)) -> Retrieval:
    """Recall at each of `ks`, the median rank and mean average precision.

    Raises:
        ValueError: shapes do not fit, scores are NaN, a query has no right item, or a k is below 1.

    >>> found = retrieval(torch.tensor([[0.9, 0.1, 0.3], [0.8, 0.5, 0.2], [0.1, 0.4, 0.7]]), ks=(1, 2))
    >>> [round(value, 3) for value in (found.recall[1], found.recall[2], found.mean_average_precision)]
    [0.667, 1.0, 0.833]
    """
    for k in ks:
        if k < 1:
            raise ValueError(f"ks must be at least 1 each, got {k}")
    ranks, precisions = [], []
    for hits in _ranked(similarity, relevant):
        places = torch.arange(1, hits.shape[1] + 1)
        precision = hits.cumsum(1).double() / places  # (Q, G): of the first g items, the share that is right
        precisions.append((precision * hits).sum(1) / hits.sum(1))
        ranks.append(hits.byte().argmax(1) + 1)
    rank, precision = torch.cat(ranks).double(), torch.cat(precisions)
    recall = {k: (rank <= k).double().mean().item() for k in ks}
    return Retrieval(recall, rank.quantile(0.5).item(), precision.mean().item())


def recall_at_k(similarity: Tensor, relevant: Tensor | None = None, *, k: int = 1) -> float:
    """The share of queries with a right item among the first k.

    >>> recall_at_k(torch.tensor([[0.9, 0.1], [0.8, 0.5]]))
    0.5
    """
    return retrieval(similarity, relevant, ks=(k,)).recall[k]


def median_rank(similarity: Tensor, relevant: Tensor | None = None) -> float:
    """The rank of the first right item, 1 = at the top: half of the queries do better, half worse.

    >>> median_rank(torch.tensor([[0.9, 0.1], [0.8, 0.5]]))
    1.5
    """
    return retrieval(similarity, relevant).median_rank


def mean_average_precision(similarity: Tensor, relevant: Tensor | None = None) -> float:
    """For each right item, the share of right items down to its place; the mean of these, then the mean over queries.

    >>> mean_average_precision(torch.tensor([[0.9, 0.5, 0.1]]), torch.tensor([[True, False, True]]))  # (1/1 + 2/3) / 2
    0.8333333333333333
    """
    return retrieval(similarity, relevant).mean_average_precision


def _ranked(similarity: Tensor, relevant: Tensor | None) -> Iterator[Tensor]:
    """Whether the item at each place of each query's ranking is right: bool (Q, G), some queries at a time."""
    similarity, relevant = similarity.detach(), _relevant(similarity, relevant)
    for scores, right in zip(similarity.split(ROWS), relevant.split(ROWS), strict=True):
        wrong_first = right.byte().argsort(dim=1, stable=True)
        order = scores.gather(1, wrong_first).argsort(dim=1, descending=True, stable=True)
        yield right.gather(1, wrong_first).gather(1, order).cpu()


def _relevant(similarity: Tensor, relevant: Tensor | None) -> Tensor:
    """Checks both, and returns which items are right."""
    shape = tuple(similarity.shape)
    if similarity.dim() != 2 or not similarity.numel() or not similarity.is_floating_point():
        raise ValueError(f"similarity must be floating-point (Q, G), not empty, got {similarity.dtype} {shape}")
    if similarity.isnan().any():
        raise ValueError("similarity must not hold NaN, which has no rank")
    if relevant is None:
        if shape[0] != shape[1]:
            raise ValueError(f"similarity is {shape}: without relevant, query i looks for item i, so it must be square")
        return torch.eye(shape[0], dtype=torch.bool, device=similarity.device)
    if relevant.shape != similarity.shape or relevant.dtype != torch.bool:
        raise ValueError(f"relevant must be bool {shape} as similarity, got {relevant.dtype} {tuple(relevant.shape)}")
    none = (~relevant.any(dim=1)).nonzero()
    if len(none):
        raise ValueError(f"relevant has no right item for query {int(none[0])}; leave such queries out")
    return relevant.to(similarity.device)
