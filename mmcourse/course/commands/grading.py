"""The command that grades."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmcourse.course.commands import Add
from mmcourse.course.grading.run.grade import grade_submissions


def add_commands(add: Add) -> None:
    """Adds the command with its options."""
    parser = add("grade", _grade, "grade submissions, each answer in its own process (for teachers)")
    parser.add_argument("submissions", nargs="+", type=Path, help="notebooks, or folders of them, one a student")
    parser.add_argument("--out", type=Path, default=Path("grades.csv"), help="the table (default: grades.csv)")
    parser.add_argument("--feedback", type=Path, help="the folder of the feedback pages (default: beside the table)")
    parser.add_argument("--workers", type=int, default=2, help="how many submissions at once (default: 2)")
    parser.add_argument("--share", metavar="K/N", help="grade the K-th of N shares only; no table, see TEACHING.md")
    parser.add_argument("--dask", metavar="ADDRESS", help="grade on the Dask cluster with this scheduler")
    parser.add_argument("--time-limit", type=float, default=10.0, help="seconds for one exercise (default: 10)")
    parser.add_argument("--memory-limit", type=int, default=1024, help="MiB for one exercise (default: 1024)")
    parser.add_argument("--hidden", type=Path, help="a Python file with checks of your own, as CASES = {id: (Case, …)}")
    parser.add_argument("--salt", default="", help="any text; another one draws other random inputs")
    parser.add_argument(
        "--allow-ready-made", action="store_true", help="give points to answers that call the function they should be"
    )


def _grade(options: argparse.Namespace) -> int:
    """Grades what was handed in; whatever students did wrong, the exit code is 0."""

    def tell(text: str) -> None:
        print(text, file=sys.stderr if text.startswith("WARNING") else sys.stdout, flush=True)

    done = grade_submissions(
        options.submissions,
        options.out,
        workers=options.workers,
        time_limit=options.time_limit,
        memory_limit=options.memory_limit,
        hidden=options.hidden,
        salt=options.salt,
        ready_made="note" if options.allow_ready_made else "refuse",
        pages=options.feedback,
        share=options.share,
        dask=options.dask,
        tell=tell,
    )
    before = f" ({done.kept} of them from before)" if done.kept else ""
    if options.share:
        print(f"{done.files} submissions{before}, share {options.share}; without --share the command writes the table")
        return 0
    print(f"{done.files} submissions{before}: {done.table}, feedback in {done.feedback}")
    return 0
