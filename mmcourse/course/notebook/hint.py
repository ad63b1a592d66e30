"""`hint`: one hint more at every call."""

from __future__ import annotations

from dataclasses import dataclass

from mmcourse.course.exercise.show import box, marked
from mmcourse.course.exercises import Outline, outline
from mmcourse.course.learner import progress

_given_here: dict[str, int] = {}  # hints given by this process, for notebooks outside a work folder


@dataclass(frozen=True, kw_only=True)
class Hints:
    """The hints given so far, and whether there are more."""

    exercise: Outline
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
        items = "".join(f"<li>{marked(text)}</li>" for text in self.exercise.hints[: self.given])
        title = f"<b>Hints</b> · {marked(self.exercise.title)}"
        return box("hint", f'{title}<ol style="margin:.2em 0">{items}</ol><div>{marked(self.closing)}</div>')


def hint(exercise_id: str) -> Hints:
    """The next hint, below those given before; every call gives one more. Raises CourseError for an unknown id."""
    exercise = outline(exercise_id)
    work = progress.work_folder()
    before = _given_here.get(exercise_id, 0)
    if work is not None:
        before = max(before, int(progress.load(work).entries.get(exercise_id, {}).get("hints", 0)))
    given = min(before + 1, len(exercise.hints))
    _given_here[exercise_id] = given
    if work is not None and given > before:
        progress.record(work, exercise_id, hints=given)
    return Hints(exercise=exercise, given=given, asked_again=before >= len(exercise.hints))
