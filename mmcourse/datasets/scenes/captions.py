"""Five true sentences about a scene, in English; and some in Chinese.

The sentences of a scene are templates that depend on its pattern and layout only, filled with its nouns and background:
in a template `A`, `B`, `C` stand for singular nouns, `A+` for the plural and `#` for the color.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import torch

from mmcourse.datasets.scenes.grammar import Scene, SceneObject, related, size_order
from mmcourse.datasets.scenes.lexicon import (
    BACKGROUNDS,
    COMPARISONS,
    CONVERSE,
    NUMBERS,
    POSITIONS_CHINESE,
    RELATIONS,
    SIZES,
    by_singular,
)

_RELATIONS_CHINESE = dict(zip(RELATIONS, ("左边", "右边", "上方", "下方"), strict=True))
_COMPARISONS_CHINESE = dict(zip(COMPARISONS, ("比{}大", "比{}小", "和{}一样大"), strict=True))
_NUMBERS_CHINESE = ("零", "一", "两", "三")


def captions(scene: Scene) -> list[str]:
    """Five different true captions.

    One object: its noun, size, position and the background in five combinations. More: everything on its background, a
    relation, its converse, one object with size and position, and a comparison of sizes.

    A phrase such as "a cat" claims at least one cat, "two cats" exactly two.
    """
    pattern = pattern_of(scene)
    nouns = {letter: by_singular()[thing.noun] for letter, thing in zip(pattern, scene.objects, strict=True)}
    words = {letter: noun.name for letter, noun in nouns.items()}
    words |= {f"{letter}+": noun.plural for letter, noun in nouns.items()}
    words["#"] = scene.background
    return [
        " ".join(words.get(token, token) for token in template)
        for template in templates(pattern, tuple(thing.cell for thing in scene.objects), _ranks(scene))
    ]


def sample_caption(scene: Scene, *, generator: torch.Generator | None = None) -> str:
    """One of the five captions, each as likely: the draw whose entropy `caption_entropy` states."""
    return captions(scene)[int(torch.randint(5, (), generator=generator))]


def pattern_of(scene: Scene) -> str:
    """Which objects are alike, in reading order: `AAB` for a cat, a cat and a dog."""
    seen: dict[str, str] = {}
    return "".join(seen.setdefault(thing.noun, "ABC"[len(seen)]) for thing in scene.objects)


def full_phrase(thing: SceneObject) -> str:
    """All that can be said of one object: its size, noun and place."""
    return f"a {thing.size} {thing.noun} at the {thing.position}"


@lru_cache(maxsize=32768)
def templates(pattern: str, cells: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    """The five sentences, as tokens, of every scene with this pattern, these cells and these size ranks."""
    things = [_bare(letter, cell, size) for letter, cell, size in zip(pattern, cells, sizes, strict=True)]
    order = list(dict.fromkeys(pattern))
    counts = [pattern.count(letter) for letter in order]
    named = [f"a {a}" if n == 1 else f"{NUMBERS[n]} {a}+" for a, n in zip(order, counts, strict=True)]
    everything = " and ".join(named) + " on a # background"
    turn = sum(cells) + sum(sizes)  # spreads sentences over the objects; any function of the layout would do
    thing = things[turn % len(things)]
    placed = full_phrase(thing)
    if len(things) == 1:
        sized = f"a {thing.size} A on a # background"
        texts = (everything, sized, f"a A at the {thing.position}", placed, f"{placed} on a # background")
    else:
        pairs = list(itertools.combinations(things, 2))
        first, second = pairs[turn % len(pairs)]
        relation = main_relation(first, second)
        big, small = pairs[(turn + 1) % len(pairs)][:: 1 if turn % 2 else -1]
        texts = (
            everything,
            f"a {first.noun} {relation} {_other(second, first)}",
            f"a {second.noun} {CONVERSE[relation]} {_other(first, second)}",
            placed,
            f"a {big.noun} {size_order(big, small)} {_other(small, big)}",
        )
    return tuple(tuple(text.split()) for text in texts)


def main_relation(first: SceneObject, second: SceneObject) -> str:
    """The relation along the longer way between two cells; sideways where both are as long."""
    across, down = abs(first.column - second.column), abs(first.row - second.row)
    return next(word for word in (RELATIONS[:2] if across >= down else RELATIONS[2:]) if related(first, word, second))


def chinese_captions(scene: Scene) -> list[str]:
    """True captions in Chinese, with the measure word of each noun: two for one object, four for more."""
    background = f"{BACKGROUNDS[scene.background].chinese}背景上有"
    names = list(dict.fromkeys(thing.noun for thing in scene.objects))
    counted = [_counted(name, scene.count(name)) for name in names]
    sentences = [background + "和".join(filter(None, ("、".join(counted[:-1]), counted[-1])))]
    first = scene.objects[0]
    sentences.append(f"{POSITIONS_CHINESE[first.cell]}有{_counted(first.noun, 1, SIZES[first.size].chinese)}")
    if len(scene.objects) > 1:
        second = scene.objects[1]
        one, other = _counted(first.noun, 1), _counted(second.noun, 1)
        if first.noun == second.noun:
            other = f"另{other}"
        sentences.append(f"{one}在{other}的{_RELATIONS_CHINESE[main_relation(first, second)]}")
        sentences.append(one + _COMPARISONS_CHINESE[size_order(first, second)].format(other))
    return sentences


def _counted(name: str, count: int, size: str = "") -> str:
    noun = by_singular()[name]
    return f"{_NUMBERS_CHINESE[count]}{noun.measure_word}{size}{noun.chinese}"


def _other(thing: SceneObject, than: SceneObject) -> str:
    return f"another {thing.noun}" if thing.noun == than.noun else f"a {thing.noun}"


def _ranks(scene: Scene) -> tuple[int, ...]:
    names = list(SIZES)
    return tuple(names.index(thing.size) for thing in scene.objects)


def _bare(letter: str, cell: int, size: int) -> SceneObject:
    """An object of a template: a letter for a noun, nothing about its looks."""
    return SceneObject(
        noun=letter, group="", size=list(SIZES)[size], cell=cell, box=(0, 0, 0, 0), side=0, rotation=0, flip=False
    )
