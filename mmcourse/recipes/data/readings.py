"""Texts about scenes for a language model that answers: a description in words, and questions about it."""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

from mmcourse.datasets import Scene, captions, questions, sample_scenes
from mmcourse.lm import Shifted
from mmcourse.models.vlm import IMAGE, pack_turns
from mmcourse.recipes.data import questions as asking
from mmcourse.tokenizer import SPECIAL_TOKENS, WordTokenizer

DESCRIBE = "describe it"
DESCRIBED = 0.2  # share of the exchanges that ask for a caption and not for an answer
TURNS = 4  # exchanges about one scene


class Exchange(NamedTuple):
    """What is asked, and a right answer."""

    request: str
    answer: str


@cache
def reading_words() -> WordTokenizer:
    """A tokenizer of captions, questions, answers and descriptions, with a placeholder for pictures."""
    known = asking.question_words().tokenizer.vocabulary
    plain = [word for word in known if word not in SPECIAL_TOKENS]
    return WordTokenizer.train([" ".join(plain), DESCRIBE], special_tokens=[*SPECIAL_TOKENS, IMAGE])


def in_words(scene: Scene, chance: random.Random) -> str:
    """Everything that a scene shows, thing by thing in any order, and its background.

    The noun comes last: who reads from the left then knows, where it stands, all that is said of it.
    """
    things = [f"at the {thing.position} a {thing.size} {thing.noun}" for thing in scene.objects]
    chance.shuffle(things)
    return " ".join([*things, f"on a {scene.background} background"])


def exchange(scene: Scene, chance: random.Random) -> Exchange:
    """One thing that can be asked about a scene: a caption, or the answer to a question of any kind."""
    if chance.random() < DESCRIBED:
        return Exchange(DESCRIBE, chance.choice(captions(scene)))
    (asked,) = asking.draw_questions(questions(scene), 1, chance)
    return Exchange(asked.text, asked.answer)


def exchanges(scene: Scene, chance: random.Random) -> list[Exchange]:
    """`TURNS` of them."""
    return [exchange(scene, chance) for _ in range(TURNS)]


class Readings:
    """`batches(step)`: descriptions of scenes that no other step sees, each with `TURNS` exchanges about it.

    Only answers are learned, each with the <eos> behind it.
    """

    def __init__(self, tokenizer: WordTokenizer, *, size: int) -> None:
        self.tokenizer, self.size = tokenizer, size

    def __call__(self, step: int) -> Shifted:
        chance, scenes = random.Random(step), sample_scenes(self.size, start=step * self.size)
        told = [(in_words(scene, chance), exchanges(scene, chance)) for scene in scenes]
        packed = pack_turns(self.tokenizer, *zip(*told, strict=True), patches=0)
        return Shifted(packed.tokens, packed.targets)
