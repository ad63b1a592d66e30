"""The commands for learners."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mmcourse.content import content_dir
from mmcourse.course.commands import MARKS, Add, entry, with_work, work_of
from mmcourse.course.errors import CourseError
from mmcourse.course.learner import doctor, progress, workspace
from mmcourse.course.notebook.hint import hint

WORDS = {"error": "stopped by an error", "unwritten": "not written yet"}


def add_commands(add: Add) -> None:
    """Adds the commands with their options."""
    start = add("lab", _lab, "open the course in JupyterLab; your copies of the chapters are made on the way")
    start.add_argument("work", nargs="?", type=Path, help="the folder for your work (default: work in the clone)")
    start.add_argument("--port", type=int, help="the port of the server (default: the first free one from 8888 on)")
    start.add_argument("--ip", default="localhost", help="the address to listen on; 0.0.0.0 inside a container")
    start.add_argument("--no-browser", dest="browser", action="store_false", help="only print the address")
    check = with_work(add("check", _check, "check your answers in a chapter"))
    check.add_argument("chapter", help="the chapter's number, such as 01")
    hint = with_work(add("hint", _hint, "show the next hint for an exercise"))
    hint.add_argument("exercise", help="the exercise's id, such as 01-causal-mask")
    solution = with_work(
        add("solution", _solution, "show a solution of an exercise (your progress notes that you looked)")
    )
    solution.add_argument("exercise", help="the exercise's id, such as 01-causal-mask")
    with_work(add("progress", _progress, "show what you have done in every chapter"))
    reset = with_work(add("reset", _reset, "take the course's version of a chapter; yours is kept under a dated name"))
    reset.add_argument("chapter", help="the chapter's number, such as 01")
    reset.add_argument("--beside", action="store_true", help="put it beside yours, which keeps its name")
    with_work(add("doctor", _doctor, "look for what could keep the course from working"))


def _lab(options: argparse.Namespace) -> int:
    bad = [finding for finding in (doctor.python(), *doctor.packages()) if finding.state == "bad"]
    if bad:
        raise CourseError("; ".join(f"{finding.name} {finding.value}: {finding.remedy}" for finding in bad))
    from mmcourse.course.learner import lab

    return lab.lab(work_of(options), port=options.port, ip=options.ip, browser=options.browser)


def _check(options: argparse.Namespace) -> int:
    from mmcourse.course.learner import checkwork

    work = work_of(options)
    path = work / workspace.chapter_path(options.chapter).name
    print(f"Running {path.name} from top to bottom, at the smallest budget …", flush=True)
    rows = checkwork.check_work(options.chapter, work)
    wide = max((len(row.exercise_id) for row in rows), default=0)
    for row in rows:
        print(entry(f"{MARKS[row.state]} {row.exercise_id:<{wide}}  ", WORDS.get(row.state, row.state), row.message))
    done = sum(row.state == "done" for row in rows)
    print(f"{done} of {len(rows)} exercises done.")
    return 0 if done == len(rows) else 1


def _hint(options: argparse.Namespace) -> int:
    _use_work(options)
    print(hint(options.exercise))
    return 0


def _solution(options: argparse.Namespace) -> int:
    from mmcourse.course.learner import checkwork

    number, name = options.exercise[:2], options.exercise
    folder = content_dir("chapters") / "solutions"
    path = folder / workspace.chapter_path(number).name
    if not path.is_file():
        raise CourseError(f"chapter {number} has no solved notebook yet; `mmcourse build {number}` makes it")
    cells = {cell.get("id"): cell.source for cell in workspace.read_notebook(path).cells}
    if name not in cells:
        ids = list(checkwork.expected_checks(workspace.read_notebook(path)))
        raise CourseError(f"there is no exercise {name!r} in chapter {number}; it has: {', '.join(ids) or 'none'}")
    lines = [
        line for line in cells[name].splitlines() if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")
    ]
    print("\n".join(lines))
    _use_work(options)
    work = progress.work_folder()
    if work is not None:
        note = progress.record(work, name, solution=True)
        print(note or "(Your progress notes that you looked at this solution.)", file=sys.stderr)
    return 0


def _use_work(options: argparse.Namespace) -> None:
    """Lets `hint` and `solution` record in the work folder, if there is one yet."""
    work = work_of(options)
    if (work / progress.STATE).is_dir():
        os.environ["MMCOURSE_WORK"] = str(work)


def _progress(options: argparse.Namespace) -> int:
    from mmcourse.course.learner import checkwork

    found = progress.load(work_of(options))
    if found.note:
        print(found.note)
    for path in workspace.chapter_paths():
        ids = list(checkwork.expected_checks(workspace.read_notebook(path)))
        done = sum(found.done(name) for name in ids)
        looked = sum(bool(found.entries.get(name, {}).get("solution")) for name in ids)
        bar = "█" * done + "░" * (len(ids) - done)
        seen = f", {looked} solution{'' if looked == 1 else 's'} seen" if looked else ""
        print(f"{path.stem:<24} {bar:<10} {done} of {len(ids)} done{seen}")
    return 0


def _reset(options: argparse.Namespace) -> int:
    print(workspace.reset(options.chapter, work_of(options), beside=options.beside))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    findings = doctor.examine(work_of(options))
    wide = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(entry(f"{MARKS[finding.state]} {finding.name:<{wide}}  ", finding.value, finding.remedy))
    bad = sum(finding.state == "bad" for finding in findings)
    print("Everything the course needs is here." if not bad else f"{bad} to mend, marked ✗ above.")
    return 1 if bad else 0
