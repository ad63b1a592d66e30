"""What a language model is asked about scenes, whatever stands for the scene: pictures, or descriptions in words."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from mmcourse.datasets import Question, Scene, caption_is_true, lexicon, questions, sample_scenes
from mmcourse.models.vlm import IMAGE, VLM
from mmcourse.recipes.data.questions import draw_questions, wrong_by_kind
from mmcourse.recipes.data.readings import DESCRIBE, TELL, tells_all

T = TypeVar("T")
SCENES = 500  # of each split that a finished model is measured on
EACH = 8  # questions about each
LONGEST = 18  # tokens of an answer: everything about three things takes 17, and <eos>
RIVALS = ("random", "alike")  # how absent things are chosen for probes


class Probe(NamedTuple):
    """A question about one thing, and whether the thing is there."""

    text: str
    there: bool


class Exam(NamedTuple):
    """Scenes, some questions of all kinds about each, and about each as many probes of either sort that ought to get
    a yes as such that ought to get a no; the last by how their absent things were chosen."""

    scenes: Sequence[Scene]
    asked: list[list[Question]]
    probes: dict[str, list[list[Probe]]]


def exam(count: int, *, split: str, start: int = 0, each: int = EACH) -> Exam:
    """The same questions whenever it is called."""
    chance, scenes = random.Random(start), sample_scenes(count, split=split, start=start)
    asked = [draw_questions(questions(scene), each, chance) for scene in scenes]
    return Exam(scenes, asked, {how: [probes_of(scene, how, chance) for scene in scenes] for how in RIVALS})


def probes_of(scene: Scene, how: str, chance: random.Random) -> list[Probe]:
    """A probe for each thing that is there, and one for a thing that is not.

    Args:
        how: absent things are "random", or "alike": of the group of the thing that is there, a dog for a cat. POPE's
            adversarial ones are those seen most often beside what is there; in the scenes all are alike often.
    """
    found, present = [], dict.fromkeys(thing.noun for thing in scene.objects)
    groups = {noun.name: noun.group for noun in lexicon()}
    for name in present:
        absent = [other for other in groups if other not in present]
        if how == "alike":
            absent = [other for other in absent if groups[other] == groups[name]]
        elif how != "random":
            raise ValueError(f"how must be one of {', '.join(RIVALS)}, got {how!r}")
        for thing, there in ((name, True), (chance.choice(absent), False)):
            found.append(Probe(f"is there a {thing}?", there))
    return found


def answer_all(
    model: VLM,
    features: Tensor | None,
    requests: Sequence[Sequence[str]],
    *,
    begin: Sequence[str] | None = None,
    max_new_tokens: int = LONGEST,
    **options: Any,
) -> list[list[str]]:
    """What a model says to several requests about each scene, each asked by itself.

    Args:
        features: of one picture a scene (N, P, F), see `VLM.see`; None where the scenes are told.
        begin: what stands for each scene before a request; a picture by default.
        max_new_tokens, **options: of `VLM.generate`.
    """
    begin = [IMAGE] * len(requests) if begin is None else begin
    rows = [row for row, about in enumerate(requests) for _ in about]
    prompts = [f"{begin[row]} {text}" for row, about in enumerate(requests) for text in about]
    seen = None if features is None else features[torch.tensor(rows, dtype=torch.int64)]
    replies = iter(model.generate(seen, prompts, max_new_tokens=max_new_tokens, **options))
    return [[next(replies).text.strip() for _ in about] for about in requests]


def mistakes(
    model: VLM, features: Tensor | None, sheet: Exam, *, split: str, begin: Sequence[str] | None = None
) -> dict[str, float]:
    """Shares of what a model gets wrong in an exam, by a name that ends in the split.

    Sentences are found by beam search, as the likeliest first word may lead to a place where nothing true can be said.
    """

    def answers(requests: Sequence[Sequence[str]], **options: Any) -> list[str]:
        return _flat(answer_all(model, features, requests, begin=begin, **options))

    asked, said = _flat(sheet.asked), answers([[each.text for each in about] for about in sheet.asked])
    found = wrong_by_kind(said, asked, f"wrong in {split}")
    for how, rows in sheet.probes.items():
        probes, said = _flat(rows), answers([[probe.text for probe in about] for about in rows])
        wrong = [(text == "yes") != probe.there for text, probe in zip(said, probes, strict=True)]
        found[f"{how} probes wrong in {split}"] = sum(wrong) / len(wrong)
    for name, request, holds in (("captions not true", DESCRIBE, caption_is_true), ("not all told", TELL, tells_all)):
        said = answers([[request]] * len(sheet.scenes), method="beam")
        true = [bool(holds(scene, text)) for scene, text in zip(sheet.scenes, said, strict=True)]
        found[f"{name} in {split}"] = 1 - sum(true) / len(true)
    return found


def _flat(rows: Iterable[Iterable[T]]) -> list[T]:
    return [each for row in rows for each in row]
