"""Is a sentence true of a scene? A parser of the caption language and its meaning.

    sentence  := "a" color "background" | subject [tail] ["on a" color "background"]
    subject   := phrase {"and" phrase}                     up to three, each with another noun
    phrase    := "a" [size] noun | ("two" | "three") [size] nouns
    tail      := "at the" place | relation other | comparison other      after a single "a … noun"
    other     := "a" [size] noun | "another" [size] noun                 "another" repeats the noun of the subject

"a cat" claims at least one cat, "two cats" exactly two (of that size, if one is said). Places: "at the top left" is
that cell of the grid; "at the top" the whole upper row, "at the left" the whole column, and so on; "at the center" is
the middle cell. Left, right, above and below compare columns and rows; in relations and comparisons the two objects
are different. A capital letter at the start and a full stop at the end do no harm.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from mmcourse.datasets.scenes.grammar import Scene, SceneObject, related, size_order
from mmcourse.datasets.scenes.lexicon import (
    BACKGROUNDS,
    COMPARISONS,
    NUMBERS,
    POSITIONS,
    RELATIONS,
    SIZES,
    by_plural,
    by_singular,
)

Read = TypeVar("Read")  # a sentence of any grammar


class Truth(Enum):
    TRUE = "true"
    FALSE = "false"
    UNPARSEABLE = "unparseable"


# What a sentence can get wrong.
CAPTION_PARTS = ("noun", "count", "size", "place", "relation", "comparison", "background")


@dataclass(frozen=True)
class Verdict:
    """What `caption_is_true` found; as a condition it holds only for a true sentence.

    `part` is what a false sentence gets wrong, one of `CAPTION_PARTS`, and None for any other sentence. Of several
    false parts it is the one that is read first, the background last. A size is to blame only where the sentence would
    be right about its thing without it; where a thing is missing, nothing else that is said of it counts.
    """

    truth: Truth
    reason: str
    part: str | None = None

    def __bool__(self) -> bool:
        return self.truth is Truth.TRUE


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """`a large cat` (count 1: at least one) or `two cats` (exactly two)."""

    noun: str
    size: str | None = None
    count: int = 1

    def fits(self, thing: SceneObject) -> bool:
        return thing.noun == self.noun and self.size in (None, thing.size)

    def __str__(self) -> str:
        name = self.noun if self.count == 1 else by_singular()[self.noun].plural
        return " ".join(filter(None, ("a" if self.count == 1 else NUMBERS[self.count], self.size, name)))


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A parsed sentence; what was not said is None or empty."""

    phrases: tuple[Phrase, ...] = ()
    position: str | None = None
    link: str | None = None  # a relation or a comparison
    other: Phrase | None = None
    background: str | None = None


class UnparseableError(ValueError):
    """The text is not a sentence of the grammar; the message says where it stops being one."""


def caption_is_true(scene: Scene, text: str) -> Verdict:
    """Decides a sentence of the grammar (see the module); any other text is UNPARSEABLE, with the reason."""
    try:
        sentence = parse(text)
    except UnparseableError as error:
        return Verdict(Truth.UNPARSEABLE, str(error))
    denial = _denial(scene, sentence)
    return Verdict(Truth.TRUE, "it is so") if denial is None else Verdict(Truth.FALSE, denial[1], denial[0])


def parse(text: str) -> Sentence:
    """The parts of a sentence.

    >>> parse("two cats and a small dog on a pink background").phrases[1]
    Phrase(noun='dog', size='small', count=1)

    Raises:
        UnparseableError: the text is not in the grammar.
    """
    reader = Reader(text)
    if reader.at("a") and reader.word(1) in BACKGROUNDS:
        return reader.end(Sentence(background=reader.background()))
    phrases = [reader.phrase()]
    while reader.take("and"):
        phrases.append(reader.phrase())
    names = [phrase.noun for phrase in phrases]
    for name in names:
        if names.count(name) > 1:
            raise UnparseableError(f"{name!r} is named twice; say 'two {by_singular()[name].plural}'")
    if len(phrases) > 3:
        raise UnparseableError("more than three things are named")
    parts: dict = {"phrases": tuple(phrases)}
    if (link := reader.one_of(RELATIONS + COMPARISONS)) is not None:
        parts |= {"link": link, "other": reader.other(phrases[0])}
    elif reader.take("at the"):
        if (position := reader.one_of(POSITIONS)) is None:
            raise UnparseableError(f"after 'at the' a place was expected, found {reader.found()}")
        parts["position"] = position
    if len(parts) > 1 and (len(phrases) > 1 or phrases[0].count > 1):
        raise UnparseableError("a place, relation or comparison needs a single thing before it")
    if reader.take("on"):
        parts["background"] = reader.background()
    return reader.end(Sentence(**parts))


class Reader:
    """The words of a text and how far they are read."""

    def __init__(self, text: str) -> None:
        words = text.strip().removesuffix(".").split()
        self.words = [word[:1].lower() + word[1:] if i == 0 else word for i, word in enumerate(words)]
        self.next = 0

    def word(self, ahead: int = 0) -> str | None:
        place = self.next + ahead
        return self.words[place] if place < len(self.words) else None

    def found(self) -> str:
        return "the end" if self.word() is None else repr(self.word())

    def at(self, text: str) -> bool:
        words = text.split()
        return self.words[self.next : self.next + len(words)] == words

    def take(self, text: str) -> bool:
        here = self.at(text)
        self.next += len(text.split()) * here
        return here

    def one_of(self, choices: tuple[str, ...]) -> str | None:
        """The longest of the choices that stands here, taken."""
        return next((choice for choice in sorted(choices, key=len, reverse=True) if self.take(choice)), None)

    def phrase(self) -> Phrase:
        if self.take("a"):
            return self._noun(1)
        if (number := self.one_of(NUMBERS[2:])) is not None:
            return self._noun(NUMBERS.index(number))
        raise UnparseableError(f"'a', 'two' or 'three' was expected, found {self.found()}")

    def other(self, subject: Phrase) -> Phrase:
        another = self.take("another")
        if not another and not self.take("a"):
            raise UnparseableError(f"'a' or 'another' was expected, found {self.found()}")
        phrase = self._noun(1)
        if another and phrase.noun != subject.noun:
            raise UnparseableError(f"'another {phrase.noun}' needs a {phrase.noun} before it")
        return phrase

    def background(self) -> str:
        if not self.take("a"):
            raise UnparseableError(f"'a' and a color were expected, found {self.found()}")
        color = self.one_of(tuple(BACKGROUNDS))
        if color is None:
            raise UnparseableError(f"a color was expected ({', '.join(BACKGROUNDS)}), found {self.found()}")
        if not self.take("background"):
            raise UnparseableError(f"'background' was expected after {color!r}, found {self.found()}")
        return color

    def end(self, sentence: Read) -> Read:
        """The sentence, if no word is left."""
        if self.word() is not None:
            raise UnparseableError(f"the sentence should end before {self.found()}")
        return sentence

    def _noun(self, count: int) -> Phrase:
        size = self.one_of(tuple(SIZES))
        noun = (by_singular() if count == 1 else by_plural()).get(self.word())
        if noun is None:
            kind = "singular" if count == 1 else "plural"
            raise UnparseableError(f"a {kind} noun of the lexicon was expected, found {self.found()}")
        self.next += 1
        return Phrase(noun=noun.name, size=size, count=count)


def _denial(scene: Scene, sentence: Sentence) -> tuple[str, str] | None:
    """The first false part of the sentence and why it is false of the scene, or None if all is true."""
    for phrase in sentence.phrases:
        if (denial := _miscounted(scene, phrase)) is not None:
            return denial
    if sentence.position is not None:
        subject = sentence.phrases[0]
        if not any(subject.fits(thing) and stands_at(thing, sentence.position) for thing in scene.objects):
            return "place", f"no such {subject.noun} is at the {sentence.position}"
    if sentence.link is not None:
        subject, other = sentence.phrases[0], sentence.other
        pairs = [(a, b) for a, b in itertools.permutations(scene.objects, 2) if subject.fits(a) and other.fits(b)]
        if not pairs:
            part = "count" if scene.count(other.noun) == 1 else "size"
            return _miscounted(scene, other) or (part, f"{subject} is alone, there is no other")
        if not any(_linked(a, sentence.link, b) for a, b in pairs):
            part = "comparison" if sentence.link in COMPARISONS else "relation"
            return part, f"{subject} is not {sentence.link} {other}"
    if sentence.background not in (None, scene.background):
        return "background", f"the background is {scene.background}"
    return None


def _miscounted(scene: Scene, phrase: Phrase) -> tuple[str, str] | None:
    """Which part of `two small cats` is false, and why, or None if there are just so many."""
    number = sum(map(phrase.fits, scene.objects))
    if number == phrase.count or number > phrase.count == 1:
        return None
    plain = None if phrase.size is None else _miscounted(scene, replace(phrase, size=None))
    if number == 0:
        part = "noun" if phrase.size is None else "size"
        return plain or (part, f"there is no {phrase.size + ' ' if phrase.size else ''}{phrase.noun}")
    part = "count" if phrase.size is None or plain else "size"
    return part, f"there are not {phrase}, but {NUMBERS[number]}"


def stands_at(thing: SceneObject, position: str) -> bool:
    """Whether an object is at a place: "top left" and "center" are cells, "top" is the whole row, "left" the column."""
    if position == "center":
        return thing.position == "center"
    vertical = {"top": 0, "bottom": 2}
    sideways = {"left": 0, "right": 2}
    return all(thing.row == vertical.get(word, thing.row) for word in position.split()) and all(
        thing.column == sideways.get(word, thing.column) for word in position.split()
    )


def _linked(first: SceneObject, link: str, second: SceneObject) -> bool:
    return size_order(first, second) == link if link in COMPARISONS else related(first, link, second)
