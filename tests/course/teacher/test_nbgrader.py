"""nbgrader's own commands on the course folder: blank scores nothing, solved everything, half right its part."""

import ast
import json
import os
import sys
from pathlib import Path

import nbformat
import pytest

from mmcourse.content import content_dir
from mmcourse.course import cli
from mmcourse.course.author.build import registry
from mmcourse.course.author.source import chapter_sources, is_blank, read_chapter
from mmcourse.course.errors import CourseError
from mmcourse.course.exercise import grade
from mmcourse.course.teacher.leaks import leaks, solution_lines
from mmcourse.course.teacher.nbgrader import write_course

CHAPTERS = [path.stem for path in chapter_sources(content_dir("chapters"))]
LATER = [pytest.param(name, marks=pytest.mark.exhaustive) for name in CHAPTERS[1:]]
MISTAKEN = "from mmcourse.course.exercises import find\n\n{name} = find({exercise!r}).mistakes[{number}].answer"


def half_right(solved, exercises):
    """The solved notebook with a mistake, and one that earns a part of the points where there is one, in every second
    exercise; returns it with the points that each exercise then earns."""
    points = {}
    names = {cell.metadata.nbgrader.grade_id.removesuffix("-check"): cell for cell in solved.cells if is_check(cell)}
    for turn, (exercise_id, check) in enumerate(names.items()):
        exercise = exercises[exercise_id]
        results = [grade(exercise, mistake.answer) for mistake in exercise.mistakes]
        partly = [number for number, result in enumerate(results) if 0 < result.points < result.max_points]
        if turn % 2 == 0 and not partly:
            points[exercise_id] = exercise.points
            continue
        number = partly[0] if partly else 0
        points[exercise_id] = results[number].points
        cell = next(cell for cell in solved.cells if cell.id == exercise_id)
        name = ast.unparse(ast.parse(check.source).body[0].value.args[1])
        cell.source += "\n\n" + MISTAKEN.format(name=name, exercise=exercise_id, number=number)
    return solved, points


def is_check(cell):
    return "check" in cell.metadata.get("tags", [])


def is_written(cell):
    return "written" in cell.metadata.get("tags", [])


@pytest.fixture
def nbgrader(spawn, tmp_path):
    """`nbgrader(command, …)` runs one of its commands in the course folder; it has to end well."""

    def run(*words):
        command = [sys.executable, "-m", "nbgrader", *words]
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # nbgrader calls alembic by name
        env = {**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(tmp_path), "JUPYTER_NO_CONFIG": "1", "PATH": path}
        log = tmp_path / "log.txt"
        with log.open("w") as file:
            assert spawn(command, cwd=tmp_path / "course", env=env, stdout=file, stderr=file).wait(1700) == 0, (
                log.read_text()[-3000:]
            )

    return run


def submit(folder, student, name, notebook):
    path = folder / "submitted" / student / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def scores(folder, name, student):
    """What nbgrader noted for a submission: exercise -> points, and the written questions that wait for a person."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        (notebook,) = book.find_submission(name, student).notebooks
        found = {one.name.removesuffix("-check"): (one.auto_score, one.needs_manual_grade) for one in notebook.grades}
    return {name: score for name, (score, _) in found.items()}, {name for name, (_, waits) in found.items() if waits}


@pytest.mark.slow
@pytest.mark.parametrize("name", [CHAPTERS[0], *LATER])
def test_a_full_cycle(nbgrader, tmp_path, name):
    course = tmp_path / "course"
    exercises = registry(name[:2])
    assert write_course(course, [name])
    nbgrader("generate_assignment", name)
    handed_out = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    every = [read_chapter(path) for path in chapter_sources(content_dir("chapters"))]
    assert leaks({name: json.loads(nbformat.writes(handed_out))}, solution_lines(every)) == []

    solved = nbformat.read(content_dir("chapters") / "solutions" / f"{name}.ipynb", as_version=4)
    written = {cell.id for cell in solved.cells if is_written(cell)}
    submit(course, "blank", name, handed_out)
    submit(course, "solved", name, solved)
    half, part = half_right(solved, exercises)
    submit(course, "half", name, half)
    nbgrader("autograde", name)
    nbgrader("generate_feedback", name)

    asked = dict.fromkeys(part, 0) | dict.fromkeys(written, 0)
    assert scores(course, name, "blank") == (asked, set())
    full = {exercise: exercises[exercise].points for exercise in part}
    assert scores(course, name, "solved") == (full | dict.fromkeys(written), written)
    assert scores(course, name, "half") == (part | dict.fromkeys(written), written)
    assert 0 < sum(part.values()) < sum(full.values())
    pages = {path.parent.parent.name for path in (course / "feedback").rglob("*.html")}
    assert pages == {"blank", "solved", "half"}


def test_what_nbgrader_hands_out_is_what_the_course_hands_out(tmp_path):
    from traitlets.config import Config

    from mmcourse.course.teacher.steps import ClearAnswers

    for name in CHAPTERS:
        write_course(tmp_path / "course", [name])
        source = nbformat.read(tmp_path / "course" / "source" / name / f"{name}.ipynb", as_version=4)
        cleared, _ = ClearAnswers(config=Config()).preprocess(source, {})
        blank = nbformat.read(content_dir("chapters") / f"{name}.ipynb", as_version=4)
        assert [cell.source for cell in cleared.cells] == [cell.source for cell in blank.cells]


def test_widgets_are_not_answered_while_a_notebook_is_graded(tmp_path):
    from mmcourse.course.teacher.steps import ExecuteWithoutWidgets

    source = "from ipywidgets import Output\n\nwith Output():\n    print('inside')\nprint('outside')\n7"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    done, _ = ExecuteWithoutWidgets(timeout=300).preprocess(notebook, {"metadata": {"path": str(tmp_path)}})
    assert "widgets" not in done.metadata
    assert done.cells[0].outputs[-1].data["text/plain"] == "7"


def test_the_folder_of_the_small_course(course, exercises, tmp_path):
    written = write_course(tmp_path / "out", chapters_dir=course, exercises=exercises)
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == [
        "nbgrader_config.py",
        str(Path("source", "01_tiny", "01_tiny.ipynb")),
    ]
    cells = {cell.id: cell for cell in nbformat.read(written[1], as_version=4).cells}
    assert "01-unseen" not in cells
    assert "### BEGIN SOLUTION" in cells["01-double"].source
    assert not is_blank(cells["01-double"].source)
    assert cells["01-double-check"].metadata.nbgrader.points == 3
    assert cells["01-why"].metadata.nbgrader.grade is cells["01-why"].metadata.nbgrader.solution is True
    assert write_course(tmp_path / "out", chapters_dir=course, exercises=exercises) == []


def test_a_solution_told_in_the_wrong_place_stops_it(course, exercises, tmp_path):
    source = course / "source" / "01_tiny.py"
    source.write_text(source.read_text("utf-8") + "\n# %%\nx = 1  ### begin solution\n", encoding="utf-8")
    with pytest.raises(CourseError, match="a marker stands in 'x = 1  ### begin solution'"):
        write_course(tmp_path / "out", chapters_dir=course, exercises=exercises)
    assert not (tmp_path / "out").exists()


def test_the_command(tmp_path, capsys):
    assert cli.main(["nbgrader", str(tmp_path / "out"), "--chapters", "0", "01"]) == 0
    assert capsys.readouterr().out.count("wrote ") == 3
    assert sorted(path.name for path in (tmp_path / "out" / "source").iterdir()) == CHAPTERS[:2]
