"""What learners call in a notebook: `check` and `hint`, and how their answers look."""

from __future__ import annotations

import dataclasses
import html
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcourse.course import progress
from mmcourse.course.exercise import Exercise, Result, find, grade

REPORT = "MMCOURSE_REPORT"  # a file that collects every result as a line of JSON, for `mmcourse check`
_hints_here: dict[str, int] = {}  # hints given by this process, for notebooks outside a work folder

# Okabe–Ito colors that hold on light and dark ground; text keeps the theme's own color.
_COLORS = {"done": "#009E73", "wrong": "#D55E00", "error": "#D55E00", "unwritten": "#888888", "hint": "#0072B2"}
_BOX = "border-left:4px solid {color};background:rgba(127,127,127,.09);padding:.5em .9em;margin:.3em 0;line-height:1.5"


def check(exercise_id: str, answer: Any) -> Result:
    """Judges an answer and records the result in the learner's progress. The last line of a cell shows it.

    Raises:
        CourseError: no exercise has this id.
    """
    result = grade(find(exercise_id), answer)
    report = os.environ.get(REPORT)
    if report:
        with Path(report).open("a", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(result)) + "\n")
    work = progress.work_folder()
    if work is not None:
        note = progress.record_result(work, exercise_id, result.status, result.points)
        result = dataclasses.replace(result, note=note)
    return result


@dataclass(frozen=True, kw_only=True)
class Hints:
    """The hints given so far, and whether there are more."""

    exercise: Exercise
    given: int
    asked_again: bool

    @property
    def closing(self) -> str:
        total = len(self.exercise.hints)
        if self.given < total and not self.asked_again:
            return f"Ask again for the next hint ({self.given} of {total} so far)."
        solution = f"`mmcourse solution {self.exercise.id}` in a terminal shows a solution."
        if self.asked_again or total == 0:
            return f"There are no more hints. {solution}"
        return "That was the last hint."

    def __repr__(self) -> str:
        shown = [f"Hint {n}: {text}" for n, text in enumerate(self.exercise.hints[: self.given], start=1)]
        return "\n".join([*shown, self.closing])

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{_text(text)}</li>" for text in self.exercise.hints[: self.given])
        title = f"<b>Hints</b> · {_text(self.exercise.title)}"
        return _box("hint", f'{title}<ol style="margin:.2em 0">{items}</ol><div>{_text(self.closing)}</div>')


def hint(exercise_id: str) -> Hints:
    """The next hint, below those given before; every call gives one more. Raises CourseError for an unknown id."""
    exercise = find(exercise_id)
    work = progress.work_folder()
    before = _hints_here.get(exercise_id, 0)
    if work is not None:
        before = max(before, int(progress.load(work).entries.get(exercise_id, {}).get("hints", 0)))
    given = min(before + 1, len(exercise.hints))
    _hints_here[exercise_id] = given
    if work is not None and given > before:
        progress.record(work, exercise_id, hints=given)
    return Hints(exercise=exercise, given=given, asked_again=before >= len(exercise.hints))


def summary(result: Result) -> str:
    """The first line of a result, as plain text."""
    if result.status == "unwritten":
        return f"○ {result.title}: not written yet."
    points = f"{result.points} of {result.max_points} point{'' if result.max_points == 1 else 's'}"
    passed = f"{result.passed} of {result.total} check{'' if result.total == 1 else 's'} passed"
    if result.status == "done":
        return f"✓ {result.title}: done, {passed}, {points}."
    return f"✗ {result.title}: {'not right yet' if result.status == 'wrong' else 'stopped by an error'}, {passed}."


def result_html(result: Result) -> str:
    """A result as a small piece of HTML without scripts or outside files; all text in it is escaped."""
    parts = [f"<b>{_text(summary(result))}</b>"]
    if result.status != "unwritten":
        parts += [_case_html(case.name, case.ok, case.message, result.message) for case in result.cases]
    if result.status in ("wrong", "error"):
        parts.append(f'<div style="margin-top:.4em">{_text(result.message)}</div>')
        parts.append(f'<div style="opacity:.75;margin-top:.4em">Stuck? <code>hint("{result.exercise_id}")</code></div>')
    if result.note:
        parts.append(f'<div style="opacity:.75">{_text(result.note)}</div>')
    return _box(result.status, "".join(parts))


def _case_html(name: str, ok: bool, message: str, headline: str) -> str:
    color = _COLORS["done" if ok else "wrong"]
    said = "" if ok or message == headline else f": {_text(message)}"
    return f'<div><span style="color:{color};font-weight:bold">{"✓" if ok else "✗"}</span> {_text(name)}{said}</div>'


def _box(kind: str, inner: str) -> str:
    return f'<div style="{_BOX.format(color=_COLORS[kind])}">{inner}</div>'


def _text(text: str) -> str:
    """Escaped text; what stands between backticks becomes code."""
    parts = html.escape(text).split("`")
    if len(parts) % 2 == 0:  # an odd backtick is only a backtick
        return html.escape(text)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
