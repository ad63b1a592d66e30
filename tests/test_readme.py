"""What the README promises is there: every path, every make target, every `mmcourse` command, every chapter."""

import re
import shlex
from pathlib import Path

import pytest

from mmcourse.course import cli
from mmcourse.course.exercises import find

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MADE = ("work/", "mmcourse-work/", ".venv", ".venv/bin/mmcourse")  # what the commands make on the reader's machine


def test_links_and_pictures_lead_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", README)
    inside = [target for target in targets if "://" not in target]
    assert len(inside) >= 4
    assert [target for target in inside if not (ROOT / target).exists()] == []


def test_named_paths_exist():
    named = re.findall(r"`([\w.-]+(?:/[\w.-]*)+)`", README)
    assert {"chapters/source/", "chapters/solutions/", "mmcourse/course/exercises/"} <= set(named)
    assert [path for path in named if path not in MADE and not (ROOT / path).exists()] == []


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?:`|^ {4})(?:[A-Z_]+=\S+ )?make ([a-z]+)", README, re.MULTILINE))
    assert {"lab", "test"} <= targets
    assert [name for name in targets if not re.search(rf"^{name}\s*:", makefile, re.MULTILINE)] == []


def commands():
    """Every `mmcourse …` line of the README, without the name of a folder or wheel."""
    text = re.sub(r"\[|\]", " ", README)
    found = re.findall(r"(?:`|^ +(?:\.venv\\Scripts\\)?)mmcourse ([a-z]+[^`\n#]*)", text, re.MULTILINE)
    return sorted({line.strip() for line in found})


@pytest.mark.parametrize("command", commands())
def test_mmcourse_commands_are_understood(command):
    words = shlex.split(command.replace("FOLDER", "somewhere").replace("SUBMISSIONS", "somewhere"))
    assert cli._parser().parse_args(words) is not None


def test_commands_are_found_at_all():
    assert {line.split()[0] for line in commands()} >= {"lab", "check", "hint", "solution", "progress", "doctor"}


@pytest.mark.parametrize("exercise_id", sorted(set(re.findall(r"\b\d\d-[a-z]+(?:-[a-z]+)+\b", README))))
def test_named_exercises_exist(exercise_id):
    assert find(exercise_id).id == exercise_id


def test_syllabus_lists_the_chapters_that_exist_and_no_others():
    rows = re.findall(r"^\| (\d\d) \| \[.+?\]\(chapters/(\w+)\.ipynb\) \|", README, re.MULTILINE)
    assert [number for number, _ in rows] == [f"{number:02d}" for number in range(len(rows))]
    assert {name for _, name in rows} == {path.stem for path in (ROOT / "chapters" / "source").glob("[0-9][0-9]_*.py")}


def test_the_map_in_chapter_00_says_the_same():
    source = (ROOT / "chapters" / "source" / "00_start_here.py").read_text(encoding="utf-8")
    pattern = r"(?m)\| (\d\d) \| \[(.+?)\]\(.*?\) \| (.+) \|$"
    assert re.findall(pattern, source) == re.findall(pattern, README)


def test_licences_are_named_alike():
    license_text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    for name in ("MIT", "CC BY-SA 4.0", "OpenMoji"):
        assert name in README
        assert name in license_text
