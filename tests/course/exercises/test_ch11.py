"""Chapter 11's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import heapq

import numpy as np
import pytest
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse import metrics, retrieval
from mmcourse.course.exercises import all_exercises, find
from mmcourse.retrieval import ProductQuantizer

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 11-nearest ---------------------------------------------------------------------------------------------------


@right("11-nearest")
def nearest_by_library(query, table, k):
    return retrieval.nearest(query[None], table, k).ids[0]


@right("11-nearest")
def nearest_with_sorted(query, table, k):
    scores = [float(row @ query) for row in table]
    return sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]


@right("11-nearest")
def nearest_with_numpy(query, table, k):
    return np.argsort(-(table.numpy() @ query.numpy()), kind="stable")[:k]


@right("11-nearest")
def nearest_one_at_a_time(query, table, k):
    scores, found = table.mv(query), []
    for _ in range(k):
        best = int((scores == scores.max()).nonzero()[0])
        found.append(best)
        scores[best] = -torch.inf
    return torch.tensor(found)


@wrong("11-nearest", "stable=True")
def nearest_with_topk(query, table, k):
    return torch.topk(table @ query, k).indices


@wrong("11-nearest", "ties round")
def nearest_turned(query, table, k):
    return (table @ query).sort(stable=True).indices.flip(0)[:k]


@wrong("11-nearest", "smallest scores")
def nearest_smallest(query, table, k):
    return (table @ query).sort(stable=True).indices[:k]


@wrong("11-nearest", "These are the scores")
def nearest_scores(query, table, k):
    return (table @ query).topk(k).values


@wrong("11-nearest", "that is the cosine")
def nearest_cosine(query, table, k):
    return F.cosine_similarity(table, query[None].expand_as(table)).argsort(descending=True, stable=True)[:k]


@wrong("11-nearest", "Euclidean")
def nearest_distance(query, table, k):
    return torch.cdist(query[None], table)[0].argsort(stable=True)[:k]


@wrong("11-nearest", "rows themselves")
def nearest_rows(query, table, k):
    return torch.stack([table[row] for row in nearest_with_sorted(query, table, k)])


@wrong("11-nearest", "Cut the list")
def nearest_all(query, table, k):
    return (-(table @ query)).argsort(stable=True)


# --- 11-dot-as-distance -------------------------------------------------------------------------------------------


@right("11-dot-as-distance")
def lift_with_norms(table, queries):
    norms = table.norm(dim=1)
    last = (norms.max() ** 2 - norms**2).clamp(min=0) ** 0.5
    return torch.column_stack((table, last)), F.pad(queries, (0, 1))


@right("11-dot-as-distance")
def lift_row_by_row(table, queries):
    most = max(float(row @ row) for row in table)
    rows = [[*row.tolist(), max(most - float(row @ row), 0.0) ** 0.5] for row in table]
    return torch.tensor(rows), torch.tensor([[*query, 0.0] for query in queries.tolist()])


@right("11-dot-as-distance")
def lift_in_double(table, queries):
    squares = (table.double() ** 2).sum(1)
    return torch.cat((table, (squares.max() - squares).sqrt()[:, None]), 1), torch.hstack(
        (queries, torch.zeros(len(queries), 1))
    )


def with_last(table, last):
    return torch.cat((table, last.reshape(-1, 1)), dim=1)


def with_zero(queries):
    return with_last(queries, torch.zeros(len(queries)))


@wrong("11-dot-as-distance", "root is missing")
def lift_without_root(table, queries):
    squares = table.norm(dim=1) ** 2
    return with_last(table, squares.max() - squares), with_zero(queries)


@wrong("11-dot-as-distance", "difference of the lengths")
def lift_of_lengths(table, queries):
    norms = table.norm(dim=1)
    return with_last(table, norms.max() - norms), with_zero(queries)


@wrong("11-dot-as-distance", "lengths still differ")
def lift_with_zeros(table, queries):
    return with_zero(table), with_zero(queries)


@wrong("11-dot-as-distance", "length itself")
def lift_by_length(table, queries):
    return with_last(table, table.norm(dim=1)), with_zero(queries)


@wrong("11-dot-as-distance", "queries get a 1")
def lift_queries_with_ones(table, queries):
    return lift_with_norms(table, queries)[0], F.pad(queries, (0, 1), value=1.0)


@wrong("11-dot-as-distance", "lengths away")
def lift_of_units(table, queries):
    return with_zero(table / table.norm(dim=1, keepdim=True)), with_zero(queries)


@wrong("11-dot-as-distance", "other order")
def lift_swapped(table, queries):
    return lift_with_norms(table, queries)[::-1]


@wrong("11-dot-as-distance", "Put it last")
def lift_in_front(table, queries):
    return tuple(part.roll(1, dims=1) for part in lift_with_norms(table, queries))


# --- 11-kmeans-step -----------------------------------------------------------------------------------------------


def owners_by_hand(vectors, centers):
    return (vectors[:, None] - centers).square().sum(dim=2).argmin(dim=1)


@right("11-kmeans-step")
def step_with_index_add(vectors, centers):
    owner = owners_by_hand(vectors, centers)
    counts = owner.bincount(minlength=len(centers))[:, None]
    sums = torch.zeros_like(centers).index_add(0, owner, vectors)
    return torch.where(counts > 0, sums / counts.clamp(min=1), centers), owner


@right("11-kmeans-step")
def step_with_one_hot(vectors, centers):
    owner = owners_by_hand(vectors, centers)
    mine = F.one_hot(owner, len(centers)).float()
    moved = mine.T @ vectors / mine.sum(dim=0)[:, None]
    return moved.where(mine.sum(dim=0)[:, None] > 0, centers), owner


@right("11-kmeans-step")
def step_with_lists(vectors, centers):
    owner = [min(range(len(centers)), key=lambda c: float((row - centers[c]).square().sum())) for row in vectors]
    groups = [[row for row, own in zip(vectors, owner, strict=True) if own == c] for c in range(len(centers))]
    return torch.stack([torch.stack(g).mean(0) if g else centers[c] for c, g in enumerate(groups)]), owner


@wrong("11-kmeans-step", "0 / 0")
def step_with_nan(vectors, centers):
    owner = owners_by_hand(vectors, centers)
    return torch.stack([vectors[owner == number].mean(dim=0) for number in range(len(centers))]), owner


@wrong("11-kmeans-step", "moves to the origin")
def step_to_the_origin(vectors, centers):
    owner = owners_by_hand(vectors, centers)
    counts = owner.bincount(minlength=len(centers)).clamp(min=1)[:, None]
    return torch.zeros_like(centers).index_add(0, owner, vectors) / counts, owner


@wrong("11-kmeans-step", "dot product")
def step_by_dot_product(vectors, centers):
    owner = (vectors @ centers.T).argmax(dim=1)
    moved = centers.clone()
    for number in set(owner.tolist()):
        moved[number] = vectors[owner == number].mean(dim=0)
    return moved, owner


@wrong("11-kmeans-step", "added up")
def step_of_sums(vectors, centers):
    moved, owner = step_with_index_add(vectors, centers)
    counts = owner.bincount(minlength=len(centers)).clamp(min=1)[:, None]
    return moved * counts, owner


@wrong("11-kmeans-step", "one of its vectors")
def step_with_the_center(vectors, centers):
    owner = owners_by_hand(vectors, centers)
    counts = owner.bincount(minlength=len(centers))[:, None]
    return (torch.zeros_like(centers).index_add(0, owner, vectors) + centers) / (counts + 1), owner


@wrong("11-kmeans-step", "median")
def step_of_medians(vectors, centers):
    owner, moved = owners_by_hand(vectors, centers), centers.clone()
    for number in owner.unique().tolist():
        moved[number] = vectors[owner == number].median(dim=0)[0]
    return moved, owner


@wrong("11-kmeans-step", "assigned again")
def step_assigned_again(vectors, centers):
    moved, _ = step_with_index_add(vectors, centers)
    return moved, owners_by_hand(vectors, moved)


@wrong("11-kmeans-step", "have not moved")
def step_nowhere(vectors, centers):
    return centers.clone(), owners_by_hand(vectors, centers)


# --- 11-search-lists ----------------------------------------------------------------------------------------------


@right("11-search-lists")
def lists_with_a_loop(query, vectors, owner, centers, probes, k):
    near = (centers - query).norm(dim=1).topk(probes, largest=False).indices.tolist()
    seen = [row for row, own in enumerate(owner.tolist()) if own in near]
    best = heapq.nsmallest(k, seen, key=lambda row: float((vectors[row] - query).square().sum()))
    return best, len(seen)


@right("11-search-lists")
def lists_with_infinity(query, vectors, owner, centers, probes, k):
    opened = torch.zeros(len(centers), dtype=torch.bool)
    opened[torch.cdist(query[None], centers).squeeze(0).topk(probes, largest=False).indices] = True
    far = (vectors - query).norm(dim=1).masked_fill(~opened[owner], torch.inf)
    count = opened[owner].sum()
    return far.argsort()[: min(k, int(count))], count


@right("11-search-lists")
def lists_side_by_side(query, vectors, owner, centers, probes, k):
    near = (centers - query).square().sum(1).argsort()[:probes]
    rows = torch.cat([(owner == number).nonzero().flatten() for number in near])
    return rows[(vectors[rows] - query).norm(dim=1).argsort()][:k], rows.numel()


def opened_rows(owner, opened):
    return torch.isin(owner, opened).nonzero().flatten()


def by_distance(query, table):
    return (table - query).norm(dim=1).argsort()


@wrong("11-search-lists", "nothing is saved")
def lists_all(query, vectors, owner, centers, probes, k):
    return by_distance(query, vectors)[:k], len(vectors)


@wrong("11-search-lists", "whatever `probes` says")
def lists_one(query, vectors, owner, centers, probes, k):
    return lists_with_a_loop(query, vectors, owner, centers, 1, k)


@wrong("11-search-lists", "farthest lists")
def lists_far(query, vectors, owner, centers, probes, k):
    rows = opened_rows(owner, by_distance(query, centers)[-probes:])
    return rows[by_distance(query, vectors[rows])[:k]], len(rows)


@wrong("11-search-lists", "within what was looked at")
def lists_shifted(query, vectors, owner, centers, probes, k):
    rows = opened_rows(owner, by_distance(query, centers)[:probes])
    return by_distance(query, vectors[rows])[:k], len(rows)


@wrong("11-search-lists", "lists are chosen by dot product")
def lists_by_dot(query, vectors, owner, centers, probes, k):
    rows = opened_rows(owner, (centers @ query).topk(probes).indices)
    return rows[by_distance(query, vectors[rows])[:k]], len(rows)


@wrong("11-search-lists", "not put in order")
def lists_unsorted(query, vectors, owner, centers, probes, k):
    rows = opened_rows(owner, by_distance(query, centers)[:probes])
    return rows[:k], len(rows)


@wrong("11-search-lists", "All vectors are counted")
def lists_count_all(query, vectors, owner, centers, probes, k):
    return lists_with_a_loop(query, vectors, owner, centers, probes, k)[0], len(owner)


@wrong("11-search-lists", "The opened lists are counted")
def lists_count_lists(query, vectors, owner, centers, probes, k):
    return lists_with_a_loop(query, vectors, owner, centers, probes, k)[0], probes


# --- 11-code-scores -----------------------------------------------------------------------------------------------


@right("11-code-scores")
def scores_by_library(query, centers, codes):
    quantizer = ProductQuantizer(centers)
    return quantizer.scores(quantizer.tables(query[None]), codes)[0]


@right("11-code-scores")
def scores_by_decoding(query, centers, codes):
    return ProductQuantizer(centers).decode(codes) @ query


@right("11-code-scores")
def scores_with_loops(query, centers, codes):
    width, found = centers.shape[2], []
    for code in codes.tolist():
        total = 0.0
        for part, number in enumerate(code):
            total += float(centers[part, number] @ query[part * width : (part + 1) * width])
        found.append(total)
    return torch.tensor(found)


@right("11-code-scores")
def scores_with_einsum(query, centers, codes):
    tables = torch.einsum("pd,pkd->pk", query.unflatten(0, (len(centers), -1)), centers)
    return tables[torch.arange(len(centers)), codes.int()].sum(dim=1)


def looked_up(tables, codes):
    return torch.stack([table[codes[:, part].long()] for part, table in enumerate(tables)])


def tables_of(query, centers):
    return torch.einsum("pkd,pd->pk", centers, query.reshape(len(centers), -1))


@wrong("11-code-scores", "crosswise")
def scores_cut_crosswise(query, centers, codes):
    parts = torch.stack([query[part :: len(centers)] for part in range(len(centers))])
    return looked_up(torch.einsum("pkd,pd->pk", centers, parts), codes).sum(dim=0)


@wrong("11-code-scores", "squared distances")
def scores_of_distances(query, centers, codes):
    far = centers - query.reshape(len(centers), 1, -1)
    return looked_up(far.square().sum(dim=-1), codes).sum(dim=0)


@wrong("11-code-scores", "Only the stored vectors are coded")
def scores_symmetric(query, centers, codes):
    quantizer = ProductQuantizer(centers)
    return quantizer.decode(codes) @ quantizer.decode(quantizer.encode(query[None]))[0]


@wrong("11-code-scores", "table of the first part")
def scores_of_one_table(query, centers, codes):
    return tables_of(query, centers)[0][codes.long()].sum(dim=1)


@wrong("11-code-scores", "best part is taken")
def scores_of_the_best(query, centers, codes):
    return looked_up(tables_of(query, centers), codes).max(dim=0).values


@wrong("11-code-scores", "The parts are averaged")
def scores_averaged(query, centers, codes):
    return scores_with_loops(query, centers, codes) / len(centers)


@wrong("11-code-scores", "multiplied")
def scores_multiplied(query, centers, codes):
    return looked_up(tables_of(query, centers), codes).prod(dim=0)


@wrong("11-code-scores", "side by side")
def scores_side_by_side(query, centers, codes):
    return looked_up(tables_of(query, centers), codes).mT


# --- 11-merge-shards ----------------------------------------------------------------------------------------------


@right("11-merge-shards")
def merge_with_sorted(found, sizes, k):
    pairs, start = [], 0
    for (scores, ids), size in zip(found, sizes, strict=True):
        pairs += [(-score, start + number) for score, number in zip(scores.tolist(), ids.tolist(), strict=True)]
        start += size
    best = sorted(pairs)[:k]
    return torch.tensor([-score for score, _ in best]), torch.tensor([number for _, number in best])


@right("11-merge-shards")
def merge_with_cumsum(found, sizes, k):
    starts = torch.tensor([0, *sizes[:-1]]).cumsum(0)
    scores = torch.cat([scores for scores, _ in found])
    ids = torch.cat([ids + start for (_, ids), start in zip(found, starts, strict=True)])
    order = (-scores).sort(stable=True).indices[:k]
    return scores[order], ids[order]


@right("11-merge-shards")
def merge_two_at_a_time(found, sizes, k):
    best, before = found[0], sizes[0]
    for (scores, ids), size in zip(found[1:], sizes[1:], strict=True):
        both = torch.cat((best[0], scores)), torch.cat((best[1], ids + before))
        order = both[0].argsort(descending=True, stable=True)
        best, before = (both[0][order], both[1][order]), before + size
    return best[0][:k], best[1][:k]


def joined(found, starts):
    return torch.cat([s for s, _ in found]), torch.cat([i + start for (_, i), start in zip(found, starts, strict=True)])


def sorted_pairs(scores, ids, k):
    order = scores.argsort(descending=True, stable=True)[:k]
    return scores[order], ids[order]


@wrong("11-merge-shards", "every shard has a vector 0")
def merge_without_shift(found, sizes, k):
    return sorted_pairs(*joined(found, [0] * len(found)), k)


@wrong("11-merge-shards", "up to and including")
def merge_shifted_too_far(found, sizes, k):
    return sorted_pairs(*joined(found, np.cumsum(sizes).tolist()), k)


@wrong("11-merge-shards", "how many results")
def merge_shifted_by_results(found, sizes, k):
    starts = np.cumsum([0, *(len(scores) for scores, _ in found)])[:-1].tolist()
    return sorted_pairs(*joined(found, starts), k)


@wrong("11-merge-shards", "as large as the first")
def merge_equal_shards(found, sizes, k):
    return sorted_pairs(*joined(found, range(0, sizes[0] * len(sizes), sizes[0])), k)


@wrong("11-merge-shards", "Sort all results")
def merge_unsorted(found, sizes, k):
    scores, ids = joined(found, np.cumsum([0, *sizes])[:-1].tolist())
    return scores[:k], ids[:k]


@wrong("11-merge-shards", "smallest scores")
def merge_smallest(found, sizes, k):
    scores, ids = joined(found, np.cumsum([0, *sizes])[:-1].tolist())
    order = scores.sort(stable=True).indices[:k]
    return scores[order], ids[order]


@wrong("11-merge-shards", "equal share")
def merge_shares(found, sizes, k):
    share = k // len(found) or 1
    return merge_with_sorted([(scores[:share], ids[:share]) for scores, ids in found], sizes, k)


@wrong("11-merge-shards", "Cut the list")
def merge_all(found, sizes, k):
    return merge_with_sorted(found, sizes, 10_000)


# --- 11-average-precision -----------------------------------------------------------------------------------------


@right("11-average-precision")
def precision_by_library(right):
    return metrics.mean_average_precision(torch.arange(len(right), 0, -1.0)[None], right[None])


@right("11-average-precision")
def precision_with_a_loop(right):
    found, total = 0, 0.0
    for place, hit in enumerate(right.tolist(), start=1):
        if hit:
            found += 1
            total += found / place
    return total / found


@right("11-average-precision")
def precision_from_places(right):
    places = right.nonzero()[:, 0] + 1
    return (torch.arange(1, len(places) + 1) / places).mean()


def at_places(right):
    return right.cumsum(0) / torch.arange(1, len(right) + 1)


@wrong("11-average-precision", "over all places")
def precision_everywhere(right):
    return at_places(right).mean()


@wrong("11-average-precision", "divided by the length")
def precision_by_length(right):
    return float((at_places(right) * right).mean())


@wrong("11-average-precision", "Divide by the number")
def precision_summed(right):
    return float((at_places(right) * right).sum())


@wrong("11-average-precision", "recall at each place")
def precision_is_recall(right):
    return float((right.cumsum(0) / right.sum())[right].mean())


@wrong("11-average-precision", "mean reciprocal rank")
def precision_of_ranks(right):
    return float((1 / (right.nonzero()[:, 0] + 1)).mean())


@wrong("11-average-precision", "reciprocal rank")
def precision_of_first(right):
    return 1 / (int(right.nonzero()[0, 0]) + 1)


@wrong("11-average-precision", "no order can change")
def precision_of_the_list(right):
    return right.float().mean()


@wrong("11-average-precision", "one too late")
def precision_late(right):
    return float((right.cumsum(0) / torch.arange(2, len(right) + 2))[right].mean())


@wrong("11-average-precision", "from its end")
def precision_turned(right):
    return precision_with_a_loop(right.flip(0))


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("11"))


def test_a_search_by_distance_in_the_lifted_table_is_a_search_by_dot_product():
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(80, 6, generator=generator) * (0.2 + 3 * torch.rand(80, 1, generator=generator))
    queries = torch.randn(9, 6, generator=generator)
    lifted, asked = find("11-dot-as-distance").reference(table, queries)
    wanted = retrieval.nearest(queries, table, 10).ids
    assert torch.equal(retrieval.nearest(asked, lifted, 10, metric="euclidean").ids, wanted)
    assert not torch.equal(retrieval.nearest(queries, table, 10, metric="euclidean").ids, wanted)


def test_rounds_of_k_means_never_raise_the_error():
    generator = torch.Generator().manual_seed(4)
    vectors, errors = torch.randn(300, 5, generator=generator), []
    centers = vectors[:12].clone()
    for _ in range(8):
        centers, owner = find("11-kmeans-step").reference(vectors, centers)
        errors.append((vectors - centers[owner]).square().sum().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.9 * errors[0]


def test_shards_merged_are_the_whole_searched_at_once():
    generator = torch.Generator().manual_seed(5)
    table, query = torch.randn(90, 4, generator=generator), torch.randn(1, 4, generator=generator)
    sizes = [40, 7, 43]
    found = [retrieval.nearest(query, part, 6) for part in table.split(sizes)]
    scores, ids = find("11-merge-shards").reference([(part.scores[0], part.ids[0]) for part in found], sizes, 6)
    whole = retrieval.nearest(query, table, 6)
    assert torch.equal(ids, whole.ids[0])
    torch.testing.assert_close(scores, whole.scores[0])


def test_average_precision_is_that_of_the_library():
    right = torch.rand(25, generator=torch.Generator().manual_seed(6)) < 0.3
    known = metrics.mean_average_precision(torch.arange(25, 0, -1.0)[None], right[None])
    assert find("11-average-precision").reference(right) == pytest.approx(known)
