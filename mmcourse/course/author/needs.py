"""Which chapter needs which: read from what the chapters say under "You need", and arranged to be drawn.

An arrow that another way of arrows says already is left out, as in the diagrams of Hasse (transitive reduction; Aho,
Garey and Ullman, 1972). So one looks at few arrows, and whoever follows them backwards finds everything needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mmcourse.content import content_dir
from mmcourse.course.author.source import chapter_sources
from mmcourse.course.errors import CourseError

Needs = Mapping[str, Sequence[str]]  # of each chapter's number the numbers of those it needs

_HEAD = re.compile(r"^# # \d\d · (?P<title>.+)\n(?P<text>(?:#.*\n)*?)(?=# %%|\Z|\n)", re.MULTILINE)


class Head(NamedTuple):
    """What a chapter says of itself: its title, and the numbers of the chapters that it needs."""

    title: str
    needs: tuple[str, ...]


def needed(text: str, number: str) -> tuple[str, ...]:
    """The chapters that the paragraph "You need" of a chapter names, in order; those that only help are left out.

    >>> needed("**You need** chapters 02 and 04. Chapter 03 helps. **Time**: 65 minutes.", "06")
    ('02', '04')
    """
    found = re.search(r"\*\*You need\*\*(.*?)(?=\*\*Time|\n\s*\n|\Z)", text, re.DOTALL)
    asked = re.sub(r"[^.]*\bhelps?\.", "", found[1]) if found else ""
    return tuple(sorted(set(re.findall(r"\b\d\d\b", asked)) - {number}))


def read_heads(chapters_dir: Path | None = None) -> dict[str, Head]:
    """The heads of all chapters that have a source, by number, in order.

    Args:
        chapters_dir: the folder that holds `source`; by default the course's own.
    Raises:
        CourseError: a chapter has no heading, or needs one that does not come before it.
    """
    folder = content_dir("chapters") if chapters_dir is None else chapters_dir
    heads: dict[str, Head] = {}
    for path in chapter_sources(folder):
        number, found = path.stem[:2], _HEAD.search(path.read_text("utf-8"))
        if found is None:
            raise CourseError(f"{path.name} has no heading; begin its first text with # {number} · and the title")
        needs = needed(re.sub(r"^# ?", "", found["text"], flags=re.MULTILINE), number)
        if unknown := [other for other in needs if other not in heads]:
            raise CourseError(f"{path.name} needs chapter {unknown[0]}, which does not come before it")
        heads[number] = Head(found["title"], needs)
    return heads


def without_detours(needs: Needs) -> dict[str, tuple[str, ...]]:
    """The same needs without those that another needed chapter has itself, or one that it needs, and so on.

    >>> without_detours({"00": [], "01": ["00"], "02": ["00", "01"]})
    {'00': (), '01': ('00',), '02': ('01',)}
    """
    every = {number: _with_theirs(needs, number) for number in needs}
    return {
        number: tuple(one for one in direct if not any(one in every[other] for other in direct))
        for number, direct in needs.items()
    }


def _with_theirs(needs: Needs, number: str) -> set[str]:
    return {one for direct in needs[number] for one in (direct, *_with_theirs(needs, direct))}


def places(needs: Needs) -> dict[str, tuple[float, int]]:
    """Where to draw each chapter, (column, row): below all that it needs, and as near to them as its neighbors let it.

    Neighbors of a row stand one column apart; the middle column is 0.

    >>> places({"00": [], "01": ["00"], "02": ["00"], "03": ["01"]})
    {'00': (0.0, 0), '01': (-0.5, 1), '02': (0.5, 1), '03': (-0.5, 2)}
    """
    row: dict[str, int] = {}
    for number in sorted(needs):  # what a chapter needs comes before it
        row[number] = 1 + max((row[one] for one in needs[number]), default=-1)
    rows = [[number for number in row if row[number] == y] for y in range(max(row.values(), default=-1) + 1)]
    half = max(map(len, rows), default=1) / 2 - 0.5
    place: dict[str, tuple[float, int]] = {}
    for y, numbers in enumerate(rows):
        above = {one: _mean([place[other][0] for other in needs[one]]) for one in numbers}
        room = half - (len(numbers) - 1) / 2  # how far the row may stand to one side
        left = min(max(_mean(list(above.values())), -room), room) - (len(numbers) - 1) / 2
        place |= {one: (left + x, y) for x, one in enumerate(sorted(numbers, key=lambda one: above[one]))}
    return dict(sorted(place.items()))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
