"""What a learner has done: one small JSON file in the work folder, written in one step, mended when damaged."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmcourse.files import expanded, write_in_one_step

STATE = ".mmcourse"  # the hidden folder inside the work folder
LOCK_SECONDS = 10
Entry = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Entries by exercise id, and a sentence for the learner when the file was damaged (otherwise empty)."""

    entries: dict[str, Entry]
    note: str = ""
    more: Entry = field(default_factory=dict)  # what a newer version keeps beside the entries

    def done(self, exercise_id: str) -> bool:
        return bool(self.entries.get(exercise_id, {}).get("done"))


def work_folder() -> Path | None:
    """The learner's work folder: `MMCOURSE_WORK`, or the nearest folder upwards that holds `.mmcourse`; else None.

    An empty `MMCOURSE_WORK` switches recording off.
    """
    chosen = os.environ.get("MMCOURSE_WORK")
    if chosen is not None:
        return expanded(chosen) if chosen else None
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / STATE).is_dir()), None)


def progress_file(work: Path) -> Path:
    return work / STATE / "progress.json"


def load(work: Path) -> Progress:
    """Reads the progress. A damaged file is set aside under a dated name, which the note says."""
    path = progress_file(work)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Progress(entries={})
    except (UnicodeDecodeError, json.JSONDecodeError):
        data = None
    except OSError as error:
        return Progress(entries={}, note=f"The progress file cannot be read ({error.strerror}): {path}.")
    entries = data.get("exercises") if isinstance(data, dict) else None
    if isinstance(entries, dict) and all(isinstance(entry, dict) for entry in entries.values()):
        return Progress(entries=entries, more={key: data[key] for key in data if key != "exercises"})
    aside = dated(path, "damaged")
    note = f"The progress file was damaged, so it was set aside as {aside.name} and a new one begins."
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        note = ""  # another notebook has just set it aside
    except OSError as error:
        note = f"The progress file is damaged and cannot be set aside ({error.strerror}): {path}."
    return Progress(entries={}, note=note)


def record(work: Path, exercise_id: str, **facts: Any) -> str:
    """Adds facts about one exercise; what was done stays done. Returns a sentence if something was wrong, else ""."""

    def change(entry: Entry) -> None:
        entry["done"] = bool(entry.get("done")) or facts.get("status") == "done"
        entry.update(facts)

    return _change(work, exercise_id, change)


def record_result(work: Path, exercise_id: str, status: str, points: int) -> str:
    """Records one check: its status, the best points so far and how often it was tried (an unwritten one is no try)."""

    def change(entry: Entry) -> None:
        entry["done"] = bool(entry.get("done")) or status == "done"
        entry["status"] = status
        entry["points"] = max(points, entry.get("points", 0))
        entry["tries"] = entry.get("tries", 0) + (status != "unwritten")

    return _change(work, exercise_id, change)


def dated(path: Path, word: str) -> Path:
    """A free name beside `path` with a word and the time: `a.json` → `a.damaged-20260102-030405.json`."""
    stamp = f"{word}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    names = (f"{path.stem}.{stamp}{'' if n == 1 else f'-{n}'}{path.suffix}" for n in range(1, 1000))
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


@contextmanager
def locked(work: Path) -> Iterator[None]:
    """One writer at a time: several notebooks may be open."""
    from filelock import FileLock  # here, so that `mmcourse doctor` starts without it

    folder = work / STATE
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock", timeout=LOCK_SECONDS):
        yield


def _change(work: Path, exercise_id: str, change: Callable[[Entry], None]) -> str:
    try:
        with locked(work):
            progress = load(work)
            change(progress.entries.setdefault(exercise_id, {}))
            data = {"version": 1, **progress.more, "exercises": dict(sorted(progress.entries.items()))}
            write_in_one_step(progress_file(work), json.dumps(data, indent=1))
    except TimeoutError:  # filelock's own Timeout is one
        return "Progress was not saved: another process has held the progress file for ten seconds; stop it."
    except OSError as error:
        return f"Progress was not saved ({error.strerror}): free or allow {work / STATE}."
    return progress.note
