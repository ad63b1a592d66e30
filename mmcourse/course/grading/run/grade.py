"""Grades many submissions side by side, keeps what is done, and writes the table and the feedback pages.

Each graded submission is kept beside the table, in `{table}.parts`, under a name that depends on everything its verdict
depends on: the file, the exercises, the limits. A stopped run finds what it had and goes on; a changed file or exercise
is graded anew. For the same reason several machines can share the work: each grades its share into the same folder, and
the run without a share finds everything done and writes the table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcourse.course.errors import CourseError
from mmcourse.course.grading.collection import Submission, find_submissions, read_plainly, share_of
from mmcourse.course.grading.judge.patience import BUSY
from mmcourse.course.grading.run import cluster, report
from mmcourse.course.grading.run.pool import digest_of_course, grade_all, warning
from mmcourse.course.grading.sandbox import Limits
from mmcourse.files import write_in_one_step


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run did: how many files, how many of them were kept from before, what the isolation lacks."""

    files: int
    kept: int
    missing: tuple[str, ...]
    table: Path
    feedback: Path


def grade_submissions(
    paths: Iterable[Path | str],
    out_csv: Path | str,
    *,
    workers: int = 2,
    time_limit: float = 10.0,
    memory_limit: int = 1024,
    output_limit: int = 4096,
    hidden: Path | str | None = None,
    ready_made: str = "refuse",
    salt: str = "",
    pages: Path | str | None = None,
    chapters: Path | str | None = None,
    share: str | None = None,
    dask: str | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Summary:
    """Grades notebooks and writes a table with a row for every exercise of every submission.

    Args:
        paths: notebooks and folders of them; see `find_submissions` for how students are told apart.
        workers: how many submissions at once.
        time_limit: seconds for one exercise; `memory_limit` in MiB, `output_limit` in KiB.
        hidden: a Python file with checks of the teacher's own, `CASES = {exercise id: (Case(…), …)}`.
        ready_made: "refuse" gives no points to an answer that calls the function it is to write, "note" only says so.
        salt: other text, other random inputs.
        pages: the folder of the feedback pages (default: `feedback` beside the table).
        chapters: where the course's notebooks are, if not in the course.
        share: "3/20" grades the third of twenty shares and writes no table; a run without it then does.
        dask: the address of a Dask scheduler, whose workers grade instead of processes here.
        tell: hears a line about every submission, and warnings.
    Raises:
        CourseError: nothing to grade, or the grader itself does not start.
    """
    if ready_made not in ("refuse", "note"):
        raise CourseError(f"ready_made must be 'refuse' or 'note', got {ready_made!r}")
    if workers < 1:
        raise CourseError(f"workers must be at least 1, got {workers}")
    table = Path(out_csv)
    parts = table.with_name(f"{table.name}.parts")
    settings = {
        "limits": dataclasses.asdict(Limits(seconds=time_limit, memory=memory_limit, output=output_limit)),
        "hidden": None if hidden is None else str(Path(hidden).resolve()),
        "strict": ready_made == "refuse",
        "salt": salt,
        "chapters": None if chapters is None else str(Path(chapters).resolve()),
    }
    place = table.with_name("feedback") if pages is None else Path(pages)
    handed_in = find_submissions([Path(path) for path in paths], leave_out=(table, parts, place))
    handed_in = handed_in if share is None else share_of(handed_in, share)
    course = digest_of_course(settings)
    files = {one: parts / f"{_key(one, course)}.json" for one in handed_in}
    waiting = [one for one, file in files.items() if not _settled(file, time_limit)]
    parts.mkdir(parents=True, exist_ok=True)
    keep = _keeper(files, len(waiting), tell)
    lacking: list[str] = []
    if waiting and dask is not None:
        lacking = cluster.grade_on(dask, waiting, keep, settings, course)
    elif waiting:
        lacking = grade_all(waiting, keep, settings, min(workers, len(waiting)), tell)
    if share is None:
        report.write(table, place, [json.loads(files[one].read_text(encoding="utf-8")) for one in handed_in])
    for text in lacking if dask is not None else ():  # here it was said before the first submission
        tell(warning(text))
    kept = len(handed_in) - len(waiting)
    return Summary(files=len(handed_in), kept=kept, missing=tuple(lacking), table=table, feedback=place)


def _keeper(files: dict[Submission, Path], waiting: int, tell: Callable[[str], None]) -> Callable:
    """What is done with every record: it is written at once, and told."""
    numbers = itertools.count(1)

    def keep(one: Submission, record: dict[str, Any]) -> None:
        write_in_one_step(files[one], json.dumps(record, indent=1))
        tell(f"{next(numbers)} of {waiting}: {one.student}, {one.name}: {_points(record)}")

    return keep


def _settled(part: Path, time_limit: float) -> bool:
    """Whether a submission is graded and need not be again: what only the clock of a busy machine ended is not."""
    if not part.is_file():
        return False
    verdicts = json.loads(part.read_text(encoding="utf-8"))["verdicts"]
    return not any(found["limit"] == "time" and found["cpu"] < BUSY * time_limit for found in verdicts)


def _key(one: Submission, course: str) -> str:
    digest = hashlib.sha256(f"{course}\n{one.student}\n{one.name}\n{one.problem}\n".encode())
    if not one.problem:
        try:
            digest.update(read_plainly(one.path))
        except OSError as error:
            digest.update(str(error.errno).encode())
    return digest.hexdigest()[:32]


def _points(record: dict[str, Any]) -> str:
    if record["problem"]:
        return record["problem"]
    got = sum(verdict["points"] for verdict in record["verdicts"])
    return f"{got} of {sum(verdict['max_points'] for verdict in record['verdicts'])} points"
