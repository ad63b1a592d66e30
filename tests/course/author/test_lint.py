"""The rules of a chapter's shape: each is broken once and named."""

import nbformat
import pytest

from mmcourse.course.author.lint import lint
from mmcourse.course.author.source import BuildError, notebook_of, read_chapter
from mmcourse.course.exercise import Exercise

SOURCE = """\
# %% [markdown]
# Read this and see `just = 1` and "just" as it is.

# %% tags=["nbval-ignore-output"]
generator = open_chapter(1)

# %% [markdown]
# Then.

# %%
x = 1

# %% tags=["exercise"] id="01-double"
def double(x):
    ### BEGIN SOLUTION
    y = 2 * x
    return y
    ### END SOLUTION

# %% [markdown]
# Between.

# %% tags=["exercise"] id="01-value"
value = (
    ### BEGIN SOLUTION
    6 * 7
    ### END SOLUTION
)

# %% tags=["check"]
check("01-value", value)
"""
RIGHT = SOURCE.replace(
    "# %% [markdown]\n# Between.", '# %% tags=["check"]\ncheck("01-double", double)\n\n# %% [markdown]\n# Between.'
)
RIGHT = RIGHT.replace("# %%\nx = 1\n\n", "")


def exercise(name):
    return Exercise(id=name, title="t", goal="g", stars=1, minutes=1, points=1, reference=1)


EXERCISES = {name: exercise(name) for name in ("01-double", "01-value")}


@pytest.fixture
def look(tmp_path):
    """Lints a source; its notebooks are written without running them, and may be changed before the look."""

    def run(text, change=lambda solved, blank: None, exercises=EXERCISES):
        for folder in ("source", "solutions"):
            (tmp_path / folder).mkdir()
        path = tmp_path / "source" / "01_tiny.py"
        path.write_text(text, encoding="utf-8")
        chapter = read_chapter(path)
        solved, blank = (notebook_of(chapter, dict.fromkeys(EXERCISES, 1), solved=solved) for solved in (True, False))
        change(solved, blank)
        nbformat.write(solved, tmp_path / "solutions" / "01_tiny.ipynb")
        nbformat.write(blank, tmp_path / "01_tiny.ipynb")
        return lint("01", chapters_dir=tmp_path, exercises=exercises)

    return run


def test_good_chapter_has_no_problem_and_is_measured(look):
    report = look(RIGHT)
    assert report.problems == ()
    measures = report.measures
    assert (measures.cells, measures.exercises, measures.figures, measures.most_code_lines) == (8, 2, 0, 5)
    assert measures.median_code_lines == 5
    assert measures.words_per_text_cell == 4
    assert str(measures).startswith("8 cells, 2 exercises, 0 figures, code cells of 5 lines")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# Between.", "# We just do it.", "says 'just'"),
        ("# Between.", "# Simply put.", "says 'Simply'"),
        ("# Between.", "# Said in\n# 2016. And later.", "begins with '2016.'"),
        ("# %% [markdown]\n# Between.", "# %%\nx = 1", "more than 2 code cells in a row"),
        ("# Between.", "# Between.\n\n# %%\n" + "\n".join(f"x{n} = {n}" for n in range(41)), "41 lines of code"),
        ("open_chapter(1)", "open_chapter(2)", "the first code cell calls open_chapter(1), to say what"),
        ('# %% tags=["nbval-ignore-output"]', "# %%", 'and is tagged "nbval-ignore-output"'),
        ('check("01-double", double)', 'check("01-value", double)', "followed by its check cell"),
        (
            "value = (\n    ### BEGIN SOLUTION\n    6 * 7\n    ### END SOLUTION\n)",
            "### BEGIN SOLUTION\nvalue = 42\n### END SOLUTION",
            "the answer stands at top level",
        ),
    ],
)
def test_broken_rule_is_named(look, old, new, said):
    assert old in RIGHT
    text = RIGHT.replace(old, new)
    if '01-value", double' in new:
        text = text.replace(
            'tags=["check"]\ncheck("01-value", double)', 'tags=["check"] id="other"\ncheck("01-value", double)'
        )
    problems = look(text).problems
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("01_tiny, ") for problem in problems)


def test_exercises_and_registry_must_match(look):
    problems = look(RIGHT, exercises={"01-double": exercise("01-double"), "01-lost": exercise("01-lost")}).problems
    assert any("exercise '01-value' is not among the exercises" in problem for problem in problems)
    assert any("exercise '01-lost' is defined but no cell asks it" in problem for problem in problems)
    assert len(problems) == 3  # the exercise cell, its check cell, and the lost one


@pytest.mark.parametrize(("points", "accepted"), [("1", True), ("0", False)])
def test_solution_must_pass_its_own_check(look, points, accepted):
    def change(solved, blank):
        solved.cells[4].outputs = [nbformat.v4.new_output("execute_result", data={"text/plain": points})]

    expected = "01_tiny, cell 01-double-check: the check does not accept the solution; mend the answer or the exercise"
    assert look(RIGHT, change).problems == (() if accepted else (expected,))


def test_notebooks_of_another_source_are_named(look):
    (problem,) = look(RIGHT, lambda solved, blank: blank.cells.pop()).problems
    assert problem == "01_tiny, its notebooks were built from another source; run `mmcourse build 01`"


def test_chapter_that_is_not_built_is_named(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "01_tiny.py").write_text(RIGHT, encoding="utf-8")
    with pytest.raises(BuildError, match="01_tiny is not built yet; run `mmcourse build 01`"):
        lint("01", chapters_dir=tmp_path, exercises=EXERCISES)
    assert lint("01", chapters_dir=tmp_path, exercises=EXERCISES, built=False).problems == ()


def picture(alt):
    metadata = {"image/png": {"alt": alt}} if alt else {}
    return nbformat.v4.new_output("display_data", data={"image/png": "AA=="}, metadata=metadata)


def test_figure_needs_alt_text(look):
    def change(solved, blank):
        solved.cells[3].outputs = [picture("a line")]
        solved.cells[6].outputs = [picture("Gauge: recall")]
        blank.cells[4].outputs = [picture(None)]

    report = look(RIGHT, change)
    assert report.problems == (
        "01_tiny, cell 01-double-check: a figure has no alt text; show it with viz.show(figure, alt=…)",
    )
    assert report.measures.figures == 1


@pytest.mark.parametrize("text", ["<object at 0x7f00aa00bb>", "read /home/ada/data.csv", r"read C:\Users\ada\data"])
def test_output_of_one_machine_is_named(look, text):
    def change(solved, blank):
        solved.cells[3].outputs = [nbformat.v4.new_output("stream", text=text)]

    (problem,) = look(RIGHT, change).problems
    assert "which another machine would not show" in problem


@pytest.mark.parametrize("text", ["see https://example.org/home/page", "0x1f", "a/tmp/b"])
def test_output_of_every_machine_is_let_pass(look, text):
    def change(solved, blank):
        solved.cells[3].outputs = [nbformat.v4.new_output("stream", text=text)]

    assert look(RIGHT, change).problems == ()


@pytest.mark.parametrize(
    "leak",
    [
        lambda cell: cell.update(source=cell.source + "\n    return y"),
        lambda cell: cell.update(source=cell.source + "\n    ### END SOLUTION"),
        lambda cell: cell.update(outputs=[nbformat.v4.new_output("stream", text="4")]),
    ],
)
def test_leaked_answer_is_named(look, leak):
    def change(solved, blank):
        leak(blank.cells[3])

    (problem,) = look(RIGHT, change).problems
    assert "left in the blank notebook" in problem
