"""The command that writes a project for the learner to make their own."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmcourse.course.commands import Add, entry
from mmcourse.files import expanded


def add_commands(add: Add) -> None:
    """Adds the command with its options."""
    project = add(
        "project", _project, "write a project to make your own: a notebook, pictures, a rubric, a test of data"
    )
    project.add_argument("name", nargs="?", help="which one, such as medicine (default: list them)")
    project.add_argument("folder", nargs="?", type=Path, help="the folder to write (default: one of that name, here)")
    project.add_argument(
        "--solved", action="store_true", help="with what came out of it, run from top to bottom (for some of them)"
    )


def _project(options: argparse.Namespace) -> int:
    from mmcourse.course.projects import writing  # imports torch and the notebook machinery

    if options.name is None:
        solved = writing.worked_out()
        for name, project in writing.PROJECTS.items():
            print(entry(f"{name:<17} ", project.about, "worked out with --solved" if name in solved else ""))
        return 0
    folder = Path(options.name) if options.folder is None else expanded(options.folder)
    written = writing.write_project(options.name, folder, solved=options.solved)
    if options.solved:
        print("Running the notebook from top to bottom …", flush=True)
        writing.run_project(written)
    print(f"wrote {written}; open {written / writing.NOTEBOOK} in JupyterLab")
    return 0
