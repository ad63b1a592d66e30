"""What CONTRIBUTING.md says is done literally: chapter 99 comes, is built and tested, and goes again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
PLACES = re.findall(r"`((?:chapters|mmcourse)/\S+99\S*\.py)`", PAGE)
MADE = ("chapters/99_trial.ipynb", "chapters/solutions/99_trial.ipynb")


@pytest.fixture
def copy(tmp_path):
    """A copy of the course without its large files: the data are linked, of the chapters there is one."""
    root = tmp_path / "course"
    shutil.copytree(ROOT / "mmcourse", root / "mmcourse", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "data").symlink_to(ROOT / "data")
    for folder in ("chapters/source", "chapters/solutions"):
        (root / folder).mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    return root


def run(root, *command):
    """Runs a command in the copy, with the copy's own course."""
    environment = {**os.environ, "PYTHONPATH": str(root), "MMCOURSE_WORK": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout + done.stderr


def grade(root, answer):
    code = f"from mmcourse.course import check\nresult = check('99-double', {answer})\nprint(result, result.message)"
    return run(root, sys.executable, "-c", code)[1].strip()


@pytest.mark.slow
def test_a_chapter_is_added_and_removed_as_the_page_says(copy):
    assert len(PLACES) == len(BLOCKS) == 3
    course = [sys.executable, "-m", "mmcourse.course.cli"]
    for place, text in zip(PLACES, BLOCKS, strict=True):
        (copy / place).parent.mkdir(parents=True, exist_ok=True)
        (copy / place).write_text(text, encoding="utf-8")

    code, said = run(copy, *course, "build", "99")
    assert code == 0, said
    assert [(copy / made).is_file() for made in MADE] == [True, True], said
    lint = "from mmcourse.course.author.lint import lint; print(lint('99').problems)"
    assert run(copy, sys.executable, "-c", lint) == (0, "()\n")
    assert run(copy, *course, "hint", "99-double")[1].startswith("Hint 1: Which number")
    assert grade(copy, "lambda x: x + x") == "1"
    assert grade(copy, "lambda x: x * x").startswith("0 That is the square.")
    shown = run(copy, *course, "solution", "99-double")[1]
    assert "return 2 * x" in shown

    for place in (*PLACES, *MADE):
        (copy / place).unlink()
    assert run(copy, *course, "hint", "99-double")[0] == 2
    assert run(copy, *course, "build")[0] == 0
    assert list((copy / "chapters").rglob("*99*")) == []


def test_the_page_can_be_read_at_one_go():
    assert len(PAGE.splitlines()) <= 120
