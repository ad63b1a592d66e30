"""Chapter sources: jupytext percent text -> cells with roles, stable ids, solution regions and nbgrader metadata."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jupytext
import nbformat
from nbformat import NotebookNode

from mmcourse.course.errors import CourseError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
BLANK_TEXT = "*Write your answer here.*"
BLANK_CODE = (("# YOUR CODE HERE", "raise NotImplementedError"), ("...  # YOUR ANSWER HERE",))
ROLES = ("exercise", "check", "written")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"(\d\d)_\w+")


class BuildError(CourseError):
    """A chapter cannot be built as it is written; the message names the chapter, the cell and what to do."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a chapter source.

    `exercise` is the id that ties an exercise cell, its check cell and a written question to the registry.
    """

    kind: Literal["markdown", "code"]
    source: str
    id: str
    role: Literal["exercise", "check", "written"] | None = None
    tags: tuple[str, ...] = ()
    exercise: str | None = None
    points: int | None = None

    @property
    def region(self) -> tuple[int, int] | None:
        """The lines of the markers around the solution, or None."""
        return find_region(self.source, self.id)


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A parsed chapter source; `name` is `NN_name`, `number` its `NN`."""

    name: str
    cells: tuple[Cell, ...]
    text: str

    @property
    def number(self) -> str:
        return self.name[:2]


def chapter_sources(chapters_dir: Path, chapter: str | int | None = None) -> list[Path]:
    """The source files, all or that of one chapter (`1`, `"01"` or `"01_attention"`), in order.

    Raises:
        BuildError: there is no such chapter.
    """
    found = sorted(path for path in (chapters_dir / "source").glob("*.py") if _NAME.fullmatch(path.stem))
    if chapter is None:
        return found
    wanted = f"{chapter:02d}" if isinstance(chapter, int) else str(chapter)
    chosen = [path for path in found if wanted in (path.stem, path.stem[:2])]
    if not chosen:
        there = ", ".join(path.stem for path in found) or "none"
        raise BuildError(f"there is no chapter {wanted!r} to build; the chapter sources are: {there}")
    return chosen


def read_chapter(path: Path) -> Chapter:
    """Parses one source file.

    Raises:
        BuildError: a marker, tag, id or check cell is not as the course writes them.
    """
    text = path.read_text(encoding="utf-8")
    cells: list[Cell] = []
    for raw in jupytext.reads(text, fmt="py:percent").cells:
        source = raw.source.strip("\n")
        if raw.cell_type in ("markdown", "code") and source:
            cells.append(_cell(raw.cell_type, source, raw.metadata, path.stem))
    return Chapter(name=path.stem, cells=tuple(_with_unique_ids(cells, path.stem)), text=text)


def _cell(kind: str, source: str, options: dict, chapter: str) -> Cell:
    tags = tuple(options.get("tags", ()))
    roles = [tag for tag in tags if tag in ROLES]
    role = roles[0] if roles else None
    given = options.get("id", "")
    where = f"{chapter}, cell {given or source.splitlines()[0][:50]!r}"
    if given and not _ID.fullmatch(given):
        raise BuildError(f"{where}: an id holds letters, digits, '-' and '_' and at most 64 of them; rename it")
    if len(roles) > 1 or (role is not None and (kind == "markdown") != (role == "written")):
        raise BuildError(f"{where}: a {kind} cell is tagged {', '.join(roles)}; tag it with the one role it has")
    if role in ("exercise", "written") and not given:
        raise BuildError(f'{where}: tagged {role} without id; write id="NN-name" in its cell line')
    exercise = checked_id(source, where) if role == "check" else given if role else None
    cell_id = given or (f"{exercise}-check" if role == "check" else "")
    points = options.get("points")
    if points is not None and not isinstance(points, int):
        raise BuildError(f"{where}: points={points!r}; points are a whole number")
    cell = Cell(kind=kind, source=source, id=cell_id, role=role, tags=tags, exercise=exercise, points=points)
    if (find_region(source, where) is not None) != (role in ("exercise", "written")):
        raise BuildError(f"{where}: exercise and written cells have exactly one {BEGIN} … {END}, other cells none")
    return cell


def _with_unique_ids(cells: list[Cell], chapter: str) -> list[Cell]:
    """Gives every cell without an id one that depends on its text alone, so that moving cells keeps ids."""
    taken = {cell.id for cell in cells if cell.id}
    if len(taken) < sum(bool(cell.id) for cell in cells):
        ids = [cell.id for cell in cells if cell.id]
        twice = next(cell_id for cell_id in ids if ids.count(cell_id) > 1)
        raise BuildError(f"{chapter}: the cell id {twice!r} is there twice; give each cell its own")
    result = []
    for cell in cells:
        if not cell.id:
            digest = hashlib.sha256(f"{cell.kind}\n{cell.source}".encode()).hexdigest()[:8]
            base, count = f"{chapter[:2]}-{digest}", 1
            cell_id = base
            while cell_id in taken:
                count += 1
                cell_id = f"{base}-{count}"
            taken.add(cell_id)
            cell = Cell(**{**cell.__dict__, "id": cell_id})
        result.append(cell)
    return result


def checked_id(source: str, where: str) -> str:
    """The exercise id in a check cell, which is one call such as `check("01-causal-mask", causal_mask)`."""
    try:
        (statement,) = ast.parse(source).body
        call = statement.value
        name = call.args[0].value
        if call.func.id == "check" and isinstance(name, str) and _ID.fullmatch(name):
            return name
    except (SyntaxError, ValueError, AttributeError, IndexError):
        name = None
    raise BuildError(f'{where}: a check cell is one line, check("NN-name", answer), got {source!r}')


def find_region(source: str, where: str) -> tuple[int, int] | None:
    """The line numbers of the two solution markers, counted from 0; None where there are none."""
    lines = [line.strip() for line in source.splitlines()]
    begins = [number for number, line in enumerate(lines) if line == BEGIN]
    ends = [number for number, line in enumerate(lines) if line == END]
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or ends[0] <= begins[0] + 1:
        raise BuildError(f"{where}: {len(begins)} × {BEGIN} and {len(ends)} × {END}; write one pair around an answer")
    return begins[0], ends[0]


def without_markers(cell: Cell) -> str:
    """The text of the solved cell: the answer stays, the markers of a written answer go."""
    if cell.role != "written":
        return cell.source
    return "\n".join(line for line in cell.source.splitlines() if line.strip() not in (BEGIN, END))


def blank_source(cell: Cell) -> str:
    """The text that a learner gets: the answer is cut out, and what is left is still valid Python."""
    if cell.region is None:
        return cell.source
    begin, end = cell.region
    lines = cell.source.splitlines()
    if cell.kind == "markdown":
        return "\n".join([*lines[:begin], BLANK_TEXT, *lines[end + 1 :]])
    indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
    error: SyntaxError | None = None
    for filling in BLANK_CODE:
        text = "\n".join([*lines[:begin], *(indent + line for line in filling), *lines[end + 1 :]])
        try:
            ast.parse(text)
        except SyntaxError as wrong:
            error = wrong
        else:
            return text
    raise BuildError(f"cell {cell.id}: without its answer the cell is no Python ({error}); move the solution markers")


def is_blank(source: str) -> bool:
    """Whether an answer cell still holds what `blank_source` put there. The comment alone may stay beside an answer."""
    return any(filling[-1] in source for filling in BLANK_CODE)


def grading_metadata(cell: Cell, points: int | None) -> dict:
    """The nbgrader metadata (schema version 3) of an exercise, check or written cell.

    https://nbgrader.readthedocs.io/en/stable/contributor_guide/metadata.html
    """
    flags = {
        "exercise": {"grade": False, "solution": True, "locked": False},
        "check": {"grade": True, "solution": False, "locked": True},
        "written": {"grade": True, "solution": True, "locked": False},
    }[cell.role]
    metadata = {"schema_version": 3, "grade_id": cell.id, "task": False, "cell_type": cell.kind, **flags}
    return {**metadata, "points": points} if flags["grade"] else metadata


def notebook_of(chapter: Chapter, points: dict[str, int], *, solved: bool) -> NotebookNode:
    """The notebook of a chapter without outputs: solved, or blank as learners open it."""
    cells = []
    for cell in chapter.cells:
        metadata: dict = {}
        if cell.role is not None:
            metadata["nbgrader"] = grading_metadata(cell, points.get(cell.exercise))
        tags = [*cell.tags, *(["raises-exception"] if cell.role in ("exercise", "check") else [])]
        if tags:
            metadata["tags"] = list(dict.fromkeys(tags))
        make = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
        source = without_markers(cell) if solved else blank_source(cell)
        cells.append(make(source=source, id=cell.id, metadata=metadata))
    return python_notebook(cells)


def python_notebook(cells: list[NotebookNode]) -> NotebookNode:
    """A notebook of these cells that any Python opens."""
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
    }
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)
