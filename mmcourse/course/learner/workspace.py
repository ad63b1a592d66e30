"""The learner's own copy of the chapters: made once, refreshed while untouched, never overwritten after that.

`.mmcourse/copies.json` in the work folder remembers the digest of every copy as it was made. A file that still has
that digest was not touched and follows the course; any other file belongs to the learner.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mmcourse.content import content_dir, repository
from mmcourse.course.errors import CourseError
from mmcourse.course.learner.progress import STATE, dated, locked, work_folder
from mmcourse.files import write_in_one_step

if TYPE_CHECKING:
    from nbformat import NotebookNode


def default_folder() -> Path:
    """`MMCOURSE_WORK`, the work folder around this one, `work` in the clone, or `mmcourse-work` in this folder."""
    chosen = work_folder()
    if chosen is not None:
        return chosen
    root = repository()
    return root / "work" if root is not None else Path.cwd() / "mmcourse-work"


def chapter_path(number: str, chapters_dir: Path | None = None) -> Path:
    """The blank notebook of a chapter given as `1`, `01` or `01_attention`.

    Raises:
        CourseError: there is no such chapter.
    """
    chapters = chapter_paths(chapters_dir)
    wanted = re.sub(r"\.ipynb$", "", number)
    wanted = wanted.zfill(2) if wanted.isdigit() else wanted
    for path in chapters:
        if wanted in (path.stem, path.stem[:2]):
            return path
    there = ", ".join(path.stem[:2] for path in chapters) or "none yet"
    raise CourseError(f"there is no chapter {number!r}; the chapters are: {there}")


def chapter_paths(chapters_dir: Path | None = None) -> list[Path]:
    """The blank notebooks of the course, in order."""
    folder = content_dir("chapters") if chapters_dir is None else chapters_dir
    return sorted(path for path in folder.glob("*.ipynb") if re.match(r"\d\d_", path.name))


def prepare(work: Path, chapters_dir: Path | None = None) -> list[str]:
    """Copies what is missing, refreshes untouched copies of an older version, keeps the rest.

    Returns:
        What the learner should know, a sentence each: newer versions of changed files, files that are no notebooks.
    """
    messages: list[str] = []
    folder = content_dir("chapters") if chapters_dir is None else chapters_dir
    glossary = [path for path in (folder / "glossary.md",) if path.is_file()]
    with locked(work):
        copies = _read_copies(work, messages)
        for source in [*chapter_paths(chapters_dir), *glossary]:
            _bring(source, work / source.name, copies, messages)
        write_in_one_step(work / STATE / "copies.json", json.dumps(copies, indent=1))
    return messages


def reset(number: str, work: Path, *, beside: bool = False, chapters_dir: Path | None = None) -> str:
    """Puts the course's version of a chapter into the work folder; the learner's own is kept under a dated name.

    Args:
        beside: leave the learner's file in its place and put the new one beside it.
    Returns:
        What was done, as a sentence.
    """
    source = chapter_path(number, chapters_dir)
    target = work / source.name
    content = source.read_bytes()
    with locked(work):
        copies = _read_copies(work, [])
        copies[source.name] = _digest(content)
        if beside and target.exists():
            new = dated(target, "new")
            write_in_one_step(new, content)
            said = f"{new.name} is the newest version; your {target.name} stays as it is."
        elif target.exists() and target.read_bytes() == content:
            said = f"{target.name} is already as the course has it."
        else:
            kept = dated(target, "backup") if target.exists() else None
            if kept is not None:
                write_in_one_step(kept, target.read_bytes())
            write_in_one_step(target, content)
            said = f"{target.name} is fresh" + (f"; your own is kept as {kept.name}." if kept else ".")
        write_in_one_step(work / STATE / "copies.json", json.dumps(copies, indent=1))
    return said


def read_notebook(path: Path) -> NotebookNode:
    """Reads a notebook; a file that is none gives one clear sentence.

    Raises:
        CourseError: the file is missing, cannot be read or is not a notebook.
    """
    import nbformat  # here, so that `mmcourse doctor` starts without it

    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8-sig"), as_version=4)
        if all(isinstance(cell.get("source"), str) for cell in notebook.cells):
            return notebook
    except FileNotFoundError:
        raise CourseError(f"{path} is not there; `mmcourse lab` makes your copy of every chapter") from None
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, nbformat.ValidationError):
        raise CourseError(_not_a_notebook(path)) from None
    raise CourseError(_not_a_notebook(path))


def _not_a_notebook(path: Path) -> str:
    number = path.name[:2] if path.name[:2].isdigit() else "NN"
    advice = f"`mmcourse reset {number}` keeps it under a dated name and puts a fresh copy in its place"
    return f"{path} is not a notebook (its JSON is damaged); {advice}"


def _bring(source: Path, target: Path, copies: dict[str, str], messages: list[str]) -> None:
    """One file of the course into the work folder, by the rules above."""
    content = source.read_bytes()
    new, made = _digest(content), copies.get(source.name)
    if not target.exists():
        write_in_one_step(target, content)
        copies[source.name] = new
        return
    now = _digest(target.read_bytes())
    if now == made and now != new:
        write_in_one_step(target, content)
    if now in (made, new):
        copies[source.name] = new
        return
    if target.suffix == ".ipynb":
        try:
            read_notebook(target)
        except CourseError as error:
            messages.append(f"{error}.")
            return
    if made != new:
        command = f"`mmcourse reset {source.name[:2]} --beside`"
        advice = f"; {command} puts the new one beside it" if target.suffix == ".ipynb" else ""
        messages.append(f"{source.name} has a newer version; yours has changes and is kept{advice}.")


def _read_copies(work: Path, messages: list[str]) -> dict[str, str]:
    """The digests of the copies as made; a damaged file only means that every present file counts as changed."""
    path = work / STATE / "copies.json"
    try:
        copies = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(copies, dict):
            return copies
    except FileNotFoundError:
        return {}
    except (UnicodeDecodeError, json.JSONDecodeError):
        copies = None
    aside = dated(path, "damaged")
    os.replace(path, aside)
    messages.append(f"The list of copies was damaged and is set aside as {aside.name}; every chapter of yours is kept.")
    return {}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
