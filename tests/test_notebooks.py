"""The chapters themselves: built from their sources, in shape, and running anywhere with what their outputs say."""

import shutil
from pathlib import Path

import nbformat
import pytest
from notebook_runs import nbval

from mmcourse.content import content_dir
from mmcourse.course.author.build import notebook_paths, verify
from mmcourse.course.author.dependence import cells_behind, dependent_cells
from mmcourse.course.author.execute import execute
from mmcourse.course.author.lint import lint
from mmcourse.course.author.source import chapter_sources, read_chapter
from mmcourse.course.author.steady import steady_cells
from mmcourse.datasets import prepare_data

CHAPTERS = content_dir("chapters")
NAMES = [path.stem for path in chapter_sources(CHAPTERS)]
SECONDS = 2400  # for one whole notebook, ten times what it takes on a quiet machine
SHORTEST = "02_cross_entropy"  # the chapter that takes least time at the standard budget
STEADY_CELLS = 10  # that the stored outputs of any chapter are compared in, whatever the budget
chapters = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module", autouse=True)
def data():
    """In a notebook a missing cache shows a bar while it is made, which no stored output has."""
    prepare_data(quiet=True)


def test_there_are_chapters():
    assert NAMES[:2] == ["00_start_here", "01_attention"]


def test_built_files_match_their_sources():
    assert verify(CHAPTERS) == []


@chapters
def test_chapter_keeps_to_the_rules(name, record_property):
    report = lint(name, chapters_dir=CHAPTERS)
    record_property("measures", str(report.measures))
    assert report.problems == ()


@pytest.mark.slow
@chapters
def test_solved_notebook_passes_nbval_at_the_smoke_budget(name, tmp_path, without_network):
    """Every cell runs, and what no training changes is what is stored."""
    solved = notebook_paths(name, CHAPTERS)[0]
    assert len(steady_cells(nbformat.read(solved, 4))) >= STEADY_CELLS
    check_nbval(solved, tmp_path, lax=True, budget="smoke", around=without_network)


def strict_runs():
    """Every chapter with one thread and with two; the shortest with one thread in `make test`, too."""
    for name in NAMES:
        for threads, text in ((1, "1 thread"), (2, "2 threads")):
            rare = () if (name, threads) == (SHORTEST, 1) else (pytest.mark.exhaustive,)
            yield pytest.param(name, threads, marks=(pytest.mark.slow, *rare), id=f"{name}-{text}")


@pytest.mark.parametrize(("name", "threads"), [*strict_runs()])
def test_solved_notebook_passes_strict_nbval(name, threads, tmp_path, without_network):
    check_nbval(notebook_paths(name, CHAPTERS)[0], tmp_path, threads=threads, around=without_network)


def check_nbval(notebook, folder, **options):
    """A copy of a notebook passes; if not, what nbval said of it is shown."""
    run = nbval(Path(shutil.copy(notebook, folder)), seconds=SECONDS, **options)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-1000:]


@pytest.mark.slow
@chapters
def test_what_hangs_on_answers_runs_without_them(name):
    """The other cells of the blank notebook are those of the solved one, and run there."""
    cells = read_chapter(CHAPTERS / "source" / f"{name}.py").cells
    check_blank(name, cells_behind(cells, dependent_cells(cells)))


@pytest.mark.slow
@pytest.mark.exhaustive
@chapters
def test_blank_notebook_runs_to_the_last_cell_without_stderr(name):
    check_blank(name)


def check_blank(name, ids=None):
    """Runs the blank notebook, or its code cells with these ids, as a learner who has written nothing."""
    blank = nbformat.read(notebook_paths(name, CHAPTERS)[1], 4)
    blank.cells = [cell for cell in blank.cells if ids is None or cell.id in ids]
    done = execute(blank, name=name, budget="smoke", threads=1, go_on=True)
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    checks = [cell for cell in code if "check" in cell.metadata.get("tags", [])]
    errors = [cell.id for cell in code if any(output.output_type == "error" for output in cell.outputs)]
    assert errors == []
    assert checks
    for cell in checks:
        (result,) = cell.outputs
        assert result.data["text/plain"] == "0", f"an unwritten exercise scores no point: {cell.id}"
        assert "not written yet" in result.data["text/html"]
