"""Which outputs of a chapter are the same however long its models train and whatever machine they run on.

A chapter takes minutes, too long to run all of them at every change. At the smoke budget each takes seconds: it shows
that every cell runs, and that the outputs which do not hang on training are the stored ones. Those are found here, by
running the built notebook once more at the smoke budget as on a machine of another kind; their cells get the tag by
which `pytest --nbval-lax` compares them, and them alone.
"""

from __future__ import annotations

from nbformat import NotebookNode

from mmcourse.course.author.execute import execute

STEADY = "nbval-check-output"
UNCOMPARED = "nbval-ignore-output"
# One thread instead of two, and the arithmetic of a processor without vector instructions of the last fifteen years.
OTHER_MACHINE = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}


def mark_steady(stored: NotebookNode, *, name: str) -> NotebookNode:
    """Tags the cells of an executed notebook whose outputs the smoke budget gives again; returns the notebook."""
    again = execute(stored, name=f"{name} at the smoke budget", budget="smoke", threads=1, variables=OTHER_MACHINE)
    steady = {cell.id for cell, other in zip(stored.cells, again.cells, strict=True) if _same(cell, other)}
    return tag_steady(stored, steady)


def tag_steady(notebook: NotebookNode, ids: set[str]) -> NotebookNode:
    """Gives the tag to the cells with these ids and takes it from all others; returns the notebook."""
    for cell in notebook.cells:
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != STEADY] + [STEADY] * (cell.id in ids)
        if tags:
            cell.metadata["tags"] = tags
        else:
            cell.metadata.pop("tags", None)
    return notebook


def steady_cells(notebook: NotebookNode) -> set[str]:
    """The ids of the cells that have the tag."""
    return {cell.id for cell in notebook.cells if STEADY in cell.metadata.get("tags", [])}


def _same(cell: NotebookNode, other: NotebookNode) -> bool:
    """Whether a cell has text among its outputs, all of it compared by nbval and the same in the other run."""
    if cell.cell_type != "code" or UNCOMPARED in cell.metadata.get("tags", []):
        return False
    said = _texts(cell)
    return bool(said) and said == _texts(other)


def _texts(cell: NotebookNode) -> dict[str, list[str]]:
    """What nbval compares of the outputs of a cell: the streams, and every form of a result but pixels."""
    texts: dict[str, list[str]] = {}
    for output in cell.outputs:
        if output.output_type == "stream":
            joined = texts.setdefault(output.name, [""])
            joined[0] += output.text
        else:
            for kind, text in output.get("data", {}).items():
                if kind != "image/png":
                    texts.setdefault(kind, []).append(str(text))
    return texts
