"""Grades many submissions side by side, keeps what is done, and writes the table and the feedback pages.

Each graded submission is kept beside the table, in `{table}.parts`, under a name that depends on everything its verdict
depends on: the file, the exercises, the limits. A stopped run finds what it had and goes on; a changed file or exercise
is graded anew. For the same reason several machines can share the work: each grades its share into the same folder, and
the run without a share finds everything done and writes the table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcourse
from mmcourse.content import PACKAGE
from mmcourse.course.errors import CourseError
from mmcourse.course.grading import cluster, report
from mmcourse.course.grading.collection import Submission, find_submissions, read_plainly, share_of
from mmcourse.course.grading.patience import BUSY, MORE_TIME
from mmcourse.course.grading.sandbox import Limits, environment
from mmcourse.course.workspace import chapter_paths
from mmcourse.files import write_in_one_step

_TRIES = 2
_MOST_REPLY = 1 << 26  # bytes of one reply of a desk
_PATIENCE = 120.0  # seconds that a grading process has beyond the limits of its answers
_MOST_EXERCISES = 12


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
    folder = table.with_name(f"{table.name}.parts")
    limits = Limits(seconds=time_limit, memory=memory_limit, output=output_limit)
    settings = {
        "limits": dataclasses.asdict(limits),
        "hidden": None if hidden is None else str(Path(hidden).resolve()),
        "strict": ready_made == "refuse",
        "salt": salt,
        "chapters": None if chapters is None else str(Path(chapters).resolve()),
    }
    place = table.with_name("feedback") if pages is None else Path(pages)
    handed_in = find_submissions([Path(path) for path in paths], leave_out=(table, folder, place))
    handed_in = handed_in if share is None else share_of(handed_in, share)
    course = digest_of_course(settings)
    keys = {one: _key(one, course) for one in handed_in}
    waiting = [one for one in handed_in if not _settled(folder / f"{keys[one]}.json", time_limit)]
    folder.mkdir(parents=True, exist_ok=True)

    done = 0

    def keep(one: Submission, record: dict[str, Any]) -> None:
        nonlocal done
        write_in_one_step(folder / f"{keys[one]}.json", json.dumps(record, indent=1))
        done += 1
        tell(f"{done} of {len(waiting)}: {one.student}, {one.name}: {_points(record)}")

    lacking: list[str] = []
    if waiting and dask is not None:
        lacking = cluster.grade_on(dask, waiting, keep, settings, course)
    elif waiting:
        lacking = _grade_all(waiting, keep, settings, min(workers, len(waiting)), tell)
    if share is None:
        records = [json.loads((folder / f"{keys[one]}.json").read_text(encoding="utf-8")) for one in handed_in]
        report.write(table, place, records)
    for text in lacking if dask is not None else ():  # here it was said before the first submission
        tell(warning(text))
    kept = len(handed_in) - len(waiting)
    return Summary(files=len(handed_in), kept=kept, missing=tuple(lacking), table=table, feedback=place)


def _settled(part: Path, time_limit: float) -> bool:
    """Whether a submission is graded and need not be again: what only the clock of a busy machine ended is not."""
    if not part.is_file():
        return False
    verdicts = json.loads(part.read_text(encoding="utf-8"))["verdicts"]
    return not any(found["limit"] == "time" and found["cpu"] < BUSY * time_limit for found in verdicts)


def warning(missing: str) -> str:
    return f"WARNING: this system does not offer {missing}. Do not grade submissions here that you do not trust."


def digest_of_course(settings: dict[str, Any]) -> str:
    """What every verdict depends on: the exercises, the grader, the settings, the course's notebooks."""
    digest = hashlib.sha256(json.dumps([mmcourse.__version__, settings], sort_keys=True).encode())
    files = sorted((PACKAGE / "course").rglob("*.py"))
    files += chapter_paths(None if settings["chapters"] is None else Path(settings["chapters"]))
    files += [] if settings["hidden"] is None else [Path(settings["hidden"])]
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _key(one: Submission, course: str) -> str:
    digest = hashlib.sha256(f"{course}\n{one.student}\n{one.name}\n{one.problem}\n".encode())
    if not one.problem:
        try:
            digest.update(read_plainly(one.path))
        except OSError as error:
            digest.update(str(error.errno).encode())
    return digest.hexdigest()[:32]


def _ungraded(one: Submission, status: str, problem: str) -> dict[str, Any]:
    """The record of what nobody could grade."""
    facts = {"student": one.student, "file": one.name, "chapter": "", "remarks": [], "written": {}}
    return {**facts, "problem": problem, "status": status, "verdicts": []}


class Desk:
    """A grading process, started again if it ends."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.process: subprocess.Popen | None = None
        self.heard: queue.Queue = queue.Queue()
        self.missing: list[str] = []
        seconds = settings["limits"]["seconds"]
        self.patience = _PATIENCE + _MOST_EXERCISES * ((1 + MORE_TIME) * seconds + 2)

    def start(self) -> None:
        command = [sys.executable, "-m", "mmcourse.course.grading.desk"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment(), **pipes)
        self.heard = queue.Queue()
        threading.Thread(target=_listen, args=(self.process.stdout, self.heard), daemon=True).start()
        try:  # over the pipe: what stands in its arguments or variables, its children could read
            self._say(self.settings)
            reply = self._hear()
        except BrokenPipeError:
            reply = None
        if reply is None:
            raise CourseError("the grader does not start; `mmcourse doctor` looks for the cause")
        self.missing = reply["missing"]

    def grade(self, one: Submission) -> dict[str, Any]:
        if one.problem:
            return _ungraded(one, "refused", one.problem)
        for _ in range(_TRIES):
            if self.process is None:
                self.start()
            assert self.process is not None
            asked = {"student": one.student, "name": one.name, "path": os.path.abspath(one.path)}
            try:
                self._say(asked)
                record = self._hear()
            except BrokenPipeError:
                record = None
            if record is not None:
                return record
            self.stop()
        return _ungraded(one, "damaged", "the grader failed at this file, twice; look at it by hand")

    def _say(self, message: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def _hear(self) -> dict[str, Any] | None:
        try:
            line = self.heard.get(timeout=self.patience)
        except queue.Empty:
            return None
        return None if line is None else json.loads(line)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process = None


def _listen(output: Any, heard: queue.Queue) -> None:
    """Hands on each line, and None at the end; in a thread, as not every system can wait a while for a pipe."""
    with output:
        parts: list[bytes] = []
        while (data := output.read1(1 << 20)) and sum(map(len, parts)) <= _MOST_REPLY:
            *lines, rest = data.split(b"\n")
            for line in lines:
                heard.put(b"".join([*parts, line]))
                parts = []
            parts.append(rest)
        heard.put(None)


def _grade_all(
    waiting: Sequence[Submission],
    keep: Callable[[Submission, dict], None],
    settings: dict[str, Any],
    workers: int,
    tell: Callable[[str], None],
) -> list[str]:
    """Grades them all with several processes; returns what the isolation lacks."""
    todo: queue.SimpleQueue = queue.SimpleQueue()
    for one in waiting:
        todo.put(one)
    problems: list[BaseException] = []
    desks = [Desk(settings) for _ in range(workers)]
    lock = threading.Lock()

    def work(desk: Desk) -> None:
        try:
            desk.start()
            if desk is desks[0]:
                for text in desk.missing:
                    tell(warning(text))
            while not problems:
                try:
                    one = todo.get_nowait()
                except queue.Empty:
                    return
                record = desk.grade(one)
                with lock:
                    keep(one, record)
        except BaseException as error:
            problems.append(error)
        finally:
            desk.stop()

    threads = [threading.Thread(target=work, args=(desk,), daemon=True) for desk in desks]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)  # so that Ctrl-C is heard
    except KeyboardInterrupt:
        problems.append(KeyboardInterrupt())
        for desk in desks:
            desk.stop()
        raise
    if problems:
        raise problems[0]
    return desks[0].missing


def _points(record: dict[str, Any]) -> str:
    if record["problem"]:
        return record["problem"]
    got = sum(verdict["points"] for verdict in record["verdicts"])
    return f"{got} of {sum(verdict['max_points'] for verdict in record['verdicts'])} points"
