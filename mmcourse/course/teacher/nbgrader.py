"""`mmcourse nbgrader`: a course folder for nbgrader, one assignment a chapter, which its own commands accept unchanged.

The folder holds a configuration and, in `source`, the solved notebooks with their solution marks and nbgrader's
metadata: a check is graded by the number it shows (its points, in proportion to the checks passed), a written question
by the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from mmcourse.content import content_dir
from mmcourse.course.author.build import Registry, notebook_text, points_of, registry
from mmcourse.course.author.source import Chapter, notebook_of
from mmcourse.course.teacher.release import read_chapters, refuse_leaks, without_hidden, write_all

CONFIG = '''"""The configuration of nbgrader, written by `mmcourse nbgrader`. Run nbgrader's commands in this folder."""

import os

from nbgrader.converters import Autograde, GenerateAssignment
from nbgrader.preprocessors import ClearSolutions, Execute

from mmcourse.course.teacher.steps import ClearAnswers, ExecuteWithoutWidgets

c = get_config()

c.CourseDirectory.course_id = "mmcourse"
c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))

# Answers are cut out as the course does it, so that what is left is valid Python wherever the answer stood.
steps = GenerateAssignment.class_traits()["preprocessors"].default()
c.GenerateAssignment.preprocessors = [ClearAnswers if step is ClearSolutions else step for step in steps]

# Sliders and progress bars are not answered while a notebook is graded, as that can hold a cell up for minutes.
steps = Autograde.class_traits()["autograde_preprocessors"].default()
c.Autograde.autograde_preprocessors = [ExecuteWithoutWidgets if step is Execute else step for step in steps]

# Answers are graded on small inputs of their own, so the trainings around them may be short.
os.environ["MMCOURSE_BUDGET"] = os.environ.get("MMCOURSE_BUDGET", "smoke")
c.Execute.timeout = 600  # seconds for one cell
'''


def write_course(
    folder: Path,
    numbers: Sequence[str] = (),
    *,
    chapters_dir: Path | None = None,
    exercises: Registry | None = None,
) -> list[Path]:
    """Writes the configuration and the source notebooks of these chapters (all of them by default).

    Args:
        chapters_dir: the folder that holds `source`; by default the course's own.
        exercises: the exercises by id; by default the course's own.
    Returns:
        The files that were written; one that is there already with the same content is left alone.
    Raises:
        CourseError: nbgrader would hand out a line of a solution, or another file is in the way.
    """
    home = content_dir("chapters") if chapters_dir is None else chapters_dir
    every, chosen = read_chapters(home, numbers)
    texts = {"nbgrader_config.py": CONFIG}
    files: dict[str, NotebookNode | str] = {}
    for chapter in chosen:
        known = registry(chapter.number) if exercises is None else exercises
        points = points_of(chapter, known)
        texts[f"source/{chapter.name}/{chapter.name}.ipynb"] = notebook_text(_source(chapter, points))
        files[f"{chapter.name}.ipynb"] = without_hidden(notebook_of(chapter, points, solved=False))
    refuse_leaks(files, every, None)
    return write_all(folder, texts)


def _source(chapter: Chapter, points: dict[str, int]) -> NotebookNode:
    """The notebook that the teacher keeps: solved, the marks around every solution still in it."""
    notebook = notebook_of(chapter, points, solved=True)
    for cell, node in zip(chapter.cells, notebook.cells, strict=True):
        node.source = cell.source
    return without_hidden(notebook)
