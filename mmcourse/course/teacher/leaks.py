"""Does anything that is handed out hold a line of a solution? Looked for in every text of a file, wherever it hides.

Solutions are the lines between the markers of the chapter sources; cells tagged `hidden` count as well. A line that a
chapter also shows outside of them is no secret: it may be handed out. Lines are compared without indentation, list
marks, comment signs and quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmcourse.course.author.source import Cell, Chapter

HIDDEN = "hidden"  # the tag of a cell that is not handed out
MARKER = re.compile(r"\b(?:BEGIN|END)[\s_-]*(?:SOLUTION|HIDDEN[\s_-]*TESTS?|MARK[\s_-]*SCHEME)\b", re.IGNORECASE)
DISTINCT = 12  # letters from which on a line is looked for inside longer lines and in outputs, too
_DECORATION = re.compile(r"^(?:[#>*`\-\s]|\d+\.\s)+|[`\s]+$")
_PICTURES = ("image/png", "image/jpeg", "application/pdf")


def solution_lines(chapters: Iterable[Chapter], *, hidden: str = "") -> dict[str, str]:
    """Every line that must stay with the teacher, as `plain` writes it, and where it is from.

    Args:
        hidden: the text of a file with checks that students do not see; all of its lines count.
    """
    secret: dict[str, str] = {}
    told: list[str] = []
    for chapter in chapters:
        for cell in chapter.cells:
            open_lines, kept = _parts(cell)
            told += open_lines
            for line in kept:
                secret.setdefault(plain(line), cell.exercise or cell.id)
    for line in hidden.splitlines():
        secret.setdefault(plain(line), "the hidden checks")
    open_text = _searchable(told)
    return {line: place for line, place in secret.items() if line and not _stands_in(line, open_text)}


def _parts(cell: Cell) -> tuple[list[str], list[str]]:
    """The lines of a cell that students see, and those that they do not."""
    lines = cell.source.splitlines()
    if HIDDEN in cell.tags:
        return [], lines
    if cell.region is None:
        return lines, []
    begin, end = cell.region
    return lines[:begin] + lines[end + 1 :], lines[begin + 1 : end]


def leaks(files: Mapping[str, Any], secret: Mapping[str, str]) -> list[str]:
    """What should not be handed out, one sentence each.

    Args:
        files: for every file name its notebook (the tree of its JSON) or its text.
        secret: from `solution_lines`.
    """
    found = []
    for name, content in files.items():
        for place, text, is_source in _texts(content):
            lines = text.splitlines()
            found += [f"{name}, {place}: a marker stands in {line.strip()!r}" for line in lines if MARKER.search(line)]
            searchable = _searchable(lines)
            for line, origin in secret.items():
                if (is_source or len(line) >= DISTINCT) and _stands_in(line, searchable):
                    found.append(f"{name}, {place}: holds a line of {origin}: {line!r}")
    return list(dict.fromkeys(found))


def plain(line: str) -> str:
    """A line as it is compared: `    #  x  = 1` and `> x = 1` are both `x = 1`."""
    return " ".join(_DECORATION.sub("", line).split())


def _searchable(lines: Iterable[str]) -> str:
    return "\n" + "\n".join(plain(line) for line in lines) + "\n"


def _stands_in(line: str, searchable: str) -> bool:
    return (line if len(line) >= DISTINCT else f"\n{line}\n") in searchable


def _texts(content: Any) -> Iterator[tuple[str, str, bool]]:
    """Every text of a file with its place, and whether it is what a cell says (or a whole file that is no notebook)."""
    if isinstance(content, str):
        yield "its text", content, True
        return
    for number, cell in enumerate(content.get("cells", []), start=1):
        place = f"cell {cell.get('id') or number}"
        for name, value in cell.items():
            for text in _strings(value):
                yield (place if name == "source" else f"{name} of {place}"), text, name == "source"
    for name, value in content.items():
        if name != "cells":
            for text in _strings(value):
                yield name, text, False


def _strings(value: Any) -> Iterator[str]:
    """The texts in a tree of JSON; a list of lines is one text, the bytes of a picture are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence) and value and all(isinstance(part, str) for part in value):
        yield "".join(part if part.endswith("\n") else f"{part}\n" for part in value)
    elif isinstance(value, Sequence):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, Mapping):
        yield from (str(name) for name in value)
        for name, part in value.items():
            if name not in _PICTURES:
                yield from _strings(part)
