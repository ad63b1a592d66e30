"""11-merge-shards: make one answer of what several machines found, each in its own part."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def merge_shards(found, sizes, k):
    scores, ids, start = [], [], 0
    for (own_scores, own_ids), size in zip(found, sizes, strict=True):
        scores.append(own_scores)
        ids.append(own_ids + start)
        start += size
    scores, ids = torch.cat(scores), torch.cat(ids)
    best = scores.argsort(descending=True, stable=True)[:k]
    return scores[best], ids[best]


def _inputs(sizes, each, k, *, tied=False):
    """What each shard found: its best scores, sorted, and their numbers within the shard."""

    def inputs(generator):
        found = []
        for size in sizes:
            scores = torch.randn(size, generator=generator)
            scores = (2 * scores).round() if tied else scores
            best = scores.argsort(descending=True, stable=True)[:each]
            found.append((scores[best], best))
        return found, list(sizes), k

    return inputs


def _merged(*, starts=None, order=None, cut=None):
    """Shards whose numbers begin elsewhere, another order, or another number of results."""

    def answer(found, sizes, k):
        begins = [sum(sizes[:i]) for i in range(len(sizes))] if starts is None else starts(found, sizes)
        scores = torch.cat([part[0] for part in found])
        ids = torch.cat([part[1] + begin for part, begin in zip(found, begins, strict=True)])
        place = scores.argsort(descending=True, stable=True) if order is None else order(scores)
        place = place[: k if cut is None else cut(k, len(sizes))]
        return scores[place], ids[place]

    return answer


def _a_share_of_each(found, sizes, k):
    share = max(1, k // len(sizes))
    return merge_shards([(scores[:share], ids[:share]) for scores, ids in found], sizes, k)


def _best_shard(found, sizes, k):
    best = max(range(len(found)), key=lambda i: found[i][0][0].item())
    start = sum(sizes[:best])
    return found[best][0][:k], found[best][1][:k] + start


EXERCISE = Exercise(
    id="11-merge-shards",
    title="Many machines, one answer",
    goal="make one answer of what several machines found, each in its own part",
    stars=2,
    minutes=10,
    points=2,
    reference=merge_shards,
    nothing_ready="the library holds one index on one machine",
    cases=(
        Case(name="three shards of unequal size", inputs=_inputs((20, 5, 12), 6, 6)),
        Case(name="two shards", inputs=_inputs((9, 30), 8, 5)),
        Case(name="four shards with many equal scores", inputs=_inputs((15, 15, 10, 15), 7, 9, tied=True)),
        Case(name="fewer found than asked for", inputs=_inputs((2, 3), 4, 8)),
    ),
    mistakes=(
        Mistake(
            message="The numbers are still those within a shard: every shard has a vector 0. Add how many vectors "
            "stand in the shards before it.",
            answer=_merged(starts=lambda found, sizes: [0] * len(sizes)),
        ),
        Mistake(
            message="The numbers are shifted by the sizes of the shards up to and including their own. Only those "
            "before it count.",
            answer=_merged(starts=lambda found, sizes: [sum(sizes[: i + 1]) for i in range(len(sizes))]),
        ),
        Mistake(
            message="The numbers are shifted by how many results the shards before gave, and not by how many vectors "
            "they hold.",
            answer=_merged(starts=lambda found, sizes: [sum(len(p[0]) for p in found[:i]) for i in range(len(found))]),
        ),
        Mistake(
            message="All shards are taken to be as large as the first one.",
            answer=_merged(starts=lambda found, sizes: [i * sizes[0] for i in range(len(sizes))]),
        ),
        Mistake(
            message="Each shard is shifted by the size of the one before it alone. Add up all before it.",
            answer=_merged(starts=lambda found, sizes: [0, *sizes[:-1]]),
        ),
        Mistake(
            message="The shards stand one behind the other. Sort all results by their scores.",
            answer=_merged(order=lambda scores: torch.arange(len(scores))),
        ),
        Mistake(
            message="The smallest scores come first.",
            answer=_merged(order=lambda scores: scores.argsort(stable=True)),
        ),
        Mistake(
            message="Of equal scores the later shard comes first. Sort with `descending=True, stable=True`.",
            answer=_merged(order=lambda scores: scores.argsort(stable=True).flip(0)),
        ),
        Mistake(
            message="All results are returned. Cut the list after k.",
            answer=_merged(cut=lambda k, shards: None),
        ),
        Mistake(
            message="Each shard may give an equal share of the k. All k may stand in one shard, so merge "
            "all they have.",
            answer=_a_share_of_each,
        ),
        Mistake(message="Only the shard with the best result answers. Merge all of them.", answer=_best_shard),
        Mistake(
            message="The two results are in the other order: first the scores, then the numbers.",
            answer=lambda found, sizes, k: merge_shards(found, sizes, k)[::-1],
        ),
    ),
    hints=(
        "Vector i of a shard has the number i + (how many vectors stand in all shards before it).",
        "Put all scores into one tensor and all shifted numbers into another, in the order of the shards.",
        "`scores.argsort(descending=True, stable=True)[:k]` picks from both.",
    ),
)
