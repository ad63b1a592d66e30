"""Grading processes side by side, each behind a desk that starts it again if it ends."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mmcourse
from mmcourse.content import PACKAGE
from mmcourse.course.errors import CourseError
from mmcourse.course.grading.collection import Submission
from mmcourse.course.grading.judge.patience import MORE_TIME
from mmcourse.course.grading.sandbox import environment
from mmcourse.course.learner.workspace import chapter_paths

_TRIES = 2
_MOST_REPLY = 1 << 26  # bytes of one reply of a desk
_PATIENCE = 120.0  # seconds that a grading process has beyond the limits of its answers
_MOST_EXERCISES = 12


def digest_of_course(settings: dict[str, Any]) -> str:
    """What every verdict depends on: the exercises, the grader, the settings, the course's notebooks."""
    digest = hashlib.sha256(json.dumps([mmcourse.__version__, settings], sort_keys=True).encode())
    files = sorted((PACKAGE / "course").rglob("*.py"))
    files += chapter_paths(None if settings["chapters"] is None else Path(settings["chapters"]))
    files += [] if settings["hidden"] is None else [Path(settings["hidden"])]
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def warning(missing: str) -> str:
    return f"WARNING: this system does not offer {missing}. Do not grade submissions here that you do not trust."


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
        command = [sys.executable, "-m", "mmcourse.course.grading.run.desk"]
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


def grade_all(
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
