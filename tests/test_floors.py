"""The library is a house: a module imports only from the floors below its own."""

import ast
from pathlib import Path

import mmcourse

PACKAGE = Path(mmcourse.__file__).parent

FLOORS = [
    {"runtime", "cache", "content"},
    {"attention", "losses", "metrics", "tokenizer", "decoding"},
    {"transformer", "datasets"},
    {"encoders", "lm", "fusion"},
    {"models"},
    {"train", "retrieval", "interpret", "deploy", "distributed"},
    {"viz"},
    {"widgets"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
SCREENS = {"matplotlib", "ipywidgets", "IPython"}  # only the top floors and the course engine draw
# Beyond floor 0, the worlds know the tokenizer alone.
DATASETS_MAY_USE = {*FLOORS[0], "tokenizer"}


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


def test_the_house_stays_small():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    assert sum(count for path, count in lines.items() if room_of(path) != "course") < 6000
    # an exercise module is one chapter's table of references, mistakes and hints: longer than a piece of code should be
    too_long = {path.name: n for path, n in lines.items() if n > (640 if path.parent.name == "exercises" else 320)}
    assert not too_long
