"""Parts, decisions and heads: invariants, and slow naive references."""

import doctest
import itertools
import random

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mmcourse.course.projects import data, deciding, drawing, learning
from mmcourse.course.projects.data import split_groups
from mmcourse.course.projects.deciding import ASK, cheapest_threshold, cost_matrix, decide, mean_cost


@pytest.mark.parametrize("module", [data, deciding, drawing])
def test_examples_of_docstrings(module):
    failed, tried = doctest.testmod(module, extraglobs={"torch": torch})
    assert failed == 0 < tried


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_labels_are_shared_out(seed):
    chance = random.Random(seed)
    groups = [f"g{chance.randrange(40)}" for _ in range(200)]
    targets = torch.tensor([chance.randrange(3) for _ in groups])
    parts = split_groups(groups, targets, seed=seed)
    assert sorted(torch.cat(parts).tolist()) == list(range(200))
    inside = [{groups[place] for place in part} for part in parts]
    assert not any(a & b for a, b in itertools.combinations(inside, 2))
    for share, part in zip((0.6, 0.2, 0.2), parts, strict=True):
        for label in range(3):
            got = (targets[part] == label).sum() / (targets == label).sum()
            assert abs(float(got) - share) < 0.15


def test_another_seed_gives_other_parts_and_the_same_one_the_same():
    groups, targets = [f"g{number}" for number in range(30)], torch.arange(30) % 2
    first, again, other = (split_groups(groups, targets, seed=seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first.test, other.test)


def test_three_groups_are_one_each_however_large():
    parts = split_groups(["a"] * 50 + ["b", "c"], torch.zeros(52, dtype=torch.int64), seed=0)
    assert all(len(part) for part in parts)
    with pytest.raises(ValueError, match="groups must be at least 3 different ones, got 2"):
        split_groups(["a", "b"], torch.zeros(2, dtype=torch.int64), seed=0)
    with pytest.raises(ValueError, match=r"targets must be \(2,\)"):
        split_groups(["a", "b"], torch.zeros(3, dtype=torch.int64), seed=0)


def test_the_cheapest_label_by_trying_all():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(50, 4, generator=generator).softmax(-1)
    costs = 5 * torch.rand(4, 4, generator=generator)
    found = decide(probabilities, costs, ask=1.9)
    for row, said, expected in zip(probabilities, found.said.tolist(), found.expected.tolist(), strict=True):
        tried = [sum(float(row[truth] * costs[truth, column]) for truth in range(4)) for column in range(4)]
        assert expected == pytest.approx(min(*tried, 1.9), abs=1e-5)
        assert said == (tried.index(min(tried)) if min(tried) <= 1.9 else ASK)
    assert 0 < (found.said == ASK).double().mean() < 1


def test_equal_costs_say_the_likeliest_label():
    probabilities = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)).softmax(-1)
    assert torch.equal(decide(probabilities, cost_matrix("abcd", {})).said, probabilities.argmax(1))


def test_prices_fit_other_labels_and_what_is_no_price_is_refused():
    assert torch.equal(cost_matrix(["x", "y"], {("ill", "well"): 20.0}), 1 - torch.eye(2))
    for prices in ({("a", "b"): -1.0}, {("a", "a"): 1.0}):
        with pytest.raises(ValueError, match="prices must be of errors and at least 0"):
            cost_matrix(["a", "b"], prices)
    with pytest.raises(ValueError, match="probabilities and costs must be"):
        decide(torch.ones(2, 3), torch.ones(2, 2))


def test_what_decisions_cost():
    costs = torch.tensor([[0.0, 20.0], [1.0, 0.0]])
    said, truth = torch.tensor([0, 1, ASK, 0]), torch.tensor([0, 0, 1, 1])
    assert mean_cost(said, truth, costs, ask=2.0) == (0 + 20 + 2 + 1) / 4
    with pytest.raises(ValueError, match="ask be given where some of them are ASK"):
        mean_cost(said, truth, costs)


@pytest.mark.parametrize("ask", [0.1, 0.4, 0.9])
def test_the_cheapest_threshold_by_trying_all(ask):
    generator = torch.Generator().manual_seed(1)
    confidence = torch.rand(30, generator=generator).round(decimals=1)
    right = torch.rand(30, generator=generator) < confidence

    def cost(threshold):
        pairs = zip(confidence.tolist(), right.tolist(), strict=True)
        return sum((not good) if sure >= threshold else ask for sure, good in pairs)

    found = cheapest_threshold(confidence, right, ask=ask)
    tried = [*confidence.tolist(), float("inf")]
    assert cost(found) == pytest.approx(min(map(cost, tried)))
    assert found == max(each for each in tried if cost(each) < min(map(cost, tried)) + 1e-9)
    with pytest.raises(ValueError, match="confidence and right must both be"):
        cheapest_threshold(confidence, right[:3], ask=ask)


def test_a_head_learns_as_logistic_regression_does(monkeypatch):
    monkeypatch.setenv("MMCOURSE_BUDGET", "standard")
    generator = torch.Generator().manual_seed(0)
    standard, signs = torch.randn(400, 20, generator=generator), torch.randn(20, generator=generator).sign()
    targets = (standard @ signs > 0).long()
    features = standard * torch.logspace(-2, 2, 20) + 3  # of very different sizes
    head = learning.train_head(features[:200], targets[:200], 2, decay=0.1, seed=0)
    theirs = torch.tensor(LogisticRegression().fit(standard[:200], targets[:200]).predict(standard[200:]))
    assert (head(features[200:]).argmax(1) == theirs).double().mean() > 0.9


def test_a_text_is_right_for_every_picture_with_an_equal_one():
    assert learning.same_text(["a", "b", "a"]).tolist() == [
        [True, False, True], [False, True, False], [True, False, True],
    ]  # fmt: skip
