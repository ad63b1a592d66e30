"""What an exercise is, and how an answer to it is judged.

    model      Exercise, Case, Mistake
    verdict    grade: an answer beside the reference, on the same fresh inputs
    compare    whether two results are the same, and how they differ
    explain    which known mistake an answer made
    show       how a result looks

What judges needs torch and is looked up when it is first used: a hint on the command line does without.
"""

import importlib

from mmcourse.course.exercise.model import Case, Exercise, Mistake, call

__all__ = ["Case", "Exercise", "Mistake", "Result", "call", "grade"]


def __getattr__(name):
    if name not in ("Result", "grade"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.verdict"), name)
