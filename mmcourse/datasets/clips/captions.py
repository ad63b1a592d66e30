"""True sentences about a clip, and questions whose answers are certain, of six kinds."""

from __future__ import annotations

import itertools

from mmcourse.datasets.clips.grammar import TRAVELS, Clip, Thing
from mmcourse.datasets.clips.truth import VERBS, does, follows, together
from mmcourse.datasets.scenes.captions import captions
from mmcourse.datasets.scenes.questions import Question, chance_of, count_and_exists

CLIP_QUESTION_KINDS = ("what", "count", "exists", "direction", "order", "change")


def clip_captions(clip: Clip) -> list[str]:
    """Two true captions at least, all of them different.

    First everything on its background, then what each thing does, one of it on the background, and for every two things
    that do something which of them does it before or after the other, or while the other does.

    A phrase such as "a cat" claims at least one cat, "two cats" exactly two.
    """
    told = [text for thing in clip.things for text in _tellings(thing)]
    chosen = told[chance_of(clip.cast, 4) % len(told)]
    linked = []
    for first, second in itertools.permutations(clip.things, 2):
        if follows(second, first):
            linked += [_linked(first, "before", second), _linked(second, "after", first)]
        elif together(first, second):
            linked.append(_linked(first, "while", second))
    return list(dict.fromkeys([captions(clip.cast)[0], *told, f"{chosen} on a {clip.background} background", *linked]))


def clip_questions(clip: Clip) -> list[Question]:
    """Every question of `CLIP_QUESTION_KINDS` that the clip answers without doubt.

    "the cat" stands only where there is one cat. Answers to `direction` and `order` cannot be told from a single frame
    at the start or the end, or from all frames without their order, better than by chance between a way and its
    opposite, or between two things; the yes and no of `exists` and `change` come in pairs.
    """
    alone = [thing for thing in clip.things if clip.count(thing.noun) == 1]
    doers = {verb: [thing for thing in clip.things if does(thing, verb)] for verb in VERBS}
    return [
        *(Question("what", f"what {verb}?", things[0].noun) for verb, things in doers.items() if len(things) == 1),
        *count_and_exists(clip.cast),
        *(
            Question("direction", f"which way does the {thing.noun} move?", thing.direction)
            for thing in alone
            if thing.direction is not None
        ),
        *_order([thing for thing in alone if thing.motion in TRAVELS], chance_of(clip.cast, 5)),
        *_change(alone),
    ]


def _order(travelers: list[Thing], chance: int) -> list[Question]:
    found = []
    for k, pair in enumerate(itertools.combinations(travelers, 2)):
        one, other = pair if chance >> k & 1 else pair[::-1]
        if follows(one, other) or follows(other, one):
            first = min(pair, key=lambda thing: thing.start)
            found.append(Question("order", f"what moves first, the {one.noun} or the {other.noun}?", first.noun))
    return found


def _change(alone: list[Thing]) -> list[Question]:
    return [
        Question("change", f"does the {thing.noun} {verb}?", "yes" if thing.motion == f"{verb}s" else "no")
        for thing in alone
        if thing.motion in ("grows", "shrinks")
        for verb in ("grow", "shrink")
    ]


def _tellings(thing: Thing) -> list[str]:
    """What a thing does, in one sentence or two: what enters or leaves also moves."""
    moves = [] if thing.direction is None else [f"a {thing.noun} moves {thing.direction}"]
    return moves if thing.motion == "moves" else [f"a {thing.noun} {thing.motion}", *moves]


def _linked(thing: Thing, link: str, other: Thing) -> str:
    article = "another" if other.noun == thing.noun else "a"
    told = _tellings(thing)[0], _tellings(other)[0]
    return f"{told[0]} {link} {article}{told[1].removeprefix('a')}"
