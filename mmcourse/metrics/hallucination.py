"""Hallucination: what a model says is in a picture and is not, asked by yes/no probes or counted in free captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Probes(NamedTuple):
    """Answers to "is there a …?", all about "yes". A model that cannot say no has a recall of 1 and a `yes_rate` of 1.

    accuracy: share of right answers.
    precision: of the things it says are there, the share that is; 0 where it never says yes.
    recall: of the things that are there, the share it says yes to; 0 where nothing is there.
    yes_rate: share of answers that are yes.
    """

    accuracy: float
    precision: float
    recall: float
    yes_rate: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def probes(said: Tensor | Sequence[bool], true: Tensor | Sequence[bool]) -> Probes:
    """How well yes/no questions about the things in pictures are answered, as POPE measures it.

    Li et al., "Evaluating object hallucination in large vision-language models" (2023). Which absent things are asked
    for decides how hard it is: theirs are random, popular ones, or adversarial ones, often seen beside what is there.

    Args:
        said: bool (N,), True where the answer was yes.
        true: bool (N,), True where the thing is there.
    Raises:
        ValueError: they are not two rows of N truth values, or N is 0.

    >>> probes([True, True, False, False], [True, False, True, False])
    Probes(accuracy=0.5, precision=0.5, recall=0.5, yes_rate=0.5)
    """
    said, true = torch.as_tensor(said), torch.as_tensor(true)
    for name, value in (("said", said), ("true", true)):
        if value.dtype != torch.bool or value.dim() != 1 or len(value) == 0:
            found = f"{value.dtype} {tuple(value.shape)}"
            raise ValueError(f"{name} must be bool (N,) with at least one answer, got {found}")
    if len(said) != len(true):
        raise ValueError(f"said has {len(said)} answers, true {len(true)}; want one for each question")
    said, true = said.cpu(), true.cpu()
    both, yes, there = (int(each.sum()) for each in (said & true, said, true))
    right = int((said == true).sum())
    return Probes(right / len(said), both / yes if yes else 0.0, both / there if there else 0.0, yes / len(said))


class Invented(NamedTuple):
    """How much of what captions name is not there, both from 0 to 1; smaller is better.

    mentions: CHAIR_i, the share of named things that their picture does not show; 0 where no caption names anything.
    captions: CHAIR_s, the share of captions that name at least one such thing.
    """

    mentions: float
    captions: float


def invented(named: Sequence[Sequence[str]], shown: Sequence[Sequence[str]]) -> Invented:
    """CHAIR: the share of invented things among all that captions name, and of captions that invent anything.

    Rohrbach et al., "Object hallucination in image captioning" (2018). As in their program
    (github.com/LisaAnne/Hallucination, utils/chair.py), a thing named twice in a caption counts twice, above and below,
    and a caption that names nothing is still a caption. Whoever says little invents little, so it belongs beside a
    measure of what captions leave out.

    Args:
        named: for each caption the things that it names, with repeats.
        shown: for each caption the things that its picture shows; how often does not count.
    Raises:
        ValueError: there is no caption, not one list of things for each, or a text where a list of things belongs.

    >>> invented([["cat", "dog", "dog"], ["cup"]], [["cat"], ["cup", "spoon"]])
    Invented(mentions=0.5, captions=0.5)
    """
    if len(named) != len(shown):
        raise ValueError(f"named has {len(named)} captions, shown {len(shown)} pictures; want one for each")
    if len(named) == 0:
        raise ValueError("named must hold at least one caption, got none")
    for name, rows in (("named", named), ("shown", shown)):
        for number, things in enumerate(rows):
            if isinstance(things, str):
                raise ValueError(f"{name}[{number}] must be a list of things, got the text {things!r}")
    strange = [sum(thing not in seen for thing in things) for things, seen in zip(named, shown, strict=True)]
    mentions = sum(map(len, named))
    return Invented(sum(strange) / mentions if mentions else 0.0, sum(map(bool, strange)) / len(named))
