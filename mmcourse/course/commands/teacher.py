"""The commands for teachers: what they ask for, and what they say."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from mmcourse.course.commands import Add


def add_commands(add: Add) -> None:
    """Adds the commands with their options."""
    handed_out = add("release", _release, "write the notebooks to hand out, without solutions (for teachers)")
    _with_chapters(handed_out, "the folder to write to")
    handed_out.add_argument("--hidden", type=Path, help="your file for `grade --hidden`; none of it may be handed out")
    about = "show points, mistakes and telling exercises of a table of grades (for teachers)"
    told = add("report", _report, about)
    told.add_argument("grades", type=Path, help="the table that `mmcourse grade` wrote")
    told.add_argument("--out", type=Path, help="the folder of the report (default: beside the table)")
    course = add("nbgrader", _nbgrader, "write a course folder for nbgrader's own commands (for teachers)")
    _with_chapters(course, "the course folder to write")
    about = "write the solved chapters as web pages that need no network, solutions included (for teachers)"
    _with_chapters(add("site", _site, about), "the folder to write to: a new one, an empty one, or an earlier site")


def _with_chapters(parser: argparse.ArgumentParser, about: str) -> None:
    parser.add_argument("folder", type=Path, help=about)
    parser.add_argument(
        "--chapters", nargs="+", default=(), metavar="NN", help="only these, such as 00 01 (default: all)"
    )


def _release(options: argparse.Namespace) -> int:
    from mmcourse.course.teacher.release import release  # imports the notebook machinery

    written = release(options.folder, options.chapters, hidden=options.hidden)
    print("\n".join(f"wrote {path}" for path in written) or f"{options.folder} is up to date.")
    return 0


def _nbgrader(options: argparse.Namespace) -> int:
    from mmcourse.course.teacher.nbgrader import write_course  # imports the notebook machinery

    written = write_course(options.folder, options.chapters)
    print("\n".join(f"wrote {path}" for path in written) or f"{options.folder} is up to date.")
    if importlib.util.find_spec("nbgrader") is None:
        print("nbgrader is not installed here: `pip install nbgrader`, in the environment of the course.")
    return 0


def _site(options: argparse.Namespace) -> int:
    from mmcourse.course.site.write import write_site  # imports the notebook machinery

    written = write_site(options.folder, options.chapters)
    print(f"wrote {len(written)} pages; open {options.folder / 'index.html'}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from mmcourse.course.teacher import report  # imports numpy

    found, paths = report.write_report(options.grades, options.out)
    print("\n".join([*report.lines(found), "", *(f"wrote {path}" for path in paths)]))
    return 0
