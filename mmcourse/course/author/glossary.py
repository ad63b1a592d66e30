"""The glossary of the course: every term that a chapter introduces, in English and Chinese, with its explanation.

A chapter marks a term once, in the sentence that explains it: `**attention**（注意力）: a weighted average whose
weights are computed from the data.` The explanation ends at the first full stop.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from mmcourse.course.author.source import BuildError, Chapter

_MARK = re.compile(r"\*\*(?P<english>[^*\n]+)\*\*\s?（(?P<chinese>[^）\n]+)）(?P<rest>.*)", re.DOTALL)
_NEXT = re.compile(r"\*\*[^*\n]+\*\*\s?（")
_STOP = re.compile(r"(?<!e\.g)(?<!i\.e)(?<!\bcf)(?<!\bvs)[.。](?=\s|[*_)]|$)")
_LINK = re.compile(r"^\s*(?::|,|—|–|\b(?:is|are|means)\b)\s*")


class Term(NamedTuple):
    english: str
    chinese: str
    definition: str
    chapter: str
    cell: str

    @property
    def place(self) -> str:
        return f"{self.chapter}, cell {self.cell}"


def terms_of(chapter: Chapter) -> list[Term]:
    """The terms that a chapter marks, in reading order.

    Raises:
        BuildError: a marked term has no explanation in its sentence.
    """
    found = []
    for cell in chapter.cells:
        if cell.kind != "markdown" or cell.role == "written":
            continue
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*] |\d+\. ))", cell.source):
            starts = [match.start() for match in _NEXT.finditer(paragraph)]
            for start in starts:
                found.append(_term(" ".join(paragraph[start:].split()), chapter.name, cell.id))
    return found


def _term(text: str, chapter: str, cell: str) -> Term:
    mark = _MARK.match(text)
    english, chinese, rest = mark["english"].strip(), mark["chinese"].strip(), mark["rest"]
    stop, link = _STOP.search(rest), _LINK.match(rest)
    definition = rest[link.end() if link else 0 : stop.start() if stop else 0].strip()
    if link is None or stop is None or not definition or _NEXT.search(definition):
        raise BuildError(
            f"{chapter}, cell {cell}: the term {english!r} is marked without its explanation; "
            f"write **{english}**（{chinese}）: explanation up to a full stop."
        )
    return Term(english, chinese, definition[0].upper() + definition[1:] + ".", chapter, cell)


def collect(chapters: Iterable[Chapter]) -> list[Term]:
    """The terms of all chapters in alphabetical order.

    Raises:
        BuildError: a term is marked twice; both places are named.
    """
    first: dict[str, Term] = {}
    for chapter in chapters:
        for term in terms_of(chapter):
            before = first.setdefault(term.english.casefold(), term)
            if before is not term:
                raise BuildError(
                    f"the term {term.english!r} is marked twice, in {before.place} and in {term.place}; "
                    "mark it only where it is introduced"
                )
    return [first[key] for key in sorted(first)]


def glossary_text(terms: Iterable[Term]) -> str:
    """The glossary as a Markdown page."""
    rows = [
        f"| {term.english} | {term.chinese} | {_cell(term.definition)} | [{term.chapter[:2]}]({term.chapter}.ipynb) |"
        for term in terms
    ]
    head = "# Glossary\n\nCollected by `mmcourse build` from the terms that the chapters introduce.\n"
    return "\n".join([head, "| English | 中文 | Meaning | Chapter |", "|---|---|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
