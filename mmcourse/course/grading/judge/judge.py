"""The side of the checks: references, known mistakes and fresh inputs live here, and no line of a learner's code runs.

An answer is judged by the same `grade` as in the notebook; only that it sits in another process, and that the inputs
are drawn anew for every submission (from the digest of its file: the same file meets the same inputs again).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mmcourse.course.answers import describe_error
from mmcourse.course.errors import CourseError
from mmcourse.course.exercise import Case, Exercise, Result, grade
from mmcourse.course.exercises import find
from mmcourse.course.grading.answer import tamper
from mmcourse.course.grading.answer.ready_made import place_of
from mmcourse.course.grading.judge.patience import BUSY, MORE_TIME, TooLongError, at_most
from mmcourse.course.grading.judge.proxies import Link, StoppedError
from mmcourse.course.grading.judge.starter import Alone, Nursery, open_nursery
from mmcourse.course.grading.sandbox import Limits, missing
from mmcourse.course.grading.submission import Course, Work

DRAWS = 3  # of the inputs of every check: a mistake may look right once by luck
OWN_SECONDS = 20.0  # of the judge's own computing; without an enemy an exercise takes 0.2
_MOST_SAID = 2000  # characters of a message in table and page
_LIMITS = {
    "time": ("did not end within", "CPU time"),
    "memory": ("MemoryError", "can't allocate memory", "not enough memory", "Cannot allocate memory"),
    "files": ("File too large", "No space left"),
    "processes": ("Resource temporarily unavailable",),
}
_WORDS = {**tamper.WORDS, "renamed": "has another name than asked for"}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What grading one exercise of one submission found."""

    exercise: str
    title: str
    status: str
    points: int
    max_points: int
    passed: int = 0
    total: int = 0
    cases: tuple[tuple[str, bool, str], ...] = ()
    hidden: tuple[int, int] = (0, 0)  # passed and all of the checks that only the teacher knows
    mistake: str = ""
    message: str = ""
    limit: str = ""
    tampering: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    output: str = ""
    seconds: float = 0.0  # of computing by the answer, or the limit that it ran into
    cpu: float = 0.0
    wall: float = 0.0


class Judge:
    """Grades exercises, each answer in a fresh process."""

    def __init__(
        self,
        limits: Limits,
        *,
        hidden: dict[str, tuple[Case, ...]],
        strict: bool = True,
        nursery: Nursery | Alone | None = None,
    ) -> None:
        self.limits, self.hidden, self.strict = limits, hidden, strict
        self.nursery = open_nursery() if nursery is None else nursery

    def wait(self) -> list[str]:
        """Until answers can be graded; returns which parts of the isolation are missing, in words."""
        self.nursery.wait()
        return missing(self.nursery.report)

    def grade(self, work: Work, course: Course, salt: str) -> Verdict:
        """Judges one exercise of a submission; once more, and with more time, if only the clock ended it."""
        exercise = find(work.exercise)
        if work.cell is None:
            return _verdict(exercise, "missing", message="its cell is missing", remarks=work.remarks)
        verdict = self._grade_once(exercise, work, salt, self.limits.seconds)
        if verdict.limit == "time" and verdict.cpu < BUSY * self.limits.seconds:
            verdict = self._grade_once(exercise, work, salt, MORE_TIME * self.limits.seconds)
        return verdict

    def _grade_once(self, exercise: Exercise, work: Work, salt: str, wall: float) -> Verdict:
        began = time.monotonic()
        link = self.nursery.start(self.limits, wall)
        hidden = (*exercise.fresh, *self.hidden.get(exercise.id, ()))
        salted = with_inputs(exercise, f"{salt}/{exercise.id}", hidden, link.hush)
        result: Result | None = None
        problem = state = ""
        helpers: list[str] = []
        try:
            ready_made = [place_of(function) for function in exercise.ready_made]
            message = {"exercise": exercise.id, "cell": work.cell, "answer": work.answer, "ready_made": ready_made}
            with at_most(OWN_SECONDS, lambda: link.stop("time", "what it gives back takes too long to compare")):
                reply, answer = link.load({**message, **work.around})
                state, helpers = str(reply.get("state")), [str(name)[:60] for name in reply.get("helpers", [])][:20]
                if state != "unwritten":
                    answer = link.stand_in(int(reply["kept"]), "answer") if state == "function" else answer
                    result = grade(salted, answer)
        except (StoppedError, TooLongError):
            problem = ""
        except Exception as error:  # of the learner's cell, told by its own process
            problem = link.described.get(_told(error), f"{type(error).__name__}: {error}"[:500])
        finally:
            ended = self.nursery.stop(link)
        # The system ends it at its limit, give or take a tick; its channel closes a moment before it is gone.
        used_up = ended["cpu"] > 0.95 * self.limits.seconds
        if link.stopped and link.stopped[0] == "ended" and used_up:
            link.out_of_time(f"it did not end within {self.limits.seconds:g} seconds of computing")
        verdict = self._conclude(exercise, link, result, problem, state)
        remarks = [*work.remarks, *(f"it uses `{name}` from another cell of yours" for name in helpers)]
        return dataclasses.replace(
            verdict,
            remarks=tuple(remarks),
            output=_text(link.printed, link.printed_size),
            limit=verdict.limit or _limit(ended, verdict),
            seconds=self.limits.seconds if link.stopped and link.stopped[0] == "time" else round(ended["cpu"], 3),
            cpu=round(ended["cpu"], 3),
            wall=round(time.monotonic() - began, 3),
        )

    def _conclude(self, exercise: Exercise, link: Link, result: Result | None, problem: str, state: str) -> Verdict:
        notes = tuple(dict.fromkeys(f"{_WORDS[kind]} ({what})" for kind, what in link.notes if kind in _WORDS))
        if link.stopped is not None and result is None:
            return _verdict(exercise, "stopped", message=link.stopped[1], limit=link.stopped[0], tampering=notes)
        if result is None or result.status == "unwritten":
            state = state if result is None else "unwritten"
            status = "unwritten" if state == "unwritten" or problem.startswith("NotImplementedError") else "error"
            message = "" if status == "unwritten" else problem
            return _verdict(exercise, status, message=message, tampering=notes)
        told = {**link.described, **({_stopped(link): link.stopped[1]} if link.stopped else {})}
        every = [(case.name, case.ok, _retold(case.message, told)) for case in result.cases]
        shown = [_all_draws(every[start : start + DRAWS]) for start in range(0, len(every), DRAWS)]
        known = len(exercise.cases)
        message = _retold(result.message, told)
        mistake = next((m.message for m in exercise.mistakes if message.endswith(m.message)), "")
        if not mistake and all(ok for _, ok, _ in shown[:known]) and message:
            message = "A check that is not shown here fails: think of other inputs."
        status = "stopped" if link.stopped is not None else result.status
        passed = sum(ok for _, ok, _ in shown)
        points = exercise.points * passed // len(shown)
        not_allowed = [kind for kind, _ in link.notes if kind == "checks" or (kind == "ready-made" and self.strict)]
        if not_allowed and status not in ("unwritten", "error"):
            status, points = "forbidden", 0
            message = f"It {_WORDS[not_allowed[0]]}: no points."
        return Verdict(
            exercise=exercise.id,
            title=exercise.title,
            status=status,
            points=points,
            max_points=exercise.points,
            passed=passed,
            total=len(shown),
            cases=tuple(shown[:known]),
            hidden=(sum(ok for _, ok, _ in shown[known:]), len(shown) - known),
            mistake=mistake,
            message=message,
            limit=link.stopped[0] if link.stopped else "",
            tampering=notes,
        )


def with_inputs(
    exercise: Exercise, salt: str, hidden: tuple[Case, ...] = (), hush: Callable[[], None] = lambda: None
) -> Exercise:
    """The same exercise with other random inputs, DRAWS times, and with the teacher's own checks behind its own.

    `hush` is called before an answer meets the first input that its learner must not see.
    """

    def fresh(case: Case, draw: int) -> Case:
        def inputs(generator: torch.Generator) -> tuple:
            if any(case is one for one in hidden):
                hush()
            text = f"{salt}/{generator.initial_seed()}/{draw}"
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
            return case.inputs(torch.Generator().manual_seed(seed))

        return dataclasses.replace(case, inputs=inputs)

    cases = (*exercise.cases, *hidden)
    return dataclasses.replace(exercise, cases=tuple(fresh(case, draw) for case in cases for draw in range(DRAWS)))


def _all_draws(draws: list[tuple[str, bool, str]]) -> tuple[str, bool, str]:
    """One check on all its draws: passed if all are, else with what is wrong with the first that is not."""
    return next((draw for draw in draws if not draw[1]), draws[0])


def read_hidden(path: Path | None) -> dict[str, tuple[Case, ...]]:
    """The teacher's own checks: a Python file with `CASES = {"01-causal-mask": (Case(...), ...), ...}`."""
    if path is None:
        return {}
    space: dict[str, Any] = {"__name__": "hidden_checks"}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)
    cases = space.get("CASES")
    if not isinstance(cases, dict):
        raise CourseError(f"{path} has no CASES; write CASES = {{exercise id: (Case(…), …)}}")
    for exercise in cases:
        find(exercise)
    return {exercise: tuple(found) for exercise, found in cases.items()}


def _verdict(exercise: Exercise, status: str, **more: Any) -> Verdict:
    total = len(exercise.cases)
    more = {"points": 0, "max_points": exercise.points, "total": total, **more}
    return Verdict(exercise=exercise.id, title=exercise.title, status=status, **more)


def _told(error: Exception) -> str:
    return describe_error(error)


def _stopped(link: Link) -> str:
    assert link.stopped is not None
    return _told(StoppedError(link.stopped[1]))


def _retold(text: str, told: dict[str, str]) -> str:
    """What `grade` says of an error, in the words of the answer's side, which knows the learner's line."""
    for ours, theirs in told.items():
        if text.startswith(ours):
            text = theirs + text[len(ours) :]
            break
    return text if len(text) <= _MOST_SAID else f"{text[:_MOST_SAID]} …"


def _limit(ended: dict[str, Any], verdict: Verdict) -> str:
    """Which limit an answer ran into, from how its process ended or from what its errors say."""
    if not ended["running"] and ended["code"] in (-24, -9):
        return "time"
    said = " ".join([verdict.message, *(message for _, _, message in verdict.cases)])
    return next((name for name, words in _LIMITS.items() if any(word in said for word in words)), "")


def _text(printed: bytes, size: int) -> str:
    text = printed.decode("utf-8", errors="replace")
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    text = re.sub(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "·", text)
    return text + (f"\n… {size - len(printed):,} more bytes" if size > len(printed) else "")
