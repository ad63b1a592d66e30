"""Search: exact, with lists and with codes, against naive loops and against FAISS."""

from __future__ import annotations

import doctest
import importlib

import pytest
import torch
from torch.nn import functional as F

from mmcourse.retrieval import (
    Index,
    IndexConfig,
    Neighbors,
    ProductQuantizer,
    clusters,
    kmeans,
    nearest,
    rerank,
    sort_into_lists,
)
from mmcourse.retrieval.clusters import assign
from mmcourse.retrieval.neighbors import largest


def draw(*shape, seed=0, kind="normal"):
    generator = torch.Generator().manual_seed(seed)
    if kind == "tied":  # small whole numbers: exact in float32, and full of equal scores
        return torch.randint(-2, 3, shape, generator=generator).float()
    return torch.randn(shape, generator=generator)


def clustered(count, width, *, groups=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centers = torch.randn(groups, width, generator=generator)
    own = torch.randint(groups, (count,), generator=generator)
    return centers[own] + 0.35 * torch.randn(count, width, generator=generator)


def naive(queries, table, k, metric):
    """Every score by itself, in float64; sorted by score and then by number."""
    queries, table = queries.double(), table.double()
    rows = []
    for query in queries:
        scores = []
        for number, vector in enumerate(table):
            if metric == "euclidean":
                score = -float(((query - vector) ** 2).sum())
            else:
                score = float(query @ vector)
                score /= float(query.norm() * vector.norm()) or 1.0 if metric == "cosine" else 1.0
            scores.append((-round(score, 9), number))
        rows.append([number for _, number in sorted(scores)[:k]])
    return torch.tensor(rows)


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("kind", ["normal", "tied"])
@pytest.mark.parametrize("block", [1, 7, 40, None])
def test_exact_search_is_the_naive_one_with_equal_scores_by_number(metric, kind, block):
    queries, table = draw(9, 4, seed=1, kind=kind), draw(40, 4, kind=kind)
    found = nearest(queries, table, 6, metric=metric, block=block)
    assert torch.equal(found.ids, naive(queries, table, 6, metric))


def test_cosine_is_the_dot_product_of_unit_vectors():
    queries, table = draw(5, 8, seed=1), draw(30, 8)
    found = nearest(queries, table, 4, metric="cosine")
    assert torch.equal(found.ids, naive(queries, table, 4, "cosine"))
    wanted = F.cosine_similarity(queries[:, None], table[found.ids], dim=-1)
    torch.testing.assert_close(found.scores, wanted)


def test_fewer_than_asked_for_are_filled_up():
    found = nearest(draw(2, 3), draw(2, 3, seed=1), 4)
    assert found.ids[:, 2:].tolist() == [[-1, -1]] * 2
    assert found.scores[:, 2:].isneginf().all()
    assert nearest(draw(2, 3), draw(0, 3), 1).ids.tolist() == [[-1], [-1]]


@pytest.mark.parametrize(
    ("queries", "k", "metric", "message"),
    [
        (torch.zeros(2, 4), 1, "dot", r"queries must be \(Q, 3\), got \(2, 4\)"),
        (torch.zeros(3), 1, "dot", r"queries must be \(Q, 3\)"),
        (torch.zeros(2, 3, dtype=torch.int64), 1, "dot", "floating-point"),
        (torch.zeros(2, 3), 0, "dot", "k must be at least 1"),
        (torch.zeros(2, 3), 1, "hamming", "metric must be one of dot, cosine, euclidean"),
    ],
)
def test_wrong_input_is_named(queries, k, metric, message):
    with pytest.raises(ValueError, match=message):
        nearest(queries, torch.zeros(5, 3), k, metric=metric)


# --- k-means and lists --------------------------------------------------------------------------------------------


def test_kmeans_finds_groups_that_are_there():
    points = torch.cat([draw(100, 2, seed=seed) * 0.05 + torch.tensor(place) for seed, place in enumerate(PLACES)])
    centers = kmeans(points, 12, generator=torch.Generator().manual_seed(3))
    near = nearest(torch.tensor(PLACES), centers, 1, metric="euclidean").scores[:, 0]
    assert (-near).sqrt().max() < 0.1


PLACES = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]]


def test_every_center_keeps_somebody_and_the_error_falls():
    points = clustered(3000, 8)
    sizes, errors = [], []
    for rounds in (1, 3, 20):
        centers = kmeans(points, 50, rounds=rounds, generator=torch.Generator().manual_seed(0))
        owner = assign(points, centers)
        sizes.append(owner.bincount(minlength=50).min().item())
        errors.append((points - centers[owner]).square().sum(dim=1).mean().item())
    assert errors == sorted(errors, reverse=True)
    assert sizes[-1] > 0
    assert kmeans(torch.ones(10, 2), 3).isfinite().all()  # all alike: nothing to tell apart, and no division by 0


def test_vectors_are_assigned_in_blocks_as_all_at_once(monkeypatch):
    points, centers = clustered(500, 4), draw(20, 4)
    wanted = torch.cdist(points, centers).argmin(dim=1)
    for rows in (1, 7, 499, 500, 501):
        monkeypatch.setattr(clusters, "ROWS", rows)
        assert torch.equal(assign(points, centers), wanted)
    assert assign(points[:0], centers).shape == (0,)


def test_kmeans_needs_as_many_vectors_as_centers():
    with pytest.raises(ValueError, match=r"count must be between 1 and the number of vectors, 5, got 6"):
        kmeans(draw(5, 2), 6)


def test_lists_hold_everybody_once():
    points = clustered(500, 4)
    lists = sort_into_lists(points, kmeans(points, 20))
    assert sorted(lists.order.tolist()) == list(range(500))
    assert lists.starts[-1] == 500
    owner = assign(points, lists.centers)
    for number in range(20):
        assert (owner[lists.order[lists.starts[number] : lists.starts[number + 1]]] == number).all()


@pytest.mark.parametrize("kind", ["normal", "tied"])
@pytest.mark.parametrize("columns", [50, 1_000, 4_099])
def test_the_largest_are_those_of_a_stable_sort(kind, columns):
    scores = draw(40, columns, seed=3, kind=kind)
    values, order = scores.sort(dim=1, descending=True, stable=True)
    found = largest(scores, 7)
    assert torch.equal(found.scores, values[:, :7])
    assert torch.equal(found.ids, order[:, :7])


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_of_equal_scores_in_different_lists_the_smaller_number_comes_first(metric):
    table, queries = draw(900, 4, kind="tied"), draw(30, 4, seed=1, kind="tied")
    index = Index(IndexConfig(width=4, kind="lists", metric=metric, lists=20))
    index.add(table)
    found = index.search(queries, 9, probes=20).neighbors
    assert torch.equal(found.ids, naive(queries, table, 9, metric))


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
def test_an_index_that_opens_every_list_is_exact(metric):
    table, queries = clustered(800, 6), clustered(20, 6, seed=5)
    index = Index(IndexConfig(width=6, kind="lists", metric=metric, lists=30))
    index.add(table)
    seen = index.search(queries, 5, probes=30)
    wanted = nearest(queries, table, 5, metric=metric)
    assert torch.equal(seen.neighbors.ids, wanted.ids)
    torch.testing.assert_close(seen.neighbors.scores, wanted.scores, atol=1e-4, rtol=1e-5)
    assert (seen.scanned == 800).all()
    few = index.search(queries, 5, probes=3)
    assert (few.scanned < 300).all()
    assert recall(few.neighbors, wanted) > 0.7


@pytest.mark.parametrize("kind", ["flat", "lists", "codes"])
def test_adding_in_parts_finds_the_same_as_adding_at_once(kind):
    """The centers are those of the first part, which is given to both first."""
    table, queries = clustered(1200, 8), clustered(10, 8, seed=5)
    made = []
    for cuts in ((600, 1200), (600, 900, 1000, 1200)):
        index = Index(IndexConfig(width=8, kind=kind, lists=16, parts=4), generator=torch.Generator().manual_seed(1))
        for start, end in zip((0, *cuts), cuts, strict=False):
            index.add(table[start:end])
        assert len(index) == 1200
        made.append(index.search(queries, 7, probes=4).neighbors)
    assert torch.equal(made[0].ids, made[1].ids)


def recall(found, wanted):
    hits = (found.ids[:, :, None] == wanted.ids[:, None]).any(dim=1)
    return hits.double().mean().item()


# --- codes --------------------------------------------------------------------------------------------------------


def test_looked_up_scores_are_those_of_the_decoded_vectors():
    vectors, queries = draw(700, 12), draw(5, 12, seed=2)
    quantizer = ProductQuantizer.learn(vectors, 3)
    codes = quantizer.encode(vectors)
    looked_up = quantizer.scores(quantizer.tables(queries), codes)
    torch.testing.assert_close(looked_up, queries @ quantizer.decode(codes).T, atol=1e-4, rtol=1e-4)
    assert codes.dtype == torch.uint8
    assert quantizer.width == 12


def test_more_parts_are_closer():
    vectors = clustered(2000, 16)
    distortions = [ProductQuantizer.learn(vectors, parts).distortion(vectors) for parts in (2, 4, 8, 16)]
    assert distortions == sorted(distortions, reverse=True)
    assert distortions[-1] < 0.01 * vectors.var() * 16


def test_codes_find_most_neighbors_with_a_sixteenth_of_the_memory():
    table, queries = F.normalize(clustered(4000, 32), dim=1), F.normalize(clustered(50, 32, seed=5), dim=1)
    index = Index(IndexConfig(width=32, kind="codes", lists=32, parts=8), generator=torch.Generator().manual_seed(0))
    index.add(table)
    seen = index.search(queries, 100, probes=24)
    assert index.codes.numel() * index.codes.element_size() == table.numel() * 4 / 16
    wanted = nearest(queries, table, 10)
    best = rerank(seen.neighbors, lambda query, ids: table[ids] @ queries[query], 10)
    assert recall(best, wanted) > 0.9 > recall(Neighbors(*(part[:, :10] for part in seen.neighbors)), wanted)


def test_reranking_leaves_out_what_was_not_found():
    found = Neighbors(torch.tensor([[3.0, 2.0, -torch.inf]]), torch.tensor([[5, 7, -1]]))
    best = rerank(found, lambda query, ids: ids.float(), 3)
    assert best.ids.tolist() == [[7, 5, -1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "tree"}, "kind must be one of flat, lists, codes, got 'tree'"),
        ({"metric": "l1"}, "metric must be one of dot, cosine, euclidean, got 'l1'"),
        ({"kind": "codes", "parts": 3}, "multiple of parts"),
        ({"kind": "codes", "metric": "euclidean"}, "codes need"),
    ],
)
def test_an_index_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        IndexConfig(width=8, **change)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (torch.zeros(3, 7), r"vectors must be floating-point \(N, 8\)"),
        (torch.full((3, 8), torch.nan), "vector 0 holds a number that is not finite"),
        (torch.zeros(3, 8, dtype=torch.int64), "floating-point"),
    ],
)
def test_vectors_that_cannot_be_added_are_refused(vectors, message):
    with pytest.raises(ValueError, match=message):
        Index(IndexConfig(width=8)).add(vectors)


def test_no_queries_find_nothing():
    index = Index(IndexConfig(width=8, kind="lists", lists=4))
    index.add(draw(100, 8))
    seen = index.search(torch.zeros(0, 8), 3)
    assert seen.neighbors.ids.shape == (0, 3)


def test_probes_are_counted_from_one():
    index = Index(IndexConfig(width=8))
    with pytest.raises(ValueError, match="probes must be at least 1"):
        index.search(torch.zeros(1, 8), 1, probes=0)
    assert index.search(torch.zeros(1, 8), 1).neighbors.ids.tolist() == [[-1]]  # nothing there yet


@pytest.mark.parametrize("name", ["neighbors", "codes", "index"])
def test_docstring_examples_run(name):
    module = importlib.import_module(f"mmcourse.retrieval.{name}")
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.failed == 0
    assert result.attempted > 0


# --- against FAISS ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
@pytest.mark.parametrize("kind", ["normal", "tied"])
def test_exact_search_finds_what_faiss_finds(metric, kind):
    faiss = pytest.importorskip("faiss")
    queries, table = draw(50, 16, seed=1, kind=kind), draw(3000, 16, kind=kind)
    theirs = faiss.IndexFlatIP(16) if metric == "dot" else faiss.IndexFlatL2(16)
    theirs.add(table.numpy())
    scores, ids = (torch.from_numpy(part) for part in theirs.search(queries.numpy(), 10))
    ours = nearest(queries, table, 10, metric=metric)
    scores = scores if metric == "dot" else -scores
    torch.testing.assert_close(ours.scores, scores, atol=1e-4, rtol=1e-5)
    if kind == "normal":
        assert torch.equal(ours.ids, ids)
    else:  # of equal scores FAISS may take others; those above the last are the same
        for mine, other, row in zip(ours.ids, ids, scores, strict=True):
            above = row > row[-1]
            assert set(mine[above].tolist()) == set(other[above].tolist())


def test_centers_are_as_good_as_those_of_faiss():
    faiss = pytest.importorskip("faiss")
    table, errors = clustered(20_000, 32), []
    theirs = faiss.Kmeans(32, 128, niter=20, seed=1)
    theirs.train(table.numpy())
    ours = [kmeans(table, 128, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    for centers in (torch.from_numpy(theirs.centroids), *ours):
        errors.append(-nearest(table, centers, 1, metric="euclidean").scores.mean().item())
    assert sum(errors[1:]) / 3 == pytest.approx(errors[0], rel=0.1)  # both begin at random vectors


@pytest.mark.parametrize("probes", [1, 4, 16])
def test_lists_reach_the_recall_of_faiss(probes):
    """With the same centers: how good these are is a matter of chance on both sides."""
    faiss = pytest.importorskip("faiss")
    table, queries = clustered(20_000, 32), clustered(300, 32, seed=9)
    wanted = nearest(queries, table, 10, metric="euclidean")
    index = Index(IndexConfig(width=32, kind="lists", metric="euclidean", lists=128))
    index.add(table)
    ours = index.search(queries, 10, probes=probes).neighbors
    quantizer = faiss.IndexFlatL2(32)
    quantizer.add(index.lists.centers.numpy())
    theirs = faiss.IndexIVFFlat(quantizer, 32, 128)
    theirs.train(table.numpy())  # finds the quantizer trained
    theirs.add(table.numpy())
    theirs.nprobe = probes
    ids = torch.from_numpy(theirs.search(queries.numpy(), 10)[1])
    assert recall(ours, wanted) == pytest.approx(recall(Neighbors(ours.scores, ids), wanted), abs=0.02)


def test_product_quantization_is_as_close_as_that_of_faiss():
    faiss = pytest.importorskip("faiss")
    table = clustered(20_000, 32)
    theirs = faiss.ProductQuantizer(32, 8, 8)
    theirs.train(table.numpy())
    decoded = torch.from_numpy(theirs.decode(theirs.compute_codes(table.numpy())))
    wanted = (table - decoded).square().sum(dim=1).mean().item()
    ours = ProductQuantizer.learn(table, 8, generator=torch.Generator().manual_seed(0)).distortion(table)
    assert ours == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("kind", ["flat", "lists"])
@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean"])
@pytest.mark.parametrize("apart", [False, True])
def test_faiss_searches_our_index(kind, metric, apart):
    pytest.importorskip("faiss")
    from mmcourse.retrieval.engine import FaissIndex

    table, queries = clustered(2000, 16), clustered(30, 16, seed=5)
    index = Index(IndexConfig(width=16, kind=kind, metric=metric, lists=32))
    index.add(table)
    theirs = FaissIndex(index, apart=apart)
    try:
        found = theirs.search(queries, 5, probes=6)
        wanted = index.search(queries, 5, probes=6).neighbors
    finally:
        theirs.close()
    torch.testing.assert_close(found.scores, wanted.scores, atol=1e-4, rtol=1e-4)
    assert (found.ids == wanted.ids).double().mean() > 0.99
    assert len(theirs) == 2000


def test_without_faiss_one_sentence_says_how_to_get_it(monkeypatch):
    import sys

    from mmcourse.retrieval.engine import FaissIndex

    monkeypatch.setitem(sys.modules, "faiss", None)
    index = Index(IndexConfig(width=4))
    index.add(draw(10, 4))
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        FaissIndex(index, apart=False)
