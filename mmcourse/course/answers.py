"""What can be said of an answer without knowing the exercise: whether it was written, and the line where it stopped.

Both sides of the grader use it, so nothing here may lead to a reference or a check.
"""

from __future__ import annotations

import dis
import linecache
import sysconfig
import traceback
import types
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).resolve().parents[1])
_OURS = tuple({_PACKAGE, *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))})

_STUB = {"RESUME", "NOP", "CACHE", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "COPY_FREE_VARS"}


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


def describe_error(error: Exception) -> str:
    """One or two sentences: type, message and, where the error passed through the learner's code, their line."""
    text = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    said = said if said.endswith((".", "!", "?")) else f"{said}."
    frame = _learner_frame(error)
    if frame is None:
        return said
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"{said} It stopped in line {frame.lineno}" + (f": `{line}`." if line else ".")


def _learner_frame(error: Exception) -> traceback.FrameSummary | None:
    """The innermost frame that belongs neither to the course nor to an installed package."""
    frames = traceback.extract_tb(error.__traceback__, limit=None)
    own = [f for f in frames if not f.filename.startswith(_OURS) and not f.filename.startswith("<frozen")]
    return own[-1] if own else None
