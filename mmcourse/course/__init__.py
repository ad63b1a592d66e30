"""The course engine: what notebooks import, and everything behind the `mmcourse` command.

    exercise/    what an exercise is, and how an answer is judged
    exercises/   the exercises themselves, one a file
    notebook/    what a notebook calls
    learner/     the learner's folder: copies, progress, checking, the doctor
    author/      from a chapter's source to its notebooks
    grading/     the isolated grader
    projects/    what a learner makes their own: notebook, pictures, rubric, test of the data
    teacher/     release, nbgrader, the class report

Names are looked up when they are first used, so that `mmcourse doctor` starts even where torch does not.
"""

import importlib

_HOMES = {
    "check": "check",
    "hint": "hint",
    "claim": "claim",
    "quiz": "quiz",
    "Question": "quiz",
    "open_chapter": "opening",
}
__all__ = ["Question", "check", "claim", "hint", "open_chapter", "quiz"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.notebook.{_HOMES[name]}"), name)
