"""The registry of exercises: the modules `chNN` beside this file, each with its chapter's exercises.

A module lists them in `EXERCISES`; without that name, every `Exercise` at its top level counts, in order.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
from types import ModuleType

from mmcourse.course.errors import CourseError
from mmcourse.course.exercise import Exercise


def all_exercises() -> tuple[Exercise, ...]:
    """Every exercise, by chapter. Raises ValueError when two share an id."""
    found: dict[str, Exercise] = {}
    for name in _modules():
        for exercise in _collect(importlib.import_module(f"{__name__}.{name}")):
            if exercise.id in found:
                raise ValueError(f"two exercises have the id {exercise.id!r}; rename one of them")
            found[exercise.id] = exercise
    return tuple(found.values())


def find(exercise_id: str) -> Exercise:
    """The exercise with this id; only its chapter's module is imported. Raises CourseError for an unknown id."""
    module = f"ch{exercise_id[:2]}"
    if module in _modules():
        for exercise in _collect(importlib.import_module(f"{__name__}.{module}")):
            if exercise.id == exercise_id:
                return exercise
    ids = [exercise.id for exercise in all_exercises()]
    near = difflib.get_close_matches(exercise_id, ids, n=3, cutoff=0.4) or ids[:3]
    raise CourseError(f"there is no exercise {exercise_id!r}; did you mean {' or '.join(near) or 'another course'}?")


def _modules() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if re.fullmatch(r"ch\d\d", module.name))


def _collect(module: ModuleType) -> tuple[Exercise, ...]:
    listed = getattr(module, "EXERCISES", None)
    if listed is None:
        listed = [value for value in vars(module).values() if isinstance(value, Exercise)]
    chapter = module.__name__[-2:]
    for exercise in listed:
        if exercise.chapter != chapter:
            raise ValueError(f"{module.__name__}: exercise {exercise.id!r} must begin with {chapter}-")
    return tuple(listed)
