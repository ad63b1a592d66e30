"""A small course of one chapter, built without running it: a source and the two notebooks that belong to it."""

import nbformat
import pytest

from mmcourse.course.author.build import notebook_text, origin
from mmcourse.course.author.source import notebook_of, read_chapter
from mmcourse.course.exercise import Case, Exercise

SOURCE = """\
# %% [markdown]
# Double a number. You may write
#
#     doubled = number + number

# %% tags=["exercise"] id="01-double"
def double(number):
    ### BEGIN SOLUTION
    doubled = number + number
    secret_of_doubling = doubled
    return secret_of_doubling
    ### END SOLUTION


# %% tags=["check"]
check("01-double", double)

# %% tags=["hidden"] id="01-unseen"
assert double("ab") == "abab"

# %% [markdown] tags=["written"] id="01-why"
# Why?
#
# ### BEGIN SOLUTION
# Because two halves make a whole.
# ### END SOLUTION
"""
EXERCISES = {
    "01-double": Exercise(
        id="01-double",
        title="Double",
        goal="",
        stars=1,
        minutes=1,
        points=3,
        reference=lambda number: 2 * number,
        cases=(Case(name="three", inputs=lambda generator: (3,)),),
    )
}


@pytest.fixture
def course(tmp_path):
    """The folder of the chapters; `01_tiny` is its only one."""
    home = tmp_path / "chapters"
    (home / "source").mkdir(parents=True)
    source = home / "source" / "01_tiny.py"
    source.write_text(SOURCE, encoding="utf-8")
    chapter = read_chapter(source)
    for folder, solved in ((home, False), (home / "solutions", True)):
        folder.mkdir(exist_ok=True)
        notebook = notebook_of(chapter, {"01-double": 3, "01-why": 2}, solved=solved)
        notebook.metadata["mmcourse"] = origin(chapter, EXERCISES)
        (folder / "01_tiny.ipynb").write_text(notebook_text(notebook), encoding="utf-8")
    (home / "glossary.md").write_text("# Glossary\n", encoding="utf-8")
    return home


@pytest.fixture
def exercises():
    return EXERCISES


@pytest.fixture
def blank(course):
    """The blank notebook of the small course."""
    return nbformat.read(course / "01_tiny.ipynb", as_version=4)
