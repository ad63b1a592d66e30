"""The table of a run, a row for every exercise of every submission, and beside it the feedback pages."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmcourse.course.grading.run import feedback
from mmcourse.files import write_in_one_step

COLUMNS = (
    "student", "file", "chapter", "exercise", "status", "points", "max_points", "passed", "total", "failed", "mistake",
    "message", "seconds", "limit", "tampering", "remarks",
)  # fmt: skip


def rows(record: dict[str, Any]) -> Iterator[list[str]]:
    """The lines of the table for one submission, in the order of COLUMNS."""
    start = [record["student"], record["file"], record["chapter"]]
    if not record["verdicts"]:
        remarks = "; ".join(record["remarks"])
        yield [*start, "", record.get("status", "damaged"), "0", *[""] * 5, record["problem"], "0", "", "", remarks]
    for verdict in record["verdicts"]:
        failed = [name for name, ok, _ in verdict["cases"] if not ok]
        passed, all_hidden = verdict["hidden"]
        failed += [f"{all_hidden - passed} checks that are not shown"] if passed < all_hidden else []
        remarks = [*record["remarks"], *verdict["remarks"]]
        yield [
            *start, verdict["exercise"], verdict["status"],
            *(str(verdict[name]) for name in ("points", "max_points", "passed", "total")),
            "; ".join(failed), verdict["mistake"], verdict["message"], str(round(verdict["seconds"])),
            verdict["limit"], "; ".join(verdict["tampering"]), "; ".join(remarks),
        ]  # fmt: skip


def write(table: Path, place: Path, records: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    taken: set[str] = set()
    for record in _with_twins(records):
        writer.writerows([_harmless(cell) for cell in row] for row in rows(record))
        feedback.write(record, place, taken)
    write_in_one_step(table, text.getvalue().encode("utf-8", errors="replace"))


def _with_twins(records: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records, each with a remark where its student handed in the same chapter more than once."""
    files: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record["chapter"]:
            files.setdefault((record["student"], record["chapter"]), []).append(record["file"])
    for record in records:
        others = [name for name in files.get((record["student"], record["chapter"]), ()) if name != record["file"]]
        said = f"this student handed in this chapter {len(others) + 1} times; count one of them" if others else ""
        yield {**record, "remarks": [*record["remarks"], *([said] if said else [])]}


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet shows and does not run, on one line."""
    cell = " ".join(cell.split())
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell
