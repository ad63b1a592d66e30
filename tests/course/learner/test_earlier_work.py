"""A work folder of an earlier version opens and counts.

`earlier/` was made by version 0.1.0 before the course engine moved into rooms of its own: chapter 01 with three answers
(one right, two wrong), the progress file and the list of copies. It is never made again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nbformat
import pytest

from mmcourse.course.learner import checkwork, progress, workspace
from mmcourse.course.notebook.hint import hint

EARLIER = Path(__file__).parent / "earlier"
NOTEBOOK = "01_attention.ipynb"


@pytest.fixture
def work(tmp_path):
    folder = tmp_path / "work"
    (folder / progress.STATE).mkdir(parents=True)
    shutil.copy(EARLIER / NOTEBOOK, folder)
    for name in ("progress.json", "copies.json"):
        shutil.copy(EARLIER / name, folder / progress.STATE)
    return folder


def test_what_was_done_stays_done_and_what_was_written_stays_written(work, monkeypatch):
    messages = workspace.prepare(work)
    assert (work / NOTEBOOK).read_bytes() == (EARLIER / NOTEBOOK).read_bytes()
    said = [message for message in messages if message.startswith(NOTEBOOK)]
    assert all("yours has changes and is kept" in message for message in said)
    found = progress.load(work)
    assert found.note == ""
    assert [name for name in found.entries if found.done(name)] == ["01-attend-one", "01-causal-mask"]
    monkeypatch.setenv("MMCOURSE_WORK", str(work))
    assert "Hint 3" in repr(hint("01-block"))  # two were given by the earlier version


@pytest.mark.slow
def test_its_answers_are_judged_and_counted(work):
    rows = {row.exercise_id: row for row in checkwork.check_work("01", work)}
    states = {name: row.state for name, row in rows.items()}
    written = {"01-causal-mask": "done", "01-merge-heads": "wrong", "01-parameter-count": "wrong"}
    assert states == {name: written.get(name, "unwritten") for name in rows}
    assert "without transposing" in rows["01-merge-heads"].message
    entries = progress.load(work).entries
    assert entries["01-causal-mask"] == {"done": True, "status": "done", "points": 1, "tries": 2}
    assert entries["01-merge-heads"]["tries"] == 3
    assert entries["01-attend-one"]["done"]  # it is blank in this copy, and was right once
    assert nbformat.read(work / NOTEBOOK, as_version=4) == nbformat.read(EARLIER / NOTEBOOK, as_version=4)
