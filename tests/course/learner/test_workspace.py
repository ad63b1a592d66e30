"""The learner's copies: made once, refreshed while untouched, never overwritten."""

from __future__ import annotations

import nbformat
import pytest

from mmcourse.course.errors import CourseError
from mmcourse.course.learner import workspace


def write(path, text):
    cell = nbformat.v4.new_markdown_cell(text, id="words")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


@pytest.fixture
def course(tmp_path):
    """A course folder with two chapters, and a place for the work."""
    chapters = tmp_path / "chapters"
    chapters.mkdir()
    write(chapters / "00_start.ipynb", "first version of 00")
    write(chapters / "01_attention.ipynb", "first version of 01")
    (chapters / "glossary.md").write_text("terms")
    (chapters / "notes.ipynb").write_text("no chapter")
    return chapters, tmp_path / "work"


def test_copies_are_made_once(course):
    chapters, work = course
    assert workspace.prepare(work, chapters) == []
    assert sorted(path.name for path in work.iterdir()) == [
        ".mmcourse",
        "00_start.ipynb",
        "01_attention.ipynb",
        "glossary.md",
    ]
    write(work / "01_attention.ipynb", "my answers")
    mine = (work / "01_attention.ipynb").read_bytes()
    assert workspace.prepare(work, chapters) == []
    assert (work / "01_attention.ipynb").read_bytes() == mine


def test_an_untouched_copy_follows_the_course_and_a_changed_one_is_kept_and_told(course):
    chapters, work = course
    workspace.prepare(work, chapters)
    write(work / "01_attention.ipynb", "my answers")
    mine = (work / "01_attention.ipynb").read_bytes()
    for name in ("00_start", "01_attention"):
        write(chapters / f"{name}.ipynb", "second version")
    (said,) = workspace.prepare(work, chapters)
    assert "01_attention.ipynb has a newer version" in said
    assert "`mmcourse reset 01 --beside`" in said
    assert "second version" in (work / "00_start.ipynb").read_text()
    assert (work / "01_attention.ipynb").read_bytes() == mine
    assert workspace.prepare(work, chapters) == [said]


def test_beside_gives_the_new_one_a_name_of_its_own_and_ends_the_reminder(course):
    chapters, work = course
    workspace.prepare(work, chapters)
    write(work / "01_attention.ipynb", "my answers")
    write(chapters / "01_attention.ipynb", "second version")
    said = workspace.reset("1", work, beside=True, chapters_dir=chapters)
    (new,) = work.glob("01_attention.new-*.ipynb")
    assert new.name in said
    assert "second version" in new.read_text()
    assert "my answers" in (work / "01_attention.ipynb").read_text()
    assert workspace.prepare(work, chapters) == []


def test_a_file_that_was_there_before_us_is_never_overwritten(course):
    chapters, work = course
    work.mkdir()
    (work / "01_attention.ipynb").write_text("{something else")
    (said,) = workspace.prepare(work, chapters)
    assert "is not a notebook" in said
    assert "`mmcourse reset 01`" in said
    assert (work / "01_attention.ipynb").read_text() == "{something else"


def test_reset_keeps_a_dated_backup(course):
    chapters, work = course
    workspace.prepare(work, chapters)
    assert "already" in workspace.reset("01", work, chapters_dir=chapters)
    (work / "01_attention.ipynb").write_text("{damaged")
    said = workspace.reset("01_attention", work, chapters_dir=chapters)
    (kept,) = work.glob("01_attention.backup-*.ipynb")
    assert kept.read_text() == "{damaged"
    assert kept.name in said
    assert (work / "01_attention.ipynb").read_bytes() == (chapters / "01_attention.ipynb").read_bytes()
    workspace.prepare(work, chapters)
    assert kept.exists()


def test_reset_that_cannot_back_up_changes_nothing(course, monkeypatch):
    chapters, work = course
    workspace.prepare(work, chapters)
    write(work / "01_attention.ipynb", "my answers")
    mine = (work / "01_attention.ipynb").read_bytes()

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(workspace, "write_in_one_step", full)
    with pytest.raises(OSError, match="No space"):
        workspace.reset("01", work, chapters_dir=chapters)
    assert (work / "01_attention.ipynb").read_bytes() == mine


@pytest.mark.parametrize("content", [b"{half", b"", b"\xff\xfe", b"[]", b'{"cells": 3}', b'{"a": 1}', b"3"])
def test_what_is_no_notebook_gets_one_sentence(tmp_path, content):
    path = tmp_path / "01_attention.ipynb"
    path.write_bytes(content)
    with pytest.raises(CourseError, match=r"is not a notebook .*`mmcourse reset 01` keeps it"):
        workspace.read_notebook(path)


def test_a_missing_notebook_and_an_unknown_chapter_say_what_to_do(course):
    chapters, work = course
    with pytest.raises(CourseError, match="mmcourse lab"):
        workspace.read_notebook(work / "01_attention.ipynb")
    with pytest.raises(CourseError, match="no chapter '7'; the chapters are: 00, 01"):
        workspace.chapter_path("7", chapters)


def test_a_damaged_list_of_copies_keeps_every_chapter(course):
    chapters, work = course
    workspace.prepare(work, chapters)
    write(work / "01_attention.ipynb", "my answers")
    (work / ".mmcourse" / "copies.json").write_text("{half")
    write(chapters / "01_attention.ipynb", "second version")
    said = workspace.prepare(work, chapters)
    assert "damaged" in said[0]
    assert "newer version" in said[1]
    assert "my answers" in (work / "01_attention.ipynb").read_text()


def test_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MMCOURSE_WORK", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workspace, "repository", lambda: None)
    assert workspace.default_folder() == tmp_path / "mmcourse-work"
    monkeypatch.setattr(workspace, "repository", lambda: tmp_path / "clone")
    assert workspace.default_folder() == tmp_path / "clone" / "work"
    monkeypatch.setenv("MMCOURSE_WORK", str(tmp_path / "mine"))
    assert workspace.default_folder() == tmp_path / "mine"


def test_a_notebook_with_a_byte_order_mark_is_read(tmp_path):
    write(tmp_path / "01_a.ipynb", "my answers")
    content = (tmp_path / "01_a.ipynb").read_bytes()
    (tmp_path / "01_a.ipynb").write_bytes(b"\xef\xbb\xbf" + content)
    assert workspace.read_notebook(tmp_path / "01_a.ipynb").cells[0].source == "my answers"
