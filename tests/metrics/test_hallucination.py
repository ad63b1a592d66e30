"""Yes/no probes against scikit-learn and by hand; invented things against counts worked by hand."""

from __future__ import annotations

import doctest
import random
import sys

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from mmcourse.metrics import invented, probes


def test_docstring_examples_run():
    assert doctest.testmod(sys.modules["mmcourse.metrics.hallucination"]).failed == 0


# --- probes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("yes", [0.0, 0.1, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("there", [0.0, 0.5, 1.0])
def test_probes_are_those_of_scikit_learn(yes, there):
    generator = torch.Generator().manual_seed(round(100 * yes + 7 * there))
    said, true = (torch.rand(60, generator=generator) < share for share in (yes, there))
    found = probes(said, true)
    asked = true.numpy(), said.numpy()
    assert found.accuracy == pytest.approx(accuracy_score(*asked))
    assert found.precision == pytest.approx(precision_score(*asked, zero_division=0.0))
    assert found.recall == pytest.approx(recall_score(*asked, zero_division=0.0))
    assert found.f1 == pytest.approx(f1_score(*asked, zero_division=0.0))
    assert found.yes_rate == pytest.approx(said.double().mean().item())


def test_probes_by_hand():
    said = [True, True, True, False, False, False, False, False]
    true = [True, True, False, True, True, False, False, False]
    found = probes(said, true)
    assert found == pytest.approx((5 / 8, 2 / 3, 2 / 4, 3 / 8))
    assert found.f1 == pytest.approx(4 / 7)


def test_who_always_says_yes_is_found_out():
    true = torch.tensor([True, False, False, True])
    assert probes(torch.ones(4, dtype=torch.bool), true) == (0.5, 0.5, 1.0, 1.0)
    assert probes(torch.zeros(4, dtype=torch.bool), true) == (0.5, 0.0, 0.0, 0.0)
    assert probes(torch.zeros(4, dtype=torch.bool), true).f1 == 0.0


YES = torch.ones(3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("said", "true", "message"),
    [
        (YES, torch.ones(3), r"true must be bool \(N,\) with at least one answer, got torch.float32 \(3,\)"),
        (YES.long(), YES, r"said must be bool .* got torch.int64"),
        (YES[None], YES[None], r"said must be .* got torch.bool \(1, 3\)"),
        (YES[:0], YES[:0], r"at least one answer, got torch.bool \(0,\)"),
        (YES, YES[:2], "said has 3 answers, true 2"),
    ],
)
def test_probes_that_are_none_are_refused(said, true, message):
    with pytest.raises(ValueError, match=message):
        probes(said, true)


# --- invented -----------------------------------------------------------------------------------------------------


def test_invented_by_hand():
    named = [["cat", "dog", "cat"], ["cup", "cup"], [], ["bus", "cat", "bus", "tree"]]
    shown = [["cat"], ["cup", "spoon"], ["dog"], ["tree", "cup"]]
    # one dog; nothing; nothing; two buses and a cat: 4 of 9 mentions, in 2 of 4 captions
    assert invented(named, shown) == pytest.approx((4 / 9, 2 / 4))


def test_a_thing_named_twice_counts_twice_and_shown_twice_counts_once():
    assert invented([["cat", "dog"]], [["cat"]]).mentions == 1 / 2
    assert invented([["cat", "dog", "dog"]], [["cat"]]).mentions == 2 / 3
    assert invented([["cat", "cat", "cat"]], [["cat"]]) == (0.0, 0.0)
    assert invented([["cat"]], [["cat", "cat"]]) == (0.0, 0.0)


def test_captions_that_name_nothing_invent_nothing_and_count():
    assert invented([[], []], [["cat"], []]) == (0.0, 0.0)
    assert invented([["dog"], []], [["cat"], ["cat"]]) == (1.0, 0.5)


def test_it_is_the_count_of_single_mentions_on_random_captions():
    generator = random.Random(0)
    things = ["cat", "dog", "cup", "bus", "tree", "ball"]
    named = [generator.choices(things, k=generator.randrange(5)) for _ in range(80)]
    shown = [generator.sample(things, k=generator.randrange(4)) for _ in range(80)]
    rows = [(number, thing in shown[number]) for number, named_here in enumerate(named) for thing in named_here]
    wrong = [number for number, fine in rows if not fine]
    assert 0 < len(set(wrong)) < 80
    assert invented(named, shown) == pytest.approx((len(wrong) / len(rows), len(set(wrong)) / 80))


@pytest.mark.parametrize(
    ("named", "shown", "message"),
    [
        ([["cat"]], [["cat"], ["dog"]], "named has 1 captions, shown 2 pictures"),
        ([], [], "at least one caption"),
        (["cat"], [["cat"]], r"named\[0\] must be a list of things, got the text 'cat'"),
        ([["cat"], ["dog"]], [["cat"], "dog"], r"shown\[1\] must be a list of things, got the text 'dog'"),
    ],
)
def test_captions_that_fit_nothing_are_refused(named, shown, message):
    with pytest.raises(ValueError, match=message):
        invented(named, shown)
