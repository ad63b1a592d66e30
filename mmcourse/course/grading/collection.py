"""What was handed in: every notebook of a folder with its student, and everything else with a reason.

No link is followed, nothing but plain files is opened, and whatever cannot be graded still gets a row of its own: a
student hears that something came, and what to do.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmcourse.course.errors import CourseError

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_OF_TOOLS = {".git", ".ipynb_checkpoints", ".venv", "__pycache__", "__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}
_MOST_SHOWN = 255  # characters of a name in the report
LINK = "it is a link, and links are not followed: hand in the file itself"
FOLDER = "it is a folder with the name of a notebook; hand in the notebook itself"
SPECIAL = "it is no plain file (a pipe, a socket or a device)"
ARCHIVE = "it is an archive: unpack it"
HIDDEN = "its name begins with a dot, so it counts as hidden: rename it"
ENDING = "its name does not end in .ipynb: hand in the notebook, under a name with this ending"
EMPTY = "there is no notebook (.ipynb) in this folder"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Something that somebody handed in; `name` is how it is called in the report.

    Where it cannot be graded, `problem` says why, and nobody opens it.
    """

    student: str
    name: str
    path: Path
    problem: str = ""


def find_submissions(paths: Iterable[Path], leave_out: Collection[Path] = ()) -> list[Submission]:
    """Every notebook below these paths, with its student, and whatever else was handed in, with what is wrong with it.

    A folder may hold `alice.ipynb`, `alice/01_attention.ipynb` or, as nbgrader collects, `alice/01_attention/….ipynb`.

    Args:
        leave_out: files and folders that are no submissions, such as the table of an earlier run.

    Raises:
        CourseError: a path is not there, or holds nothing at all.
    """
    paths = [Path(path) for path in paths]
    left_out = {os.path.abspath(path) for path in leave_out}
    found: dict[str, Submission] = {}
    for root in paths:
        if not os.path.lexists(root):
            raise CourseError(f"{root} is not there; name the folder of the submissions, or notebooks")
        # A teacher may name a link to the folder. Among several paths (`class/*`) it may be the link of a student.
        root = root.resolve() if len(paths) == 1 and root.exists() else root
        for one in _below(root, left_out):
            found.setdefault(os.path.abspath(one.path), one)
    if not found:
        raise CourseError("there is no notebook (.ipynb) in " + ", ".join(str(path) for path in paths))
    return sorted(found.values(), key=lambda one: (one.student, one.name))


def share_of(handed_in: Sequence[Submission], share: str) -> list[Submission]:
    """The submissions of one share: of `3/20`, the third and then every twentieth, so that the shares are about equal.

    Raises:
        CourseError: it is no share, such as `0/20`.
    """
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", share, re.ASCII)
    number, shares = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= shares:
        raise CourseError(f"share must be like 3/20, from 1/20 to 20/20, got {share!r}")
    return list(handed_in[number - 1 :: shares])


def _below(root: Path, left_out: Collection[str]) -> Iterator[Submission]:
    """The submissions of one path; a student without any gets one that says so."""
    seen: set[str] = set()
    others: dict[str, Submission] = {}
    for path, problem in _walk(root, left_out):
        inside = Path(path.name) if path == root else path.relative_to(root)
        student = _student(path, inside)
        one = Submission(student=student, name=_shown(inside.as_posix()), path=path, problem=problem)
        if problem in (ENDING, EMPTY):
            if student not in others or others[student].problem == EMPTY:
                others[student] = one
        else:
            seen.add(student)
            yield one
    yield from (one for student, one in others.items() if student not in seen)


def _walk(root: Path, left_out: Collection[str]) -> Iterator[tuple[Path, str]]:
    """Everything below a path in a steady order, with what is wrong with it ("" for a notebook)."""
    waiting = [root]
    while waiting:
        path = waiting.pop()
        if os.path.abspath(path) in left_out:
            continue
        try:
            kind = os.lstat(path).st_mode
            entries = sorted(os.listdir(path), reverse=True) if stat.S_ISDIR(kind) else []
        except OSError as error:
            yield path, f"it cannot be read: {error.strerror}"
            continue
        if not stat.S_ISDIR(kind):
            yield path, _problem(path, kind, [] if path == root else path.relative_to(root).parts)
            continue
        if path != root:
            yield path, FOLDER if path.suffix.lower() == ".ipynb" else EMPTY
        waiting += [path / name for name in entries if name not in _OF_TOOLS]


def _problem(path: Path, kind: int, parts: Iterable[str]) -> str:
    name = path.name.lower()
    if stat.S_ISLNK(kind):
        return LINK
    if not stat.S_ISREG(kind):
        return SPECIAL
    if name.endswith(_ARCHIVES):
        return ARCHIVE
    if not name.endswith(".ipynb"):
        return f"{ENDING} (it is {path.name[-40:]})" if ".ipynb" in name else ENDING
    return HIDDEN if any(part.startswith(".") for part in parts) else ""


def _student(path: Path, inside: Path) -> str:
    if len(inside.parts) > 1 or (os.path.isdir(path) and not os.path.islink(path)):
        return _shown(inside.parts[0])
    named_after_chapter = re.match(r"\d\d_", path.stem) is not None
    return _shown(Path(os.path.abspath(path)).parent.name if named_after_chapter else path.stem)


def _shown(name: str) -> str:
    """A name as the report has it: what is no text is written out, and what is long is cut in the middle."""
    name = name.encode("utf-8", errors="backslashreplace").decode()
    return name if len(name) <= _MOST_SHOWN else f"{name[: _MOST_SHOWN // 2]}…{name[-_MOST_SHOWN // 2 :]}"


def read_plainly(path: Path) -> bytes:
    """The bytes of a plain file. Raises OSError, also where a link or a pipe took its place; nothing waits for it."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, SPECIAL)
        return file.read()
