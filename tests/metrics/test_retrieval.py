import doctest
import statistics
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from mmcourse.metrics import mean_average_precision, median_rank, recall_at_k, retrieval

quick = settings(max_examples=150, deadline=None)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@st.composite
def searches(draw, ties):
    """Scores (Q, G), with many ties or none, and what is relevant: at least one item a query."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    queries, items = draw(st.integers(1, 7)), draw(st.integers(1, 12))
    if ties:
        scores = torch.randint(-2, 3, (queries, items), generator=generator).float()
    else:
        order = torch.rand(queries, items, generator=generator, dtype=torch.float64).argsort(dim=1)
        scores = order.double() / 3 - 1
    relevant = torch.rand(queries, items, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    relevant[torch.arange(queries), torch.randint(items, (queries,), generator=generator)] = True
    return scores, relevant


def by_hand(scores, relevant):
    """Rank of the first right item and average precision of every query, by sorting lists."""
    ranks, precisions = [], []
    for row, right in zip(scores.tolist(), relevant.tolist(), strict=True):
        ranking = [r for _, r in sorted(zip(row, right, strict=True), key=lambda item: (-item[0], item[1]))]
        places = [i + 1 for i, r in enumerate(ranking) if r]
        ranks.append(places[0])
        precisions.append(statistics.mean((found + 1) / place for found, place in enumerate(places)))
    return ranks, precisions


@quick
@given(st.booleans().flatmap(searches))
def test_everything_equals_a_loop(search):
    scores, relevant = search
    ranks, precisions = by_hand(scores, relevant)
    found = retrieval(scores, relevant, ks=(1, 2, 5, 10))
    assert found.recall == pytest.approx({k: statistics.mean(rank <= k for rank in ranks) for k in (1, 2, 5, 10)})
    assert found.median_rank == statistics.median(ranks)
    assert found.mean_average_precision == pytest.approx(statistics.mean(precisions), abs=1e-12)
    assert recall_at_k(scores, relevant, k=2) == found.recall[2]
    assert median_rank(scores, relevant) == found.median_rank
    assert mean_average_precision(scores, relevant) == found.mean_average_precision


@quick
@given(searches(ties=False))
def test_average_precision_equals_scikit_learn(search):
    scores, relevant = search
    theirs = [average_precision_score(right.numpy(), row.numpy()) for row, right in zip(scores, relevant, strict=True)]
    assert mean_average_precision(scores, relevant) == pytest.approx(statistics.mean(theirs), abs=1e-12)


@quick
@given(searches(ties=True))
def test_ties_never_help(search):
    scores, relevant = search
    theirs = [average_precision_score(right.numpy(), row.numpy()) for row, right in zip(scores, relevant, strict=True)]
    assert mean_average_precision(scores, relevant) <= statistics.mean(theirs) + 1e-12
    apart = scores + relevant * 0.5  # the right items first among equals
    assert retrieval(scores, relevant).median_rank >= retrieval(apart, relevant).median_rank


def test_a_model_that_scores_all_the_same_finds_nothing():
    found = retrieval(torch.zeros(20, 20))
    assert found.recall == {1: 0.0, 5: 0.0, 10: 0.0}
    assert found.median_rank == 20
    assert found.mean_average_precision == pytest.approx(1 / 20)


def test_both_directions_with_several_texts_a_picture():
    """Two pictures, texts 0 and 1 of the first, 2 of the second."""
    relevant = torch.tensor([[True, True, False], [False, False, True]])
    similarity = torch.tensor([[0.9, 0.2, 0.5], [0.8, 0.1, 0.3]])
    texts = retrieval(similarity, relevant, ks=(1, 2))
    assert texts.recall == {1: 0.5, 2: 1.0}
    assert texts.mean_average_precision == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    pictures = retrieval(similarity.T, relevant.T, ks=(1, 2))
    assert pictures.recall == pytest.approx({1: 2 / 3, 2: 1.0})
    assert pictures.median_rank == 1
    assert pictures.mean_average_precision == pytest.approx((1 + 1 + 1 / 2) / 3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_types_devices_gradients_and_blocks(monkeypatch, device, dtype):
    scores = torch.randn(11, 11, generator=torch.Generator().manual_seed(0)).to(dtype)
    whole = retrieval(scores)
    assert whole.mean_average_precision == pytest.approx(statistics.mean(by_hand(scores, torch.eye(11) > 0)[1]))
    monkeypatch.setattr(sys.modules["mmcourse.metrics.retrieval"], "ROWS", 4)
    assert retrieval(scores.to(device).requires_grad_()) == whole


def test_the_examples_run():
    assert doctest.testmod(sys.modules["mmcourse.metrics.retrieval"]) == (0, 5)


def test_infinite_scores_have_ranks():
    scores = torch.tensor([[-torch.inf, 0.0], [torch.inf, torch.inf]])
    assert retrieval(scores).recall[1] == 0
    assert retrieval(scores).median_rank == 2


@pytest.mark.parametrize(
    ("similarity", "relevant", "options", "message"),
    [
        (torch.zeros(3), None, {}, r"similarity must be floating-point \(Q, G\), not empty, got torch.float32 \(3,\)"),
        (torch.zeros(0, 3), None, {}, "not empty"),
        (torch.zeros(2, 2, dtype=torch.int64), None, {}, "got torch.int64"),
        (torch.tensor([[torch.nan]]), None, {}, "must not hold NaN, which has no rank"),
        (torch.zeros(2, 3), None, {}, r"similarity is \(2, 3\): without relevant, .* it must be square"),
        (torch.zeros(2, 2), torch.ones(2, 2), {}, r"relevant must be bool \(2, 2\) as similarity, got torch.float32"),
        (torch.zeros(2, 2), torch.ones(2, 3) > 0, {}, r"got torch.bool \(2, 3\)"),
        (torch.zeros(2, 2), torch.tensor([[True, True], [False, False]]), {}, "no right item for query 1; leave such"),
        (torch.zeros(2, 2), None, {"ks": (1, 0)}, "ks must be at least 1 each, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(similarity, relevant, options, message):
    with pytest.raises(ValueError, match=message):
        retrieval(similarity, relevant, **options)
