"""`mmcourse check NN`: the learner's answers beside the outputs that the solved notebook has, judged by nbval.

A temporary copy of the learner's notebook gets the solved notebook's check cells with their outputs; every other cell
may print what it likes. `pytest --nbval` runs it, and each `check(...)` writes what it found to a report.
"""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat
from nbformat import NotebookNode

from mmcourse.content import content_dir
from mmcourse.course.author.source import is_blank
from mmcourse.course.errors import CourseError
from mmcourse.course.learner import progress
from mmcourse.course.learner.workspace import chapter_path, read_notebook

State = Literal["done", "wrong", "unwritten", "error", "missing"]
CELL_SECONDS = 120  # at the smoke budget a cell takes seconds; a dead kernel is only noticed after this time
_PYTEST = ["--nbval", "--nbval-current-env", "-p", "nbval.plugin", "-p", "no:cacheprovider", "--color=no", "-q"]
_AFTER_A_HANG = "its check did not run, because an earlier cell hung or ended Python"
_COLOR_CODES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One exercise of the table."""

    exercise_id: str
    state: State
    message: str = ""
    points: int = 0
    max_points: int = 0


def check_work(number: str, work: Path, chapters_dir: Path | None = None) -> list[Row]:
    """Runs the learner's notebook of a chapter and judges every exercise in it.

    Raises:
        CourseError: the chapter, its solved notebook or the learner's copy is missing or not a notebook.
    """
    source = chapter_path(number, chapters_dir)
    solutions = (content_dir("chapters") if chapters_dir is None else chapters_dir) / "solutions"
    solved_path = solutions / source.name
    if not solved_path.is_file():
        raise CourseError(f"chapter {source.stem[:2]} has no solved notebook yet; `mmcourse build {source.stem[:2]}`")
    solved, learner = read_notebook(solved_path), read_notebook(work / source.name)
    notebook = combine(learner, solved)
    with tempfile.TemporaryDirectory(prefix="mmcourse-check-") as folder:
        failures, report = run(notebook, Path(folder), python_path=work)
    rows = judge(learner, solved, notebook, failures, report)
    if (work / progress.STATE).is_dir():
        found = [row for row in rows if row.state != "missing"]
        notes = [progress.record_result(work, row.exercise_id, row.state, row.points) for row in found]
        for note in filter(None, dict.fromkeys(notes)):
            print(f"· {note}", flush=True)
    elif not os.access(work, os.W_OK):
        print(f"· Progress was not saved: {work} cannot be written to; allow it.", flush=True)
    return rows


def check_id(cell: NotebookNode) -> str | None:
    """The exercise that a check cell is about, from its call `check("01-causal-mask", …)`; None for other cells."""
    if cell.cell_type != "code" or "check" not in cell.metadata.get("tags", []):
        return None
    try:
        tree = ast.parse(cell.source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                return first.value
    return None


def exercise_cells(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """The code cells by exercise id: their cell id or, where an editor changed that, nbgrader's `grade_id`."""
    cells: dict[str, NotebookNode] = {}
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and check_id(cell) is None]
    for cell in code:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id:
            cells.setdefault(grade_id, cell)
    return cells | {cell["id"]: cell for cell in code if cell.get("id")}


def expected_checks(solved: NotebookNode) -> dict[str, NotebookNode]:
    """The check cells of the solved notebook by exercise id, in order."""
    return {name: cell for cell in solved.cells if (name := check_id(cell)) is not None}


def combine(learner: NotebookNode, solved: NotebookNode) -> NotebookNode:
    """The learner's notebook with the solved check cells in the place of theirs, or behind the exercise if deleted."""
    expected = expected_checks(solved)
    present = {name for cell in learner.cells if (name := check_id(cell)) is not None}
    owners = {id(cell): name for name, cell in exercise_cells(learner).items() if name in expected}
    notebook = nbformat.v4.new_notebook(metadata=copy.deepcopy(learner.metadata))
    placed: set[str] = set()
    for cell in learner.cells:
        if cell.cell_type != "code":
            continue
        name = check_id(cell)
        if name in expected:
            if name not in placed:
                notebook.cells.append(_expected(expected[name]))
                placed.add(name)
            continue
        owner = owners.get(id(cell))
        metadata = {"tags": ["nbval-ignore-output"], "exercise": owner}
        notebook.cells.append(nbformat.v4.new_code_cell(cell.source, metadata=metadata))
        if owner is not None and owner not in present and owner not in placed:
            notebook.cells.append(_expected(expected[owner]))
            placed.add(owner)
    return notebook


def _expected(check: NotebookNode) -> NotebookNode:
    cell = copy.deepcopy(check)
    cell.metadata = {"tags": ["check"]}  # without raises-exception: a NameError here has to be reported
    cell.execution_count = 1  # nbval compares only cells that were run
    return cell


def run(
    notebook: NotebookNode, folder: Path, *, python_path: Path | None = None
) -> tuple[dict[int, str], dict[str, dict[str, Any]]]:
    """Runs pytest with nbval in `folder`: what failed, by number of the code cell, and what the checks reported."""
    path, report, junit = folder / "work.ipynb", folder / "report.jsonl", folder / "junit.xml"
    nbformat.write(notebook, path)
    (folder / "pytest.ini").write_text("[pytest]\n")
    remove = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "JPY_PARENT_PID")
    env = {key: value for key, value in os.environ.items() if key not in remove}
    env |= {
        "MMCOURSE_BUDGET": "smoke",
        "MMCOURSE_REPORT": str(report),
        "MMCOURSE_WORK": "",  # the report is recorded once, after the run
        "HF_HUB_OFFLINE": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "IPYTHONDIR": str(folder / "ipython"),
    }
    if python_path is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(python_path.resolve()), env.get("PYTHONPATH", "")]))
    limits = [f"--nbval-cell-timeout={CELL_SECONDS}", f"--junitxml={junit}", f"--rootdir={folder}"]
    command = [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), *_PYTEST, *limits, str(path)]
    told = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}  # never in the locale's encoding
    done = subprocess.run(command, cwd=folder, env=env, **told)
    if not junit.is_file():
        last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        raise CourseError(f"the notebook could not be run: {last}; `mmcourse doctor` looks for the cause")
    lines = report.read_text(encoding="utf-8").splitlines() if report.is_file() else []
    results = [json.loads(line) for line in lines]
    return _failures(junit), {result["exercise_id"]: result for result in results}


def _failures(junit: Path) -> dict[int, str]:
    """The text of every failed cell, by its number among the code cells."""
    failures = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        number = re.search(r"\d+$", case.get("name", ""))
        for kind in ("failure", "error", "skipped"):
            problem = case.find(kind)
            if number and problem is not None:
                text = (problem.text or "") if kind != "skipped" else _AFTER_A_HANG
                failures[int(number.group())] = _COLOR_CODES.sub("", text.replace("#x1B", "\x1b"))
    return failures


def judge(
    learner: NotebookNode,
    solved: NotebookNode,
    notebook: NotebookNode,
    failures: dict[int, str],
    report: dict[str, dict[str, Any]],
) -> list[Row]:
    """The verdict on every exercise of the solved notebook, from what nbval and the checks said."""
    answers = exercise_cells(learner)
    stopped: dict[str, str] = {}  # what ended the exercise cell, or else its check cell
    for number, cell in enumerate(notebook.cells):
        name = cell.metadata.get("exercise") or check_id(cell)
        if name is not None and number in failures:
            stopped.setdefault(name, failures[number])
    return [_row(name, answers.get(name), report.get(name), stopped.get(name)) for name in expected_checks(solved)]


def _row(name: str, answer: NotebookNode | None, result: dict[str, Any] | None, stopped: str | None) -> Row:
    if result is not None:
        state, message = result["status"], result["message"]
        if state == "done" and stopped is not None:
            state, message = "error", "right, but its cells show an error or another output than the solved notebook"
        points, most = result["points"], result["max_points"]
        return Row(exercise_id=name, state=state, message=message, points=points, max_points=most)
    if answer is None:
        advice = f"`mmcourse reset {name[:2]} --beside` gives a fresh notebook to copy it from"
        return Row(exercise_id=name, state="missing", message=f"its cell is missing or was renamed; {advice}")
    if is_blank(answer.source):
        return Row(exercise_id=name, state="unwritten")
    return Row(exercise_id=name, state="error", message=_reason(stopped or ""))


def _reason(text: str) -> str:
    """Why a cell failed, from what nbval says about it: its error, such as `NameError: name 'x' is not defined`."""
    if "Timeout of" in text:
        return f"it did not end within {CELL_SECONDS} seconds: does a loop never stop?"
    if "Kernel dead" in text or text in ("", _AFTER_A_HANG):
        return _AFTER_A_HANG
    found = re.findall(r"^\s*(\w*(?:Error|Exception|Interrupt|Exit)\b.*)$", text, re.MULTILINE)
    return found[-1].strip() if found else "its check did not run"
