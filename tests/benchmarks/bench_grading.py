"""Seconds for a submission: `mmcourse grade` beside `nbgrader autograde`, on the same solved notebooks, in turn.

Each is a command of its own with one worker, its start included. nbgrader runs the whole notebook, at the smallest
budget.
"""

import argparse
import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nbgrader.api import Gradebook

from mmcourse.content import content_dir
from mmcourse.course.author.build import registry
from mmcourse.course.learner.workspace import chapter_path
from mmcourse.course.teacher.nbgrader import write_course

TARGET = 0.5  # our seconds over those of nbgrader, at most


def run(*command, where):
    """Runs a command, which has to end well, and returns its seconds."""
    start = time.perf_counter()
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", *command], cwd=where, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def ours(where, name, turn):
    """Seconds that our grader takes for the submissions of one turn, and the points that it gives."""
    table = where / f"turn{turn}.csv"
    folders = sorted(str(path) for path in (where / "submitted").glob(f"turn{turn}-*"))
    seconds = run("mmcourse.course.cli", "grade", *folders, "--workers", "1", "--out", table.name, where=where)
    with table.open(encoding="utf-8", newline="") as file:
        return seconds, sum(int(row["points"]) for row in csv.DictReader(file))


def theirs(where, name, turn):
    """The same for nbgrader."""
    seconds = run("nbgrader", "autograde", name, f"--student=turn{turn}-*", where=where)
    with Gradebook(f"sqlite:///{where / 'gradebook.db'}") as book:
        found = [one for one in book.assignment_submissions(name) if one.student.id.startswith(f"turn{turn}-")]
        grades = [grade for one in found for notebook in one.notebooks for grade in notebook.grades]
        return seconds, sum(grade.auto_score or 0 for grade in grades)


def prepare(where, name, turns, students):
    """A course folder for nbgrader with the submissions of every turn; returns the points of one of them."""
    write_course(where, [name])
    run("nbgrader", "generate_assignment", name, where=where)
    solved = content_dir("chapters") / "solutions" / f"{name}.ipynb"
    for turn in range(turns):
        for student in range(students):
            place = where / "submitted" / f"turn{turn}-{student}" / name
            place.mkdir(parents=True)
            shutil.copy(solved, place)
    return sum(exercise.points for exercise in registry(name[:2]).values())


def main() -> float:
    """Prints the median of the paired ratios and returns it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chapter", default="01")
    parser.add_argument("--students", type=int, default=4, help="in one turn")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    name = chapter_path(options.chapter).stem
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        points = options.students * prepare(where, name, options.turns, options.students)
        for turn in range(options.turns):
            both = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
            done = {grade: grade(where, name, turn) for grade in both}
            for grade, (_, got) in done.items():
                if got != points:
                    raise AssertionError(f"{grade.__name__}: {got} points instead of {points}: the times say nothing")
            pairs.append([done[grade][0] / options.students for grade in (ours, theirs)])
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    verdict = "ok" if ratio <= TARGET else "above target"
    seconds = f"{mine:.2f} s a submission, nbgrader {other:.2f} s"
    print(f"grading {name}: {seconds}, ratio {ratio:.2f} (target {TARGET}): {verdict}")
    return ratio


if __name__ == "__main__":
    main()
