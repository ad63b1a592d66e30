"""What a submitted notebook holds for which exercise.

A notebook is read with patience. Cells are found by their id, by nbgrader's `grade_id` or by what they define; what is
missing, twice there, of another kind or damaged is noted for the report.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mmcourse.content import content_dir
from mmcourse.course.author.source import is_blank
from mmcourse.course.errors import CourseError
from mmcourse.course.grading.collection import Submission, read_plainly
from mmcourse.course.learner.workspace import chapter_paths

LARGEST = 128 << 20  # bytes of a file, with the outputs in it
_MOST_TEXT = 1 << 20  # characters of code and text in it, without outputs and pictures
_CHECK = re.compile(r"\s*check\(\s*[\"'](\d\d-[a-z0-9-]+)[\"']")
_PICTURE = re.compile(r"data:[\w.+/-]{1,80};base64,[A-Za-z0-9+/=\s]*")


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
    sections: dict[str, str] = field(default_factory=dict)  # exercise or question -> the heading that it stands under


@dataclass(frozen=True, kw_only=True)
class Work:
    """One exercise of a submission: the text of its cell (None where there is none), the code around it, remarks."""

    exercise: str
    answer: str
    cell: str | None
    around: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


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
    sections: dict[str, str] = {}
    heading = ""
    for found in json.loads(paths[0].read_text(encoding="utf-8"))["cells"]:
        cell, tags = _cell(found), found["metadata"].get("tags", [])
        if cell.kind == "markdown":
            heading = [heading, *re.findall(r"^## +(.+?) *$", cell.text, re.MULTILINE)][-1]
        sections[cell.id] = heading
        if "check" in tags:
            call = ast.parse(cell.text).body[0].value  # check("01-causal-mask", causal_mask)
            answers[call.args[0].value] = ast.unparse(call.args[1])
        elif cell.kind == "code":
            code.append(cell)
        elif "written" in tags:
            written[cell.id] = cell.text
    more = {"code": tuple(code), "written": written, "sections": sections}
    return Course(number=number, name=paths[0].stem, answers=answers, **more)


def read(submission: Submission) -> tuple[list[Cell], list[str], str]:
    """The cells of a submitted notebook, remarks on the file, and its digest.

    Raises:
        CourseError: it is no notebook; the sentence says what is wrong.
    """
    try:
        if os.lstat(submission.path).st_size > LARGEST:
            raise CourseError(f"the file is larger than {LARGEST >> 20} MiB: clear its outputs")
        content = read_plainly(submission.path)
    except OSError as error:
        raise CourseError(f"the file cannot be read: {error.strerror}") from None
    remarks: list[str] = []
    try:
        document = json.loads(content)  # UTF-8, with or without a mark, UTF-16 or UTF-32
    except (ValueError, RecursionError, MemoryError):
        raise CourseError("the file is damaged: it is no JSON") from None
    if isinstance(document, dict) and isinstance(document.get("worksheets"), list):
        document = _converted(document)
        remarks.append("the notebook has an old format and was converted")
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise CourseError("the file is damaged: it is JSON, but holds no cells of a notebook")
    cells = [cell for cell in map(_cell, document["cells"]) if cell is not None]
    if len(cells) < len(document["cells"]):
        remarks.append(f"{len(document['cells']) - len(cells)} damaged cells are left out")
    if sum(len(cell.text) for cell in cells) > _MOST_TEXT:
        raise CourseError("the notebook holds more than a million characters of text")
    kernel = document.get("metadata") or {}
    name = kernel.get("kernelspec", {}).get("name") if isinstance(kernel.get("kernelspec"), dict) else None
    if name not in (None, "python3"):
        remarks.append(f"the notebook asks for the kernel {str(name)[:40]!r}; it was graded with Python")
    return cells, remarks, hashlib.sha256(content).hexdigest()


def _converted(document: dict) -> Any:
    """A notebook of format 3 in format 4, without its outputs."""
    import nbformat

    for sheet in document["worksheets"]:
        for cell in sheet.get("cells", ()) if isinstance(sheet, dict) else ():
            if isinstance(cell, dict) and "outputs" in cell:
                cell["outputs"] = []
    try:
        return nbformat.convert(nbformat.from_dict(document), 4)
    except Exception as error:  # whatever a converter makes of a file that somebody damaged
        raise CourseError(f"the file is damaged: its format 3 cannot be converted ({type(error).__name__})") from None


def _cell(value: Any) -> Cell | None:
    if not isinstance(value, dict):
        return None
    text, kind = value.get("source"), value.get("cell_type")
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        text = "".join(text)
    if not isinstance(text, str) or not isinstance(kind, str):
        return None
    text = text if kind == "code" else _PICTURE.sub("data:,", text)
    metadata = value.get("metadata") if isinstance(value.get("metadata"), dict) else {}
    graded = metadata.get("nbgrader") if isinstance(metadata.get("nbgrader"), dict) else {}
    names = [value.get("id"), graded.get("grade_id")]
    ids = [name for name in names if isinstance(name, str)]
    known = [name for name in ids if re.fullmatch(r"\d\d-[a-z][a-z0-9-]*", name)]
    return Cell(kind=kind, id=(known or ids or [""])[0], text=text)


def chapter_of(cells: list[Cell], submission: Submission, known: Iterable[str]) -> str | None:
    """Which chapter a notebook is: by the ids of its cells and what they check, else by the name of its file."""
    known = set(known)
    counts: dict[str, int] = {}
    for cell in cells:
        checked = _CHECK.match(cell.text) if cell.kind == "code" else None
        name = cell.id if re.match(r"\d\d-", cell.id) else checked[1] if checked else ""
        if name[:2] in known:
            counts[name[:2]] = counts.get(name[:2], 0) + 1
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
        chosen = _with_its_id(exercise, answer, cells, course, remarks)
        if cells[chosen].kind != "code":
            remarks.append(f"its cell was turned into a {cells[chosen].kind[:20]} cell; its text was graded as code")
    elif defining:
        chosen = defining[-1]
        remarks.append("its cell lost its id; it was found by what it defines")
    elif (above := _above_its_check(exercise, cells, course)) is not None:
        chosen = above
        remarks.append("its cell lost its id; it was found by the check below it")
    if chosen is None:
        return Work(exercise=exercise, answer=answer, cell=None, remarks=("its cell is missing",))
    around = _around(chosen, cells, course)
    return Work(exercise=exercise, answer=answer, cell=cells[chosen].text, around=around, remarks=tuple(remarks))


def _with_its_id(exercise: str, answer: str, cells: list[Cell], course: Course, remarks: list[str]) -> int:
    """The cell that counts where at least one has the id of the exercise.

    A cell may have the id of one exercise and define the answer of another: then the name of the function says more
    than the id, which a copied cell keeps. Whichever is taken, the checks are those of this exercise.
    """
    named = [n for n, cell in enumerate(cells) if cell.id == exercise]
    filled = [n for n in named if not is_blank(cells[n].text)]
    foreign = {n: other for n in filled if (other := _other_answer(cells[n], course)) is not None}
    own = [n for n in filled if n not in foreign]
    if len(named) > 1:
        remarks.append(f"its cell is there {len(named)} times; the last one that is written counts")
    if foreign:
        other = next(reversed(foreign.values()))
        remarks.append(f"a cell with its id defines `{course.answers[other]}`, which is the answer of {other}")
    if own:
        return own[-1]
    elsewhere = [n for n, cell in enumerate(cells) if n not in named and cell.kind == "code"]
    defining = [n for n in elsewhere if _defines(cells[n].text, answer)]
    others = [n for n in defining if not is_blank(cells[n].text)]
    if others:
        owner = cells[others[-1]].id
        if owner in course.answers and _other_answer(cells[others[-1]], course) is not None:
            remarks.append(f"the ids of cells were exchanged: its answer was found in the cell with the id {owner}")
            return others[-1]
        if owner not in course.answers:
            what = "holds another answer" if foreign else "is blank"
            remarks.append(f"its own cell {what}; the answer was found in another cell")
            return others[-1]
    if foreign and defining:
        return defining[-1]  # blank: nobody wrote it
    return (filled or named)[-1]


def _other_answer(cell: Cell, course: Course) -> str | None:
    """The exercise whose answer a cell defines, if it has the id of another one and does not define that one's."""
    if cell.id not in course.answers or _defines(cell.text, course.answers[cell.id]):
        return None
    return next((exercise for exercise, answer in course.answers.items() if _defines(cell.text, answer)), None)


def _above_its_check(exercise: str, cells: list[Cell], course: Course) -> int | None:
    """The cell right above the check of an exercise, if it is code and belongs to nothing else."""
    ours = {cell.id for cell in course.code}
    for number, cell in enumerate(cells):
        checked = _CHECK.match(cell.text) if cell.kind == "code" else None
        if checked and checked[1] == exercise:
            code = [n for n in range(number) if cells[n].kind == "code"]
            free = code and cells[code[-1]].id not in ours and not _CHECK.match(cells[code[-1]].text)
            return code[-1] if free else None
    return None


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
