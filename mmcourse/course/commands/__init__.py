"""The commands: what each asks for, and what it says. A module adds those of one kind of reader with `add_commands`.

They import what they need when they run, so that help and `mmcourse doctor` come at once, and come at all.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

from mmcourse.course.learner import workspace
from mmcourse.files import expanded

Run = Callable[[argparse.Namespace], int]
Add = Callable[[str, Run, str], argparse.ArgumentParser]  # (name, run, about) -> the parser of one command
MARKS = {"done": "✓", "wrong": "✗", "error": "✗", "unwritten": "○", "missing": "?", "ok": "✓", "note": "·", "bad": "✗"}


def with_work(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds the option that names the learner's folder."""
    command.add_argument("--work", type=Path, help="your work folder (default: the one that `mmcourse lab` made)")
    return command


def work_of(options: argparse.Namespace) -> Path:
    """The learner's folder of a command made `with_work`, or for which `work` stands in its options."""
    return workspace.default_folder() if options.work is None else expanded(options.work)


def entry(start: str, word: str, more: str) -> str:
    """One entry of a table, its text wrapped below itself."""
    width = max(60, min(120, shutil.get_terminal_size().columns))
    text = f"{word}: {more}" if more else word
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, width, initial_indent=start, subsequent_indent=" " * len(start), **options)
