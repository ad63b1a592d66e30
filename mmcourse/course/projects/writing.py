"""The folder of a project: a notebook from one template, pictures to begin with, a rubric and a test of the data."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from string import Template

import jupytext
import nbformat
from nbformat import NotebookNode
from PIL import Image

from mmcourse.course.author.execute import execute
from mmcourse.course.author.source import python_notebook
from mmcourse.course.errors import CourseError
from mmcourse.course.projects.drawing import draw_project
from mmcourse.course.projects.project import NEEDS, Project
from mmcourse.course.projects.topics import PROJECTS
from mmcourse.files import draft_of, expanded
from mmcourse.runtime import progress

COUNT = 144  # pictures
NOTEBOOK, DATA = "project.ipynb", "data"
TEMPLATES = Path(__file__).parent / "templates"
COLUMNS = {"classify": "`file_name`, `text` and `label`", "find": "`file_name` and `text`"}
TEST = '''"""The test of the data: `pytest test_data.py`."""

from pathlib import Path

from mmcourse.course.projects.checking import check_data

FOLDER = "data"  # the same as in the notebook


def test_nothing_is_wrong_with_the_data():
    problems = check_data(Path(__file__).parent / FOLDER, kind="{kind}")
    assert not problems, "\\n".join(problems)
'''


def find_project(name: str) -> Project:
    """The project with this name.

    Raises:
        CourseError: there is none; the message names all.
    """
    if name not in PROJECTS:
        raise CourseError(f"there is no project {name!r}; the projects are: {', '.join(PROJECTS)}")
    return PROJECTS[name]


def worked_out() -> list[str]:
    """The names of the projects that are worked out to the end."""
    return [name for name in PROJECTS if (TEMPLATES / f"{name}.txt").is_file()]


def write_project(name: str, folder: Path, *, count: int = COUNT, solved: bool = False, quiet: bool = False) -> Path:
    """Writes the folder of a project, whole or not at all.

    Args:
        name: of the project, such as "medicine".
        folder: a new one, or an empty one.
        count: about so many pictures.
        solved: with what came out of it, for those that are worked out; the notebook is not run yet.
        quiet: show no progress bar.
    Raises:
        CourseError: there is no such project, or something is in the folder already.
    """
    project, folder = find_project(name), expanded(folder)
    notebook = notebook_of(project, solved=solved)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CourseError(f"{folder} is there already and not empty, and nothing is overwritten; name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(folder) as draft:
        (draft / DATA).mkdir(parents=True)
        write_pictures(project, draft / DATA, count=count, quiet=quiet)
        nbformat.write(notebook, draft / NOTEBOOK)
        (draft / "RUBRIC.md").write_text(_filled("rubric", project), encoding="utf-8")
        (draft / "test_data.py").write_text(TEST.format(kind=project.kind), encoding="utf-8")
    return folder


def write_pictures(project: Project, folder: Path, *, count: int, quiet: bool = False) -> None:
    """Draws the pictures of a project into a folder, an `imagefolder` with a `metadata.csv`."""
    drawn = draw_project(project, count)
    table = io.StringIO()
    labels = ["label"] if project.kind == "classify" else []
    rows = csv.DictWriter(table, ["file_name", "text", *labels, "group"], extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    for number, picture in enumerate(drawn if quiet else progress(drawn, "Drawing pictures", total=count)):
        file = f"{number:03}.png"
        Image.fromarray(picture.image.permute(1, 2, 0).contiguous().numpy()).save(folder / file)
        rows.writerow({"file_name": file, "text": picture.text, "label": picture.label, "group": picture.group})
    (folder / "metadata.csv").write_text(table.getvalue(), encoding="utf-8")


def notebook_of(project: Project, *, solved: bool = False) -> NotebookNode:
    """The notebook of a project, without outputs.

    Raises:
        CourseError: `solved`, and this project is not worked out.
    """
    if solved and project.name not in worked_out():
        raise CourseError(f"{project.name} is not worked out; these are: {', '.join(worked_out())}")
    chapters = ["opening", project.kind, "closing", *([project.name] if solved else []), "next"]
    text = "\n".join(_filled(part, project) for part in chapters)
    cells = jupytext.reads(text, fmt="py:percent").cells
    make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    named = [
        make[cell.cell_type](source=cell.source, id=f"{project.name}-{number}") for number, cell in enumerate(cells)
    ]
    return python_notebook(named)


def _filled(part: str, project: Project) -> str:
    """A part of the template with what the project says."""
    needs = [f"- **{name}**: {project.needs[name].text} *({project.needs[name].source})*" for name in NEEDS]
    return Template((TEMPLATES / f"{part}.txt").read_text(encoding="utf-8")).substitute(
        name=project.name, title=project.title, question=project.question, reader=project.reader, unit=project.unit,
        kind=project.kind, dear=project.dear, columns=COLUMNS[project.kind], needs="\n# ".join(needs),
        words=_python({look.label: look.words for look in project.looks}), prices=_python(dict(project.prices)),
        ask=repr(project.ask),
    )  # fmt: skip


def _python(table: dict) -> str:
    """A dict as code, a line each where it is not empty."""
    lines = [f"    {key!r}: {value!r},\n".replace("'", '"') for key, value in table.items()]
    return "{\n" + "".join(lines) + "}" if lines else "{}"


def run_project(folder: Path) -> None:
    """Runs the notebook of a project in its folder, and keeps what it shows.

    Raises:
        BuildError: a cell raised.
    """
    path = folder / NOTEBOOK
    done = execute(nbformat.read(path, as_version=4), name=folder.name, threads=1, where=folder)
    with draft_of(path) as draft:
        nbformat.write(done, draft)
