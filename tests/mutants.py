"""Mutants: copies of a function with one small change each, to see whether the checks of an exercise notice.

A mutation library changes whole packages and runs a test suite for each change; here thousands of changed functions
meet a grader that takes milliseconds, so this is our own. The changes are those that answers make: a bound, a sign, an
axis, an off-by-one, a forgotten step, swapped arguments, an argument changed in place.
"""

from __future__ import annotations

import ast
import copy
import inspect
import itertools
import operator
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

STEPS = 20_000  # rounds of all loops of one mutant; one that needs more does not end
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}  # fmt: skip
ARITHMETIC = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add), ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mod), ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}  # fmt: skip
IN_PLACE = {
    ast.Add: "iadd", ast.Sub: "isub", ast.Mult: "imul", ast.Div: "itruediv", ast.BitAnd: "iand", ast.BitOr: "ior",
}  # fmt: skip
OTHERS = {
    "mean": "sum", "sum": "mean", "max": "min", "min": "max", "argmax": "argmin", "any": "all", "all": "any",
    "softmax": "sigmoid", "sigmoid": "tanh", "tanh": "sigmoid", "exp": "exp2", "log": "log2", "ones": "zeros",
    "zeros": "ones", "tril": "triu", "relu": "abs", "square": "abs", "append": "extend", "cumsum": "cumprod",
    "logsigmoid": "sigmoid", "abs": "relu", "norm": "sum",
}  # fmt: skip
COUNTS = {"range", "arange", "topk"}  # calls whose whole-number arguments are bounds
MODULES = {"torch", "F", "nn", "np", "math"}


class EndlessError(Exception):
    """A mutant whose loops do not end."""


class Mutant(NamedTuple):
    """A changed function and what was changed in it: `function:line: before -> after`."""

    change: str
    answer: Callable


def mutants(function: Callable, package: str) -> Iterator[Mutant]:
    """Every mutant of `function` and of the functions in `package` that it calls, one change each."""
    parts = _with_helpers(function, package)
    trees = {name: _tree(part) for name, part in parts.items()}
    scope = {key: value for part in reversed(parts.values()) for key, value in part.__globals__.items()}
    seen: dict[str, int] = {}
    for name, tree in trees.items():
        for before, after, line in itertools.chain(_changes(tree), _spoiled(tree) if name == function.__name__ else ()):
            if before == after:
                continue
            change = f"{name}:{line}: {before} -> {after}"
            seen[change] = seen.get(change, 0) + 1
            number = f" (no. {seen[change]})" if seen[change] > 1 else ""
            yield Mutant(change + number, _compile(trees.values(), scope, function.__name__))


def _with_helpers(function: Callable, package: str) -> dict[str, Callable]:
    """The function and, through all levels, those of `package` that it names."""
    found, waiting = {}, [function]
    while waiting:
        part = waiting.pop(0)
        found[part.__name__] = part
        names = {node.id for node in ast.walk(_tree(part)) if isinstance(node, ast.Name)}
        for value in (part.__globals__.get(name) for name in sorted(names - found.keys())):
            if inspect.isfunction(value) and value.__module__.startswith(package):
                waiting.append(value)
    return found


def _tree(function: Callable) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef), f"{function} is not written with def"
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:]
    return tree


def _compile(trees: Any, scope: dict[str, Any], name: str) -> Callable:
    """The functions as they stand now, in a scope of their own, with every loop counted."""
    module = ast.Module([_Counted().visit(copy.deepcopy(tree)) for tree in reversed(list(trees))], [])
    code = compile(ast.fix_missing_locations(module), "<mutant>", "exec")  # annotations stay text, as here
    steps = iter(range(STEPS))

    def count() -> None:
        if next(steps, None) is None:
            raise EndlessError("its loops do not end")

    space = {**scope, "_count": count, "_in_place": _in_place, "_spoil": _spoil}
    exec(code, space)
    return space[name]


def _in_place(name: str, left: Any, right: Any) -> Any:
    """`left` changed in place; a number cannot be, and then there is no such mutant."""
    if not isinstance(left, (torch.Tensor, list, dict)):
        raise TypeError(f"{type(left).__name__} does not change in place")
    return getattr(operator, name)(left, right)


def _spoil(argument: Any) -> None:
    """Changes an argument for whoever uses it next."""
    if isinstance(argument, nn.Module):
        argument.train(not argument.training)
    elif isinstance(argument, torch.Tensor):
        argument.logical_not_() if argument.dtype == torch.bool else argument.add_(1)
    elif isinstance(argument, (list, dict, set)):
        argument.clear()
    else:
        raise TypeError(f"{type(argument).__name__} does not change in place")


class _Counted(ast.NodeTransformer):
    def visit_For(self, node: ast.For | ast.While) -> ast.For | ast.While:
        self.generic_visit(node)
        node.body.insert(0, ast.Expr(_call_of(ast.Name("_count", ast.Load()))))
        return node

    visit_While = visit_For


def _changes(tree: ast.FunctionDef) -> Iterator[tuple[str, str, int]]:
    """Makes every change in the tree itself, one at a time: it holds while its description is looked at."""
    parameters = {argument.arg for argument in ast.walk(tree.args) if isinstance(argument, ast.arg)}
    views = {
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)
        if isinstance(node.targets[0], ast.Name)
    }
    for parent in [node for node in ast.walk(tree) if not isinstance(node, ast.arg)]:
        for field, value in list(ast.iter_fields(parent)):
            if field in ("annotation", "returns", "decorator_list"):
                continue
            for place, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(child, ast.AST):
                    continue
                for new in _replacements(child, parent, field, parameters | views):
                    _put(parent, field, place, new)
                    line = getattr(child, "lineno", getattr(parent, "lineno", 0)) - tree.lineno
                    yield _text(child), _text(new), line
                    _put(parent, field, place, child)


def _spoiled(tree: ast.FunctionDef) -> Iterator[tuple[str, str, int]]:
    """Changes each argument in turn once the result is there."""
    body = tree.body
    for argument in tree.args.args:
        kept, spoiled = ast.parse("_argument = 0; _spoil(_argument)").body
        kept.value = ast.Name(argument.arg, ast.Load())
        tree.body = [kept, ast.Try(body, [], [], [spoiled])]
        yield argument.arg, f"{argument.arg}, changed in place", 0
    tree.body = body


def _put(parent: ast.AST, field: str, place: int | None, node: ast.AST) -> None:
    if place is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[place] = node


def _text(node: ast.AST) -> str:
    return "dropped" if isinstance(node, ast.Pass) else " ".join(ast.unparse(node).split())


def _replacements(node: ast.AST, parent: ast.AST, field: str, arguments: set[str]) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    if isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.Attribute) and node.attr == "inf":
        yield ast.Constant(20.0)
    elif isinstance(node, ast.Compare):
        for number, old in enumerate(node.ops):
            for new in COMPARISONS.get(type(old), ()):
                yield _with(node, ops=[*node.ops[:number], new(), *node.ops[number + 1 :]])
    elif isinstance(node, ast.BinOp):
        yield from _operations(node, arguments)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.Slice):
        yield from _slices(node)
    elif isinstance(node, ast.Call):
        yield from _calls(node, arguments)
    elif isinstance(node, ast.Tuple) and isinstance(parent, ast.Return) and field == "value":
        for number in range(len(node.elts) - 1):
            yield _with(node, elts=_swapped(node.elts, number))
    elif isinstance(node, ast.stmt):
        yield from _statements(node)


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield from [ast.Constant(value - 1)] if value > 0 else []
    elif isinstance(value, float):
        near = (round(value * 1.05, 9), round(value * 0.95, 9)) if value else (1.0,)
        yield from map(ast.Constant, (20.0,) if abs(value) >= 1e6 else near)


def _operations(node: ast.BinOp, arguments: set[str]) -> Iterator[ast.AST]:
    for new in ARITHMETIC.get(type(node.op), ()):
        yield _with(node, op=new())
    if isinstance(node.op, (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)):
        yield _with(node, left=node.right, right=node.left)
    yield node.left
    yield node.right
    if isinstance(node.left, ast.Name) and node.left.id in arguments and type(node.op) in IN_PLACE:
        name = ast.Constant(IN_PLACE[type(node.op)])
        yield _call_of(ast.Name("_in_place", ast.Load()), name, node.left, node.right)


def _slices(node: ast.Slice) -> Iterator[ast.AST]:
    for side in ("lower", "upper"):
        bound = getattr(node, side)
        if bound is not None:
            yield _with(node, **{side: None})
            if not isinstance(bound, ast.Constant):
                for sign in (ast.Add(), ast.Sub()):
                    yield _with(node, **{side: ast.BinOp(bound, sign, ast.Constant(1))})


def _calls(node: ast.Call, arguments: set[str]) -> Iterator[ast.AST]:
    """A keyword or the whole call forgotten, arguments swapped, a bound off by one, the version that works in place."""
    method = isinstance(node.func, ast.Attribute) and not _is_module(node.func.value)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    for number in range(len(node.keywords)):
        yield _with(node, keywords=node.keywords[:number] + node.keywords[number + 1 :])
    for number in range(len(node.args) - 1):
        yield _with(node, args=_swapped(node.args, number))
    if method:
        yield node.func.value
    elif node.args and not isinstance(node.args[0], (ast.Starred, ast.GeneratorExp)):
        yield node.args[0]
    if name in OTHERS:
        changed = {"attr": OTHERS[name]} if isinstance(node.func, ast.Attribute) else {"id": OTHERS[name]}
        yield _with(node, func=_with(node.func, **changed))
    if name in COUNTS:
        for number, bound in enumerate(node.args):
            for sign in (ast.Add(), ast.Sub()):
                off = ast.BinOp(bound, sign, ast.Constant(1))
                yield _with(node, args=[*node.args[:number], off, *node.args[number + 1 :]])
    if name in ("double", "long"):
        yield _with(node, func=_with(node.func, attr={"double": "float", "long": "int"}[name]))
    if method and getattr(node.func.value, "id", None) in arguments and hasattr(torch.Tensor, f"{name}_"):
        yield _with(node, func=_with(node.func, attr=f"{name}_"))


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, (ast.Expr, ast.Assign, ast.AugAssign, ast.For, ast.While, ast.If)):
        yield ast.Pass()
    if isinstance(node, ast.With):
        yield ast.If(ast.Constant(True), node.body, [])
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    value = getattr(node, "value", None)
    if isinstance(target, ast.Name) and isinstance(value, ast.BinOp) and getattr(value.left, "id", "") == target.id:
        yield ast.AugAssign(ast.Name(target.id, ast.Store()), value.op, value.right)


def _is_module(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id in MODULES) or (
        isinstance(node, ast.Attribute) and _is_module(node.value)
    )


def _swapped(items: list, number: int) -> list:
    return [*items[:number], items[number + 1], items[number], *items[number + 2 :]]


def _with(node: Any, **fields: Any) -> Any:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _call_of(function: ast.expr, *arguments: ast.expr) -> ast.Call:
    return ast.Call(function, list(arguments), [])
