"""`mmcourse build`: chapters/source/NN_name.py -> the solved notebook, the blank notebook and the glossary.

The solved notebook is executed and keeps its outputs; cells whose outputs no budget changes are tagged. The blank one
is the same notebook with the answers cut out and with the outputs of all cells that do not depend on them. A chapter
whose source did not change is not touched, and one in which only texts changed keeps its outputs and is not executed
again.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mmcourse.content import content_dir
from mmcourse.course.author.dependence import dependent_cells
from mmcourse.course.author.execute import execute
from mmcourse.course.author.glossary import collect, glossary_text
from mmcourse.course.author.source import BuildError, Chapter, chapter_sources, notebook_of, read_chapter
from mmcourse.course.author.steady import mark_steady, steady_cells, tag_steady
from mmcourse.course.exercise import Exercise
from mmcourse.course.exercises import all_exercises

FORMAT = 1  # raise it when the same source must give other notebooks
WRITTEN_POINTS = 2  # a written question that names no points of its own
GLOSSARY = "glossary.md"
Registry = Mapping[str, Exercise]


def registry(number: str) -> Registry:
    """The exercises of one chapter by their id. Other chapters' are left alone: one may be half written."""
    return {exercise.id: exercise for exercise in all_exercises(number)}


def build(
    chapter: str | int | None = None,
    *,
    force: bool = False,
    chapters_dir: Path | None = None,
    exercises: Registry | None = None,
) -> list[Path]:
    """Builds one chapter or all of them, and the glossary.

    Args:
        chapter: `1`, `"01"` or `"01_attention"`; None builds every chapter.
        force: execute again even where the source did not change.
        chapters_dir: the folder that holds `source`; by default the course's own.
        exercises: the exercises by id; by default the course's own.
    Returns:
        The files that were written, none if everything was up to date.
    Raises:
        BuildError: a source is not written as it must be, or its notebook does not run cleanly.
    """
    folder = content_dir("chapters") if chapters_dir is None else chapters_dir
    every = [read_chapter(path) for path in chapter_sources(folder)]
    terms = glossary_text(collect(every))
    chosen = {path.stem for path in chapter_sources(folder, chapter)}
    written: list[Path] = []
    for source in every:
        if source.name in chosen:
            known = registry(source.number) if exercises is None else exercises
            written += _build_chapter(source, folder, known, force)
    return written + _write(folder / GLOSSARY, terms)


def verify(chapters_dir: Path | None = None, *, exercises: Registry | None = None) -> list[str]:
    """What is wrong with the built files, one sentence each; none if all of them match their sources to the byte."""
    folder = content_dir("chapters") if chapters_dir is None else chapters_dir
    every = [read_chapter(path) for path in chapter_sources(folder)]
    problems = []
    for chapter in every:
        known = registry(chapter.number) if exercises is None else exercises
        problems += _verify_chapter(chapter, folder, known)
    if not (folder / GLOSSARY).is_file() or (folder / GLOSSARY).read_text("utf-8") != glossary_text(collect(every)):
        problems.append(f"{GLOSSARY} does not match the chapter sources; run `mmcourse build`")
    names = {chapter.name for chapter in every}
    for path in sorted([*folder.glob("*.ipynb"), *(folder / "solutions").glob("*.ipynb")]):
        if path.stem not in names:
            problems.append(f"{path.relative_to(folder)} has no source; delete it or write source/{path.stem}.py")
    return problems


def _verify_chapter(chapter: Chapter, folder: Path, known: Registry) -> list[str]:
    solved_path, blank_path = notebook_paths(chapter.name, folder)
    advice, forced = f"run `mmcourse build {chapter.number}`", f"run `mmcourse build {chapter.number} --force`"
    try:
        stored = nbformat.reads(solved_path.read_text("utf-8"), as_version=4)
    except FileNotFoundError:
        return [f"solutions/{solved_path.name} is missing; {advice}"]
    except (nbformat.reader.NotJSONError, UnicodeDecodeError):
        return [f"solutions/{solved_path.name} is not a notebook; {advice}"]
    if stored.metadata.get("mmcourse") != origin(chapter, known):
        return [f"solutions/{solved_path.name} was built from another source; {advice}"]
    problems = []
    solved = _solved(chapter, known, stored)
    if solved_path.read_text("utf-8") != notebook_text(solved):
        problems.append(f"solutions/{solved_path.name} was changed by hand; {forced}")
    blank = _blank(chapter, known, stored)
    if not blank_path.is_file() or blank_path.read_text("utf-8") != notebook_text(blank):
        problems.append(f"{blank_path.name} does not match its source; {advice}")
    return problems


def notebook_paths(name: str, chapters_dir: Path) -> tuple[Path, Path]:
    """Where the solved and the blank notebook of a chapter are."""
    return chapters_dir / "solutions" / f"{name}.ipynb", chapters_dir / f"{name}.ipynb"


def origin(chapter: Chapter, exercises: Registry) -> dict[str, str]:
    """What its notebooks are made from, as sha256: the source and what its exercises show when done; the code alone."""
    shown = []
    for cell in chapter.cells:
        exercise = exercises.get(cell.exercise)
        if exercise is not None:
            shown.append([exercise.id, exercise.title, exercise.points, [case.name for case in exercise.cases]])
    code = [[cell.id, cell.source] for cell in chapter.cells if cell.kind == "code"]
    texts = {"source_sha256": chapter.text, "code_sha256": code}
    facts = {name: json.dumps([FORMAT, chapter.name, text, shown], ensure_ascii=False) for name, text in texts.items()}
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in facts.items()}


def notebook_text(notebook: NotebookNode) -> str:
    """The file content of a notebook; the same notebook always gives the same bytes."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _build_chapter(chapter: Chapter, folder: Path, known: Registry, force: bool) -> list[Path]:
    solved_path, blank_path = notebook_paths(chapter.name, folder)
    made_from = origin(chapter, known)
    stored = None if force else _stored(solved_path)
    before = {} if stored is None else stored.metadata.get("mmcourse", {})
    if before.get("code_sha256") != made_from["code_sha256"]:
        executed = execute(_assemble(chapter, known, solved=True), name=chapter.name)
        stored = mark_steady(executed, name=chapter.name)
    elif before != made_from:
        stored = _solved(chapter, known, stored)
    written = _write(solved_path, notebook_text(stored))
    return written + _write(blank_path, notebook_text(_blank(chapter, known, stored)))


def _stored(path: Path) -> NotebookNode | None:
    """The built notebook if it is there and sound."""
    try:
        return nbformat.reads(path.read_text("utf-8"), as_version=4)
    except (FileNotFoundError, nbformat.reader.NotJSONError, UnicodeDecodeError):
        return None


def _assemble(chapter: Chapter, exercises: Registry, *, solved: bool) -> NotebookNode:
    notebook = notebook_of(chapter, points_of(chapter, exercises), solved=solved)
    notebook.metadata["mmcourse"] = origin(chapter, exercises)
    return notebook


def points_of(chapter: Chapter, exercises: Registry) -> dict[str, int]:
    """The points of every exercise: from the registry; of a written question also from its cell line.

    Raises:
        BuildError: an exercise is in the source but not in the registry.
    """
    points = {}
    for cell in chapter.cells:
        if cell.role == "written" and cell.exercise not in exercises:
            points[cell.exercise] = WRITTEN_POINTS if cell.points is None else cell.points
        elif cell.role is not None and cell.exercise not in exercises:
            where = f"mmcourse/course/exercises/ch{chapter.number}/"
            raise BuildError(f"{chapter.name}, cell {cell.id}: exercise {cell.exercise!r} is not defined in {where}")
        elif cell.role is not None:
            points[cell.exercise] = exercises[cell.exercise].points
    return points


def _solved(chapter: Chapter, exercises: Registry, stored: NotebookNode) -> NotebookNode:
    """The solved notebook with outputs that were stored, and with what is known of them."""
    solved = _assemble(chapter, exercises, solved=True)
    _copy_outputs(stored, solved, set())
    return tag_steady(solved, steady_cells(stored))


def _blank(chapter: Chapter, exercises: Registry, solved: NotebookNode) -> NotebookNode:
    """The learner's notebook, with those outputs of the solved one that do not depend on the answers."""
    blank = _assemble(chapter, exercises, solved=False)
    _copy_outputs(solved, blank, dependent_cells(chapter.cells))
    for cell in blank.cells:
        if cell.cell_type == "code":
            cell.execution_count = None  # nothing has been run here yet
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = None
    return blank


def _copy_outputs(source: NotebookNode, target: NotebookNode, without: set[str]) -> None:
    """Copies outputs from cell to cell of the same id."""
    stored = {cell.id: cell for cell in source.cells if cell.cell_type == "code"}
    for cell in target.cells:
        if cell.cell_type == "code" and cell.id in stored and cell.id not in without:
            cell.outputs = copy.deepcopy(stored[cell.id].outputs)
            cell.execution_count = stored[cell.id].execution_count


def _write(path: Path, text: str) -> list[Path]:
    """Writes a file whose content changes; returns it, or nothing if it was the same already."""
    content = text.encode()
    if path.is_file() and path.read_bytes() == content:
        return []
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return [path]
