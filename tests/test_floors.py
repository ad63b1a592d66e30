"""The library is a house: a module imports only from the floors below its own."""

import ast
import io
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path

import mmcourse

PACKAGE = Path(mmcourse.__file__).parent

FLOORS = [
    {"runtime", "cache", "content", "pictures", "metadata"},
    {"attention", "pooling", "losses", "metrics", "tokenizer", "decoding", "distributed"},
    {"transformer", "datasets"},
    {"encoders", "lm", "fusion"},
    {"models"},
    {"train", "retrieval", "interpret", "deploy"},
    {"recipes"},
    {"viz"},
    {"widgets"},
]
CELLAR = {"files"}  # what floor 0 itself stands on
FLOOR = {room: number for number, rooms in enumerate([CELLAR, *FLOORS], start=-1) for room in rooms}
SCREENS = {"matplotlib", "ipywidgets", "IPython"}  # only the top floors and the course engine draw
# Beyond floor 0, the worlds know the tokenizer alone.
DATASETS_MAY_USE = {*CELLAR, *FLOORS[0], "tokenizer"}


def imports(path):
    """Every module that a file imports, as dotted names; relative ones made absolute."""
    here = ("mmcourse", *path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level]) + "." if node.level else ""
            stem = f"{base}{node.module or ''}".rstrip(".")
            yield from ([f"{stem}.{alias.name}" for alias in node.names] if stem == "mmcourse" else [stem])


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def trespasses(path):
    """One sentence for each import of a file that its floor does not allow."""
    room = room_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] in SCREENS and room not in {"viz", "widgets", "course"}:
            yield f"{room} imports {parts[0]}, which only viz, widgets and course may"
        if parts[0] != "mmcourse" or len(parts) < 2 or room == "course":
            continue
        target = parts[1]
        if target == "course":
            yield f"{room} imports the course engine"
        elif target in FLOOR and target != room and FLOOR[target] >= FLOOR[room]:
            yield f"{room} (floor {FLOOR[room]}) imports {target} (floor {FLOOR[target]})"
        elif room == "datasets" and target != room and target not in DATASETS_MAY_USE:
            yield f"datasets imports {target}"


def library_files():
    return [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE]


def test_every_module_has_a_floor():
    rooms = {room_of(path) for path in library_files()} - {"course", "_content"}
    assert rooms <= set(FLOOR), f"give these a floor: {sorted(rooms - set(FLOOR))}"


def test_imports_go_down_only():
    found = {str(path.relative_to(PACKAGE)): list(trespasses(path)) for path in library_files()}
    assert not {name: lines for name, lines in found.items() if lines}


def test_a_trespass_is_seen(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    bad = tmp_path / "attention.py"
    lines = [
        "import matplotlib.pyplot",
        "from . import viz",
        "from .course import check",
        "from .runtime import device",
    ]
    bad.write_text("\n".join(lines))
    assert len(list(trespasses(bad))) == 3


def module_name(path):
    parts = ("mmcourse", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(tree):
    """Every import of a file with whether it stands in a function; what is for type checkers alone is left out."""
    todo = [(tree, False)]
    while todo:
        node, inside = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, inside
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += [(child, inside) for child in node.orelse]
        else:
            inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            todo += [(child, inside) for child in ast.iter_child_nodes(node)]


def edges(path, known):
    """What a file imports, as pairs (module, whether in a function): modules of `known`, or another library's name."""
    here = ("mmcourse", *path.relative_to(PACKAGE).parts)
    for node, inside in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        else:
            base = [*here[: len(here) - node.level], *filter(None, [node.module])] if node.level else [node.module]
            stem = ".".join(base)
            found = [f"{stem}.{alias.name}" if f"{stem}.{alias.name}" in known else stem for alias in node.names]
        for name in dict.fromkeys(found):
            yield name if name.split(".")[0] == "mmcourse" else name.split(".")[0], inside


@cache
def the_imports():
    """Of each module of the library what it imports when it is loaded, and what only in a function."""
    known = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    top, later = {}, {}
    for name, path in known.items():
        found = set(edges(path, known))
        top[name] = {target for target, inside in found if not inside}
        later[name] = {target for target, inside in found if inside and target in known}
    return top, later


def circles(top):
    """Modules that import themselves by way of others, each with the way."""
    found, done = [], set()

    def visit(name, way):
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in done:
            for target in sorted(top.get(name, ())):
                visit(target, [*way, name])
            done.add(name)

    for name in top:
        visit(name, [])
    return found


def test_no_module_imports_itself_by_way_of_others():
    """With what a package gathers in its `__init__` apart from the modules inside, which never import it."""
    assert not [" -> ".join(way) for way in circles(the_imports()[0])]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"b"}}) == [["a", "b", "c", "a"]]


def loaded(name, top):
    """Everything that is loaded with a module: what it and its packages import, and so on."""
    seen, todo = set(), [name]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            parts = name.split(".")
            todo += [*top.get(name, ()), *(".".join(parts[:end]) for end in range(1, len(parts)))]
    return seen


# What takes tenths of a second to import.
HEAVY = {"torch", "matplotlib", "numpy", "nbformat", "nbclient", "nbconvert", "jupyter_client"}


def late_without_need(top, later):
    """Imports in functions that spare nothing: their module loads every heavy library of what it imports anyway."""
    for name, targets in later.items():
        own = loaded(name, top) & HEAVY
        yield from ((name, target) for target in targets if loaded(target, top) & HEAVY <= own)


# By the last part of both names, as (from, what): why it has to wait all the same.
MAY_WAIT = {
    (
        "cluster",
        "run",
    ): "a run hands work to the cluster, whose workers do that of a run: one comes first",
    ("command", "run"): "every command builds the command line, and only this one grades",
    ("desk", "sandbox"): "a sandbox of Linux, in a module that is imported everywhere",
    ("judge", "tracing"): "only where an answer ended in an error",
}


def test_imports_in_functions_spare_a_heavy_library_or_have_a_reason():
    """None is there for the sake of a circle, and none outside the course engine at all."""
    top, later = the_imports()
    assert not {name: found for name, found in later.items() if found and not name.startswith("mmcourse.course")}
    needless = {(name.split(".")[-1], target.split(".")[-1]) for name, target in late_without_need(top, later)}
    assert needless <= set(MAY_WAIT)


def test_needless_imports_in_functions_are_seen():
    top = {"a": {"torch"}, "b": {"torch"}, "c": {"b"}, "d": set()}
    assert set(late_without_need(top, {"c": {"a"}, "d": {"a"}})) == {("c", "a")}


def test_which_imports_of_a_file_are_seen(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    lines = [
        "from . import one",
        "if TYPE_CHECKING:",
        "    from . import two",
        "try:",
        "    from .. import three",
        "except ImportError:",
        "    import torch.nn as nn",
        "def f():",
        "    from .four import five",
    ]
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "bad.py").write_text("\n".join(lines))
    known = {"mmcourse.room.one", "mmcourse.room.two", "mmcourse.three", "mmcourse.room.four"}
    assert sorted(edges(tmp_path / "room" / "bad.py", known)) == [
        ("mmcourse.room.four", True), ("mmcourse.room.one", False), ("mmcourse.three", False), ("torch", False),
    ]  # fmt: skip


SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(source):
    """How many lines hold code: blank lines, comments and docstrings explain, and explaining should cost nothing."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                lines.difference_update(range(first.lineno, first.end_lineno + 1))
    return len(lines)


def test_lines_of_code_are_counted():
    source = '''"""Module.

Docstring."""
# a comment

class A:  # 1, with a comment behind
    """Docstring."""

    async def f(self):  # 2
        """Docstring
        on two lines."""
        text = """no docstring,
        but a value"""  # 3 and 4
        return (  # 5

            text  # 6
        )  # 7
'''
    assert code_lines(source) == 7
    assert code_lines("") == 0


def test_the_house_stays_small():
    """Lines of code for the whole library; lines of text for a file, which has to be read as it is."""
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    rooms = Counter()
    for path, text in texts.items():
        rooms[room_of(path)] += code_lines(text)
    del rooms["course"]
    print(f"the library has {rooms.total()} lines of code: {rooms.most_common()}")
    assert max(rooms.values()) < 1500  # a room that can be read in an evening
    assert rooms.total() < 10_000  # for all seventeen chapters; the first eight need about 6,000
    lines = {path: len(text.splitlines()) for path, text in texts.items()}
    # an exercise module is one chapter's table of references, mistakes and hints: longer than a piece of code should be
    too_long = {path.name: n for path, n in lines.items() if n > (640 if path.parent.name == "exercises" else 320)}
    assert not too_long
