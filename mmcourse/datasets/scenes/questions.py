"""Questions about a scene whose answers are certain, of eight kinds."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from mmcourse.datasets.scenes.grammar import Scene, SceneObject, mix, related, size_order
from mmcourse.datasets.scenes.lexicon import NUMBERS, RELATIONS, by_singular, lexicon
from mmcourse.datasets.scenes.truth import stands_at

QUESTION_KINDS = ("what", "where", "color", "count", "exists", "relation", "size", "comparison")
OPPOSITES = (RELATIONS[:2], RELATIONS[2:])


class Question(NamedTuple):
    """A question of one of `QUESTION_KINDS` and its only right answer, in lower case."""

    kind: str
    text: str
    answer: str


def questions(scene: Scene) -> list[Question]:
    """Every question that the scene answers without doubt.

    "the cat" stands only where there is one cat, a place is asked for only where one object is at it, and the yes and
    no of `exists` and `relation` come in pairs, so that guessing from the words alone is right half of the time. Which
    absent noun is asked for, and who is named first, is settled by the scene's seed.
    """
    alone = [thing for thing in scene.objects if scene.count(thing.noun) == 1]
    return [
        *_what(scene),
        *(Question("where", f"where is the {thing.noun}?", thing.position) for thing in alone),
        Question("color", "what color is the background?", scene.background),
        *count_and_exists(scene),
        *_relation(alone),
        *(Question("size", f"what size is the {thing.noun}?", thing.size) for thing in alone),
        *_comparison(alone, chance_of(scene, 2)),
    ]


def _what(scene: Scene) -> list[Question]:
    found = []
    for thing in scene.objects:
        if sum(stands_at(other, thing.position) for other in scene.objects) == 1:
            found.append(Question("what", f"what is at the {thing.position}?", thing.noun))
    for thing in scene.objects:
        for relation in RELATIONS:
            names = [other.noun for other in scene.objects if related(other, relation, thing)]
            if len(names) == 1 and scene.count(thing.noun) == 1:
                found.append(Question("what", f"what is {relation} the {thing.noun}?", names[0]))
    return found


def count_and_exists(scene: Scene) -> list[Question]:
    """How many there are of each noun and in all, and whether one is there, once yes and once no."""
    present = list(dict.fromkeys(thing.noun for thing in scene.objects))
    others = [noun.name for noun in lexicon() if noun.name not in present]
    absent = others[chance_of(scene, 1) % len(others)]
    asked = present[chance_of(scene, 3) % len(present)]
    counts = [(f"how many {by_singular()[name].plural} are there?", scene.count(name)) for name in (*present, absent)]
    counts.append(("how many objects are there?", len(scene.objects)))
    return [
        *(Question("count", text, NUMBERS[number]) for text, number in counts),
        Question("exists", f"is there a {asked}?", "yes"),
        Question("exists", f"is there a {absent}?", "no"),
    ]


def _relation(alone: list[SceneObject]) -> list[Question]:
    found = []
    for first, second in itertools.permutations(alone, 2):
        for there, back in OPPOSITES:
            if related(first, there, second):
                found.append(Question("relation", f"is the {first.noun} {there} the {second.noun}?", "yes"))
                found.append(Question("relation", f"is the {first.noun} {back} the {second.noun}?", "no"))
            elif related(first, back, second):
                found.append(Question("relation", f"is the {first.noun} {there} the {second.noun}?", "no"))
                found.append(Question("relation", f"is the {first.noun} {back} the {second.noun}?", "yes"))
    return found


def _comparison(alone: list[SceneObject], chance: int) -> list[Question]:
    found = []
    for k, pair in enumerate(itertools.combinations(alone, 2)):
        first, second = pair if chance >> k & 1 else pair[::-1]
        order = size_order(first, second)
        if order != "as large as":
            larger = first if order == "larger than" else second
            text = f"which is larger, the {first.noun} or the {second.noun}?"
            found.append(Question("comparison", text, larger.noun))
    return found


def chance_of(scene: Scene, stream: int) -> int:
    """A whole number below 2⁶⁴ that the scene's seed settles, another one for each stream."""
    return int(mix(np.array([scene.seed], dtype=np.uint64) + np.uint64(stream << 56))[0])
