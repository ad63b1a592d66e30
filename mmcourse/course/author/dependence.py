"""Which cells of a notebook depend on the learner's answers: a static look at the names that cells read and assign.

The blank notebook keeps the stored outputs of all the other cells. A name that an exercise cell assigns is *answered*;
a cell that reads an answered name depends on it, and so do the names it assigns. In doubt a cell depends: then its
output is missing from the blank notebook, which is better than an output that no learner's notebook would show.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence

from IPython.core.inputtransformer2 import TransformerManager

from mmcourse.course.author.source import Cell


def dependent_cells(cells: Sequence[Cell]) -> set[str]:
    """The ids of the code cells whose outputs depend on answers; the exercise and check cells are among them."""
    code, statements, modules = _parsed(cells)
    # A function may be defined before the exercise whose answer it calls later: its body counts from the start.
    late = {name for cell in code if cell.role == "exercise" for step in statements[cell.id] for name in step.assigned}
    answered: set[str] = set()
    dependent: set[str] = set()
    for cell in code:
        depends = cell.role in ("exercise", "check")
        bound: set[str] = set()
        for step in statements[cell.id]:
            depends = depends or bool((step.read - bound) & answered or step.read_inside & (answered | late) - bound)
            bound |= step.bound
        if depends:
            dependent.add(cell.id)
            answered |= set().union(*(step.assigned | step.changed - modules for step in statements[cell.id]))
        else:
            answered -= bound
    return dependent


def cells_behind(cells: Sequence[Cell], wanted: set[str]) -> set[str]:
    """The ids of the code cells that must run before the wanted ones can run as they do in the whole notebook.

    They are those that import, assign or change a name which a later one of them reads, or which any of them reads in
    the body of a function; the wanted ones are among them.
    """
    code, statements, modules = _parsed(cells)
    chosen, before = set(wanted), None
    while chosen != before:
        before = set(chosen)
        inside = {name for cell in chosen for step in statements.get(cell, ()) for name in step.read_inside}
        read: set[str] = set()
        for cell in reversed(code):
            steps = statements[cell.id]
            if any((step.assigned | step.imported | step.changed - modules) & (read | inside) for step in steps):
                chosen.add(cell.id)
            if cell.id in chosen:
                for step in reversed(steps):
                    read = read - step.bound | step.read | step.changed
    return chosen


def _parsed(cells: Sequence[Cell]) -> tuple[list[Cell], dict[str, list[_Statement]], set[str]]:
    """The code cells, the statements of each by its id, and all names that are imported anywhere."""
    code = [cell for cell in cells if cell.kind == "code"]
    statements = {cell.id: _statements(cell) for cell in code}
    return code, statements, {name for steps in statements.values() for step in steps for name in step.imported}


class _Statement:
    """The names that one top-level statement touches.

    read: at once; read_inside: in the body of a function, when that is called; assigned: perhaps; bound: certainly;
    changed: through an attribute, an index or a method. An import is no answer: its names are kept apart.
    """

    def __init__(self, node: ast.stmt) -> None:
        names = _Names([node])
        self.read, self.read_inside = names.read, names.read_inside
        self.assigned, self.imported = names.assigned, names.imported
        if "get_ipython" in self.read:  # a magic, which holds its code as text
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            self.read |= {word for text in texts for word in re.findall(r"[^\W\d]\w*", str(text))}
        plain = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
        self.bound = self.assigned | self.imported if isinstance(node, plain) else set()
        self.changed = names.changed


class _Names(ast.NodeVisitor):
    """The names that the code of one scope reads and assigns, the same for every version of Python.

    (The module `symtable` is not: since Python 3.12 it counts the variables of a comprehension with those around it.)
    """

    def __init__(self, nodes: Iterable[ast.AST | None]) -> None:
        self.read: set[str] = set()
        self.read_inside: set[str] = set()
        self.assigned: set[str] = set()
        self.imported: set[str] = set()
        self.changed: set[str] = set()
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit(self, node: ast.AST) -> None:
        self.changed |= _changed(node)
        super().visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        (self.read if isinstance(node.ctx, ast.Load) else self.assigned).add(node.id)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        if isinstance(node.target, ast.Name):
            self.read.add(node.target.id)

    def visit_alias(self, node: ast.alias) -> None:
        self.imported.add((node.asname or node.name).split(".")[0])

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self.assigned |= {node.name} if node.name else set()
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        takes = node.args
        arguments = [*takes.posonlyargs, *takes.args, takes.vararg, *takes.kwonlyargs, takes.kwarg]
        inner = _Names(node.body if isinstance(node.body, list) else [node.body])
        own = inner.assigned | inner.imported | {argument.arg for argument in arguments if argument}
        self.read_inside |= (inner.read | inner.read_inside) - own
        self.changed |= inner.changed - own  # what a function makes for itself is nobody else's
        notes = [argument.annotation for argument in arguments if argument]
        now = _Names([*takes.defaults, *takes.kw_defaults, *notes, *getattr(node, "decorator_list", ())])
        self._join(now, set())
        self.assigned |= {node.name} if hasattr(node, "name") else set()

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._join(_Names([*node.bases, *node.keywords, *node.decorator_list]), set())
        inner = _Names(node.body)
        self.read |= inner.read - inner.assigned
        self.read_inside |= inner.read_inside
        self.changed |= inner.changed - inner.assigned
        self.assigned.add(node.name)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        targets = _Names(part.target for part in node.generators).assigned
        self._join(_Names(ast.iter_child_nodes(node)), targets)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def _join(self, inner: _Names, without: set[str]) -> None:
        self.read |= inner.read - without
        self.read_inside |= inner.read_inside - without
        self.assigned |= inner.assigned - without
        self.changed |= inner.changed - without


def _statements(cell: Cell) -> list[_Statement]:
    """The top-level statements; magics such as `%timeit` are turned into the calls they are."""
    return [_Statement(node) for node in ast.parse(TransformerManager().transform_cell(cell.source)).body]


def _changed(node: ast.AST) -> set[str]:
    """`values[0] = x`, `model.weight = x` and `values.append(x)` change `values` and `model`."""
    changes = isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        node, changes = node.value.func, True
    while changes and isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if changes and isinstance(node, ast.Name) else set()
