"""Two steps of nbgrader as the course needs them. Only `nbgrader_config.py` imports this file; it needs nbgrader."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearSolutions, Execute

from mmcourse.course.author.source import Cell, blank_source, find_region


class ClearAnswers(ClearSolutions):
    """Cuts answers out as the course itself does, so that both hand out the same notebooks.

    nbgrader puts one fixed statement in place of every answer, which is no Python where the answer is an expression.
    What is no answer of the course is left to nbgrader.
    """

    def _replace_solution_region(self, cell: NotebookNode, language: str) -> bool:
        if find_region(cell.source, f"cell {cell.get('id')}") is None:
            return super()._replace_solution_region(cell, language)
        cell.source = blank_source(Cell(kind=cell.cell_type, source=cell.source, id=cell.get("id", "")))
        return True


class ExecuteWithoutWidgets(Execute):
    """Runs a notebook without answering its widgets.

    nbclient sends every `Output` widget its state while the cell still runs, and then sometimes waits for a reply that
    it has had, until the cell's time is over (https://github.com/jupyter/nbclient/issues/312). Points need no widgets.
    """

    def handle_comm_msg(self, outs: list[NotebookNode], msg: dict[str, Any], cell_index: int) -> None:
        return None
