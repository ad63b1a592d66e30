"""08-recall-at-k: measure how often a search shows the right item among its first k."""

from __future__ import annotations

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def recall_at_k(similarity, k):
    rank = (similarity >= similarity.diagonal()[:, None]).sum(dim=1)
    return (rank <= k).double().mean().item()


def _found(count, k, help_):
    """Random scores in which the right one is lifted a little, but not in the same way for both directions."""

    def inputs(generator):
        scores = torch.randn(count, count, generator=generator)
        return scores + help_ * torch.eye(count) + torch.randn(count, generator=generator), k

    return inputs


def _collapsed(count, k):
    return lambda generator: (torch.full((count, count), 0.5), k)


def _ranked(*, ranks=None, hit=None, end=None):
    """Recall with other ranks (of scores and of the right score), another test of a rank, or another summary."""

    def answer(similarity, k):
        right = similarity.diagonal()[:, None]
        rank = (similarity >= right).sum(dim=1) if ranks is None else ranks(similarity, right)
        hits = (rank <= k if hit is None else hit(rank, k)).double()
        return hits.mean().item() if end is None else end(hits, k)

    return answer


def _by_topk(similarity, k):
    return (similarity.topk(k, dim=1).indices == torch.arange(len(similarity))[:, None]).any(1).double().mean().item()


def _by_sorting(similarity, k):
    order = similarity.argsort(dim=1, descending=True, stable=True)[:, :k]
    return (order == torch.arange(len(similarity))[:, None]).any(dim=1).double().mean().item()


_TIES = (
    "Ties count as found: a model that gives every text the same score would look good for nothing. Of equal scores "
    "the wrong one ranks first, so count the scores that are at least as high as the right one."
)


EXERCISE = Exercise(
    id="08-recall-at-k",
    title="Among the first k",
    goal="measure how often a search shows the right item among its first k",
    stars=2,
    minutes=10,
    points=2,
    reference=recall_at_k,
    ready_made=(metrics.recall_at_k,),
    cases=(
        Case(name="40 queries, the first place", inputs=_found(40, 1, 2.0)),
        Case(name="60 queries, the first five", inputs=_found(60, 5, 1.0)),
        Case(name="a collapsed model, all scores the same", inputs=_collapsed(6, 2)),
    ),
    mistakes=(
        Mistake(message=_TIES, answer=_ranked(ranks=lambda s, right: (s > right).sum(dim=1) + 1)),
        Mistake(message=_TIES, answer=_by_topk),
        Mistake(message=_TIES, answer=_by_sorting),
        Mistake(
            message="This is the other direction: each column looks for its row. The queries are the rows.",
            answer=lambda similarity, k: recall_at_k(similarity.T, k),
        ),
        Mistake(
            message="One place is missing: the first k places are the ranks 1 to k, so the test is rank ≤ k.",
            answer=_ranked(hit=lambda rank, k: rank < k),
        ),
        Mistake(
            message="One place too many: the best item has rank 1, not 0.",
            answer=_ranked(hit=lambda rank, k: rank <= k + 1),
        ),
        Mistake(
            message="Only place k itself counts here. Every place up to k is a hit.",
            answer=_ranked(hit=lambda rank, k: rank == k),
        ),
        Mistake(
            message="The ranking is turned round: the smallest score comes first. A high score means a good fit.",
            answer=_ranked(ranks=lambda s, right: (s <= right).sum(dim=1)),
        ),
        Mistake(
            message="This is divided by k, which makes it precision. Recall asks only whether the right item is there.",
            answer=_ranked(end=lambda hits, k: hits.mean().item() / k),
        ),
        Mistake(
            message="The hits are counted. Return their share, the mean over the queries.",
            answer=_ranked(end=lambda hits, k: hits.sum().item()),
        ),
        Mistake(
            message="The misses are counted: return the share of hits.",
            answer=_ranked(hit=lambda rank, k: rank > k),
        ),
        Mistake(
            message="This is the mean rank. Ask of each query whether its rank is at most k.",
            answer=lambda similarity, k: (similarity >= similarity.diagonal()[:, None]).sum(1).double().mean().item(),
        ),
    ),
    hints=(
        "The right item of row i stands on the diagonal. Its rank is the number of scores in the row that are at least "
        "as high, its own included.",
        "`similarity.diagonal()[:, None]` has shape (Q, 1) and is compared with the whole row.",
        "`rank = (similarity >= similarity.diagonal()[:, None]).sum(dim=1)`, then the mean of `rank <= k`.",
    ),
)
