"""Tells a learner what their own code did: the error and their line, without the library's part of the traceback."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parents[1])
_OURS = tuple({_PACKAGE, *(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))})


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
