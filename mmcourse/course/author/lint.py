"""What every chapter keeps to, as far as a program can see: shape, alt texts, stable outputs, words, no leaks."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from mmcourse.content import content_dir
from mmcourse.course.author.build import Registry, notebook_paths, registry
from mmcourse.course.author.execute import unstable_text
from mmcourse.course.author.source import (
    BEGIN,
    BLANK_TEXT,
    END,
    BuildError,
    Chapter,
    blank_source,
    chapter_sources,
    read_chapter,
)

MOST_CODE_CELLS_IN_A_ROW = 2
MOST_CODE_LINES = 40
BANNED = re.compile(r"\b(simply|just)\b", re.IGNORECASE)
_NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|<[^>]+>|\]\([^)]*\)|\"[^\"\n]*\"|“[^”]*”", re.DOTALL)
_NO_ITEM = re.compile(
    r"^ *(0|\d{2,})\.(?=\s|$)", re.MULTILINE
)  # a year at the start of a line begins a list on some pages
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


class Measures(NamedTuple):
    """The measured shape of a chapter; the aims stand in the course's writing guide."""

    cells: int
    exercises: int
    figures: int
    median_code_lines: float
    most_code_lines: int
    words_per_text_cell: float

    def __str__(self) -> str:
        return (
            f"{self.cells} cells, {self.exercises} exercises, {self.figures} figures, "
            f"code cells of {self.median_code_lines:.0f} lines (at most {self.most_code_lines}), "
            f"{self.words_per_text_cell:.0f} words a text cell"
        )


@dataclass(frozen=True, kw_only=True)
class Report:
    chapter: str
    problems: tuple[str, ...]
    measures: Measures


def lint(
    chapter: str | int, *, chapters_dir: Path | None = None, exercises: Registry | None = None, built: bool = True
) -> Report:
    """Looks at one chapter: its source and, unless `built` is False, the two notebooks made from it.

    Raises:
        BuildError: there is no such chapter, its source cannot be read, or it is not built yet.
    """
    folder = content_dir("chapters") if chapters_dir is None else chapters_dir
    source = read_chapter(chapter_sources(folder, chapter)[0])
    problems = [
        *_shape(source),
        *_exercises(source, registry(source.number) if exercises is None else exercises),
        *_words(source),
    ]
    figures = 0
    if built:
        solved, blank = (_read(path, source) for path in notebook_paths(source.name, folder))
        problems += [*_outputs(solved), *_accepted(solved), *_outputs(blank), *_leaks(source, blank)]
        figures = sum(1 for _, output in _images(solved) if not _is_gauge(output))
    named = tuple(f"{source.name}, {problem}" for problem in dict.fromkeys(problems))
    return Report(chapter=source.name, problems=named, measures=_measure(source, figures))


def _read(path: Path, chapter: Chapter) -> NotebookNode:
    if not path.is_file():
        raise BuildError(f"{chapter.name} is not built yet; run `mmcourse build {chapter.number}`")
    return nbformat.reads(path.read_text("utf-8"), as_version=4)


def _shape(chapter: Chapter) -> Iterable[str]:
    first = next((cell for cell in chapter.cells if cell.kind == "code"), None)
    opens = f"open_chapter({int(chapter.number)})"
    if first is None or opens not in first.source or "nbval-ignore-output" not in first.tags:
        yield f'the first code cell calls {opens}, to say what the chapter runs on, and is tagged "nbval-ignore-output"'
    in_a_row = 0
    for cell, after in zip(chapter.cells, (*chapter.cells[1:], None), strict=True):
        in_a_row = in_a_row + 1 if cell.kind == "code" else 0
        if in_a_row == MOST_CODE_CELLS_IN_A_ROW + 1:
            yield f"cell {cell.id}: more than {MOST_CODE_CELLS_IN_A_ROW} code cells in a row; put a text cell before it"
        lines = len(cell.source.splitlines())
        if cell.kind == "code" and lines > MOST_CODE_LINES:
            yield f"cell {cell.id}: {lines} lines of code; split it so that no cell has more than {MOST_CODE_LINES}"
        if cell.role == "exercise" and (after is None or after.role != "check" or after.exercise != cell.exercise):
            yield f'cell {cell.id}: an exercise is followed by its check cell, check("{cell.exercise}", …)'
        if cell.role == "exercise" and "raise NotImplementedError" in blank_source(cell).splitlines():
            yield f"cell {cell.id}: the answer stands at top level; put it into a function or into parentheses"


def _exercises(chapter: Chapter, known: Registry) -> Iterable[str]:
    asked = {cell.exercise for cell in chapter.cells if cell.role in ("exercise", "written")}
    for cell in chapter.cells:
        if cell.role in ("exercise", "check") and cell.exercise not in known:
            yield f"cell {cell.id}: exercise {cell.exercise!r} is not among the exercises of the course"
        if cell.role == "check" and cell.exercise not in asked:
            yield f"cell {cell.id}: checks {cell.exercise!r}, which no exercise cell of this chapter asks"
    for name in sorted(set(known) - asked):
        if name.startswith(f"{chapter.number}-"):
            yield f"exercise {name!r} is defined but no cell asks it"


def _words(chapter: Chapter) -> Iterable[str]:
    for cell in chapter.cells:
        if cell.kind == "markdown":
            for match in BANNED.finditer(_NOT_PROSE.sub(" ", cell.source)):
                yield f"cell {cell.id}: says {match.group()!r}; leave the word out"
            for match in _NO_ITEM.finditer(_NOT_PROSE.sub(" ", cell.source)):
                yield f"cell {cell.id}: a line begins with {match.group().strip()!r} like a list; break it elsewhere"


def _images(notebook: NotebookNode) -> Iterable[tuple[NotebookNode, NotebookNode]]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if any(kind.startswith("image/") for kind in output.get("data", {})):
                yield cell, output


def _alt(output: NotebookNode) -> str:
    metadata = output.metadata
    return metadata.get("alt") or next((m["alt"] for m in metadata.values() if isinstance(m, dict) and "alt" in m), "")


def _is_gauge(output: NotebookNode) -> bool:
    return _alt(output).startswith("Gauge:")


def _outputs(notebook: NotebookNode) -> Iterable[str]:
    for cell, output in _images(notebook):
        if not _alt(output).strip():
            yield f"cell {cell.id}: a figure has no alt text; show it with viz.show(figure, alt=…)"
    for cell in notebook.cells:
        for text in unstable_text(cell):
            yield f"cell {cell.id}: its output holds {text!r}, which another machine would not show"


def _accepted(solved: NotebookNode) -> Iterable[str]:
    """A check shows the points as its text; the author's own answer must earn all of them."""
    for cell in solved.cells:
        if "check" in cell.metadata.get("tags", []) and cell.outputs:
            points = cell.outputs[-1].get("data", {}).get("text/plain")
            if points != str(cell.metadata.nbgrader.points):
                yield f"cell {cell.id}: the check does not accept the solution; mend the answer or the exercise"


def _leaks(chapter: Chapter, blank: NotebookNode) -> Iterable[str]:
    if [cell.id for cell in chapter.cells] != [cell.id for cell in blank.cells]:
        yield f"its notebooks were built from another source; run `mmcourse build {chapter.number}`"
        return
    for cell, learners in zip(chapter.cells, blank.cells, strict=True):
        left = {line.strip() for line in learners.source.splitlines()}
        if BEGIN in left or END in left:
            yield f"cell {cell.id}: a solution marker is left in the blank notebook"
        if cell.region is None:
            continue
        begin, end = cell.region
        lines = [line.strip() for line in cell.source.splitlines()]
        answer = {line for line in lines[begin + 1 : end] if line} - set(lines[:begin] + lines[end + 1 :])
        if answer & (left - {BLANK_TEXT}) or learners.get("outputs"):
            yield f"cell {cell.id}: its solution is left in the blank notebook"


def _measure(chapter: Chapter, figures: int) -> Measures:
    code = [len(cell.source.splitlines()) for cell in chapter.cells if cell.kind == "code" and cell.role != "check"]
    words = [len(_WORD.findall(cell.source)) for cell in chapter.cells if cell.kind == "markdown"]
    return Measures(
        cells=len(chapter.cells),
        exercises=sum(cell.role in ("exercise", "written") for cell in chapter.cells),
        figures=figures,
        median_code_lines=statistics.median(code or [0]),
        most_code_lines=max(code, default=0),
        words_per_text_cell=statistics.mean(words or [0]),
    )
