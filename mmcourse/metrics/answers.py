"""How good answers to questions about pictures are: VQA accuracy, accuracy by kind, risk against coverage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# The rules of the official evaluation (github.com/GT-Vision-Lab/VQA, vqaEval.py). As it takes apostrophes out first,
# only words written without one are ever put right.
_NUMBERS = {
    word: str(n)
    for n, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
}
_NUMBERS["none"] = "0"
_ARTICLES = {"a", "an", "the"}
_PUNCTUATION = (";", ":", "/", "'", "[", "]", '"', "(", ")", "=", "+", "\\", "_", ">", "<", "@", "`", ",", "?")
_RIGHT = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll "
    "how's isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't "
    "should've shouldn't somebody'll somebody's someone'd someone'll someone's something'd something'll "
    "that's there'd there're there's they'd they'll they're they've 'twas wasn't we've weren't what'll "
    "what're what's what've when's where'd where's where've who'd who'll who's who've why'll why're why's "
    "won't would've wouldn't y'all you'd you'll you're you've"
)
_CONTRACTIONS = {word.replace("'", ""): word for word in _RIGHT.split()}
_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_MOST_PERIODS = 32  # the official program hands a flag over as the number of replacements


class VQAAccuracy(NamedTuple):
    """The mean over all questions, and the accuracy of each (N,)."""

    mean: float
    each: Tensor


def vqa_accuracy(answers: Sequence[str], references: Sequence[Sequence[str]]) -> VQAAccuracy:
    """An answer counts min(n/3, 1), where n of the annotators gave it, averaged over leaving each of them out.

    Antol et al., "VQA: Visual question answering" (2015), with the official treatment of text: see `normalize_answer`;
    the annotators' answers lose their punctuation where they do not all agree.

    Args:
        answers: N texts.
        references: for each question the answers of its annotators, ten in the official data.
    Raises:
        ValueError: the numbers of answers and questions differ, or a question has no annotator.

    >>> vqa_accuracy(["Two."], [["2"] * 2 + ["3"] * 8]).mean  # two of ten: 8 times 2/3, twice 1/3
    0.6
    """
    if len(answers) != len(references):
        raise ValueError(
            f"answers has {len(answers)} entries, references {len(references)}; want one for each question"
        )
    each = []
    for number, (answer, given) in enumerate(zip(answers, references, strict=True)):
        if not given:
            raise ValueError(f"references of question {number} are empty; an accuracy needs at least one annotator")
        given = [_without_punctuation(text) for text in given] if len(set(given)) > 1 else given
        same, all_ = sum(text == normalize_answer(answer) for text in given), len(given)
        # leaving out one of the `same` leaves same - 1 of them, leaving out another all of them
        each.append((same * min(1.0, (same - 1) / 3) + (all_ - same) * min(1.0, same / 3)) / all_)
    found = torch.tensor(each, dtype=torch.float64)
    return VQAAccuracy(round(found.mean().item(), 12) if each else float("nan"), found)


def normalize_answer(text: str) -> str:
    """Small letters, no punctuation, numbers as digits, no articles, apostrophes where they are missing.

    >>> normalize_answer("The two dogs, dont they?")
    "2 dogs don't they"
    """
    words = _without_punctuation(re.sub(r"[\n\t]", " ", text).strip()).lower().split()
    words = [_NUMBERS.get(word, word) for word in words]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _without_punctuation(text: str) -> str:
    """A mark beside a space goes; one between letters becomes a space, unless the text has a number such as 1,000."""
    found = text
    for mark in _PUNCTUATION:
        beside = f"{mark} " in text or f" {mark}" in text or _COMMA.search(text)
        found = found.replace(mark, "" if beside else " ")
    return _PERIOD.sub("", found, count=_MOST_PERIODS)


class KindAccuracy(NamedTuple):
    """How many questions of one kind there are, and the share that is answered right."""

    questions: int
    accuracy: float


def accuracy_by_kind(right: Tensor, kinds: Sequence[str]) -> dict[str, KindAccuracy]:
    """The accuracy of every kind of question, which a mean over all hides; kinds in the order of their first question.

    Args:
        right: bool (N,), or the accuracy of each question.
        kinds: N names.

    >>> accuracy_by_kind(torch.tensor([True, False, True]), ["color", "count", "color"])["color"]
    KindAccuracy(questions=2, accuracy=1.0)
    """
    if right.dim() != 1 or len(right) != len(kinds):
        raise ValueError(f"right must be ({len(kinds)},), one for each of kinds, got {tuple(right.shape)}")
    found: dict[str, list[float]] = {}
    for kind, value in zip(kinds, right.double().tolist(), strict=True):
        found.setdefault(kind, []).append(value)
    return {kind: KindAccuracy(len(values), sum(values) / len(values)) for kind, values in found.items()}


class RiskCoverage(NamedTuple):
    """Answering only where confidence is highest: at each share of questions answered, the share of wrong ones."""

    coverage: Tensor  # (N,), from 1/N to 1
    risk: Tensor  # (N,)
    area: float  # under the curve, the mean risk: smaller is better


def risk_coverage(confidence: Tensor, right: Tensor) -> RiskCoverage:
    """What abstaining buys: El-Yaniv and Wiener, "On the foundations of noise-free selective classification" (2010).

    Of equally confident answers none comes before the others: each counts with the mean of their risk.

    Args:
        confidence: (N,), higher is surer.
        right: bool (N,), or the accuracy of each answer.

    >>> risk_coverage(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([True, True, False])).risk
    tensor([0.0000, 0.0000, 0.3333], dtype=torch.float64)
    """
    if confidence.dim() != 1 or right.shape != confidence.shape or len(right) == 0:
        shapes = f"{tuple(confidence.shape)} and {tuple(right.shape)}"
        raise ValueError(f"confidence and right must both be (N,) with at least one answer, got {shapes}")
    if not bool(confidence.isfinite().all()):
        raise ValueError("confidence holds a number that is not finite; an answer without one cannot be ranked")
    levels, group, size = (-confidence).unique(return_inverse=True, return_counts=True)  # the surest group is 0
    wrong = torch.zeros(len(levels), dtype=torch.float64).index_add_(0, group, 1 - right.double()) / size
    numbers = torch.arange(1, len(right) + 1)
    risk = wrong.repeat_interleave(size).cumsum(0) / numbers
    return RiskCoverage(numbers.double() / len(right), risk, risk.mean().item())
