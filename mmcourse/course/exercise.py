"""Exercises: what is asked, how an answer is judged, and which misunderstandings are known by name.

An answer runs beside the reference on the same fresh inputs. It is right when both give the same result; when it is
not, the result is compared with what each known mistake would have computed, so that the learner hears the name of the
misunderstanding and not only "wrong". Nothing here prints or writes a file.
"""

from __future__ import annotations

import dis
import re
import types
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from mmcourse.course.compare import changed_argument, clone, difference
from mmcourse.course.display import result_html
from mmcourse.course.tracing import describe_error

Status = Literal["done", "wrong", "unwritten", "error"]
_STUB = {"RESUME", "NOP", "CACHE", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "COPY_FREE_VARS"}


class NotAFunctionError(TypeError):
    """The answer is a value where a function or class was asked for."""


def call(answer: Any, *inputs: Any) -> Any:
    """The default probe: calls a function or class with the inputs; a plain value stands for itself."""
    if callable(answer):
        return answer(*inputs)
    if inputs:
        kind = type(answer).__name__
        raise NotAFunctionError(
            f"check was given a value ({kind}), not a function; hand over the function itself, without calling it"
        )
    return answer


def no_inputs(generator: torch.Generator) -> tuple:
    return ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that is checked: `probe(answer, *inputs)` against `probe(reference, *inputs)` on fresh inputs."""

    name: str
    inputs: Callable[[torch.Generator], tuple] = no_inputs
    probe: Callable[..., Any] = call
    rtol: float = 1e-5
    atol: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A known misunderstanding: what to tell the learner, and what it computes (same signature as the reference)."""

    message: str
    answer: Any


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise. `cases` may be left out for a plain value, which is then compared as it is.

    Where a case is an example with fixed inputs, `fresh` holds further ones with random inputs, for grading alone: a
    table of the answers to the examples is no answer.
    """

    id: str
    title: str
    goal: str
    stars: int
    minutes: int
    points: int
    reference: Any
    cases: tuple[Case, ...] = (Case(name="it is the right value"),)
    fresh: tuple[Case, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    hints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d\d-[a-z0-9-]+", self.id):
            raise ValueError(f"id is {self.id!r}; write chapter and name in small letters, such as 01-causal-mask")
        if self.stars not in (1, 2, 3):
            raise ValueError(f"exercise {self.id}: stars must be 1, 2 or 3, got {self.stars}")
        for name in ("minutes", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"exercise {self.id}: {name} must be at least 1, got {getattr(self, name)}")
        if not self.cases:
            raise ValueError(f"exercise {self.id}: cases is empty; give at least one Case")

    @property
    def chapter(self) -> str:
        return self.id[:2]


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


class Outcome(NamedTuple):
    """What one run of a probe gave: a value or an exception, and the inputs as it left them."""

    value: Any
    error: Exception | None
    inputs: tuple


def grade(exercise: Exercise, answer: Any) -> Result:
    """Judges an answer. Pure: prints nothing, writes nothing, leaves the global random state as it was."""
    if is_unwritten(answer):
        return _result(exercise, "unwritten", (), "")
    checked: list[Checked] = []
    failures: list[tuple[int, Outcome]] = []
    passes: list[tuple[int, Outcome]] = []
    for index, case in enumerate(exercise.cases):
        expected = _run(exercise, index, exercise.reference)
        if expected.error is not None:
            raise RuntimeError(f"exercise {exercise.id}: the reference fails in {case.name!r}") from expected.error
        got = _run(exercise, index, answer)
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
    mistake = _name_mistake(exercise, failures + passes)
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


def _run(exercise: Exercise, index: int, answer: Any) -> Outcome:
    """Runs one case on inputs of its own. Every answer meets the same inputs and the same random numbers."""
    case = exercise.cases[index]
    seed = zlib.crc32(f"{exercise.id}/{index}".encode())
    inputs = clone(case.inputs(torch.Generator().manual_seed(seed)))
    state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  learners may use the global generator
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # a warning is stderr, which counts as a failure for nbgrader
            return Outcome(case.probe(answer, *inputs), None, inputs)
    except Exception as error:
        return Outcome(None, error, inputs)
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])  # noqa: NPY002


def _judge(case: Case, got: Outcome, expected: Outcome) -> str | None:
    """None if the case passes, otherwise what is wrong with it."""
    if got.error is not None:
        return describe_error(got.error)
    found = difference(got.value, expected.value, rtol=case.rtol, atol=case.atol)
    if found is None:
        found = changed_argument(got.inputs, expected.inputs)
    return found


def _name_mistake(exercise: Exercise, outcomes: list[tuple[int, Outcome]]) -> str | None:
    """The first known mistake that explains the answer: it gives the same, value or error, in every case.

    One that the answer resembles in a single case, and that fails where the answer is right, is not what was done.
    """
    for mistake in exercise.mistakes:
        if all(_same(exercise.cases[i], got, _run(exercise, i, mistake.answer)) for i, got in outcomes):
            return mistake.message
    return None


def _same(case: Case, got: Outcome, mistaken: Outcome) -> bool:
    if got.error is not None or mistaken.error is not None:
        return type(got.error) is type(mistaken.error) and str(got.error) == str(mistaken.error)
    same = difference(got.value, mistaken.value, rtol=case.rtol, atol=case.atol, nan_equal=True) is None
    return same and changed_argument(got.inputs, mistaken.inputs) is None


def is_unwritten(answer: Any) -> bool:
    """Whether there is nothing to judge: no value yet, or a function that holds no statement but its docstring."""
    if answer is None or answer is Ellipsis:
        return True
    if not isinstance(answer, types.FunctionType):
        return False
    steps = list(dis.get_instructions(answer))
    if any(step.opname not in _STUB for step in steps):
        return False
    returned = [step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return all(value in (None, Ellipsis) for value in returned)


__all__ = [
    "Case",
    "Checked",
    "Exercise",
    "Mistake",
    "Result",
    "call",
    "difference",
    "grade",
]
