"""Texts about scenes for a language model that answers: a description in words, and questions about it."""

from __future__ import annotations

import random
from functools import cache
from typing import NamedTuple

import torch

from mmcourse.datasets import Scene, captions, questions, sample_scenes
from mmcourse.datasets.scenes import full_phrase
from mmcourse.lm import IGNORED, Shifted
from mmcourse.models.vlm import IMAGE
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
    """Everything that a scene shows, thing by thing in any order, and its background."""
    things = [full_phrase(thing) for thing in scene.objects]
    chance.shuffle(things)
    return " ".join([*things, f"on a {scene.background} background"])


def exchange(scene: Scene, chance: random.Random) -> Exchange:
    """One thing that can be asked about a scene: a caption, or the answer to a question of any kind."""
    if chance.random() < DESCRIBED:
        return Exchange(DESCRIBE, chance.choice(captions(scene)))
    (asked,) = asking.draw_questions(questions(scene), 1, chance)
    return Exchange(asked.text, asked.answer)


class Readings:
    """`batches(step)`: descriptions of scenes that no other step sees, each with `TURNS` exchanges about it.

    Only answers are learned, each with the <eos> behind it.
    """

    def __init__(self, tokenizer: WordTokenizer, *, size: int) -> None:
        self.tokenizer, self.size = tokenizer, size

    def __call__(self, step: int) -> Shifted:
        chance, rows = random.Random(step), []
        for scene in sample_scenes(self.size, start=step * self.size):
            rows.append(self.row(in_words(scene, chance), [exchange(scene, chance) for _ in range(TURNS)]))
        longest = max(len(ids) for ids, _ in rows)
        inputs = torch.full((len(rows), longest), self.tokenizer.pad_id)
        targets = torch.full((len(rows), longest), IGNORED)
        for place, (ids, wanted) in enumerate(rows):
            inputs[place, : len(ids)], targets[place, : len(ids)] = torch.tensor(ids), torch.tensor(wanted)
        return Shifted(inputs, targets)

    def row(self, text: str, turns: list[Exchange]) -> tuple[list[int], list[int]]:
        """The ids of a description with exchanges behind it, and the token that is to follow each."""
        encode, ids = self.tokenizer.encode, [self.tokenizer.bos_id, *self.tokenizer.encode(text)]
        wanted = [IGNORED] * (len(ids) - 1)
        for turn in turns:
            request, answer = encode(turn.request), [*encode(turn.answer), self.tokenizer.eos_id]
            ids += [*request, *answer]
            wanted += [IGNORED] * len(request) + answer
        return ids[:-1], wanted
