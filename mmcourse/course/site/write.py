"""`mmcourse site`: the solved chapters as web pages in a folder, to put on a server or to open as they are.

The list of what was written stays in the folder. So a site can be written again, and a folder that holds anything
else is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mmcourse.content import content_dir
from mmcourse.course.errors import CourseError
from mmcourse.course.exercise import Exercise
from mmcourse.course.exercises import all_exercises
from mmcourse.course.exercises import chapters as with_exercises
from mmcourse.course.site import pages
from mmcourse.course.site.chapter import ChapterPage, chapter_page
from mmcourse.course.site.markdown import Page
from mmcourse.files import write_in_one_step

LIST = "site-files.txt"
GLOSSARY = "glossary.md"


def write_site(
    folder: Path,
    numbers: Sequence[str] = (),
    *,
    chapters_dir: Path | None = None,
    exercises: Mapping[str, Exercise] | None = None,
) -> list[Path]:
    """Writes the site of these chapters (all that are solved by default).

    Args:
        chapters_dir: the folder that holds `solutions`; by default the course's own.
        exercises: the exercises by id; by default the course's own.
    Returns:
        The pages that were written.
    Raises:
        CourseError: there is no such chapter, or the folder holds what is not of a site.
    """
    home = content_dir("chapters") if chapters_dir is None else chapters_dir
    solved = _solved(home, numbers)
    earlier = _earlier(folder)
    files = site_files(home, solved, exercises)
    write_in_one_step(folder / LIST, "\n".join(sorted({*files, *earlier})) + "\n")
    for name, content in files.items():
        write_in_one_step(folder / name, content)
    for name in earlier - set(files):
        (folder / name).unlink(missing_ok=True)
    write_in_one_step(folder / LIST, "\n".join(sorted(files)) + "\n")
    return [folder / name for name in files if name.endswith(".html")]


def site_files(
    home: Path, solved: Sequence[Path], exercises: Mapping[str, Exercise] | None = None
) -> dict[str, bytes | str]:
    """Every file of the site by its path in it."""
    links = {path.name: f"{path.stem}.html" for path in solved} | {GLOSSARY: pages.GLOSSARY}
    chapters = [chapter_page(path.stem, _read(path), links) for path in solved]
    if exercises is None:
        present = {chapter.number for chapter in chapters} & set(with_exercises())
        exercises = {one.id: one for number in sorted(present) for one in all_exercises(number)}
    bodies = {
        pages.INDEX: (pages.TITLE, pages.index_body(chapters, _syllabus(home, links), links)),
        pages.MAP: ("Which chapter needs which", pages.map_body(chapters)),
        pages.EXERCISES: ("Every exercise", pages.exercises_body(chapters, exercises)),
        pages.FIGURES: ("Every figure", pages.figures_body(chapters)),
        pages.GLOSSARY: ("Glossary", _glossary(home, links)),
        **{chapter.file: (chapter.title, pages.chapter_body(chapter)) for chapter in chapters},
    }
    files: dict[str, bytes | str] = {
        file: pages.page(title, body, file, chapters) for file, (title, body) in bodies.items()
    }
    files[pages.STYLE] = Path(__file__).with_name(pages.STYLE).read_text("utf-8")
    return files | _pictures(chapters)


def _pictures(chapters: Sequence[ChapterPage]) -> dict[str, bytes]:
    return {path: content for chapter in chapters for path, content in chapter.pictures.items()}


def _read(path: Path) -> NotebookNode:
    return nbformat.reads(path.read_text("utf-8"), as_version=4)


def _solved(home: Path, numbers: Sequence[str]) -> list[Path]:
    """The solved notebooks that were asked for, in order."""
    every = sorted((home / "solutions").glob("[0-9][0-9]_*.ipynb"))
    there = [path.stem[:2] for path in every]
    if not every:
        raise CourseError(f"{home} holds no solved chapter; run `mmcourse build`")
    wanted = {number.zfill(2) for number in numbers} or set(there)
    if unknown := sorted(wanted - set(there)):
        raise CourseError(f"there is no solved chapter {unknown[0]!r}; the solved chapters are: {', '.join(there)}")
    return [path for path in every if path.stem[:2] in wanted]


def _earlier(folder: Path) -> set[str]:
    """The files of an earlier site in this folder.

    Raises:
        CourseError: the folder holds anything else.
    """
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file; name a folder that is new or empty")
    listed = folder / LIST
    known = {LIST, *listed.read_text("utf-8").split("\n")} if listed.is_file() else set()
    if pages.INDEX not in known:  # somebody else's list
        known = set()
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    strangers = sorted(there - known)
    if strangers:
        raise CourseError(
            f"{folder} holds {strangers[0]}, which is no part of a site; name a folder that is new or empty"
        )
    return known & there - {LIST}


def _syllabus(home: Path, links: Mapping[str, str]) -> str:
    first = next(iter(sorted((home / "solutions").glob("00_*.ipynb"))), None)
    if first is None:
        return ""
    texts = [cell.source for cell in _read(first).cells if cell.cell_type == "markdown"]
    return pages.syllabus_of("\n\n".join(texts), links)


def _glossary(home: Path, links: Mapping[str, str]) -> str:
    path = home / GLOSSARY
    return Page(links).rendered(path.read_text("utf-8") if path.is_file() else "# Glossary\n\nNo terms yet.\n")
