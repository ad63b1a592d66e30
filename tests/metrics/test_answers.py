"""VQA accuracy against the published definition written out, accuracy by kind, risk against coverage."""

from __future__ import annotations

import doctest
import random
import sys

import pytest
import torch

from mmcourse.metrics import accuracy_by_kind, normalize_answer, risk_coverage, vqa_accuracy
from mmcourse.metrics.answers import _without_punctuation


def by_definition(answer, given):
    """For each annotator, how many of the others said the same; a third of that, at most 1; the mean of them all."""
    answer = normalize_answer(answer)
    if len(set(given)) > 1:
        given = [_without_punctuation(text) for text in given]
    total = 0.0
    for left_out in range(len(given)):
        others = given[:left_out] + given[left_out + 1 :]
        total += min(1.0, sum(other == answer for other in others) / 3)
    return total / len(given)


def test_it_is_the_published_definition_on_random_answers():
    generator = random.Random(0)
    words = [
        "yes",
        "no",
        "2",
        "two",
        "a red car",
        "red car",
        "the dog",
        "dont know",
        "don't know",
        "1,000",
        "9.5",
        "t-shirt",
    ]
    answers = [generator.choice(words) for _ in range(400)]
    references = [[generator.choice(words[: generator.randint(1, 12)]) for _ in range(10)] for _ in range(400)]
    found = vqa_accuracy(answers, references)
    wanted = torch.tensor([by_definition(*pair) for pair in zip(answers, references, strict=True)], dtype=torch.float64)
    torch.testing.assert_close(found.each, wanted, rtol=0, atol=1e-12)
    assert found.mean == pytest.approx(wanted.mean().item(), abs=1e-9)
    assert 0.05 < found.mean < 0.95


@pytest.mark.parametrize(("same", "wanted"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_worked_by_hand(same, wanted):
    """With 1 of ten: nine leave it in (1/3), one leaves it out (0). With 3: seven times 1, three times 2/3."""
    assert vqa_accuracy(["red"], [["red"] * same + ["blue"] * (10 - same)]).mean == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The Dog", "dog"),
        ("two", "2"),
        ("none", "0"),
        ("an apple", "apple"),
        ("yes.", "yes"),
        ("9.5", "9.5"),
        ("1,000 people", "1000 people"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("dont", "don't"),
        ("oclock", "o'clock"),
        ("don't", "don t"),  # between letters the mark becomes a space
        ("  red\tcar\n", "red car"),
        ("A", ""),
        ("tshirt?", "tshirt"),
    ],
)
def test_texts_are_treated_as_in_the_official_evaluation(text, wanted):
    assert normalize_answer(text) == wanted


def test_annotators_who_all_agree_are_taken_by_their_word():
    """The official program leaves such references as they are: a mark in them can then never be matched."""
    assert vqa_accuracy(["yes."], [["yes."] * 10]).mean == 0.0
    assert vqa_accuracy(["yes."], [["yes."] * 9 + ["no"]]).mean == pytest.approx(1.0)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="answers has 1 entries, references 2"):
        vqa_accuracy(["a"], [["a"], ["b"]])
    with pytest.raises(ValueError, match="references of question 1 are empty"):
        vqa_accuracy(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match=r"right must be \(2,\)"):
        accuracy_by_kind(torch.ones(3), ["a", "b"])
    with pytest.raises(ValueError, match="at least one answer"):
        risk_coverage(torch.ones(0), torch.ones(0))
    with pytest.raises(ValueError, match="not finite"):
        risk_coverage(torch.tensor([torch.nan]), torch.ones(1))


def test_a_mean_hides_what_the_kinds_show():
    right = torch.tensor([1.0] * 90 + [0.0] * 10)
    found = accuracy_by_kind(right, ["is it there?"] * 90 + ["how many?"] * 10)
    assert list(found) == ["is it there?", "how many?"]
    assert found["how many?"] == (10, 0.0)
    assert right.mean() == pytest.approx(0.9)


def test_risk_and_coverage_by_counting():
    generator = torch.Generator().manual_seed(0)
    confidence, right = torch.rand(50, generator=generator), torch.rand(50, generator=generator) < 0.7
    found = risk_coverage(confidence, right)
    order = confidence.argsort(descending=True)
    for number in range(1, 51):
        assert found.risk[number - 1] == pytest.approx((~right[order[:number]]).double().mean().item())
    assert found.coverage[-1] == 1
    assert found.risk[-1] == pytest.approx(1 - right.double().mean().item())


def test_who_knows_when_it_is_wrong_has_the_smaller_area():
    right = torch.tensor([True] * 8 + [False] * 2)
    knows, blind, upside_down = torch.linspace(1, 0, 10), torch.ones(10), torch.linspace(0, 1, 10)
    areas = [risk_coverage(confidence, right).area for confidence in (knows, blind, upside_down)]
    assert areas == sorted(areas)
    assert areas[1] == pytest.approx(0.2)  # equally sure of everything: the risk is the same at any coverage
    assert torch.equal(risk_coverage(blind, right).risk, risk_coverage(blind, right.flip(0)).risk)


def test_docstring_examples_run():
    result = doctest.testmod(sys.modules["mmcourse.metrics.answers"], extraglobs={"torch": torch})
    assert result.failed == 0
    assert result.attempted == 4
