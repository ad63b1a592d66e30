"""The course engine: what notebooks import, and everything behind the `mmcourse` command.

Names are looked up when they are first used, so that `mmcourse doctor` starts even where torch does not.
"""

import importlib

_HOMES = {
    "check": "checks",
    "hint": "checks",
    "claim": "claims",
    "quiz": "quiz",
    "Question": "quiz",
    "open_chapter": "opening",
}
__all__ = ["Question", "check", "claim", "hint", "open_chapter", "quiz"]

try:  # at once: importing the module `quiz` later would put it in the place of the function
    from mmcourse.course.quiz import Question, quiz
except ImportError:  # ipywidgets is missing; whoever asks for `quiz` hears so below, and `mmcourse doctor` names it
    __all__ = ["check", "claim", "hint", "open_chapter"]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
