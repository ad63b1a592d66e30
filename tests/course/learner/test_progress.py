"""The progress file: written in one step, mended when damaged, safe with several writers."""

from __future__ import annotations

import json
import sys

import pytest

from mmcourse.course.learner import progress


def test_facts_add_up_and_done_stays_done(tmp_path):
    assert progress.record_result(tmp_path, "01-a", "unwritten", 0) == ""
    progress.record_result(tmp_path, "01-a", "done", 3)
    progress.record_result(tmp_path, "01-a", "wrong", 1)
    progress.record(tmp_path, "01-a", hints=2)
    found = progress.load(tmp_path)
    assert found.done("01-a")
    assert not found.done("01-b")
    assert found.entries["01-a"] == {"done": True, "status": "wrong", "points": 3, "tries": 2, "hints": 2}


def test_nothing_yet_is_no_problem(tmp_path):
    assert progress.load(tmp_path) == progress.Progress(entries={})


@pytest.mark.parametrize("content", [b"{half", b"\xff\xfe\x00", b"[]", b'{"exercises": 3}', b'{"exercises": {"a": 1}}'])
def test_a_damaged_file_is_set_aside_and_said_in_one_sentence(tmp_path, content):
    path = progress.progress_file(tmp_path)
    path.parent.mkdir()
    path.write_bytes(content)
    note = progress.record_result(tmp_path, "01-a", "done", 1)
    (aside,) = path.parent.glob("progress.damaged-*.json")
    assert aside.read_bytes() == content
    assert aside.name in note
    assert note.count(".") == note.count(".damaged") + note.count(".json") + 1
    assert progress.load(tmp_path).done("01-a")


def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch):
    progress.record_result(tmp_path, "01-a", "done", 1)
    before = progress.progress_file(tmp_path).read_bytes()

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    assert "No space left on device" in progress.record_result(tmp_path, "01-b", "done", 1)
    assert progress.progress_file(tmp_path).read_bytes() == before
    assert not list(progress.progress_file(tmp_path).parent.glob("*.part"))


def test_a_lock_that_is_held_is_told_and_not_waited_for_forever(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "LOCK_SECONDS", 0.1)
    with progress.locked(tmp_path):
        assert "another process" in progress.record_result(tmp_path, "01-a", "done", 1)


def test_two_processes_lose_nothing(tmp_path, spawn):
    code = (
        "import sys; from pathlib import Path; from mmcourse.course.learner import progress\n"
        "for i in range(20): progress.record_result(Path(sys.argv[1]), f'01-{sys.argv[2]}{i}', 'done', 1)"
    )
    writers = [spawn([sys.executable, "-c", code, tmp_path, name]) for name in "ab"]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    assert len(progress.load(tmp_path).entries) == 40
    json.loads(progress.progress_file(tmp_path).read_text())


def test_the_work_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / ".mmcourse").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.delenv("MMCOURSE_WORK", raising=False)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert progress.work_folder() == tmp_path
    monkeypatch.setenv("MMCOURSE_WORK", "")
    assert progress.work_folder() is None
    monkeypatch.setenv("MMCOURSE_WORK", str(tmp_path / "deep"))
    assert progress.work_folder() == tmp_path / "deep"


def test_dated_names_are_never_taken(tmp_path):
    path = tmp_path / "a.json"
    names = set()
    for _ in range(3):
        free = progress.dated(path, "backup")
        free.touch()
        names.add(free.name)
    assert len(names) == 3
    assert all(name.startswith("a.backup-") and name.endswith(".json") for name in names)


def test_what_a_newer_version_wrote_is_kept(tmp_path):
    path = progress.progress_file(tmp_path)
    path.parent.mkdir()
    newer = {"version": 2, "badges": ["first"], "exercises": {"01-a": {"done": True, "mood": "good"}}}
    path.write_text(json.dumps(newer))
    assert progress.record_result(tmp_path, "01-b", "done", 1) == ""
    kept = json.loads(path.read_text())
    assert (kept["version"], kept["badges"], kept["exercises"]["01-a"]) == (
        2,
        ["first"],
        {"done": True, "mood": "good"},
    )
    assert kept["exercises"]["01-b"]["done"]
