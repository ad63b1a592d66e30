import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer
from sklearn.calibration import calibration_curve

from mmcourse.metrics import (
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    perplexity,
    precision_recall_f1,
    reliability,
    top_k_accuracy,
)

quick = settings(max_examples=100, deadline=None)
SEEDS = st.integers(0, 2**31 - 1)


@st.composite
def labels(draw):
    """Predictions, targets and the number of classes: often with absent classes, sometimes a single sample."""
    classes, count = draw(st.integers(1, 6)), draw(st.sampled_from([1, 2, 5, 40]))
    used = st.integers(0, draw(st.integers(1, classes)) - 1)
    predictions, targets = (draw(st.lists(used, min_size=count, max_size=count)) for _ in range(2))
    return torch.tensor(predictions), torch.tensor(targets), classes


@st.composite
def scored(draw, least=2):
    """Scores (N, V), often with ties, and targets."""
    generator = torch.Generator().manual_seed(draw(SEEDS))
    count, classes = draw(st.sampled_from([1, 7, 60])), draw(st.integers(least, 6))
    scores = torch.randn(count, classes, generator=generator, dtype=torch.float64)
    scores = scores.round() if draw(st.booleans()) else scores
    return scores, torch.randint(classes, (count,), generator=generator)


@pytest.mark.filterwarnings("ignore:A single label was found")
@quick
@given(labels())
def test_counts_equal_scikit_learn(drawn):
    predictions, targets, classes = drawn
    assert accuracy(predictions, targets) == pytest.approx(peer.accuracy_score(targets, predictions), abs=1e-15)
    matrix = confusion_matrix(predictions, targets, classes)
    assert matrix.tolist() == peer.confusion_matrix(targets, predictions, labels=range(classes)).tolist()


@settings(quick, max_examples=200)
@given(labels(), st.sampled_from([None, "macro", "micro", "weighted"]), st.sampled_from([0.0, 1.0, math.nan]))
def test_precision_recall_f1_equal_scikit_learn(drawn, average, zero_division):
    predictions, targets, classes = drawn
    ours = precision_recall_f1(predictions, targets, classes, average=average, zero_division=zero_division)
    *theirs, support = peer.precision_recall_fscore_support(
        targets, predictions, labels=range(classes), average=average, zero_division=zero_division
    )
    for mine, wanted in zip(ours, theirs, strict=False):
        assert mine.dtype == torch.float64
        np.testing.assert_allclose(mine.numpy(), wanted, rtol=1e-14, atol=0)  # NaN where theirs is NaN
    assert ours.support.tolist() == (len(targets) if average else support.tolist())


@settings(quick, max_examples=200)
@given(scored(least=3), st.integers(1, 6))
def test_top_k_equals_scikit_learn(drawn, k):
    scores, targets = drawn
    classes = scores.shape[1]
    k = min(k, classes)
    if k == classes:
        assert top_k_accuracy(scores, targets, k=k) == 1.0  # scikit-learn says the same and warns
    else:
        expected = peer.top_k_accuracy_score(targets, scores, k=k, labels=range(classes))
        assert top_k_accuracy(scores, targets, k=k) == pytest.approx(expected, abs=1e-15)


@settings(quick, max_examples=200)
@given(scored(), st.integers(1, 20), st.sampled_from([0.1, 1.0, 10.0]))
def test_reliability_equals_scikit_learn(drawn, bins, sharpness):
    scores, targets = drawn
    probabilities = (scores * sharpness).softmax(-1)
    confidence, right = probabilities.amax(1), probabilities.argmax(1) == targets
    ours = reliability(probabilities, targets, bins=bins)
    seen = ours.counts > 0
    theirs_right, theirs_confidence = calibration_curve(right, confidence, n_bins=bins, pos_label=True)
    np.testing.assert_allclose(ours.accuracy[seen], theirs_right, rtol=1e-12)
    np.testing.assert_allclose(ours.confidence[seen], theirs_confidence, rtol=1e-12)
    assert ours.accuracy[~seen].isnan().all()
    assert ours.confidence[~seen].isnan().all()
    assert ours.counts.sum() == len(targets)
    error = 0.0
    for low, high in zip(ours.edges[:-1], ours.edges[1:], strict=True):
        inside = (confidence > low) & (confidence <= high) if high < 1 else confidence > low
        if inside.any():
            error += inside.double().mean() * (right[inside].double().mean() - confidence[inside].mean()).abs()
    assert expected_calibration_error(probabilities, targets, bins=bins) == pytest.approx(float(error), abs=1e-12)


def test_by_hand():
    targets, predictions = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]
    assert accuracy(predictions, targets) == pytest.approx(4 / 6)
    assert confusion_matrix(predictions, targets, 4).tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0] * 4]
    scores = precision_recall_f1(predictions, targets, 4)
    assert scores.precision.tolist() == pytest.approx([1, 1 / 2, 1 / 2, 0])
    assert scores.recall.tolist() == pytest.approx([2 / 3, 1 / 2, 1, 0])
    assert scores.f1.tolist() == pytest.approx([4 / 5, 1 / 2, 2 / 3, 0])
    assert scores.support.tolist() == [3, 2, 1, 0]
    macro = precision_recall_f1(predictions, targets, 4, average="macro", zero_division=math.nan)
    assert macro.precision.item() == pytest.approx(2 / 3)  # over the three classes that occur
    micro = precision_recall_f1(predictions, targets, 4, average="micro")
    assert micro.f1.item() == micro.precision.item() == pytest.approx(4 / 6)


def test_calibration_by_hand():
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.5, 0.5]], dtype=torch.float64)
    targets = torch.tensor([0, 1, 1, 0])
    result = reliability(probabilities, targets, bins=2)
    assert result.counts.tolist() == [1, 3]  # a confidence on an edge belongs to the bin below it
    assert result.accuracy.tolist() == pytest.approx([1.0, 2 / 3])
    assert result.confidence.tolist() == pytest.approx([0.5, 0.8])
    assert expected_calibration_error(probabilities, targets, bins=2) == pytest.approx(
        0.25 * 0.5 + 0.75 * (0.8 - 2 / 3)
    )


def test_a_calibrated_model_has_no_error():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(200_000, 3, generator=generator).softmax(-1)
    targets = probabilities.multinomial(1, generator=generator)[:, 0]
    assert expected_calibration_error(probabilities, targets) < 0.01
    assert expected_calibration_error((probabilities.log() * 4).softmax(-1), targets) > 0.15  # far too sure


def test_classes_of_any_shape_and_kind():
    grid = torch.tensor([[0, 1], [2, 1]])
    assert accuracy(grid, grid.numpy()) == 1.0
    assert accuracy(grid.int(), grid.T.contiguous()) == 0.5
    assert torch.equal(confusion_matrix(grid, grid, 3), confusion_matrix(grid.flatten(), grid.flatten(), 3))
    assert accuracy([True, False], [1, 1]) == 0.5
    assert accuracy(1, 1) == 1.0
    with pytest.raises(ValueError, match="at least one sample, got none"):
        accuracy([], [])


def test_half_precision_probabilities():
    logits = torch.randn(50, 300, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(50)
    exact = expected_calibration_error(logits.softmax(-1), targets)
    for dtype in (torch.float16, torch.bfloat16):
        assert expected_calibration_error(logits.softmax(-1).to(dtype), targets) == pytest.approx(exact, abs=0.01)


def test_perplexity():
    assert perplexity(0.0) == 1.0
    assert perplexity(torch.tensor(math.log(27.0), dtype=torch.float64, requires_grad=True)) == pytest.approx(27.0)
    assert perplexity(1e6) == math.inf
    assert math.isnan(perplexity(math.nan))


GOOD = torch.tensor([[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: accuracy([0, 1], [0]), r"predictions have shape \(2,\), targets \(1,\)"),
        (lambda: accuracy(GOOD, GOOD), r"whole class numbers, got torch.float32; for scores write scores.argmax\(-1\)"),
        (lambda: accuracy([0, 1], [0, -100]), "targets must not be negative, got -100; leave ignored samples out"),
        (lambda: confusion_matrix([0, 3], [0, 1], 3), "must be classes 0 to 2, got 3; raise classes"),
        (lambda: precision_recall_f1([0], [0], 1, average="mean"), "average must be one of None, 'macro'.*got 'mean'"),
        (lambda: top_k_accuracy(GOOD, [0, 1], k=3), "k must lie between 1 and the number of classes 2, got 3"),
        (lambda: top_k_accuracy(GOOD, [0]), r"targets must have shape \(2,\), one for each row of scores, got \(1,\)"),
        (lambda: top_k_accuracy(GOOD, [0, 2], k=1), "targets must be classes 0 to 1, got 2"),
        (
            lambda: top_k_accuracy(GOOD[0], [0], k=1),
            r"scores must be floating-point \(N, V\), got torch.float32 \(2,\)",
        ),
        (lambda: top_k_accuracy(GOOD * math.nan, [0, 1], k=1), "scores must not hold NaN"),
        (lambda: reliability(GOOD * 3, [0, 1]), "sum to 1 in each row; turn logits into them by softmax"),
        (lambda: reliability(GOOD * torch.tensor([3.0, -1.0]), [0, 1]), "must be at least 0"),
        (lambda: expected_calibration_error(GOOD, [0, 1], bins=0), "bins must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
