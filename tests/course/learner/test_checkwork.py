"""`mmcourse check`: blank, half-done and finished notebooks of a tiny chapter, and the ways a notebook goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys

import nbformat
import pytest

from mmcourse.course.errors import CourseError
from mmcourse.course.learner import checkwork, progress

pytestmark = pytest.mark.slow

EXERCISES = '''
"""Stands in for the course's own exercises; the kernel finds it beside the learner's notebook."""
from mmcourse.course.notebook import check as module
from mmcourse.course.exercise import Case, Exercise, Mistake

row = lambda generator: (__import__("torch").randn(4, generator=generator),)
common = dict(goal="", stars=1, minutes=1, points=2, cases=(Case(name="on four numbers", inputs=row),))
total = Exercise(id="99-total", title="Sum", reference=lambda x: x.sum(), **common,
                 mistakes=(Mistake(message="That is the mean.", answer=lambda x: x.mean()),))
double = Exercise(id="99-double", title="Double", reference=lambda x: 2 * x, **common)
count = Exercise(id="99-count", title="Count", reference=12, **{**common, "cases": (Case(name="the count"),)})
module.find = {exercise.id: exercise for exercise in (total, double, count)}.__getitem__
check = module.check
'''
BLANK = "# YOUR CODE HERE\n    raise NotImplementedError"
ANSWERS = {"total": "return x.sum()", "double": "return x + x", "count": "12"}


def exercise(name, answer):
    body = f"answer = (\n    {answer}\n)" if name == "count" else f"def {name}(x):\n    {answer}"
    return nbformat.v4.new_code_cell(body, id=f"99-{name}", metadata={"tags": ["exercise", "raises-exception"]})


def check_cell(name):
    value = "answer" if name == "count" else name
    metadata = {"tags": ["check", "raises-exception"]}
    return nbformat.v4.new_code_cell(f'check("99-{name}", {value})', id=f"99-{name}-check", metadata=metadata)


def notebook(answers):
    noisy = "from fixture_exercises import check\nimport time\nprint(time.time())"
    start = nbformat.v4.new_code_cell(noisy, id="start")
    cells = [start, nbformat.v4.new_markdown_cell("# Tiny", id="title")]
    for name, answer in answers.items():
        cells += [exercise(name, answer), check_cell(name)]
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture(scope="module")
def chapters(tmp_path_factory):
    """A tiny course: a blank notebook and a solved one that nbclient ran."""
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("course") / "chapters"
    (folder / "solutions").mkdir(parents=True)
    (folder / "fixture_exercises.py").write_text(EXERCISES)
    blank = {"total": BLANK, "double": BLANK, "count": "...  # YOUR ANSWER HERE"}
    nbformat.write(notebook(blank), folder / "99_tiny.ipynb")
    solved = notebook(ANSWERS)
    client = NotebookClient(solved, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMCOURSE_WORK", "")
        client.execute()
    nbformat.write(solved, folder / "solutions" / "99_tiny.ipynb")
    return folder


@pytest.fixture
def check(chapters, tmp_path):
    """`check(notebook)` puts a notebook into a work folder and returns the rows by exercise."""
    (tmp_path / "fixture_exercises.py").write_text(EXERCISES)
    (tmp_path / ".mmcourse").mkdir()

    def run(learner):
        nbformat.write(learner, tmp_path / "99_tiny.ipynb")
        rows = checkwork.check_work("99", tmp_path, chapters)
        assert [row.exercise_id for row in rows] == ["99-total", "99-double", "99-count"]
        return rows

    return run


def states(rows):
    return [row.state for row in rows]


def test_a_blank_notebook_has_nothing_done(check, chapters):
    assert states(check(nbformat.read(chapters / "99_tiny.ipynb", 4))) == ["unwritten"] * 3


def test_a_half_done_one_is_told_apart_and_the_mistake_is_named(check, tmp_path):
    rows = check(notebook({"total": "return x.mean()", "double": BLANK, "count": "12"}))
    assert states(rows) == ["wrong", "unwritten", "done"]
    assert rows[0].message == "That is the mean."
    found = progress.load(tmp_path)
    assert found.done("99-count")
    assert not found.done("99-total")


def test_a_finished_one_is_all_done_even_with_cells_of_ones_own(check):
    learner = notebook(ANSWERS)
    own = nbformat.v4.new_code_cell("print('mine')\n1 / 0", id="own")
    learner.cells.insert(3, own)
    learner.cells.insert(2, nbformat.v4.new_code_cell("import warnings; warnings.warn('noise')", id="noise"))
    assert states(check(learner)) == ["done"] * 3


def test_errors_missing_cells_and_renamed_functions_are_told_apart(check):
    learner = notebook({"total": "return x.sum(", "double": "return 2 * y", "count": "12"})
    learner.cells = [cell for cell in learner.cells if not cell.id.startswith("99-count")]
    total, double, count = check(learner)
    assert (total.state, double.state, count.state) == ("error", "error", "missing")
    assert total.message.startswith("SyntaxError")
    assert double.message.startswith("NameError: name 'y' is not defined")
    assert "missing or was renamed" in count.message
    assert "`mmcourse reset 99 --beside`" in count.message

    learner = notebook(ANSWERS)
    learner.cells[2].source = learner.cells[2].source.replace("def total", "def my_total")
    renamed = check(learner)
    assert states(renamed) == ["error", "done", "done"]
    assert renamed[0].message == "NameError: name 'total' is not defined"


def test_check_cells_that_were_deleted_or_rewritten_do_not_matter(check):
    learner = notebook({**ANSWERS, "double": "return x * x"})
    learner.cells = [cell for cell in learner.cells if cell.id != "99-total-check"]
    next(cell for cell in learner.cells if cell.id == "99-double-check").source = 'check("99-double", lambda x: 2 * x)'
    assert states(check(learner)) == ["done", "wrong", "done"]


def test_printing_a_result_of_ones_own_is_not_a_pass(check):
    learner = notebook({**ANSWERS, "total": "return x.max()"})
    learner.cells[0].source += "\nreal, check = check, lambda name, answer: 2"
    assert "done" not in states(check(learner))


def test_cells_are_also_found_by_the_grade_id(check):
    learner = notebook(ANSWERS)
    learner.cells[2].metadata["nbgrader"] = {"grade_id": "99-total"}
    learner.cells[2].id = "changed-by-an-editor"
    learner.cells = [cell for cell in learner.cells if cell.id != "99-total-check"]
    assert states(check(learner)) == ["done"] * 3


def test_a_kernel_that_dies_leaves_a_verdict_for_every_exercise(check, monkeypatch):
    monkeypatch.setattr(checkwork, "CELL_SECONDS", 15)
    rows = check(notebook({**ANSWERS, "double": "import os; os._exit(1)"}))
    assert rows[0].state == "done"
    assert [row.state for row in rows[1:]] == ["error", "error"]
    assert "does a loop never stop?" in rows[1].message
    assert "an earlier cell hung or ended Python" in rows[2].message


def test_an_endless_loop_is_stopped_and_the_other_answers_count(check, monkeypatch):
    monkeypatch.setattr(checkwork, "CELL_SECONDS", 5)
    rows = check(notebook({**ANSWERS, "double": "while True: pass"}))
    assert states(rows) == ["done", "error", "done"]
    assert rows[1].message == "it did not end within 5 seconds: does a loop never stop?"


def test_a_notebook_that_is_not_json_and_a_missing_one(chapters, tmp_path):
    with pytest.raises(CourseError, match="mmcourse lab"):
        checkwork.check_work("99", tmp_path, chapters)
    (tmp_path / "99_tiny.ipynb").write_text("{half")
    with pytest.raises(CourseError, match="`mmcourse reset 99` keeps it"):
        checkwork.check_work("99", tmp_path, chapters)


def test_a_chapter_without_a_solved_notebook(tmp_path):
    nbformat.write(notebook({}), tmp_path / "98_new.ipynb")
    with pytest.raises(CourseError, match="no solved notebook yet; `mmcourse build 98`"):
        checkwork.check_work("98", tmp_path, tmp_path)


def test_progress_that_cannot_be_saved_is_said_once(check, chapters, tmp_path, capsys):
    (tmp_path / ".mmcourse" / "progress.json").mkdir()  # in the way, for every user
    check(nbformat.read(chapters / "99_tiny.ipynb", 4))
    assert capsys.readouterr().out.count("Progress was not saved") == 1


UNDER_ANOTHER_LOCALE = """
import sys
from pathlib import Path
import nbformat
from mmcourse.course.learner import checkwork
from mmcourse.course.errors import CourseError
sys.executable = sys.argv[1]
try:
    checkwork.run(nbformat.v4.new_notebook(), Path(sys.argv[2]))
except CourseError as error:
    sys.stdout.buffer.write(str(error).encode())
"""


@pytest.mark.skipif(os.name == "nt", reason="stands on a script with a first line that names its program")
def test_what_a_child_says_is_read_as_utf_8_whatever_the_locale(tmp_path):
    child = tmp_path / "python"
    words = "es fehlt: Schlüssel 猫".encode()
    child.write_text(f"#!{sys.executable}\nimport os\nos.write(2, {words!r} + bytes([255]))\n", encoding="utf-8")
    child.chmod(0o755)
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", UNDER_ANOTHER_LOCALE, str(child), str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True)
    assert "could not be run: es fehlt: Schlüssel 猫" in done.stdout.decode(), done.stderr.decode(errors="replace")
