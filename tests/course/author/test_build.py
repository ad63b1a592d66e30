"""Building a small chapter: two notebooks and a glossary, the same bytes every time."""

import json
import re
import shutil

import nbformat
import pytest

from mmcourse.course.author.build import build, notebook_paths, registry, verify
from mmcourse.course.author.source import BuildError
from mmcourse.course.exercise import Exercise

SOURCE = """\
# %% [markdown]
# # Tiny
#
# **doubling**（加倍）: adding a number to itself.

# %%
from IPython.display import display
from matplotlib.figure import Figure

def check(exercise, answer):
    return "right" if answer(3) == 6 else "wrong"

# %% [markdown]
# Double it.

# %% tags=["exercise"] id="01-double"
def double(x):
    \"\"\"Twice x.\"\"\"
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% tags=["check"]
check("01-double", double)

# %% [markdown] tags=["written"] id="01-why"
# Why?
#
# ### BEGIN SOLUTION
# The model answer.
# ### END SOLUTION

# %%
double(21)

# %% [markdown]
# A picture.

# %%
figure = Figure(figsize=(2, 1))
figure.add_subplot().plot([1, 2])
display(figure, metadata={"image/png": {"alt": "a rising line"}})
6 * 7
"""
EXERCISES = {
    "01-double": Exercise(
        id="01-double", title="Double", goal="doubling", stars=1, minutes=1, points=3, reference=lambda x: 2 * x
    )
}


def make(folder, **options):
    return build(chapters_dir=folder, exercises=EXERCISES, **options)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A folder with one built chapter, not to be changed."""
    folder = tmp_path_factory.mktemp("chapters")
    (folder / "source").mkdir()
    (folder / "source" / "01_tiny.py").write_text(SOURCE, encoding="utf-8")
    make(folder)
    return folder


@pytest.fixture
def folder(first, tmp_path):
    """A copy of the built chapter to change."""
    return shutil.copytree(first, tmp_path / "chapters")


def cells(path):
    return {cell.id: cell for cell in nbformat.read(path, 4).cells}


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def edit(folder, old, new):
    path = folder / "source" / "01_tiny.py"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_solved_notebook_is_executed_and_blank_one_waits(first):
    solved, blank = (cells(path) for path in notebook_paths("01_tiny", first))
    assert list(solved) == list(blank)
    assert "return 2 * x" in solved["01-double"].source
    assert (
        blank["01-double"].source
        == 'def double(x):\n    """Twice x."""\n    # YOUR CODE HERE\n    raise NotImplementedError'
    )
    assert solved["01-double-check"].outputs[0].data["text/plain"] == "'right'"
    assert blank["01-double-check"].outputs == []
    assert solved["01-why"].source == "Why?\n\nThe model answer."
    assert blank["01-why"].source == "Why?\n\n*Write your answer here.*"


def test_blank_keeps_only_outputs_that_do_not_depend_on_answers(first):
    solved, blank = (list(cells(path).values()) for path in notebook_paths("01_tiny", first))
    assert solved[6].outputs[0].data["text/plain"] == "42"
    assert blank[6].outputs == []
    assert [output.output_type for output in blank[8].outputs] == ["display_data", "execute_result"]
    assert blank[8].outputs[0] == solved[8].outputs[0]
    assert blank[8].outputs[1].data == solved[8].outputs[1].data
    assert all(cell.get("execution_count") is None for cell in blank)
    assert [cell.execution_count for cell in solved if cell.cell_type == "code"] == [1, 2, 3, 4, 5]


def test_notebooks_carry_metadata_for_grading_and_nothing_of_this_machine(first):
    for path in notebook_paths("01_tiny", first):
        notebook = nbformat.read(path, 4)
        nbformat.validate(notebook)
        assert notebook.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
        assert "version" not in notebook.metadata.language_info
        assert re.fullmatch("[0-9a-f]{64}", notebook.metadata.mmcourse.source_sha256)
        assert {
            cell.id: cell.metadata.nbgrader.get("points") for cell in notebook.cells if "nbgrader" in cell.metadata
        } == {
            "01-double": None,
            "01-double-check": 3,
            "01-why": 2,
        }
        text = path.read_text("utf-8")
        for trace in ("iopub", 'execution"', "widgets", str(first), str(path.home()), "Software"):
            assert trace not in text


def test_new_texts_keep_the_outputs_and_new_code_is_executed(folder, monkeypatch):
    def no_execution(*arguments, **options):
        raise AssertionError("executed")

    before = [cells(path) for path in notebook_paths("01_tiny", folder)]
    monkeypatch.setattr("mmcourse.course.author.build.execute", no_execution)
    edit(folder, "Double it.", "Make it twice as much.")
    make(folder)
    assert verify(folder, exercises=EXERCISES) == []
    for old, path in zip(before, notebook_paths("01_tiny", folder), strict=True):
        new = cells(path)
        assert [cell.source for cell in new.values() if cell.source.startswith("Make")] == ["Make it twice as much."]
        assert {key: cell.outputs for key, cell in new.items() if cell.cell_type == "code"} == {
            key: cell.outputs for key, cell in old.items() if cell.cell_type == "code"
        }
    edit(folder, "6 * 7", "6 * 8")
    with pytest.raises(AssertionError, match="executed"):
        make(folder)


def test_glossary_is_written(first):
    assert "| doubling | 加倍 | Adding a number to itself. | [01](01_tiny.ipynb) |" in (
        first / "glossary.md"
    ).read_text("utf-8")


def test_building_again_touches_nothing_and_forcing_it_gives_the_same_bytes(folder):
    before = contents(folder)
    assert make(folder) == []
    assert make(folder, force=True) == []
    assert contents(folder) == before


def test_only_the_chapter_that_changed_is_built(folder):
    second = SOURCE.replace("01-", "02-").replace("doubling", "two")
    (folder / "source" / "02_more.py").write_text(second, encoding="utf-8")
    before = contents(folder)
    exercises = {**EXERCISES, "02-double": EXERCISES["01-double"]}
    written = build("02", chapters_dir=folder, exercises=exercises)
    assert [path.relative_to(folder).as_posix() for path in written] == [
        "solutions/02_more.ipynb",
        "02_more.ipynb",
        "glossary.md",
    ]
    after = contents(folder)
    assert all(after[name] == before[name] for name in before if name != "glossary.md")
    assert verify(folder, exercises=exercises) == []


def test_change_in_the_exercises_asks_for_a_new_build(folder):
    changed = {"01-double": Exercise(**{**EXERCISES["01-double"].__dict__, "points": 5})}
    assert verify(folder, exercises=EXERCISES) == []
    assert verify(folder, exercises=changed) == [
        "solutions/01_tiny.ipynb was built from another source; run `mmcourse build 01`"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: edit(f, "6 * 7", "6 * 8"), ["solutions/01_tiny.ipynb was built from another source"]),
        (lambda f: (f / "solutions/01_tiny.ipynb").unlink(), ["solutions/01_tiny.ipynb is missing"]),
        (lambda f: (f / "solutions/01_tiny.ipynb").write_text("{", "utf-8"), ["is not a notebook"]),
        (lambda f: (f / "01_tiny.ipynb").unlink(), ["01_tiny.ipynb does not match its source"]),
        (lambda f: (f / "glossary.md").write_text("old", "utf-8"), ["glossary.md does not match the chapter sources"]),
        (lambda f: shutil.copy(f / "01_tiny.ipynb", f / "09_gone.ipynb"), ["09_gone.ipynb has no source"]),
        (
            lambda f: rewrite(f / "solutions/01_tiny.ipynb", "return 2 * x", "return x"),
            ["changed by hand; run `mmcourse build 01 --force`"],
        ),
        (lambda f: rewrite(f / "01_tiny.ipynb", "Double it.", "Do it."), ["01_tiny.ipynb does not match its source"]),
        (
            lambda f: rewrite(f / "solutions/01_tiny.ipynb", '"42"', '"43"'),
            ["01_tiny.ipynb does not match its source"],
        ),
    ],
)
def test_verify_names_what_does_not_match(folder, change, said):
    change(folder)
    problems = verify(folder, exercises=EXERCISES)
    assert len(problems) == len(said)
    for problem, part in zip(problems, said, strict=True):
        assert part in problem


def rewrite(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_damaged_notebook_is_built_again(folder):
    before = contents(folder)
    (folder / "solutions" / "01_tiny.ipynb").write_text("{", encoding="utf-8")
    make(folder)
    assert contents(folder) == before


def test_exercise_that_nobody_defined_is_named(folder):
    with pytest.raises(BuildError, match=r"cell 01-double: exercise '01-double' is not defined in .*ch01/"):
        build(chapters_dir=folder, exercises={})


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; print('oh', file=sys.stderr)", "wrote to stderr, which a notebook must not: 'oh"),
        ("import warnings; warnings.warn('old')", "wrote to stderr"),
    ],
)
def test_chapter_that_does_not_run_cleanly_leaves_the_built_files_alone(folder, new, said):
    before = contents(folder)
    edit(folder, "6 * 7", new)
    with pytest.raises(BuildError, match=r"01_tiny, cell 01-[0-9a-f]{8}") as caught:
        make(folder)
    assert said in str(caught.value)
    assert {**contents(folder), "source/01_tiny.py": b""} == {**before, "source/01_tiny.py": b""}


def test_term_marked_twice_stops_the_build(folder):
    edit(folder, "A picture.", "**Doubling**（加倍）: again.")
    with pytest.raises(BuildError, match="'Doubling' is marked twice"):
        make(folder)


def test_registry_holds_the_exercises_of_one_chapter():
    assert registry("97") == {}
    assert all(name.startswith("01-") and name == exercise.id for name, exercise in registry("01").items())


def test_stored_notebooks_are_plain_json_that_ends_with_a_newline(first):
    for path in notebook_paths("01_tiny", first):
        assert path.read_bytes().endswith(b"}\n")
        assert json.loads(path.read_text("utf-8"))["nbformat"] == 4
