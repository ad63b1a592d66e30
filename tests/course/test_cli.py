"""The `mmcourse` command: help, exit codes, one sentence for a mistake, and every command on a tiny course."""

from __future__ import annotations

import os
import subprocess
import sys

import nbformat
import pytest

import mmcourse
from mmcourse.course import cli
from mmcourse.course.commands import learner
from mmcourse.course.exercise import Exercise
from mmcourse.course.learner import checkwork, progress, workspace
from mmcourse.course.learner.checkwork import Row
from mmcourse.course.notebook import check, hint
from mmcourse.recipes import read_manifest

COUNT = Exercise(
    id="99-count", title="Count", goal="", stars=1, minutes=1, points=1, reference=3, hints=("Use your fingers.",)
)


def code(source, cell_id, *tags):
    return nbformat.v4.new_code_cell(source, id=cell_id, metadata={"tags": list(tags)})


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with one chapter, found by the command in place of the real one; returns the work folder."""
    chapters = tmp_path / "chapters"
    (chapters / "solutions").mkdir(parents=True)
    solution = "answer = (\n    ### BEGIN SOLUTION\n    1 + 2\n    ### END SOLUTION\n)"
    for folder, answer in ((chapters, "answer = ..."), (chapters / "solutions", solution)):
        cells = [code(answer, "99-count", "exercise"), code('check("99-count", answer)', "99-count-check", "check")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "99_tiny.ipynb")
    for module in (learner, workspace, checkwork):
        monkeypatch.setattr(module, "content_dir", lambda name: tmp_path / name)
    monkeypatch.setattr(check, "find", {"99-count": COUNT}.__getitem__)
    monkeypatch.setattr(hint, "outline", {"99-count": COUNT}.__getitem__)
    monkeypatch.setattr(hint, "_given_here", {})
    work = tmp_path / "work"
    monkeypatch.setenv("MMCOURSE_WORK", str(work))
    workspace.prepare(work)
    return work


def test_without_a_command_it_prints_help(capsys):
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    for command in (
        "lab",
        "check",
        "hint",
        "solution",
        "progress",
        "reset",
        "doctor",
        "train",
        "chat",
        "release",
        "nbgrader",
        "site",
        "build",
    ):
        assert f"    {command} " in said


def test_the_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"mmcourse {mmcourse.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "42"], "there is no chapter '42'; the chapters are: 99"),
        (["reset", "x"], "there is no chapter 'x'"),
        (["solution", "99-nothing"], "there is no exercise '99-nothing' in chapter 99; it has: 99-count"),
        (["solution", "zz"], "there is no chapter 'zz'"),
        (["lab", "--port", "700000"], "port 700000 does not exist"),
        (["train", "no-such"], "there is no recipe 'no-such'; the recipes are: tiny-lm"),
        (["train", "tiny-lm", "--steps", "0"], "steps must be at least 1, got 0"),
    ],
)
def test_a_persons_mistake_is_one_sentence_on_stderr_and_exit_code_2(course, capsys, arguments, words):
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("mmcourse: ")
    assert words in said
    assert said.count("\n") == 1


def test_an_unknown_hint_is_one_sentence_from_the_real_registry(tmp_path):
    command = [sys.executable, "-m", "mmcourse.course.cli", "hint", "77-nothing"]
    done = subprocess.run(command, env={**os.environ, "MMCOURSE_WORK": ""}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("mmcourse: there is no exercise '77-nothing'; did you mean")
    assert "Traceback" not in done.stderr


def test_a_file_where_the_folder_should_be_is_one_sentence(course, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert cli.main(["reset", "99", "--work", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith(f"mmcourse: {tmp_path}")


@pytest.mark.parametrize(("code", "words"), [(28, "free some space"), (30, "name another folder")])
def test_a_full_or_read_only_disk_is_one_sentence_with_a_remedy(course, capsys, monkeypatch, code, words):
    def fails(path, content):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(workspace, "write_in_one_step", fails)
    assert cli.main(["reset", "99"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_check_prints_a_table_and_its_exit_code_says_whether_all_is_done(course, capsys, monkeypatch):
    long = "The mask is inverted: True marks what may be attended to, and here the future was let through instead."
    rows = [
        Row(exercise_id="99-count", state="done"),
        Row(exercise_id="99-mask", state="wrong", message=long),
        Row(exercise_id="99-x", state="unwritten"),
        Row(exercise_id="99-y", state="error", message="NameError: name 'y' is not defined"),
        Row(exercise_id="99-z", state="missing", message="its cell is missing"),
    ]
    monkeypatch.setattr(checkwork, "check_work", lambda number, work: rows)
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["check", "99"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "✓ 99-count  done"
    assert lines[2].startswith("✗ 99-mask   wrong: The mask is inverted")
    assert lines[3].startswith(" " * 12)
    assert max(map(len, lines[1:])) <= 80
    assert "○ 99-x      not written yet" in lines
    assert "? 99-z      missing: its cell is missing" in lines
    assert lines[-1] == "1 of 5 exercises done."
    monkeypatch.setattr(checkwork, "check_work", lambda number, work: rows[:1])
    assert cli.main(["check", "99"]) == 0


def test_hint_solution_progress_and_reset_on_a_tiny_course(course, capsys):
    assert cli.main(["hint", "99-count"]) == 0
    assert capsys.readouterr().out == "Hint 1: Use your fingers.\nThat was the last hint.\n"
    assert cli.main(["solution", "99-count"]) == 0
    said = capsys.readouterr()
    assert said.out == "answer = (\n    1 + 2\n)\n"
    assert "notes that you looked" in said.err
    assert progress.load(course).entries["99-count"] == {"done": False, "hints": 1, "solution": True}
    assert cli.main(["progress"]) == 0
    assert "░          0 of 1 done, 1 solution seen" in capsys.readouterr().out
    progress.record_result(course, "99-count", "done", 1)
    assert cli.main(["progress"]) == 0
    assert "█          1 of 1 done" in capsys.readouterr().out
    assert cli.main(["reset", "99", "--beside"]) == 0
    assert "99_tiny.new-" in capsys.readouterr().out
    assert len(list(course.glob("*.ipynb"))) == 2


def test_progress_says_that_its_file_was_damaged(course, capsys):
    progress.progress_file(course).write_text("{half")
    assert cli.main(["progress"]) == 0
    assert "was damaged" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("arguments", [["train"], ["train", "--list"]])
def test_train_lists_the_recipes_with_what_was_measured(arguments, capsys):
    assert cli.main(arguments) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("tiny-lm a GPT on the captions of the scenes")
    assert f"{read_manifest()['tiny-lm']['quality']['value']:.4f}" in said


def test_train_takes_an_unwritable_folder_for_a_persons_mistake(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert cli.main(["train", "tiny-lm", "--out", str(tmp_path / "file"), "--steps", "1"]) == 2
    assert capsys.readouterr().err.startswith(f"mmcourse: {tmp_path / 'file'}: ")


def test_build_errors_are_one_sentence(capsys):
    assert cli.main(["build", "no-such-chapter"]) == 2
    assert "there is no chapter 'no-such-chapter' to build" in capsys.readouterr().err
