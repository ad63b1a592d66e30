"""The teacher's guide says what the code says: minutes, points, plans, commands, files, the example of own checks."""

import re
from pathlib import Path

import pytest

from mmcourse.content import content_dir
from mmcourse.course import cli
from mmcourse.course.author import build
from mmcourse.course.author.source import chapter_sources, read_chapter
from mmcourse.course.exercise import grade
from mmcourse.course.exercises import find
from mmcourse.course.grading.collection import find_submissions
from mmcourse.course.grading.judge.judge import read_hidden, with_inputs

HOME = content_dir("chapters")
GUIDE = (HOME / "TEACHING.md").read_text(encoding="utf-8")
CHAPTERS = {chapter.number: chapter for chapter in map(read_chapter, chapter_sources(HOME))}
TIME = re.compile(r"(\d+) minutes to read.*?(\d+) minutes for the exercises")


def minutes(number):
    """What the first cell of a chapter promises: reading, exercises."""
    found = TIME.search(" ".join(CHAPTERS[number].cells[0].source.split()))
    return int(found[1]), int(found[2])


def rows(title):
    """The rows of the table below a heading, as lists of cells."""
    part = GUIDE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = [line.strip("| ").split("|") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in found[2:]]


def test_the_table_of_chapters_has_their_minutes_exercises_and_points():
    there = rows("What a chapter takes")
    assert len(there) == len(CHAPTERS)
    for row, (number, chapter) in zip(there, CHAPTERS.items(), strict=True):
        exercises = build.registry(number)
        written = sum(cell.role == "written" for cell in chapter.cells)
        title = re.match(r"# (.+)", chapter.cells[0].source)[1]
        reading, working = minutes(number)
        assert row == [
            f"[{title}]({chapter.name}.ipynb)",
            str(reading),
            f"{len(exercises)} + {written}",
            str(working),
            str(sum(build.points_of(chapter, exercises).values())),
        ]


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_minutes_of_the_exercises_are_near_those_that_the_chapter_promises(number):
    assert abs(minutes(number)[1] - sum(one.minutes for one in build.registry(number).values())) <= 15


@pytest.mark.parametrize(("title", "weeks"), [("A plan of six weeks", 6), ("A plan of twelve weeks", 12)])
def test_a_plan_has_every_chapter_once_in_order_and_adds_up(title, weeks):
    plan = rows(title)
    assert [int(row[0]) for row in plan] == list(range(1, weeks + 1))
    named = [re.findall(r"\d\d", row[1]) for row in plan]
    assert [number for numbers in named for number in numbers] == list(CHAPTERS)
    for row, numbers in zip(plan, named, strict=True):
        sums = [str(sum(minutes(number)[part] for number in numbers)) for part in (0, 1)] if numbers else ["", ""]
        assert row[2:4] == sums


def commands(program):
    found = re.findall(rf"(?:^ {{4}}|`){program} ([^\n`]+)", GUIDE, re.MULTILINE)
    return sorted({line.strip() for line in found})


@pytest.mark.parametrize("command", [line for line in commands("mmcourse") if line != "grade"])
def test_the_commands_of_the_course_are_understood(command):
    assert cli._parser().parse_args(command.split()).run is not None


def test_every_command_for_teachers_is_in_the_guide():
    assert {"release", "nbgrader", "grade", "report"} <= {line.split()[0] for line in commands("mmcourse")}


def test_the_options_of_grade_that_the_guide_names_exist():
    named = set(re.findall(r"`(--[a-z-]+)`", GUIDE))
    assert {"--salt", "--allow-ready-made"} <= named
    known = cli._parser().parse_args(["grade", "x", "--salt", "a", "--allow-ready-made"])
    assert all(hasattr(known, name.strip("-").replace("-", "_")) for name in named)


def test_the_commands_of_nbgrader_exist():
    from nbgrader.apps.nbgraderapp import NbGraderApp

    words = [line.split() for line in commands("nbgrader")]
    assert {name for name, *_ in words} == {"generate_assignment", "autograde", "generate_feedback"}
    assert {name for name, *_ in words} <= set(NbGraderApp.subcommands)
    assert {rest[0] for _, *rest in words if rest} <= {chapter.name for chapter in CHAPTERS.values()}


def test_the_layouts_of_submissions_are_told_apart(tmp_path):
    layouts = [row[0].strip("`") for row in rows("Collect")]
    assert len(layouts) == 3
    for number, layout in enumerate(layouts):
        path = tmp_path / str(number) / layout
        path.parent.mkdir(parents=True)
        path.write_text("{}")
        (found,) = find_submissions([tmp_path / str(number) / "submitted"])
        assert found.student == "alice"


def test_the_example_of_own_checks_accepts_the_reference_and_refuses_a_mistake(tmp_path):
    path = tmp_path / "my_checks.py"
    path.write_text(re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)[1])
    ((exercise_id, cases),) = read_hidden(path).items()
    exercise = with_inputs(find(exercise_id), "", cases)
    assert grade(exercise, exercise.reference).status == "done"
    assert grade(exercise, exercise.mistakes[0].answer).status == "wrong"
    assert [case.name for case in cases] == ["many tokens", "two tokens"]


def test_the_files_that_the_guide_names_exist():
    root = Path(build.__file__).resolve().parents[3]
    named = set(re.findall(r"`((?:chapters|mmcourse)/[\w./]*)`", GUIDE))
    assert named == {"chapters/solutions/", "mmcourse/course/exercises/"}
    assert all((root / name).is_dir() for name in named)
    assert all((HOME / target).is_file() for target in re.findall(r"\]\(([^)]+)\)", GUIDE))


def test_the_guide_keeps_to_the_words_of_the_course():
    assert not re.search(r"\b(simply|just)\b", GUIDE, re.IGNORECASE)
