"""Everything handed in gets a row, with what is wrong with it, and takes nothing from its neighbours."""

from __future__ import annotations

import csv
import json
import os

import nbformat
import pytest

from mmcourse.course.errors import CourseError
from mmcourse.course.grading import collection, grade_submissions, submission
from mmcourse.course.grading.collection import find_submissions
from mmcourse.course.grading.run import feedback, report

COUNT = "parameters = (\n    4 * 512 * 513\n)"


def notebook(answer=COUNT):
    cells = [
        nbformat.v4.new_code_cell(answer, id="01-parameter-count", metadata={"tags": ["exercise"]}),
        nbformat.v4.new_code_cell('check("01-parameter-count", parameters)', id="c2", metadata={"tags": ["check"]}),
    ]
    return nbformat.v4.new_notebook(cells=cells)


TEXT = json.dumps(notebook())


def write(path, content=TEXT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems(paths, **options):
    return {one.name: one.problem for one in find_submissions(paths, **options)}


@pytest.fixture
def needs_links(tmp_path):
    try:
        (tmp_path / "trial").symlink_to(tmp_path)
        (tmp_path / "trial").unlink()
    except (OSError, NotImplementedError):
        pytest.skip("this system makes no links here")


def old_format():
    cell = {"cell_type": "code", "input": COUNT, "language": "python", "metadata": {}, "outputs": [], "collapsed": True}
    return json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]})


def long_outputs(size):
    made = notebook()
    made.cells[0].outputs = [nbformat.v4.new_output("stream", text="x" * size)]
    return json.dumps(made)


def pasted_picture():
    made = notebook()
    made.cells.append(nbformat.v4.new_markdown_cell(f"![me](data:image/png;base64,{'A' * (2 << 20)})"))
    return json.dumps(made)


READ = {
    "UTF-16": lambda: TEXT.encode("utf-16"),
    "UTF-32": lambda: TEXT.encode("utf-32"),
    "format 3": old_format,
    "outputs of 70 MB": lambda: long_outputs(70 << 20),
    "a picture pasted into a text": pasted_picture,
}


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_what_other_programs_write_is_read(tmp_path, content):
    path = write(tmp_path / "01_small.ipynb", content())
    cells, remarks, _ = submission.read(collection.Submission(student="a", name="a", path=path))
    assert COUNT in [cell.text for cell in cells]
    assert sum(len(cell.text) for cell in cells) < 1000
    assert all("old format" in remark for remark in remarks)


def test_text_without_end_is_refused(tmp_path):
    path = write(tmp_path / "01_small.ipynb", json.dumps(notebook("# x\n" * (1 << 19))))
    with pytest.raises(CourseError, match="a million characters"):
        submission.read(collection.Submission(student="a", name="a", path=path))
    for content in ('{"worksheets": [3]}', '{"worksheets": [{"cells": [{"cell_type": 4}]}]}'):
        with pytest.raises(CourseError, match="damaged"):
            submission.read(collection.Submission(student="a", name="a", path=write(path, content)))


@pytest.mark.usefixtures("needs_links")
def test_a_link_takes_nothing_from_a_neighbour(tmp_path):
    bob = write(tmp_path / "class" / "bob" / "01_small.ipynb")
    (tmp_path / "class" / "alice.ipynb").symlink_to(bob)
    (tmp_path / "class" / "al").symlink_to(bob.parent)
    (tmp_path / "class" / "loop.ipynb").symlink_to("loop.ipynb")
    (tmp_path / "class" / "ring").mkdir()
    (tmp_path / "class" / "ring" / "ring").symlink_to("..")
    expected = dict.fromkeys(("al", "alice.ipynb", "loop.ipynb", "ring/ring"), collection.LINK)
    expected["bob/01_small.ipynb"] = ""
    assert problems([tmp_path / "class"]) == expected
    named = problems(sorted((tmp_path / "class").iterdir()))  # as the shell hands over `class/*`
    assert {name for name, problem in named.items() if problem == ""} == {"01_small.ipynb"}
    assert len(named) == 5
    (tmp_path / "this year").symlink_to(tmp_path / "class")  # the teacher's own
    assert problems([tmp_path / "this year"]) == expected


def test_everything_has_a_row(tmp_path):
    write(tmp_path / "ada.ipynb")
    write(tmp_path / "ada2" / "01_small.ipynb")
    write(tmp_path / "ada2" / "photo.png", b"x")
    write(tmp_path / ".ben.ipynb")
    write(tmp_path / "cleo" / "work.zip", b"PK")
    write(tmp_path / "dan" / "homework.docx", b"x")
    write(tmp_path / "eve.ipynb.txt")
    write(tmp_path / "fay.ipynb" / "inside.ipynb")
    (tmp_path / "gus").mkdir()
    write(tmp_path / "ada2" / ".ipynb_checkpoints" / "01_small-checkpoint.ipynb")
    write(tmp_path / "grades.csv", b"x")
    found = problems([tmp_path], leave_out=[tmp_path / "grades.csv"])
    expected = {
        "ada.ipynb": "",
        "ada2/01_small.ipynb": "",
        ".ben.ipynb": collection.HIDDEN,
        "cleo/work.zip": collection.ARCHIVE,
        "dan/homework.docx": collection.ENDING,
        "fay.ipynb": collection.FOLDER,
        "fay.ipynb/inside.ipynb": "",
        "gus": collection.EMPTY,
    }
    assert collection.ENDING in found.pop("eve.ipynb.txt")
    assert found == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert problems([tmp_path]) == {"pipe.ipynb": collection.SPECIAL}
    with pytest.raises(OSError, match="no plain file"):
        collection.read_plainly(tmp_path / "pipe.ipynb")


def test_very_deep_folders_end_nothing(tmp_path):
    write(tmp_path / "ada.ipynb")
    here = os.open(tmp_path, os.O_RDONLY)
    made = []
    for _ in range(25):  # 25 names of 200 bytes: no path of this length can be opened
        os.mkdir("d" * 200, dir_fd=here)
        made.append(here)
        here = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
    found = find_submissions([tmp_path])
    os.close(here)
    for folder in reversed(made):
        os.rmdir("d" * 200, dir_fd=folder)
        os.close(folder)
    assert [one.problem for one in found if one.student == "ada"] == [""]
    (deep,) = (one for one in found if one.student != "ada")
    assert "cannot be read" in deep.problem
    assert len(deep.name) <= 256


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The rows and the page of a class with names that make trouble."""
    chapters, here = tmp_path_factory.mktemp("chapters"), tmp_path_factory.mktemp("class")
    nbformat.write(notebook("parameters = (\n    ...  # YOUR ANSWER HERE\n)"), chapters / "01_small.ipynb")
    names = ["ada/01_small.ipynb", "ada/again/01_small.ipynb", "ben/a-b.ipynb", "ben/a/b.ipynb", "n" * 249 + ".ipynb"]
    names += ["é" * 124 + ".ipynb", "zoë.ipynb", "zoe\u0308.ipynb"]
    for name in names:
        write(here / name)
    os.link(here / "zoë.ipynb", here / "hard.ipynb")
    if os.name == "posix":
        write(here / os.fsdecode(b"raw\xff.ipynb"))
        (here / "link.ipynb").symlink_to("zoë.ipynb")
    out = here / "grades.csv"
    said = []
    for _ in range(2):  # the table and the pages of the first run are no submissions of the second
        grade_submissions([here], out, workers=1, time_limit=5, chapters=chapters, tell=said.append)
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file)), here, said


@pytest.mark.skipif(os.name != "posix", reason="other systems take fewer names")
def test_names_that_make_trouble_get_rows_and_pages(graded):
    rows, here, said = graded
    assert len(rows) == len(said) == 11
    assert [row["points"] for row in rows if row["status"] != "refused"] == ["1"] * 10
    assert [(row["student"], row["message"]) for row in rows if row["status"] == "refused"] == [
        ("link", collection.LINK)
    ]
    for suffix in (".html", ".md"):
        pages = sorted(path.relative_to(here) for path in (here / "feedback").rglob(f"*{suffix}"))
        assert len({feedback._alike(str(page)) for page in pages}) == len(rows)
    "\n".join(said).encode()  # can be printed


def test_a_student_who_handed_in_twice_is_named(graded):
    rows, _, _ = graded
    twice = {row["student"] for row in rows if "2 times" in row["remarks"]}
    assert twice == {"ada", "ben"}
    assert report.COLUMNS[0] == "student"
