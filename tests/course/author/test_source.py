"""Parsing chapter sources: roles, ids, solution regions, nbgrader metadata."""

import nbformat
import pytest

from mmcourse.course.author.source import (
    BLANK_TEXT,
    BuildError,
    Cell,
    blank_source,
    chapter_sources,
    grading_metadata,
    notebook_of,
    read_chapter,
    without_markers,
)

SOURCE = """\
# %% [markdown]
# # A title

# %% tags=["exercise"] id="01-double"
def double(x):
    \"\"\"Twice x.\"\"\"
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% tags=["check"]
check("01-double", double)

# %% [markdown] tags=["written"] id="01-why" points=5
# Why?
#
# ### BEGIN SOLUTION
# Because.
# ### END SOLUTION

# %%
x = 1

# %%
x = 1
"""


@pytest.fixture
def read(tmp_path):
    def parse(text, name="01_tiny"):
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return read_chapter(path)

    return parse


def exercise(source):
    return Cell(kind="code", source=source, id="01-a", role="exercise", exercise="01-a")


def test_cells_have_roles_and_exercises(read):
    chapter = read(SOURCE)
    assert chapter.number == "01"
    assert [(cell.kind, cell.role, cell.exercise, cell.points) for cell in chapter.cells] == [
        ("markdown", None, None, None),
        ("code", "exercise", "01-double", None),
        ("code", "check", "01-double", None),
        ("markdown", "written", "01-why", 5),
        ("code", None, None, None),
        ("code", None, None, None),
    ]


def test_ids_are_valid_unique_and_survive_moving_and_editing_other_cells(read):
    before = [cell.id for cell in read(SOURCE).cells]
    after = [cell.id for cell in read(SOURCE.replace("A title", "Another") + "\n# %%\ny = 2\n").cells]
    assert before[1:4] == ["01-double", "01-double-check", "01-why"]
    assert before[5] == f"{before[4]}-2"
    assert len(set(after)) == len(after) == 7
    assert after[1:6] == before[1:]
    assert after[0] != before[0]
    nbformat.validate(notebook_of(read(SOURCE), {"01-double": 3, "01-why": 5}, solved=True))


@pytest.mark.parametrize(
    ("source", "blank"),
    [
        (
            'def f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    y = x\n\n    return y\n    ### END SOLUTION',
            'def f(x):\n    """Doc."""\n    # YOUR CODE HERE\n    raise NotImplementedError',
        ),
        (
            "answer = (\n    ### BEGIN SOLUTION\n    4 * 64\n    ### END SOLUTION\n)",
            "answer = (\n    ...  # YOUR ANSWER HERE\n)",
        ),
        (
            "class A:\n    def f(self):\n        ### BEGIN SOLUTION\n        pass\n        ### END SOLUTION\n\nb = 1",
            "class A:\n    def f(self):\n        # YOUR CODE HERE\n        raise NotImplementedError\n\nb = 1",
        ),
        (
            "values = [\n    1,\n    ### BEGIN SOLUTION\n    2,\n    3,\n    ### END SOLUTION\n]",
            "values = [\n    1,\n    ...  # YOUR ANSWER HERE\n]",
        ),
    ],
)
def test_blank_cell_is_python_without_the_answer(source, blank):
    assert blank_source(exercise(source)) == blank
    compile(blank, "blank", "exec")


def test_blank_cell_that_cannot_be_python_is_an_error():
    with pytest.raises(BuildError, match="cell 01-a: without its answer the cell is no Python"):
        blank_source(exercise("answer = [1,\n### BEGIN SOLUTION\n2]\n### END SOLUTION"))


def test_written_answer_is_shown_without_markers_and_taken_out_of_the_blank(read):
    written = read(SOURCE).cells[3]
    assert without_markers(written) == "Why?\n\nBecause."
    assert blank_source(written) == f"Why?\n\n{BLANK_TEXT}"


def test_nbgrader_metadata():
    cells = {role: Cell(kind="code", source="", id=f"01-{role}", role=role) for role in ("exercise", "check")}
    assert grading_metadata(cells["exercise"], 3) == {
        "schema_version": 3,
        "grade_id": "01-exercise",
        "task": False,
        "cell_type": "code",
        "grade": False,
        "solution": True,
        "locked": False,
    }
    check = grading_metadata(cells["check"], 3)
    assert (check["grade"], check["solution"], check["locked"], check["points"]) == (True, False, True, 3)
    written = grading_metadata(Cell(kind="markdown", source="", id="01-why", role="written"), 2)
    assert (written["grade"], written["solution"], written["locked"], written["points"]) == (True, True, False, 2)


def test_run_all_goes_on_past_exercises_and_checks_only(read):
    notebook = notebook_of(read(SOURCE), {}, solved=False)
    assert [cell.metadata.get("tags") for cell in notebook.cells] == [
        None,
        ["exercise", "raises-exception"],
        ["check", "raises-exception"],
        ["written"],
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("### END SOLUTION\n\n# %% tags", "\n# %% tags", "1 × ### BEGIN SOLUTION and 0 × ### END SOLUTION"),
        ("    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION", "    return 2", "have exactly one"),
        ("    return 2 * x\n", "", "write one pair around an answer"),
        ("x = 1\n", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n", "other cells none"),
        (' id="01-double"', "", "tagged exercise without id"),
        ('id="01-double"', 'id="01 double"', "rename it"),
        ('id="01-why"', 'id="01-double"', "'01-double' is there twice"),
        ('check("01-double", double)', 'print("hello")', "a check cell is one line"),
        ('check("01-double", double)', "check(name, double)", "a check cell is one line"),
        ('check("01-double", double)', 'x = 1\ncheck("01-double", double)', "a check cell is one line"),
        ('[markdown] tags=["written"]', '[markdown] tags=["exercise"]', "a markdown cell is tagged exercise"),
        ("points=5", 'points="5"', "points are a whole number"),
    ],
)
def test_slips_in_a_source_are_named_with_their_place(read, old, new, said):
    assert old in SOURCE
    with pytest.raises(BuildError, match="01_tiny") as caught:
        read(SOURCE.replace(old, new, 1))
    assert said in str(caught.value)


def test_chapters_are_found_by_number_or_name(tmp_path):
    (tmp_path / "source").mkdir()
    for name in ("01_attention", "00_start", "notes", "02_entropy"):
        (tmp_path / "source" / f"{name}.py").write_text("", encoding="utf-8")
    assert [path.stem for path in chapter_sources(tmp_path)] == ["00_start", "01_attention", "02_entropy"]
    for wanted in (1, "01", "01_attention"):
        assert [path.stem for path in chapter_sources(tmp_path, wanted)] == ["01_attention"]
    with pytest.raises(BuildError, match="no chapter '07' to build; the chapter sources are: 00_start, 01_attention"):
        chapter_sources(tmp_path, 7)
