"""The exercises: a package for each chapter, a module for each exercise, which holds it under the name `EXERCISE`.

The module of `01-causal-mask` is `ch01/causal_mask.py`, and `ch01/__init__.py` lists the names of its modules in
`ORDER`, as the chapter meets them. So one is found without importing the others, and what it says of itself is read
without importing it at all.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
import re
from pathlib import Path
from typing import NamedTuple

from mmcourse.course.errors import CourseError
from mmcourse.course.exercise import Exercise


class Outline(NamedTuple):
    """What an exercise says of itself in plain words."""

    id: str
    title: str
    goal: str
    hints: tuple[str, ...]


def chapters() -> list[str]:
    """The numbers of the chapters that have exercises, such as "01"."""
    return sorted(part.name[2:] for part in pkgutil.iter_modules(__path__) if re.fullmatch(r"ch\d\d", part.name))


def ids(chapter: str | None = None) -> list[str]:
    """The ids of all exercises, or of those of one chapter, in order."""
    return [
        f"{number}-{name.replace('_', '-')}"
        for number in chapters()
        if chapter in (None, number)
        for name in importlib.import_module(f"{__name__}.ch{number}").ORDER
    ]


def find(exercise_id: str) -> Exercise:
    """The exercise with this id. Raises CourseError for an unknown id."""
    found = importlib.import_module(_module(exercise_id)).EXERCISE
    if found.id != exercise_id:
        raise ValueError(f"{_module(exercise_id)} holds the exercise {found.id!r}; a module is named after its id")
    return found


def all_exercises(chapter: str | None = None) -> tuple[Exercise, ...]:
    """Every exercise of the course, or of one chapter, in order."""
    return tuple(find(exercise_id) for exercise_id in ids(chapter))


def outline(exercise_id: str) -> Outline:
    """Title, goal and hints, read from the text of the exercise, so that a hint need not wait for torch.

    Raises:
        CourseError: no exercise has this id.
    """
    path = Path(__path__[0], *_module(exercise_id).split(".")[-2:]).with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EXERCISE":
            said = {part.arg: part.value for part in node.value.keywords}
            return Outline(*(ast.literal_eval(said[name]) if name in said else () for name in Outline._fields))
    raise ValueError(f"{path} has no EXERCISE")


def _module(exercise_id: str) -> str:
    chapter, name = exercise_id[:2], exercise_id[3:].replace("-", "_")
    if exercise_id not in ids(chapter):
        near = difflib.get_close_matches(exercise_id, ids(), n=3, cutoff=0.4) or ids()[:3]
        raise CourseError(
            f"there is no exercise {exercise_id!r}; did you mean {' or '.join(near) or 'another course'}?"
        )
    return f"{__name__}.ch{chapter}.{name}"
