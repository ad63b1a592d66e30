"""Statements about scenes, as many true as false: what a matcher learns from.

A false statement differs from a true one in a single phrase, or in the order of its two things. So the words alone say
nothing about the truth: to beat a coin, one has to look.
"""

from __future__ import annotations

import itertools
import random
import re
from typing import NamedTuple

from mmcourse.datasets import (
    BACKGROUNDS,
    COMPARISONS,
    POSITIONS,
    RELATIONS,
    SIZES,
    Scene,
    SceneObject,
    Truth,
    caption_is_true,
    captions,
    lexicon,
    related,
    size_order,
)

KINDS = ("noun", "place", "size", "background", "relation", "comparison", "caption")
TRIES = 8  # to make a sentence false by another phrase, before another sentence is taken
DRAWS = 200
# What can be put in the place of what; a relation comes first, as "left of" begins like the place "left".
PHRASES = {
    "relation": RELATIONS,
    "comparison": COMPARISONS,
    "place": POSITIONS,
    "background": tuple(BACKGROUNDS),
    "size": tuple(SIZES),
    "noun": tuple(noun.name for noun in lexicon()),
    "plural": tuple(noun.plural for noun in lexicon()),
    "number": ("two", "three"),
}
ONE_OF = {name: "|".join(sorted(words, key=len, reverse=True)) for name, words in PHRASES.items()}
PHRASE = re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in ONE_OF.items()))
COMPARED = re.compile(rf"a (\w+) ({ONE_OF['relation']}|{ONE_OF['comparison']}) a (\w+)")


class Statement(NamedTuple):
    """A sentence, and whether it is true of its scene."""

    text: str
    true: bool


def swapped(text: str) -> str | None:
    """The sentence with its two things in each other's place; None if it does not compare two different things.

    >>> swapped("a cat left of a dog"), swapped("a cat at the left"), swapped("a cat above another cat")
    ('a dog left of a cat', None, None)
    """
    found = COMPARED.fullmatch(text)
    return None if found is None else f"a {found[3]} {found[2]} a {found[1]}"


def changed(text: str, chance: random.Random) -> str:
    """The sentence with one of its phrases, any of them as likely, replaced by another of the same kind."""
    spot = chance.choice(list(PHRASE.finditer(text)))
    others = [word for word in PHRASES[spot.lastgroup] if word != spot[0]]
    return text[: spot.start()] + chance.choice(others) + text[spot.end() :]


def false_sentence(scene: Scene, text: str, chance: random.Random) -> str | None:
    """What `text`, true of the scene, becomes by one change that makes it false; None if none was found.

    Half of the sentences that compare two things are made false by their order.
    """
    for attempt in range(TRIES):
        turned = swapped(text) if attempt == 0 and chance.random() < 0.5 else None
        candidate = changed(text, chance) if turned is None else turned
        if caption_is_true(scene, candidate).truth is Truth.FALSE:
            return candidate
    return None


def true_sentence(scene: Scene, kind: str, chance: random.Random) -> str | None:
    """A true sentence of one of `KINDS`, or None where the scene has none: some need two different things."""
    thing = chance.choice(scene.objects)
    if kind == "noun":
        return f"a {thing.noun}"
    if kind == "place":
        sentences = [f"a {thing.noun} at the {place}" for place in POSITIONS]
        return chance.choice([text for text in sentences if caption_is_true(scene, text)])
    if kind == "caption":
        return chance.choice(captions(scene))
    if kind == "size":
        return f"a {thing.size} {thing.noun}"
    if kind == "background":
        return f"a {thing.noun} on a {scene.background} background"
    links = RELATIONS if kind == "relation" else COMPARISONS
    found = [
        f"a {first.noun} {link} a {second.noun}"
        for first, second in itertools.permutations(scene.objects, 2)
        for link in links
        if first.noun != second.noun and link in (size_order(first, second), *_sides(first, second))
    ]
    return chance.choice(found) if found else None


def statement(scene: Scene, kinds: dict[str, float], chance: random.Random) -> Statement:
    """A statement, true or false as a coin falls.

    Args:
        kinds: how likely each of `KINDS` is; those that the scene does not have give way to the others.
    Raises:
        ValueError: the scene has none of these kinds.
    """
    true = chance.random() < 0.5
    for _ in range(DRAWS):
        kind = chance.choices(list(kinds), list(kinds.values()))[0]
        text = true_sentence(scene, kind, chance)
        if text is not None and not true:
            text = false_sentence(scene, text, chance)
        if text is not None:
            return Statement(text, true)
    raise ValueError(f"kinds must hold one that the scene has, got {list(kinds)} for {scene}")


def _sides(first: SceneObject, second: SceneObject) -> list[str]:
    return [relation for relation in RELATIONS if related(first, relation, second)]
