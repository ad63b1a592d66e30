"""`mmcourse release`: the assignment notebooks as students get them, for a class that does not use nbgrader.

They are the blank notebooks of the course without the cells tagged `hidden`, in which a teacher keeps checks that
students do not see. Nothing is written if a line of a solution is found in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mmcourse.content import content_dir
from mmcourse.course.author.build import GLOSSARY, Registry, notebook_paths, notebook_text, origin, registry
from mmcourse.course.author.source import Chapter, chapter_sources, read_chapter
from mmcourse.course.errors import CourseError
from mmcourse.course.teacher.leaks import HIDDEN, leaks, solution_lines
from mmcourse.files import write_in_one_step


def release(
    folder: Path,
    numbers: Sequence[str] = (),
    *,
    hidden: Path | None = None,
    chapters_dir: Path | None = None,
    exercises: Registry | None = None,
) -> list[Path]:
    """Writes the notebooks of these chapters (all of them by default) and the glossary.

    Args:
        hidden: the file of checks that `mmcourse grade --hidden` reads; none of its lines may be handed out.
        chapters_dir: the folder that holds `source`; by default the course's own.
        exercises: the exercises by id; by default the course's own.
    Returns:
        The files that were written; one that is there already with the same content is left alone.
    Raises:
        CourseError: a line of a solution would be handed out, a chapter is not built, or another file is in the way.
    """
    home = content_dir("chapters") if chapters_dir is None else chapters_dir
    every, chosen = read_chapters(home, numbers)
    files: dict[str, NotebookNode | str] = {}
    for chapter in chosen:
        known = registry(chapter.number) if exercises is None else exercises
        files[f"{chapter.name}.ipynb"] = _handed_out(chapter, known, home)
    glossary = home / GLOSSARY
    if glossary.is_file():
        files[GLOSSARY] = glossary.read_text("utf-8")
    refuse_leaks(files, every, hidden)
    texts = {name: one if isinstance(one, str) else notebook_text(one) for name, one in files.items()}
    return write_all(folder, texts)


def read_chapters(home: Path, numbers: Sequence[str]) -> tuple[list[Chapter], list[Chapter]]:
    """All chapters of the course, and those that were asked for."""
    every = [read_chapter(path) for path in chapter_sources(home)]
    names = {path.stem for number in numbers for path in chapter_sources(home, number.zfill(2))}
    return every, [chapter for chapter in every if chapter.name in names or not numbers]


def refuse_leaks(files: dict[str, NotebookNode | str], every: Sequence[Chapter], hidden: Path | None) -> None:
    """Raises CourseError if these files hold a line of a solution or of the hidden checks."""
    secret = solution_lines(every, hidden="" if hidden is None else hidden.read_text("utf-8"))
    found = leaks(files, secret)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise CourseError(f"nothing was written, since a solution would be handed out: {found[0]}{more}")


def write_all(folder: Path, texts: dict[str, str]) -> list[Path]:
    """Writes files below a folder, all or none; never over a file with other content.

    Raises:
        CourseError: such a file is there.
    """
    changed = []
    for name, text in texts.items():
        path = folder / name
        if path.exists() and path.read_bytes() == text.encode():
            continue
        if path.exists():
            raise CourseError(f"{path} is there already and differs; name another folder, or move that file away")
        changed.append((path, text))
    for path, text in changed:
        write_in_one_step(path, text)
    return [path for path, _ in changed]


def _handed_out(chapter: Chapter, known: Registry, home: Path) -> NotebookNode:
    """The blank notebook with its figures, without hidden cells."""
    path = notebook_paths(chapter.name, home)[1]
    if not path.is_file():
        raise CourseError(f"{path.name} is not built yet; run `mmcourse build {chapter.number}`")
    notebook = nbformat.reads(path.read_text("utf-8"), as_version=4)
    if notebook.metadata.get("mmcourse") != origin(chapter, known):
        raise CourseError(f"{path.name} was built from another source; run `mmcourse build {chapter.number}`")
    return without_hidden(notebook)


def without_hidden(notebook: NotebookNode) -> NotebookNode:
    """The same notebook, its hidden cells taken out."""
    notebook.cells = [cell for cell in notebook.cells if HIDDEN not in cell.metadata.get("tags", [])]
    return notebook
