"""The words of the scene world: nouns, backgrounds, sizes, places, and which words never meet outside `compositional`.

The nouns are a hand-written table, `data/lexicon.csv`: eight groups of eight. The place of a noun in its group (0 to 7)
carries the hold-out rule, so that each side of the rule has one noun of every group and the same number of everything:

* two different nouns with the same place never share a train, val or test picture;
* a noun with place p never stands on background number p in a train, val or test picture.

Every `compositional` scene breaks the rule exactly once: each of its words is known, their combination is new.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import NamedTuple

from mmcourse.content import content_dir

GROUP_SIZE = 8
SIDE = 64


class Noun(NamedTuple):
    """One noun of the lexicon; `code` names its OpenMoji drawing, `measure_word` is the Chinese one."""

    name: str
    plural: str
    code: str
    group: str
    chinese: str
    measure_word: str


class Background(NamedTuple):
    """A background color: its names and its RGB value."""

    name: str
    chinese: str
    rgb: tuple[int, int, int]


class Size(NamedTuple):
    """A named size: the longest side of the drawing in pixels (±1 beyond `easy`); the ranges lie apart."""

    name: str
    chinese: str
    side: int


BACKGROUNDS: dict[str, Background] = {
    background.name: background
    for background in (
        Background("white", "白色", (246, 246, 246)),
        Background("gray", "灰色", (178, 178, 182)),
        Background("pink", "粉色", (250, 178, 200)),
        Background("yellow", "黄色", (250, 234, 130)),
        Background("green", "绿色", (160, 218, 148)),
        Background("blue", "蓝色", (146, 198, 246)),
        Background("purple", "紫色", (196, 164, 240)),
        Background("brown", "棕色", (202, 164, 120)),
    )
}
SIZES: dict[str, Size] = {
    size.name: size for size in (Size("small", "小", 14), Size("medium", "中等大小的", 20), Size("large", "大", 26))
}
# The nine cells of the picture in reading order: cell 3 * row + column.
POSITIONS = ("top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right")
POSITIONS_CHINESE = ("左上角", "上方", "右上角", "左边", "中间", "右边", "左下角", "下方", "右下角")
NUMBERS = ("zero", "one", "two", "three")
RELATIONS = ("left of", "right of", "above", "below")
CONVERSE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
COMPARISONS = ("larger than", "smaller than", "as large as")


@lru_cache(maxsize=1)
def lexicon() -> tuple[Noun, ...]:
    """The 64 nouns, group after group, in the order of `data/lexicon.csv`.

    >>> lexicon()[0].name, lexicon()[0].group, len(lexicon())
    ('cat', 'animal', 64)
    """
    with (content_dir("data") / "lexicon.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    return tuple(Noun(*row) for row in rows[1:])


@lru_cache(maxsize=1)
def noun_numbers() -> dict[str, int]:
    """The place of each noun in `lexicon()`, by its singular.

    >>> noun_numbers()["cat"], lexicon()[noun_numbers()["banana"]].name
    (0, 'banana')
    """
    return {noun.name: number for number, noun in enumerate(lexicon())}


@lru_cache(maxsize=1)
def by_singular() -> dict[str, Noun]:
    return {noun.name: noun for noun in lexicon()}


@lru_cache(maxsize=1)
def by_plural() -> dict[str, Noun]:
    return {noun.plural: noun for noun in lexicon()}


@lru_cache(maxsize=1)
def place_in_group() -> dict[str, int]:
    """The place (0 to 7) of each noun in its group, on which the hold-out rule rests."""
    return {noun: number % GROUP_SIZE for noun, number in noun_numbers().items()}


def held_out_pair(first: str, second: str) -> bool:
    """True if these two nouns share a picture in `compositional` only.

    >>> held_out_pair("cat", "banana"), held_out_pair("cat", "dog"), held_out_pair("cat", "cat")
    (True, False, False)
    """
    return first != second and _place(first) == _place(second)


def held_out_background(noun: str, background: str) -> bool:
    """True if this noun stands on this background in `compositional` only.

    >>> held_out_background("cat", "white"), held_out_background("cat", "pink")
    (True, False)
    """
    if background not in BACKGROUNDS:
        raise ValueError(f"background must be one of {', '.join(BACKGROUNDS)}; got {background!r}")
    return list(BACKGROUNDS).index(background) == _place(noun)


def _place(noun: str) -> int:
    if noun not in place_in_group():
        raise ValueError(f"noun must be one of the lexicon's singular nouns, such as 'cat'; got {noun!r}")
    return place_in_group()[noun]
