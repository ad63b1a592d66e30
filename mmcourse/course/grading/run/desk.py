"""One of the processes that grade: reads a submission, judges its exercises one by one, and says what it found.

It hears of its settings and then of submissions as lines of JSON and replies with a line for each. Whoever started it
may end it at any time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import torch

from mmcourse.course.errors import CourseError
from mmcourse.course.exercises import find
from mmcourse.course.grading import collection, submission
from mmcourse.course.grading.judge.judge import Judge, Verdict, read_hidden
from mmcourse.course.grading.judge.starter import open_nursery
from mmcourse.course.grading.namespaces import die_with_parent, hide_memory
from mmcourse.course.grading.sandbox import Limits

_MEMORY = 8 << 30  # bytes of address space beyond what is used at the start: no answer may make the judge grow


def grade_file(handed_in: collection.Submission, judge: Judge, chapters_dir: Path | None, salt: str) -> dict[str, Any]:
    """The record of one submission: its verdicts, remarks, and answers to written questions."""
    record: dict[str, Any] = {"student": handed_in.student, "file": handed_in.name, "chapter": "", "written": {}}
    cells: list[submission.Cell] = []
    remarks: list[str] = []
    digest = problem = ""
    try:
        cells, remarks, digest = submission.read(handed_in)
    except CourseError as error:
        problem = str(error)
    known = [path.stem[:2] for path in submission.chapter_paths(chapters_dir)]
    number = submission.chapter_of(cells, handed_in, known)
    if number is None:
        problem = problem or "no cell of it belongs to a chapter of the course: is it the right file?"
        return {**record, "remarks": remarks, "problem": problem, "verdicts": []}
    course = submission.course_chapter(number, chapters_dir)
    named = handed_in.path.stem
    if named != course.name and number not in (handed_in.student, named[:2]) and named != handed_in.student:
        remarks.append(f"the file was renamed: it is {course.name} by its cells")
    verdicts: list[Verdict] = []
    for work in submission.collect(cells, course):
        if problem:
            exercise = find(work.exercise)
            facts = {"exercise": exercise.id, "title": exercise.title, "max_points": exercise.points}
            verdicts.append(Verdict(**facts, points=0, status="damaged", message=problem))
        else:
            verdicts.append(_grade(judge, work, course, f"{salt}/{digest}"))
    texts = {cell.id: cell.text for cell in cells if cell.id in course.written}
    written = {name: texts.get(name, "") for name in course.written}
    shown = {name: "" if text == course.written[name] else text[:20_000] for name, text in written.items()}
    sections = {name: course.sections.get(name, "") for name in (*course.answers, *course.written)}
    more = {"sections": sections, "titles": {name: _title(text) for name, text in course.written.items()}}
    more |= {"chapter": course.name, "remarks": remarks, "problem": problem, "written": shown}
    return {**record, **more, "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts]}


def _title(text: str) -> str:
    """What a written question is called: the end of its heading, such as `### ✏️ Written question · Is it right?`."""
    heading = re.search(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return heading[1].rpartition(" · ")[2] if heading else ""


def _grade(judge: Judge, work: submission.Work, course: submission.Course, salt: str) -> Verdict:
    try:
        return judge.grade(work, course, salt)
    except CourseError:
        raise  # the grader itself is at its end: whoever started it starts another one
    except Exception as error:
        traceback.print_exc()
        exercise = find(work.exercise)
        facts = {"exercise": exercise.id, "title": exercise.title, "max_points": exercise.points, "points": 0}
        problem = f"the grader failed at this answer ({type(error).__name__}); look at it by hand"
        return Verdict(**facts, status="damaged", message=problem)


def main() -> None:
    """Serves until its input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # nothing but replies goes there
    if sys.platform == "linux":
        die_with_parent()
        _guard()
    torch.set_num_threads(1)
    nursery = open_nursery(fork=sys.platform == "linux")  # first of all: it must not see what is loaded from here on
    settings = json.loads(sys.stdin.readline())
    chapters_dir = Path(settings["chapters"]) if settings["chapters"] else None
    hidden = read_hidden(Path(settings["hidden"]) if settings["hidden"] else None)
    judge = Judge(Limits(**settings["limits"]), hidden=hidden, strict=settings["strict"], nursery=nursery)
    print(json.dumps({"missing": judge.wait()}), file=replies, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        handed_in = collection.Submission(student=asked["student"], name=asked["name"], path=Path(asked["path"]))
        record = grade_file(handed_in, judge, chapters_dir, settings["salt"])
        print(json.dumps(record), file=replies, flush=True)
    judge.nursery.close()


def _guard() -> None:
    """Nobody else's process may look into this one, and it cannot grow without end."""
    import resource

    hide_memory()
    with open("/proc/self/statm", encoding="ascii") as sizes:
        size = int(sizes.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY, hard))


if __name__ == "__main__":
    main()
