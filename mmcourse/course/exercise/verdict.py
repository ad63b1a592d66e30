"""The verdict on an answer.

It runs beside the reference on the same fresh inputs, and is right when both give the same result; when it is not, the
result is compared with what each known mistake would have computed, so that the learner hears the name of the
misunderstanding and not only "wrong". Nothing here prints or writes a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from mmcourse.course.answers import describe_error, is_unwritten
from mmcourse.course.exercise.attempt import Outcome, attempt
from mmcourse.course.exercise.compare import changed_argument, difference
from mmcourse.course.exercise.explain import name_mistake
from mmcourse.course.exercise.model import Case, Exercise
from mmcourse.course.exercise.show import result_html

Status = Literal["done", "wrong", "unwritten", "error"]


class Checked(NamedTuple):
    """The verdict on one case."""

    name: str
    ok: bool
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What grading found. Its repr is the points alone, because nbgrader reads a bare number as the score."""

    exercise_id: str
    title: str
    status: Status
    passed: int
    total: int
    points: int
    max_points: int
    cases: tuple[Checked, ...] = ()
    message: str = ""
    note: str = field(default="", compare=False)  # about the progress file; says nothing about the answer

    def __repr__(self) -> str:
        return str(self.points)

    def _repr_html_(self) -> str:
        return result_html(self)


def grade(exercise: Exercise, answer: Any) -> Result:
    """Judges an answer. Pure: prints nothing, writes nothing, leaves the global random state as it was."""
    if is_unwritten(answer):
        return _result(exercise, "unwritten", (), "")
    checked: list[Checked] = []
    failures: list[tuple[int, Outcome]] = []
    passes: list[tuple[int, Outcome]] = []
    for index, case in enumerate(exercise.cases):
        expected = attempt(exercise, index, exercise.reference)
        if expected.error is not None:
            raise RuntimeError(f"exercise {exercise.id}: the reference fails in {case.name!r}") from expected.error
        got = attempt(exercise, index, answer)
        if got.value is Ellipsis or (isinstance(got.error, NotImplementedError) and not got.error.args):
            return _result(exercise, "unwritten", (), "")
        message = _judge(case, got, expected)
        checked.append(Checked(case.name, message is None, message or ""))
        if message is None:
            passes.append((index, expected))
        else:
            failures.append((index, got))
    if not failures:
        return _result(exercise, "done", tuple(checked), "")
    mistake = name_mistake(exercise, failures + passes)
    index, first = failures[0]
    status: Status = "error" if first.error is not None else "wrong"
    said = checked[index].message
    if mistake is not None:
        said = mistake if status == "wrong" else f"{said} {mistake}"
    return _result(exercise, status, tuple(checked), said)


def _result(exercise: Exercise, status: Status, cases: tuple[Checked, ...], message: str) -> Result:
    passed, total = sum(case.ok for case in cases), len(exercise.cases)
    return Result(
        exercise_id=exercise.id,
        title=exercise.title,
        status=status,
        passed=passed,
        total=total,
        points=exercise.points * passed // total,
        max_points=exercise.points,
        cases=cases,
        message=message,
    )


def _judge(case: Case, got: Outcome, expected: Outcome) -> str | None:
    """None if the case passes, otherwise what is wrong with it."""
    if got.error is not None:
        return describe_error(got.error)
    found = difference(got.value, expected.value, rtol=case.rtol, atol=case.atol)
    if found is None:
        found = changed_argument(got.inputs, expected.inputs)
    return found
