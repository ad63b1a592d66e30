"""Many submissions: damaged files among good ones, a run that is killed and goes on, the table and the pages."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time

import nbformat
import pytest

from mmcourse.course.errors import CourseError
from mmcourse.course.grading import grade_submissions
from mmcourse.course.grading.collection import find_submissions
from mmcourse.course.grading.run import feedback, report

MASK = "def build_causal_mask(length):\n    place = torch.arange(length)\n    return place <= place[:, None]"
INVERTED = (
    "def build_causal_mask(length):\n    print('<b>mine</b>')\n    return ~torch.ones(length, length).tril().bool()"
)
COUNT = "parameters = (\n    4 * 512 * 513\n)"
BLANK = "def build_causal_mask(length):\n    # YOUR CODE HERE\n    raise NotImplementedError"


WRITTEN = "### ✏️ Written question · Why?\n\nBecause."


def notebook(mask=MASK, count=COUNT):
    def code(text, name, *tags):
        return nbformat.v4.new_code_cell(text, id=name, metadata={"tags": list(tags)})

    cells = [
        nbformat.v4.new_markdown_cell("# One\n\n## 2 · Masks", id="01-masks"),
        code("import torch", "01-start"),
        code(mask, "01-causal-mask", "exercise"),
        code('check("01-causal-mask", build_causal_mask)', "c1", "check"),
        code(count, "01-parameter-count", "exercise"),
        code('check("01-parameter-count", parameters)', "c2", "check"),
        nbformat.v4.new_markdown_cell(WRITTEN, id="01-why-scale", metadata={"tags": ["written"]}),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def renamed():
    made = notebook(MASK.replace("build_causal_mask", "mask"))
    made.cells[1].source = "import torch, math"
    return made


def without_cell():
    made = notebook()
    del made.cells[2]
    return made


def doubled():
    made = notebook(mask=INVERTED)
    made.cells.insert(3, nbformat.v4.new_code_cell(MASK, id="01-causal-mask"))
    return made


def copied():
    made = notebook(mask=BLANK)
    made.cells.insert(3, nbformat.v4.new_code_cell(MASK, id="a-copy"))
    return made


def retyped():
    made = notebook()
    made.cells[2] = nbformat.v4.new_markdown_cell(MASK, id="01-causal-mask")
    return made


def without_ids():
    made = notebook()
    for cell in made.cells:
        cell.id = f"x{cell.id[3:]}"
    return made


def without_ids_renamed():
    made = without_ids()
    for cell in made.cells:
        cell.source = cell.source.replace("build_causal_mask", "mask")
    return made


def other_kernel():
    made = notebook()
    made.metadata = {"kernelspec": {"name": "julia-1.9", "display_name": "Julia", "language": "julia"}}
    return made


def garbled_cells():
    made = json.loads(json.dumps(notebook()))
    made["cells"] += [None, 7, {"cell_type": "code"}, {"cell_type": "code", "source": {"a": 1}, "metadata": [1]}]
    return json.dumps(made)


FILES = {
    "ada.ipynb": notebook(),
    "ben/01_small.ipynb": notebook(INVERTED, "parameters = 1"),
    "cleo/01_small/01_small.ipynb": notebook(mask=BLANK),
    "dan/homework final (2).ipynb": notebook(),
    "eve.ipynb": notebook("import os\ndef build_causal_mask(length):\n    os._exit(0)"),
    "f-renamed.ipynb": renamed(),
    "g-without.ipynb": without_cell(),
    "h-doubled.ipynb": doubled(),
    "i-copied.ipynb": copied(),
    "j-retyped.ipynb": retyped(),
    "k-noids/01_small.ipynb": without_ids(),
    "k-noids2.ipynb": without_ids_renamed(),
    "l-kernel.ipynb": other_kernel(),
    "m-garbled.ipynb": garbled_cells(),
    "n-json.ipynb": '{"cells": [',
    "o-json/01_small.ipynb": json.dumps(notebook())[:-400],
    "p-empty.ipynb": "",
    "q-list.ipynb": "[1, 2]",
    "r-binary.ipynb": b"\xff\xfe\x00\x80" * 99,
    "s-deep.ipynb": "[" * 100_000,
    "t-other.ipynb": nbformat.v4.new_notebook(),
    "=u.ipynb": notebook("1 / 0"),
    "v-bom.ipynb": b"\xef\xbb\xbf" + json.dumps(notebook()).encode(),
}
RIGHT = ["ada", "dan", "f-renamed", "h-doubled", "i-copied", "j-retyped", "k-noids", "k-noids2", "l-kernel"]
RIGHT += ["m-garbled", "v-bom"]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapters")
    nbformat.write(
        notebook(mask=BLANK, count="parameters = (\n    ...  # YOUR ANSWER HERE\n)"), folder / "01_small.ipynb"
    )
    return folder


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, nbformat.NotebookNode):
            content = json.dumps(content)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "ada-checkpoint.ipynb").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def graded(course, class_folder, tmp_path_factory):
    """The table of the whole class, and what was said."""
    out = tmp_path_factory.mktemp("out") / "grades.csv"
    said = []
    grade_submissions([class_folder], out, workers=2, time_limit=5, chapters=course, tell=said.append)
    return out, said


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == report.COLUMNS
    return {(row["student"], row["exercise"]): row for row in rows}


def test_right_answers_get_their_points_however_the_file_looks(graded):
    rows = table(graded[0])
    for student in RIGHT:
        assert [rows[student, name]["points"] for name in ("01-causal-mask", "01-parameter-count")] == ["1", "1"], (
            student
        )
    assert len({student for student, _ in rows}) == len(FILES)


def test_what_is_odd_about_a_file_is_named(graded):
    rows = table(graded[0])
    words = {
        "dan": "renamed",
        "h-doubled": "2 times",
        "i-copied": "another cell",
        "j-retyped": "markdown cell",
        "k-noids": "lost its id",
        "k-noids2": "the check below it",
        "l-kernel": "julia",
        "m-garbled": "4 damaged cells",
    }
    for student, word in words.items():
        assert word in rows[student, "01-causal-mask"]["remarks"], student
    assert "another name" in rows["f-renamed", "01-causal-mask"]["tampering"]
    assert rows["g-without", "01-causal-mask"]["status"] == "missing"
    assert rows["g-without", "01-parameter-count"]["points"] == "1"
    for student in ("n-json", "p-empty", "q-list", "r-binary", "s-deep", "t-other"):
        assert rows[student, ""]["status"] == "damaged", student
    assert rows["o-json", "01-causal-mask"]["status"] == "damaged"
    assert "no cell of it" in rows["t-other", ""]["message"]


def test_wrong_answers_are_told(graded):
    rows = table(graded[0])
    assert "inverted" in rows["ben", "01-causal-mask"]["mistake"]
    assert rows["ben", "01-causal-mask"]["failed"].startswith("4 tokens")
    assert rows["cleo", "01-causal-mask"]["status"] == "unwritten"
    assert rows["eve", "01-causal-mask"]["limit"] == "ended"
    assert rows["eve", "01-parameter-count"]["points"] == "1"
    assert rows["'=u", "01-causal-mask"]["status"] == "error"


def test_the_pages_show_points_output_and_nothing_that_runs(graded):
    place = graded[0].with_name("feedback")
    for suffix in (".html", ".md"):
        assert len(list(place.rglob(f"*{suffix}"))) == len(FILES)
    text = (place / "ben" / "ben-01_small.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;mine&lt;/b&gt;" in text
    assert "<b>mine" not in text
    assert "<b>0 of 2 points</b>" in text
    assert "leaves out 1 written question" in text
    assert "Question “Why?” (01-why-scale" in text
    assert "<h2>Nobody sees the future (01-causal-mask, in “2 · Masks”): not right yet, 0 of 1 point</h2>" in text
    assert "list-style:none" in text
    missing = (place / "g-without" / "g-without.html").read_text(encoding="utf-8")
    assert "<p>Its cell is missing.</p>" in missing
    damaged = (place / "n-json" / "n-json.md").read_text(encoding="utf-8")
    assert "**Nothing could be graded.**" in damaged
    assert "The file is damaged: it is no JSON." in damaged
    assert "Because." in text or "Nothing written." in text
    markdown = (place / "ben" / "ben-01_small.md").read_text(encoding="utf-8")
    assert "**0 of 2 points**" in markdown
    assert "```text\n<b>mine</b>" in markdown


def test_a_fence_is_longer_than_what_it_holds():
    assert feedback._fenced("a\n````\nb")[0] == "`````text"
    assert feedback._plain("![x](y) <script> `a<b`") == r"\!\[x\](y) \<script\> `a<b`"


def test_a_second_run_grades_nothing_again(graded, course, class_folder):
    out, _ = graded
    before = out.read_bytes()
    said = []
    done = grade_submissions([class_folder], out, workers=2, time_limit=5, chapters=course, tell=said.append)
    assert (done.files, done.kept) == (len(FILES), len(FILES))
    assert not said
    assert out.read_bytes() == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no such signal")
def test_a_killed_run_goes_on_and_ends_with_the_same_file(graded, course, class_folder, tmp_path, spawn):
    out = tmp_path / "grades.csv"
    call = (
        f"grade_submissions([{str(class_folder)!r}], {str(out)!r}, workers=1, time_limit=5, chapters={str(course)!r})"
    )
    command = [sys.executable, "-c", f"from mmcourse.course.grading import grade_submissions; {call}"]
    parts = out.with_name("grades.csv.parts")
    process = spawn(command)
    deadline = time.monotonic() + 300
    while len(list(parts.glob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    kept = len(list(parts.glob("*.json")))
    assert 3 <= kept < len(FILES)
    assert not out.exists()
    end = time.monotonic() + 100
    while time.monotonic() < end:  # nobody of the killed run is left
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("processes of the killed run are still there")
    done = grade_submissions([class_folder], out, workers=2, time_limit=5, chapters=course)
    assert done.kept >= kept
    assert out.read_bytes() == graded[0].read_bytes()


SPY = """import os, sys
def build_causal_mask(length):
    print("got", length, sys.argv, sys.orig_argv, dict(os.environ))
    open(f"/nowhere/{length}", "w") if length == 5 else None
    return torch.ones(length, length).tril().bool()"""


def test_checks_of_the_teachers_own(course, tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHERS_TOKEN", "token-of-the-teacher")
    hidden = tmp_path / "hidden.py"
    hidden.write_text(
        "from mmcourse.course.exercise import Case\n"
        "CASES = {'01-causal-mask': (Case(name='a secret length', inputs=lambda generator: (5,)),)}\n"
    )
    here = tmp_path / "class"
    here.mkdir()
    lazy = "def build_causal_mask(length):\n    return torch.ones(length, length).tril().bool() if length != 5 else 1"
    nbformat.write(notebook(lazy), here / "lazy.ipynb")
    nbformat.write(notebook(), here / "right.ipynb")
    nbformat.write(notebook(SPY), here / "spy.ipynb")
    out = tmp_path / "grades.csv"
    grade_submissions([here], out, workers=1, hidden=hidden, salt="salt-and-pepper", chapters=course)
    rows = table(out)
    assert (rows["right", "01-causal-mask"]["points"], rows["right", "01-causal-mask"]["total"]) == ("1", "5")
    assert (rows["lazy", "01-causal-mask"]["points"], rows["lazy", "01-causal-mask"]["passed"]) == ("0", "4")
    for page in tmp_path.joinpath("feedback", "lazy").iterdir():
        text = page.read_text(encoding="utf-8")
        assert "secret" not in text
        assert "1 of 2 checks that are not shown" in text
    seen = "".join(page.read_text(encoding="utf-8") for page in tmp_path.joinpath("feedback", "spy").iterdir())
    assert "got 4 [" in seen
    assert "files (in a check that is not shown)" in seen
    for unseen in ("got 5", "nowhere/5", "salt-and-pepper", "hidden.py", "token-of-the-teacher", "TEACHERS_TOKEN"):
        assert unseen not in seen


def test_students_are_told_apart(tmp_path):
    names = ("a.ipynb", "b/01_x.ipynb", "c/01_x/01_x.ipynb", ".git/x.ipynb", "b/.ipynb_checkpoints/y.ipynb", "d.txt")
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert [one.student for one in find_submissions([tmp_path])] == ["a", "b", "c", "d"]
    assert [one.student for one in find_submissions([tmp_path / "b" / "01_x.ipynb"])] == ["b"]
    with pytest.raises(CourseError, match="is not there"):
        find_submissions([tmp_path / "nobody"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CourseError, match="no notebook"):
        find_submissions([empty])


@pytest.mark.parametrize("options", [{"workers": 0}, {"ready_made": "perhaps"}])
def test_wrong_arguments(tmp_path, options):
    with pytest.raises(CourseError, match=next(iter(options))):
        grade_submissions([tmp_path], tmp_path / "x.csv", **options)
