"""No line of a solution is handed out: planted in odd places it is found, and what a chapter tells openly is not."""

import json

import nbformat
import pytest

from mmcourse.content import content_dir
from mmcourse.course.author.source import chapter_sources, read_chapter
from mmcourse.course.teacher.leaks import leaks, plain, solution_lines


@pytest.fixture
def secret(course):
    return solution_lines([read_chapter(path) for path in chapter_sources(course)])


def test_lines_that_the_chapter_tells_are_no_secret(secret):
    assert secret == {
        "secret_of_doubling = doubled": "01-double",
        "return secret_of_doubling": "01-double",
        'assert double("ab") == "abab"': "01-unseen",
        "Because two halves make a whole.": "01-why",
    }


@pytest.fixture
def blank(blank):
    """As it is handed out: without the hidden cell."""
    blank.cells = [cell for cell in blank.cells if cell.id != "01-unseen"]
    return blank


def test_a_blank_notebook_leaks_nothing(blank, secret):
    assert leaks({"01_tiny.ipynb": blank}, secret) == []


def in_source(text):
    return lambda cell: cell.update(source=f"{cell.source}\n{text}")


def test_a_hidden_cell_that_is_handed_out_is_found(course, secret):
    built = json.loads((course / "01_tiny.ipynb").read_text("utf-8"))
    assert leaks({"a": built}, secret) == [
        'a, cell 01-unseen: holds a line of 01-unseen: \'assert double("ab") == "abab"\''
    ]


def in_output(cell):
    data = {"text/html": "<pre>return secret_of_doubling</pre>"}
    cell.outputs = [nbformat.v4.new_output("display_data", data)]


def in_stream(cell):
    cell.outputs = [nbformat.v4.new_output("stream", text="now\nsecret_of_doubling = doubled\n")]


PLANTED = {
    "as it is": in_source("return secret_of_doubling"),
    "indented": in_source("\t        return   secret_of_doubling  "),
    "a comment": in_source("# return secret_of_doubling"),
    "within a line": in_source("x = 1; return secret_of_doubling  # so"),
    "a quote of the written answer": in_source("> Because two halves make a whole."),
    "an item of a list": in_source("  - `return secret_of_doubling`"),
    "a marker without its answer": in_source("        ### END SOLUTION"),
    "a marker in small letters": in_source("#begin solution"),
    "a marker behind code": in_source("x = 1  ### BEGIN SOLUTION"),
    "several blocks": in_source("### BEGIN SOLUTION\n1\n### END SOLUTION\n### BEGIN SOLUTION\n2\n### END SOLUTION"),
    "hidden tests": in_source("### BEGIN HIDDEN TESTS"),
    "metadata": lambda cell: cell.metadata.update(note={"old": ["a", "return secret_of_doubling"]}),
    "an output": in_output,
    "what was printed": in_stream,
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_planted_line_is_found(blank, secret, plant):
    cell = next(cell for cell in blank.cells if cell.id == "01-double")
    plant(cell)
    found = leaks({"01_tiny.ipynb": json.loads(nbformat.writes(blank))}, secret)
    assert found
    assert all("01_tiny.ipynb" in sentence and "cell 01-double" in sentence for sentence in found)


def test_a_planted_line_is_found_in_a_text_cell_in_the_metadata_of_the_file_and_in_another_file(blank, secret):
    blank.cells[0].source += "\n\n    return secret_of_doubling\n"
    blank.metadata["note"] = "secret_of_doubling = doubled"
    found = leaks({"a.ipynb": blank, "b.md": "1. Because two halves make a whole."}, secret)
    assert len(found) == 3


def test_hidden_checks_are_secret_but_for_what_the_chapter_tells(course):
    chapters = [read_chapter(path) for path in chapter_sources(course)]
    secret = solution_lines(chapters, hidden='CASES = {"01-double": my_cases}\n\ndoubled = number + number\n')
    assert secret['CASES = {"01-double": my_cases}'] == "the hidden checks"
    assert "doubled = number + number" not in secret


def test_lines_are_compared_without_their_dress():
    assert {plain(text) for text in ("  x  = 1", "# x = 1", "> - x = 1", "1. `x = 1`", "x = 1\t")} == {"x = 1"}


def test_every_chapter_has_secrets_and_its_blank_notebook_tells_none():
    home = content_dir("chapters")
    every = [read_chapter(path) for path in chapter_sources(home)]
    secret = solution_lines(every)
    assert {place[:2] for place in secret.values()} == {chapter.number for chapter in every}
    files = {path.name: json.loads(path.read_text("utf-8")) for path in sorted(home.glob("*.ipynb"))}
    assert len(files) == len(every)
    assert leaks(files | {"glossary.md": (home / "glossary.md").read_text("utf-8")}, secret) == []
    solved = home / "solutions" / f"{every[0].name}.ipynb"
    assert len(leaks({"solved": json.loads(solved.read_text("utf-8"))}, secret)) >= 5
