"""Which code an answer needs: its own cell, and from elsewhere no more than the names that it uses.

An answer is graded without running the notebook around it. The cell of an exercise counts as a whole, with the helpers
written in it. Where it uses a name that it does not define, the statement that binds this name is taken from elsewhere
in the notebook (imports, functions, constants; the course's own cells as the course has them), and so on for the names
which that statement uses. As in a notebook run from top to bottom, the last one above the answer counts.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class Source:
    """A cell: `origin` is "course", "exercise" (another one of the learner's) or "own"."""

    name: str
    origin: str
    text: str


_FILLING = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "remove", "clear", "sort", "reverse"}

_UNSEEN = {"globals", "locals", "vars", "exec"}


class Statement(NamedTuple):
    """One statement at the top of a cell."""

    node: ast.stmt
    source: Source
    binds: frozenset[str]
    uses: frozenset[str]
    changes: frozenset[str]  # what it fills or sets without binding it, such as `table` in `table["a"] = 1`


def parse(text: str) -> ast.Module:
    """The tree of a cell; lines that only a notebook understands (`%matplotlib`, `!pip`) count for nothing."""
    text = re.sub(r"^(\s*)%time\s+(?=\S)", r"\1", text, flags=re.MULTILINE)  # what it measures counts
    try:
        return ast.parse(text)
    except SyntaxError:
        plain = re.sub(r"^(\s*)(?:%|!|\?).*$", r"\1pass", text, flags=re.MULTILINE)
        plain = re.sub(r"^\S+\?{1,2}\s*$", "pass", plain, flags=re.MULTILINE)
        if plain == text:
            raise
        return ast.parse(plain)


def statements(source: Source) -> list[Statement]:
    """The statements of a cell; none if it is no Python."""
    try:
        tree = parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [_statement(node, source) for node in tree.body]


def _statement(node: ast.stmt, source: Source) -> Statement:
    uses = used(node)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        grown = (child.target for child in ast.walk(node) if isinstance(child, ast.AugAssign))  # `n += 1` reads n, too
        uses |= {target.id for target in grown if isinstance(target, ast.Name)}
    return Statement(node, source, frozenset(bound(node)), frozenset(uses), frozenset(changed(node)))


def _with_effects(sequence: list[Statement]) -> list[Statement]:
    """The statements with what they bind and change unseen: by `exec`, or in a function above that they call."""
    effects: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    found = []
    for statement in sequence:
        node = statement.node
        deferred = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        calls = {c.func.id for c in ast.walk(node) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
        binds = frozenset({"*"} if calls & _UNSEEN else ()).union(*(effects[n][0] for n in calls & effects.keys()))
        changes = frozenset().union(*(effects[n][1] for n in calls & effects.keys()))
        if deferred:
            outer = {name for child in ast.walk(node) if isinstance(child, ast.Global) for name in child.names}
            own = {name for child in node.body for name in bound(child)} | {
                a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)
            }
            inner = {name for child in node.body for name in changed(child)} - (own - outer)
            effects[node.name] = binds | ({"*"} if outer else set()), changes | inner | outer
        elif binds or changes:
            statement = statement._replace(binds=statement.binds | binds, changes=statement.changes | changes)
        found.append(statement)
    return found


def bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds at the top of a notebook."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return
    for child in ast.iter_child_nodes(node):
        yield from bound(child)


def changed(node: ast.AST) -> Iterator[str]:
    """The names whose things a statement changes at the top of a notebook: `x[0] = 1`, `x.a = 1`, `x.append(1)`."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return
    inner = None
    if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, (ast.Store, ast.Del)):
        inner = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        name = node.func.attr
        inner = node.func.value if name in _FILLING or (name.endswith("_") and not name.startswith("_")) else None
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("setattr", "delattr"):
        inner = node.args[0] if node.args else None
    while isinstance(inner, (ast.Attribute, ast.Subscript)):
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield inner.id
    for child in ast.iter_child_nodes(node):
        yield from changed(child)


def used(node: ast.AST) -> set[str]:
    """The global names that some code reads, at once or when its functions are called."""
    try:
        table = symtable.symtable(ast.unparse(node), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
    waiting = table.get_children()
    while waiting:
        inner = waiting.pop()
        names |= {s.get_name() for s in inner.get_symbols() if s.is_global() and s.is_referenced()}
        waiting += inner.get_children()
    return names - set(dir(builtins))


def needed(names: Iterable[str], before: list[Source], after: list[Source], spare: list[Source]) -> list[Statement]:
    """The statements that bind these names, and those which they need, in the order in which they are to run.

    The last one before the answer counts, with what fills or changes its thing afterwards, else the first one after it;
    `spare` cells (a course cell that is missing or
    changed in the submission) come last.
    """
    sequence = _with_effects([statement for source in (*before, *after, *spare) for statement in statements(source)])
    here = sum(len(statements(source)) for source in before)
    chosen: set[int] = set()
    waiting = [(name, here) for name in names]
    seen: set[tuple[str, int]] = set()
    while waiting:
        name, place = waiting.pop()
        if (name, place) in seen:
            continue
        seen.add((name, place))
        earlier = [n for n in range(min(place, here)) if name in sequence[n].binds]
        later = [n for n in range(here, len(sequence)) if name in sequence[n].binds]
        number = earlier[-1] if earlier else later[0] if later else None
        if number is None:
            found = [n for n in range(min(place, here)) if "*" in sequence[n].binds]  # one of these may bind it
        else:
            end = min(place, here) if earlier else number
            found = [number, *(n for n in range(number + 1, end) if name in sequence[n].changes)]
            if isinstance(sequence[number].node, (ast.If, ast.For, ast.While, ast.Try)):
                waiting.append((name, number))  # it may not come to bind it
        for number in found:
            if number not in chosen:
                chosen.add(number)
                deferred = isinstance(sequence[number].node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
                waiting += [(other, here if deferred else number) for other in sequence[number].uses]
    return [sequence[number] for number in sorted(chosen)]
