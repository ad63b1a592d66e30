"""The `mmcourse` command. Mistakes of the person at the keyboard get one sentence on stderr and exit code 2."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Sequence

import mmcourse
from mmcourse.course.commands import Run, author, grading, learner, models, pictures, projects, teacher
from mmcourse.course.errors import CourseError

_ALLOW = "; allow writing there or name another folder"
REMEDIES = {errno.ENOSPC: "; free some space", errno.EACCES: _ALLOW, errno.EPERM: _ALLOW, errno.EROFS: _ALLOW}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # an old Windows console has no ✓; it shows a ? instead of failing
            stream.reconfigure(errors="replace")
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    try:
        return options.run(options)
    except CourseError as error:
        problem = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        problem = f"{where}{error.strerror or error}{REMEDIES.get(error.errno, '')}"
    except KeyboardInterrupt:
        problem = "stopped"
    print(f"mmcourse: {problem}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    about = "How language models and vision meet: a course of Jupyter notebooks."
    parser = argparse.ArgumentParser(prog="mmcourse", description=about)
    parser.add_argument("--version", action="version", version=f"mmcourse {mmcourse.__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="")

    def add(name: str, run: Run, about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        return command

    for kind in (learner, models, pictures, projects, grading, teacher, author):
        kind.add_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
