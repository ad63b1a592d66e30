"""The commands for authors."""

from __future__ import annotations

import argparse

from mmcourse.course.commands import Add


def add_commands(add: Add) -> None:
    """Adds the commands with their options."""
    build = add("build", _build, "build the notebooks from their sources (for authors)")
    build.add_argument("chapter", nargs="?", help="only this chapter, such as 01")
    build.add_argument("--force", action="store_true", help="also those whose source did not change")


def _build(options: argparse.Namespace) -> int:
    from mmcourse.course.author.build import build  # imports the notebook machinery

    written = build(options.chapter, force=options.force)
    print("\n".join(f"built {path.parent.name}/{path.name}" for path in written) or "Everything is up to date.")
    return 0
