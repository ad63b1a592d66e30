"""`mmcourse report`: what a table of grades says about a class: points, mistakes, and which exercises tell most.

An exercise separates strong from weak students when its points go along with the points on all other exercises: the
correlation of an item with the rest of the test, as classical test theory has it. Near zero, the exercise says little
about who understood; below zero, look at the exercise itself.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmcourse.course.errors import CourseError
from mmcourse.files import write_in_one_step

MOST_NAMES = 40  # in a larger class no student is named
BANDS = 10  # rows of the picture of a larger class: its students in order of their points, in ten groups
FEWEST = 10  # students for a correlation
MOST_MISTAKES = 10  # in the text; the table has all of them
MOST_COLUMNS = 10  # exercises in one picture; beyond that a column is a chapter
NEEDED = ("student", "file", "chapter", "exercise", "status", "points", "max_points", "mistake", "tampering")
COLUMNS = (
    "chapter", "exercise", "students", "mean_points", "max_points", "share", "done", "not_written", "discrimination",
    "mistakes", "most_frequent",
)  # fmt: skip


class Entry(NamedTuple):
    """One exercise of one student: the best one where several notebooks were handed in."""

    student: str
    chapter: str
    exercise: str
    status: str
    points: int
    max_points: int
    mistake: str
    tampering: str


class Item(NamedTuple):
    """One exercise over the class. `discrimination` is None where it cannot be computed."""

    chapter: str
    exercise: str
    students: int
    mean_points: float
    max_points: int
    done: int
    not_written: int
    discrimination: float | None
    mistakes: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        return self.mean_points / self.max_points


class Report(NamedTuple):
    """A class: `students` in order of their share of the points, the best one first, and what could not be read."""

    items: tuple[Item, ...]
    students: tuple[str, ...]
    entries: tuple[Entry, ...]
    damaged: int


def read_grades(path: Path) -> tuple[list[Entry], int]:
    """The entries of a table that `mmcourse grade` wrote, and how many files were damaged.

    Raises:
        CourseError: it is no such table.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))
    except UnicodeDecodeError:
        raise CourseError(f"{path} is no text in UTF-8; name the table that `mmcourse grade` wrote") from None
    lacking = [name for name in NEEDED if not rows or name not in rows[0]]
    if lacking:
        raise CourseError(f"{path} has no column {lacking[0]!r}; name the table that `mmcourse grade` wrote")
    best: dict[tuple[str, str], Entry] = {}
    damaged: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, start=2):
        if not row["exercise"] or row["status"] == "damaged":  # says nothing about who understood what
            damaged.add((row["student"], row["file"]))
            continue
        entry = _entry(row, path, number)
        key = entry.student, entry.exercise
        if key not in best or entry.points > best[key].points:
            best[key] = entry
    if not best:
        raise CourseError(f"{path} holds no graded exercise")
    return list(best.values()), len(damaged)


def _entry(row: dict[str, str], path: Path, number: int) -> Entry:
    try:
        points, most = int(row["points"]), int(row["max_points"])
    except (TypeError, ValueError):
        most = 0
    if most < 1:
        raise CourseError(f"{path}, line {number}: points and max_points must be whole numbers, max_points at least 1")
    words = {name: row[name] or "" for name in Entry._fields if name not in ("points", "max_points")}
    return Entry(points=points, max_points=most, **words)


def examine(entries: Sequence[Entry], damaged: int = 0) -> Report:
    """What a class did, exercise by exercise, in the order of the exercises in the table."""
    by_student: dict[str, list[Entry]] = defaultdict(list)
    by_exercise: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_student[entry.student].append(entry)
        by_exercise[entry.exercise].append(entry)
    items = [_item(group, by_student) for group in by_exercise.values()]
    students = sorted(by_student, key=lambda student: (-_share(by_student[student]), student))
    items.sort(key=lambda item: item.chapter)  # stable: within a chapter the order of the table, which is the course's
    return Report(items=tuple(items), students=tuple(students), entries=tuple(entries), damaged=damaged)


def _item(group: Sequence[Entry], by_student: dict[str, list[Entry]]) -> Item:
    pairs = []
    for entry in group:
        rest = [other for other in by_student[entry.student] if other.exercise != entry.exercise]
        if rest:
            pairs.append((entry.points / entry.max_points, _share(rest)))
    mistakes = Counter(entry.mistake for entry in group if entry.mistake)
    return Item(
        chapter=group[0].chapter,
        exercise=group[0].exercise,
        students=len(group),
        mean_points=sum(entry.points for entry in group) / len(group),
        max_points=group[0].max_points,
        done=sum(entry.status == "done" for entry in group),
        not_written=sum(entry.status in ("unwritten", "missing") for entry in group),
        discrimination=correlation(pairs),
        mistakes=tuple(sorted(mistakes.items(), key=lambda found: (-found[1], found[0]))),
    )


def _share(entries: Iterable[Entry]) -> float:
    entries = list(entries)
    return sum(entry.points for entry in entries) / sum(entry.max_points for entry in entries)


def correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's correlation; None for fewer than ten pairs, or where one side is the same for everybody."""
    if len(pairs) < FEWEST:
        return None
    x, y = (side - side.mean() for side in np.array(pairs, dtype=float).T)
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size > 1e-9 else None


def table(report: Report) -> str:
    """The report as CSV, a line for each exercise; it names no student."""
    rows = []
    for item in report.items:
        told = "" if item.discrimination is None else f"{item.discrimination:.2f}"
        numbers = item.students, f"{item.mean_points:.2f}", item.max_points, f"{item.share:.2f}"
        most_frequent = item.mistakes[0][0] if item.mistakes else ""
        made = sum(count for _, count in item.mistakes)
        rows.append([item.chapter, item.exercise, *numbers, item.done, item.not_written, told, made, most_frequent])
    return _csv(COLUMNS, rows)


def mistakes(report: Report) -> str:
    """Every mistake of the class as CSV, the most frequent first within its exercise."""
    rows = [
        [item.exercise, count, f"{count / item.students:.2f}", m] for item in report.items for m, count in item.mistakes
    ]
    return _csv(("exercise", "count", "share", "mistake"), rows)


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    return text.getvalue()


def lines(report: Report) -> list[str]:
    """The report as text: a line for each exercise, then what deserves a look."""
    wide = max(len(item.exercise) for item in report.items)
    said = [f"{'exercise':<{wide}}  students  points  done  not written  separates"]
    for item in report.items:
        told = "–" if item.discrimination is None else f"{item.discrimination:.2f}"
        said.append(
            f"{item.exercise:<{wide}}  {item.students:>8}  {item.share:>6.0%}  {item.done:>4}  {item.not_written:>11}"
            f"  {told:>9}"
        )
    return [*said, *_mistakes(report), *_separating(report), *_noticed(report)]


def _mistakes(report: Report) -> list[str]:
    found = [(count, item.exercise, said) for item in report.items for said, count in item.mistakes]
    found.sort(key=lambda row: (-row[0], row[1:]))
    said = [f"{count:>4} × {exercise}: {mistake}" for count, exercise, mistake in found[:MOST_MISTAKES]]
    return ["", "The most frequent mistakes:", *said] if said else []


def _separating(report: Report) -> list[str]:
    known = sorted(
        (item for item in report.items if item.discrimination is not None), key=lambda item: -item.discrimination
    )
    if not known:
        return ["", f"Which exercises separate strong from weak shows from {FEWEST} students on."]
    best = ", ".join(f"{item.exercise} ({item.discrimination:.2f})" for item in known[:3] if item.discrimination > 0)
    odd = ", ".join(f"{item.exercise} ({item.discrimination:.2f})" for item in known if item.discrimination < 0)
    said = ["", f"These separate strong from weak best: {best}."] if best else []
    return said + ([f"Strong students did worse than weak ones here, so look at the exercise: {odd}."] if odd else [])


def _noticed(report: Report) -> list[str]:
    named = len(report.students) <= MOST_NAMES
    tampered = [entry for entry in report.entries if entry.tampering]
    said = []
    if tampered:
        who = sorted({entry.student for entry in tampered})
        said.append(f"Tampering was noticed in {len(tampered)} answers" + (f", by {', '.join(who)}." if named else "."))
    if report.damaged:
        said.append(f"{report.damaged} files could not be read; the table of grades names them.")
    return ["", *said] if said else []


def heat_map(report: Report) -> bytes:
    """A picture of the class as PNG: rows are students, or ten groups of them; columns exercises, or chapters."""
    from mmcourse import viz  # imports matplotlib and torch
    from mmcourse.viz.style import png

    exercises = [item.exercise for item in report.items]
    by_exercise = len(exercises) <= MOST_COLUMNS
    columns = exercises if by_exercise else list(dict.fromkeys(item.chapter for item in report.items))
    place = {student: row for row, student in enumerate(report.students)}
    rows = row_names(report.students)
    got, most = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)))
    for entry in report.entries:
        row = place[entry.student] * len(rows) // len(report.students)
        cell = row, columns.index(entry.exercise if by_exercise else entry.chapter)
        got[cell] += entry.points
        most[cell] += entry.max_points
    shares = np.divide(got, most, out=np.full_like(got, -np.inf), where=most > 0)  # heat draws −∞ gray: not handed in
    title = "Share of the points" + ("" if np.isfinite(shares).all() else " (gray: not handed in)")
    return png(viz.heat(shares, rows=rows, columns=columns, title=title))


def row_names(students: Sequence[str]) -> list[str]:
    """What stands beside the rows of the picture: names that can be drawn everywhere, or groups by their points."""
    if len(students) <= MOST_NAMES:
        plain = [all(ord(letter) < 0x2E80 for letter in name) for name in students]
        return [
            name[:18] if ok else f"student {n}" for n, (name, ok) in enumerate(zip(students, plain, strict=True), 1)
        ]
    return ["best tenth", *(f"tenth {number}" for number in range(2, BANDS)), "last tenth"]


def write_report(grades: Path, folder: Path | None = None) -> tuple[Report, list[Path]]:
    """Reads a table of grades and writes, beside it by default, two tables and a picture: `{name}-report.csv`,
    `{name}-mistakes.csv` and `{name}-report.png`."""
    report = examine(*read_grades(grades))
    place = grades.parent if folder is None else folder
    contents = {"report.csv": table(report), "mistakes.csv": mistakes(report), "report.png": heat_map(report)}
    paths = [place / f"{grades.stem}-{name}" for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        write_in_one_step(path, content)
    return report, paths
