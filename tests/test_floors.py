"""The library is a house: a module imports only from the floors below its own."""

import ast
import io
import re
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path

import mmcourse

PACKAGE = Path(mmcourse.__file__).parent

FLOORS = [
    {"runtime", "cache", "content", "pictures", "metadata", "sealed"},
    {"adapters", "attention", "pooling", "losses", "metrics", "tokenizer", "decoding", "flow", "distributed"},
    {"transformer", "datasets"},
    {"encoders", "lm", "fusion"},
    {"models"},
    {"train", "retrieval", "interpret", "deploy"},
    {"recipes"},
    {"viz", "album"},
    {"widgets"},
]
CELLAR = {"errors", "files"}  # what floor 0 itself stands on
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


def test_imports_are_written_in_full():
    """One way, everywhere: what a line imports can be read without knowing where the line stands."""
    relative = [
        path.name for path in PACKAGE.rglob("*.py") if re.search(r"^\s*from \.", path.read_text(), re.MULTILINE)
    ]
    assert not relative


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


def test_imports_in_functions_spare_a_heavy_library():
    """None is there for the sake of a circle, and none outside the course engine at all."""
    top, later = the_imports()
    assert not {name: found for name, found in later.items() if found and not name.startswith("mmcourse.course")}
    assert not list(late_without_need(top, later))


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


def texts():
    return {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def is_table(path):
    """Exercises are tables of references, mistakes and hints: there may be many, and a file of one may be long."""
    return "exercises" in path.parts and path.parent.name.startswith("ch")


def test_the_house_stays_small():
    """A room is a folder: it can be read in an evening, a file at one go. Explaining costs nothing but in a file."""
    rooms = Counter()
    for path, text in texts().items():
        if not is_table(path):
            rooms[str(path.parent.relative_to(PACKAGE))] += code_lines(text)
    print(f"the course has {rooms.total()} lines of code beside its exercises: {rooms.most_common()}")
    assert max(rooms.values()) < 1000, rooms.most_common(3)
    long = {str(path): len(text.splitlines()) for path, text in texts().items() if len(text.splitlines()) > 300}
    assert not long


def test_no_function_is_long():
    """At most 50 lines, its docstring not counted."""
    found = {}
    for path, text in texts().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                explained = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
                lines = node.end_lineno - node.lineno + 1 - (first.end_lineno - first.lineno + 1 if explained else 0)
                if lines > 50:
                    found[f"{path.name}: {node.name}"] = lines
    assert not found


GRADING = "mmcourse.course.grading"
ANSWER = ("mmcourse.course.grading.answer", "mmcourse.course.answers", "mmcourse.course.errors")
BORDER = {f"mmcourse.course.grading.{name}" for name in ("channel", "codec", "sandbox", "namespaces", "seccomp")}


def test_the_side_of_the_answer_knows_no_exercise():
    """Neither directly nor by way of what it imports from the course engine."""
    seen, waiting = (
        set(),
        [f"mmcourse.course.grading.answer.{p.stem}" for p in (PACKAGE / "course/grading/answer").glob("*.py")],
    )
    while waiting:
        name = waiting.pop()
        path = PACKAGE.parent / (name.replace(".", "/") + ".py")
        path = path if path.is_file() else path.with_suffix("") / "__init__.py"
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        waiting += [module for module in modules(path) if module.startswith("mmcourse.course.")]
    strangers = [name for name in seen if not name.startswith(ANSWER) and name not in BORDER | {GRADING}]
    assert not strangers, f"the process of an answer would load {strangers}"


def modules(path):
    """Every module that a file imports; of `from a import b` both a and a.b, as b may be a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
