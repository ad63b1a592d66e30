"""Which known mistake an answer made."""

from __future__ import annotations

from mmcourse.course.exercise.attempt import Outcome, attempt
from mmcourse.course.exercise.compare import changed_argument, difference
from mmcourse.course.exercise.model import Case, Exercise


def name_mistake(exercise: Exercise, outcomes: list[tuple[int, Outcome]]) -> str | None:
    """The first known mistake that explains the answer: it gives the same, value or error, in every case.

    One that the answer resembles in a single case, and that fails where the answer is right, is not what was done.
    """
    for mistake in exercise.mistakes:
        if all(_same(exercise.cases[i], got, attempt(exercise, i, mistake.answer)) for i, got in outcomes):
            return mistake.message
    return None


def _same(case: Case, got: Outcome, mistaken: Outcome) -> bool:
    if got.error is not None or mistaken.error is not None:
        return type(got.error) is type(mistaken.error) and str(got.error) == str(mistaken.error)
    same = difference(got.value, mistaken.value, rtol=case.rtol, atol=case.atol, nan_equal=True) is None
    return same and changed_argument(got.inputs, mistaken.inputs) is None
