"""How nbgrader cuts an answer out of a cell: as the course itself does, so that both hand out the same notebooks.

nbgrader's own way puts one fixed statement in place of every answer, which is no Python where the answer is an
expression. Only `nbgrader_config.py` imports this file; it needs nbgrader.
"""

from __future__ import annotations

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearSolutions

from mmcourse.course.notebook import Cell, blank_source, find_region


class ClearAnswers(ClearSolutions):
    """Takes the place of nbgrader's `ClearSolutions`; what is no answer of the course is left to that one."""

    def _replace_solution_region(self, cell: NotebookNode, language: str) -> bool:
        if find_region(cell.source, f"cell {cell.get('id')}") is None:
            return super()._replace_solution_region(cell, language)
        cell.source = blank_source(Cell(kind=cell.cell_type, source=cell.source, id=cell.get("id", "")))
        return True
