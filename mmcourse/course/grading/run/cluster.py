"""The same grader on an existing Dask cluster: a few submissions a task, each record comes back as it is.

The scheduler is the cluster's own. Its workers need the course and the submissions under the same paths, as on the
shared file system of a cluster, and an answer is isolated there as it is here.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmcourse.course.errors import CourseError
from mmcourse.course.grading.collection import Submission
from mmcourse.course.grading.run.pool import Desk, digest_of_course

BATCH = 8  # submissions of one task: a grading process starts once for all of them, in about as long as one takes
_SECONDS = 30  # to reach the scheduler


def grade_batch(settings: dict[str, Any], course: str, batch: Sequence[Submission]) -> tuple[list[dict], list[str]]:
    """Grades a few submissions on a worker; returns their records in order, and what the isolation lacks there.

    Raises:
        CourseError: the course on the worker is another one than where the run was started.
    """
    if digest_of_course(settings) != course:
        raise CourseError("a worker of the cluster has another version of the course; install the same one everywhere")
    desk = Desk(settings)
    try:
        desk.start()
        return [desk.grade(one) for one in batch], desk.missing
    finally:
        desk.stop()


def grade_on(
    address: str,
    waiting: Sequence[Submission],
    keep: Callable[[Submission, dict[str, Any]], None],
    settings: dict[str, Any],
    course: str,
) -> list[str]:
    """Grades them all on the cluster and keeps each record as it arrives; returns what the isolation lacks anywhere.

    Raises:
        CourseError: Dask is not installed, nobody answers at the address, or a worker cannot grade.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise CourseError("--dask needs Dask: `pip install distributed`, here and on the cluster") from None
    try:
        client = Client(address, timeout=_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CourseError(f"no Dask scheduler answers at {address}: {error}") from None
    lacking: dict[str, None] = {}
    with client:
        tasks = {}
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            # a worker has a working folder of its own
            there = [dataclasses.replace(one, path=Path(os.path.abspath(one.path))) for one in batch]
            tasks[client.submit(grade_batch, settings, course, there, pure=False)] = batch
        for task in as_completed(tasks, loop=client.loop):
            records, missing = task.result()
            lacking.update(dict.fromkeys(missing))
            for one, record in zip(tasks[task], records, strict=True):
                keep(one, record)
    return list(lacking)
