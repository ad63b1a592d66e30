"""Texts about scenes for a language model that answers: a description in few words, and questions about it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from mmcourse.datasets import Scene, SceneObject, captions, questions, sample_scenes
from mmcourse.lm import Shifted
from mmcourse.models.vlm import IMAGE, pack_turns
from mmcourse.recipes.data import questions as asking
from mmcourse.tokenizer import SPECIAL_TOKENS, WordTokenizer

DESCRIBE, TELL = "describe it", "tell everything"
WITHOUT_MARK = (DESCRIBE, TELL)  # requests that are no questions
TURNS = 12  # exchanges about a scene
SQUARES, NOTE = 16, 4  # notes about a scene, and words of each
MOST_NOTES = 4  # about one thing: as many squares as it touches


class Exchange(NamedTuple):
    """What is asked, and a right answer."""

    request: str
    answer: str


class Shares(NamedTuple):
    """How often exchanges ask for what.

    told, described: shares that ask for everything, and for a caption; the others ask a question.
    kinds: how often a kind of question is drawn, in proportion to those of the others; all alike by default.
    """

    told: float
    described: float
    kinds: dict[str, float] | None = None


# Whoever tells everything in another order has to know what belongs together, and each word of it is learned; yet
# questions, of one or two words of answer, are what a model learns last, so most exchanges are questions.
ALL_ALIKE = Shares(told=0.06, described=0.1)
# Those that compare what stands in two places, or count what was noted several times, come last of all.
HARD_ONES = Shares(
    told=0.05,
    described=0.07,
    kinds={
        "what": 3, "where": 1, "color": 0.5, "count": 6, "exists": 1, "relation": 7, "size": 1, "comparison": 3,
    },
)  # fmt: skip


# And whoever names thing after thing has to know what has been named: "tell everything" teaches it word by word.
LISTS = HARD_ONES._replace(told=0.35, described=0.2)
COUNTS = Shares(
    told=0.25,
    described=0.15,
    kinds={
        "what": 6, "where": 1, "color": 0.5, "count": 12, "exists": 1, "relation": 5, "size": 1, "comparison": 2,
    },
)  # fmt: skip
LAST_ONES = Shares(
    told=0.2,
    described=0.15,
    kinds={
        "what": 6, "where": 0.5, "color": 0.5, "count": 4, "exists": 2, "relation": 7, "size": 0.5, "comparison": 6,
    },
)  # fmt: skip


@cache
def reading_words() -> WordTokenizer:
    """A tokenizer of captions, questions, answers and descriptions, with a placeholder for pictures."""
    known = asking.question_words().tokenizer.vocabulary
    plain = [word for word in known if word not in SPECIAL_TOKENS]
    return WordTokenizer.train([" ".join(plain), DESCRIBE, TELL, ","], special_tokens=[*SPECIAL_TOKENS, IMAGE])


def in_words(scene: Scene, chance: random.Random) -> str:
    """Everything that a scene shows, in few words: thing by thing in any order, and its background."""
    things = [noted(thing) for thing in scene.objects]
    chance.shuffle(things)
    return _told(things, scene)


def tells_all(scene: Scene, text: str) -> bool:
    """Whether a text is one that `in_words` may give, complete, true, and nothing besides; blanks before commas do not
    count, as `decode` leaves them."""
    orders = itertools.permutations(map(noted, scene.objects))
    return any(text.replace(" ,", ",") == _told(order, scene) for order in orders)


def in_notes(scene: Scene, chance: random.Random) -> str:
    """What somebody writes down who goes over a picture: at every square the thing that is before him, else the color.

    `SQUARES` notes of `NOTE` words in any order, up to `MOST_NOTES` of them about the same thing.
    """
    notes = []
    for thing in scene.objects:
        notes += [note_words(noted(thing))] * chance.randint(1, MOST_NOTES)
    notes += [note_words(f"{scene.background} background")] * (SQUARES - len(notes))
    chance.shuffle(notes)
    return " ".join(" ".join(words) for words in notes)


def note_words(text: str) -> list[str]:
    """A note in exactly `NOTE` words, with commas for those that it does not need."""
    return [*text.split(), *[","] * NOTE][:NOTE]


def noted(thing: SceneObject) -> str:
    """One thing in three or four words, such as "large cat top left"."""
    return f"{thing.size} {thing.noun} {thing.position}"


def _told(things: Sequence[str], scene: Scene) -> str:
    """Commas say which place belongs to which thing."""
    return ", ".join([*things, f"{scene.background} background"])


def exchange(scene: Scene, chance: random.Random, shares: Shares = ALL_ALIKE) -> Exchange:
    """One thing that can be asked about a scene: everything, a caption, or a question of any kind, with its answer."""
    kind = chance.random()
    if kind < shares.told:
        return Exchange(TELL, in_words(scene, chance))
    if kind < shares.told + shares.described:
        return Exchange(DESCRIBE, chance.choice(captions(scene)))
    (asked,) = asking.draw_questions(questions(scene), 1, chance, often=shares.kinds)
    return Exchange(asked.text, asked.answer)


def exchanges(scene: Scene, chance: random.Random, shares: Shares = ALL_ALIKE, *, count: int = TURNS) -> list[Exchange]:
    """Several of them, about the same scene."""
    return [exchange(scene, chance, shares) for _ in range(count)]


class Readings:
    """`batches(step)`: notes about scenes that no other step sees, each with `TURNS` exchanges about it.

    Only answers are learned, each with the <eos> behind it.
    """

    def __init__(self, tokenizer: WordTokenizer, *, size: int, shares: Shares = ALL_ALIKE) -> None:
        self.tokenizer, self.size, self.shares = tokenizer, size, shares

    def __call__(self, step: int) -> Shifted:
        chance, scenes = random.Random(step), sample_scenes(self.size, start=step * self.size)
        told = [(in_notes(scene, chance), exchanges(scene, chance, self.shares)) for scene in scenes]
        packed = pack_turns(self.tokenizer, *zip(*told, strict=True), patches=0)
        return Shifted(packed.tokens, packed.targets)
