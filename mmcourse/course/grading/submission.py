"""Submissions as files: who handed in what, and what each notebook holds for which exercise.

A notebook is read with patience. Cells are found by their id, by nbgrader's `grade_id` or by what they define; what is
missing, twice there, of another kind or damaged is noted for the report.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mmcourse.content import content_dir
from mmcourse.course.errors import CourseError
from mmcourse.course.notebook import is_blank
from mmcourse.course.workspace import chapter_paths

LARGEST = 64 << 20  # bytes of a notebook
_MOST_TEXT = 1 << 20  # characters of code in it


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A file that somebody handed in; `name` is how it is called in the report."""

    student: str
    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Cell:
    kind: str
    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Course:
    """A chapter as the course has it: its exercises with the text that names the answer, and its other code cells."""

    number: str
    name: str
    answers: dict[str, str]  # exercise -> what its check cell hands over, such as `causal_mask`
    code: tuple[Cell, ...]  # every code cell that is no check, in order
    written: dict[str, str]  # written question -> its blank text


@dataclass(frozen=True, kw_only=True)
class Work:
    """One exercise of a submission: the text of its cell (None where there is none), the code around it, remarks."""

    exercise: str
    answer: str
    cell: str | None
    around: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def find_submissions(paths: Iterable[Path]) -> list[Submission]:
    """Every notebook below these paths, with its student.

    A folder may hold `alice.ipynb`, `alice/01_attention.ipynb` or, as nbgrader collects, `alice/01_attention/….ipynb`.

    Raises:
        CourseError: a path is not there, or holds no notebook.
    """
    found: dict[Path, Submission] = {}
    for root in paths:
        if not root.exists():
            raise CourseError(f"{root} is not there; name the folder of the submissions, or notebooks")
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix.lower() == ".ipynb")
        for path in files:
            inside = path.relative_to(root) if root.is_dir() else Path(path.name)
            if any(part.startswith(".") for part in inside.parts) or path.resolve() in found or not path.is_file():
                continue
            found[path.resolve()] = Submission(student=_student(path, inside), name=inside.as_posix(), path=path)
    if not found:
        raise CourseError("there is no notebook (.ipynb) in " + ", ".join(str(path) for path in paths))
    return sorted(found.values(), key=lambda s: (s.student, s.name))


def _student(path: Path, inside: Path) -> str:
    if len(inside.parts) > 1:
        return inside.parts[0]
    named_after_chapter = re.match(r"\d\d_", path.stem) is not None
    return path.resolve().parent.name if named_after_chapter else path.stem


@cache
def course_chapter(number: str, chapters_dir: Path | None = None) -> Course:
    """What the course itself has in a chapter. Raises CourseError where it has no such chapter."""
    folder = content_dir("chapters") if chapters_dir is None else chapters_dir
    paths = [path for path in chapter_paths(chapters_dir) if path.stem[:2] == number]
    if not paths:
        raise CourseError(f"there is no chapter {number} in {folder}")
    answers: dict[str, str] = {}
    code: list[Cell] = []
    written: dict[str, str] = {}
    for found in json.loads(paths[0].read_text(encoding="utf-8"))["cells"]:
        cell, tags = _cell(found), found["metadata"].get("tags", [])
        if "check" in tags:
            call = ast.parse(cell.text).body[0].value  # check("01-causal-mask", causal_mask)
            answers[call.args[0].value] = ast.unparse(call.args[1])
        elif cell.kind == "code":
            code.append(cell)
        elif "written" in tags:
            written[cell.id] = cell.text
    return Course(number=number, name=paths[0].stem, answers=answers, code=tuple(code), written=written)


def read(submission: Submission) -> tuple[list[Cell], list[str], str]:
    """The cells of a submitted notebook, remarks on the file, and its digest.

    Raises:
        CourseError: it is no notebook; the sentence says what is wrong.
    """
    try:
        if submission.path.stat().st_size > LARGEST:
            raise CourseError(f"the file is larger than {LARGEST >> 20} MiB: clear its outputs")
        content = submission.path.read_bytes()
    except OSError as error:
        raise CourseError(f"the file cannot be read: {error.strerror}") from None
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise CourseError("the file is damaged: it is no JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise CourseError("the file is damaged: it is JSON, but holds no cells of a notebook")
    cells = [cell for cell in map(_cell, document["cells"]) if cell is not None]
    remarks = []
    if len(cells) < len(document["cells"]):
        remarks.append(f"{len(document['cells']) - len(cells)} damaged cells are left out")
    if sum(len(cell.text) for cell in cells) > _MOST_TEXT:
        raise CourseError("the notebook holds more than a million characters of text")
    kernel = document.get("metadata") or {}
    name = kernel.get("kernelspec", {}).get("name") if isinstance(kernel.get("kernelspec"), dict) else None
    if name not in (None, "python3"):
        remarks.append(f"the notebook asks for the kernel {str(name)[:40]!r}; it was graded with Python")
    return cells, remarks, hashlib.sha256(content).hexdigest()


def _cell(value: Any) -> Cell | None:
    if not isinstance(value, dict):
        return None
    text, kind = value.get("source"), value.get("cell_type")
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        text = "".join(text)
    if not isinstance(text, str) or not isinstance(kind, str):
        return None
    metadata = value.get("metadata") if isinstance(value.get("metadata"), dict) else {}
    graded = metadata.get("nbgrader") if isinstance(metadata.get("nbgrader"), dict) else {}
    names = [value.get("id"), graded.get("grade_id")]
    ids = [name for name in names if isinstance(name, str)]
    known = [name for name in ids if re.fullmatch(r"\d\d-[a-z][a-z0-9-]*", name)]
    return Cell(kind=kind, id=(known or ids or [""])[0], text=text)


def chapter_of(cells: list[Cell], submission: Submission, known: Iterable[str]) -> str | None:
    """Which chapter a notebook is: by the ids of its cells, else by the name of its file."""
    known = set(known)
    counts: dict[str, int] = {}
    for cell in cells:
        if re.match(r"\d\d-", cell.id) and cell.id[:2] in known:
            counts[cell.id[:2]] = counts.get(cell.id[:2], 0) + 1
    if counts:
        return max(sorted(counts), key=lambda number: counts[number])
    for part in (submission.path.stem, *(parent.name for parent in submission.path.resolve().parents)):
        match = re.match(r"(\d\d)_", part)
        if match and match[1] in known:
            return match[1]
    return None


def collect(cells: list[Cell], course: Course) -> list[Work]:
    """What the submission has for each exercise of the chapter."""
    return [_work(exercise, answer, cells, course) for exercise, answer in course.answers.items()]


def _work(exercise: str, answer: str, cells: list[Cell], course: Course) -> Work:
    remarks: list[str] = []
    named = [n for n, cell in enumerate(cells) if cell.id == exercise]
    defining = [n for n, cell in enumerate(cells) if cell.kind == "code" and _defines(cell.text, answer)]
    chosen: int | None = None
    if named:
        written = [n for n in named if not is_blank(cells[n].text)]
        chosen = (written or named)[-1]
        if len(named) > 1:
            remarks.append(f"its cell is there {len(named)} times; the last one that is written counts")
        elif not written:
            others = [n for n in defining if n not in named and not is_blank(cells[n].text)]
            if others and not any(cells[n].id in course.answers for n in others[-1:]):
                chosen = others[-1]
                remarks.append("its own cell is blank; the answer was found in another cell")
        if cells[chosen].kind != "code":
            remarks.append(f"its cell was turned into a {cells[chosen].kind[:20]} cell; its text was graded as code")
    elif defining:
        chosen = defining[-1]
        remarks.append("its cell lost its id; it was found by what it defines")
    if chosen is None:
        return Work(exercise=exercise, answer=answer, cell=None, remarks=("its cell is missing",))
    around = _around(chosen, cells, course)
    return Work(exercise=exercise, answer=answer, cell=cells[chosen].text, around=around, remarks=tuple(remarks))


def _defines(text: str, answer: str) -> bool:
    if not answer.isidentifier():
        return False
    return re.search(rf"^(?:(?:async\s+)?def|class)\s+{answer}\b|^{answer}\s*=(?!=)", text, re.MULTILINE) is not None


def _around(chosen: int, cells: list[Cell], course: Course) -> dict[str, list[dict[str, str]]]:
    """The code before and after an answer, in the order of the notebook; the course's cells as the course has them."""
    ours = {cell.id: cell for cell in course.code if cell.id and cell.id not in course.answers}
    before: list[dict[str, str]] = []
    after: list[dict[str, str]] = []
    spare: list[dict[str, str]] = []
    seen: set[str] = set()
    for number, cell in enumerate(cells):
        if cell.kind != "code" or number == chosen or re.match(r"\s*check\(", cell.text):
            continue
        origin = "exercise" if cell.id in course.answers else "own"
        if cell.id in ours and cell.id not in seen:
            seen.add(cell.id)
            if cell.text.strip() != ours[cell.id].text.strip():
                spare.append({"name": cell.id, "origin": "own", "text": cell.text})
            origin, cell = "course", ours[cell.id]
        place = before if number < chosen else after
        place.append({"name": cell.id or f"cell {number + 1}", "origin": origin, "text": cell.text})
    spare += [{"name": cell.id, "origin": "course", "text": cell.text} for cell in ours.values() if cell.id not in seen]
    return {"before": before, "after": after, "spare": spare}
