"""Telling outputs that hang on training from those that do not."""

import base64

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from notebook_runs import nbval

from mmcourse.course.author.execute import execute
from mmcourse.course.author.steady import STEADY, UNCOMPARED, mark_steady, steady_cells, tag_steady

CELLS = {
    "start": "import os, sys\nfrom IPython.display import HTML, display\nfrom mmcourse.runtime import by_budget",
    "fixed": "print('one')\nprint('two')\nHTML('<b>three</b>')",
    "printed": "print(by_budget(smoke='few steps', standard='many steps'))",
    "shown": "print('the same')\nHTML(by_budget(smoke='<i>few</i>', standard='<i>many</i>'))",
    "more": "display(1)\nif by_budget(smoke=True, standard=False):\n    display(2)",
    "ignored": "print('never compared')",
    "machine": "print(os.environ['OMP_NUM_THREADS'])",
    "pixels": "display({'image/png': by_budget(smoke='SHORT', standard='LONG'), 'text/plain': 'a curve'}, raw=True)",
    "silent": "a = 6 * 7",
}
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURES = {"SHORT": SIGNATURE, "LONG": SIGNATURE + b"\0\0\0\0IEND\xaeB`\x82"}


@pytest.fixture(scope="module")
def marked():
    cells = [new_code_cell(source, id=name) for name, source in CELLS.items()]
    for name, png in PICTURES.items():
        cells[-2].source = cells[-2].source.replace(name, base64.b64encode(png).decode())
    cells[list(CELLS).index("ignored")].metadata["tags"] = [UNCOMPARED]
    cells[1].metadata["tags"] = ["kept"]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    notebook = new_notebook(cells=[new_markdown_cell("# A", id="text"), *cells], metadata=metadata)
    return mark_steady(execute(notebook, name="tiny"), name="tiny")


def test_outputs_that_hang_on_budget_or_machine_are_not_steady(marked):
    assert steady_cells(marked) == {"fixed", "pixels"}


def test_other_tags_stay(marked):
    assert [cell.metadata["tags"] for cell in marked.cells if cell.id in ("fixed", "ignored")] == [
        ["kept", STEADY],
        [UNCOMPARED],
    ]


def test_tagging_again_takes_old_tags_away(marked):
    again = tag_steady(nbformat.from_dict(marked), {"start"})
    assert steady_cells(again) == {"start"}
    assert "tags" not in next(cell.metadata for cell in again.cells if cell.id == "pixels")
    tag_steady(again, {"fixed", "pixels"})
    assert steady_cells(again) == {"fixed", "pixels"}


@pytest.mark.slow
def test_nbval_compares_steady_cells_alone(marked, tmp_path):
    def compared():
        nbformat.write(marked, tmp_path / "a.ipynb")
        return nbval(tmp_path / "a.ipynb", lax=True, budget="smoke")

    assert compared().returncode == 0
    fixed = next(cell for cell in marked.cells if cell.id == "fixed")
    fixed.outputs[0].text = "one\nthree\n"
    changed = compared()
    assert changed.returncode == 1
    assert "1 failed" in changed.stdout
