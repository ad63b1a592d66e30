"""Notices what no answer needs to do, and names it. The verdict does not hang on it: the judge trusts data alone.

Before an answer runs, its text is read; while it runs, an audit hook listens (and `ready_made` watches what is called),
and afterwards the library is compared with what it was. A learner's code could hide from all but the first of these.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import math
import operator
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from mmcourse.content import PACKAGE

WORDS = {
    "ready-made": "calls the ready-made function that it is to write itself",
    "copied": "reads the source of the library, as one does to copy it",
    "replaced": "replaces a function of a library",
    "checks": "looks for the checks or the solutions",
    "frames": "looks into the frames or objects of whoever calls it",
    "network": "reaches for the network",
    "process": "starts, signals or ends processes",
    "files": "writes or deletes files",
    "native": "loads compiled code",
    "equality": "makes objects that are equal to everything",
    "notebook": "changes how the notebook runs code",
    "import": "changes how Python imports",
}

_FRAMES = {"_getframe", "_current_frames", "currentframe", "f_back", "f_locals", "f_globals", "tb_frame", "gi_frame"}
_FRAMES |= {"get_referrers", "get_objects", "settrace", "setprofile"}
_MODULES = {
    "network": {"socket", "urllib", "http", "requests", "ftplib", "smtplib", "ssl"},
    "process": {"subprocess", "multiprocessing", "signal", "pty"},
    "native": {"ctypes", "cffi", "mmap"},
    "frames": {"inspect", "gc"},
}
_PROCESS = {"fork", "forkpty", "system", "popen", "_exit", "kill", "killpg", "abort", "setsid"}
_PROCESS |= {"execv", "execve", "execvp", "posix_spawn", "spawnv"}
_CHECKS = ("course.exercises", "course/exercises", "chapters/source", "chapters/solutions", "course.grading")


def read_text(tree: ast.AST) -> list[tuple[str, str]]:
    """What the text of an answer shows, as pairs of a key of WORDS and what was seen.

    What costs points is not found here, but by watching: a text or a comment may name whatever it likes.
    """
    modules = _imported(tree)
    found: list[tuple[str, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += _imports(node)
            names = [alias.name for alias in node.names]
        else:
            names = [getattr(node, "attr", None), getattr(node, "id", None), getattr(node, "value", None)]
        for name in names:
            if not isinstance(name, str):
                continue
            plain_name = isinstance(node, ast.Name)
            if name in _FRAMES and not plain_name:
                found.append(("frames", name))
            if name in ("input_transformers_cleanup", "ast_transformers", "input_transformers_post"):
                found.append(("notebook", name))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
            found += [("process", f"os.{node.attr}")] if node.attr in _PROCESS else []
        found += [("replaced", text) for text in _replacements(node, modules)]
        if isinstance(node, ast.FunctionDef) and node.name == "__eq__" and _always_true(node):
            found.append(("equality", "__eq__"))
    return list(dict.fromkeys(found))


def _imported(tree: ast.AST) -> set[str]:
    names = {"torch", "nn", "F", "np", "numpy", "math", "builtins", "__builtins__", "sys", "operator", "mmcourse"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    return names


def _imports(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    if isinstance(node, ast.ImportFrom):
        names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
    else:
        names = [alias.name for alias in node.names]
    kinds = [(kind, name) for name in names for kind, tops in _MODULES.items() if name.split(".")[0] in tops]
    kinds += [("process", name) for name in names if name.startswith("os.") and name[3:] in _PROCESS]
    return kinds + [("checks", name) for name in names if any(part in name for part in _CHECKS)]


def _replacements(node: ast.AST, modules: set[str]) -> list[str]:
    """`torch.softmax = …`, `torch.Tensor.__eq__ = …`, `setattr(torch, …)`, `del torch.x`."""
    targets: list[ast.AST] = []
    if isinstance(node, (ast.Assign, ast.Delete)):
        targets = list(node.targets)
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        targets = [node.target]
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("setattr", "delattr") and node.args:
        text = ast.unparse(node.args[0])
        return [f"setattr({text[:40]}, …)"] if text.split(".")[0] in modules else []
    found = []
    for target in targets:
        if isinstance(target, (ast.Attribute, ast.Subscript)):
            text = ast.unparse(target)
            if text.split(".")[0].split("[")[0] in modules:
                found.append(text[:60])
    return found


def _always_true(node: ast.FunctionDef) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Return) and isinstance(last.value, ast.Constant) and last.value.value is True


def libraries() -> dict[str, dict[str, Any]]:
    """The names of the libraries that answers lean on, to compare with later."""
    import numpy
    import torch

    places = {"torch": torch, "torch.Tensor": torch.Tensor, "torch.nn": torch.nn, "math": math, "builtins": builtins}
    places |= {"torch.nn.functional": torch.nn.functional, "operator": operator, "numpy": numpy}
    places["torch.nn.Module"] = torch.nn.Module
    return {name: dict(vars(place)) for name, place in places.items()}


def replaced(before: dict[str, dict[str, Any]]) -> list[str]:
    """Which functions are not what they were."""
    now, found = libraries(), []
    for name, old in before.items():
        for key, value in old.items():
            new = now[name].get(key)
            if callable(value) and new is not value and key not in ("_", "__doc__") and not _of_a_library(new, key):
                found.append(f"{name}.{key}")
    return found


def _of_a_library(function: Any, name: str) -> bool:
    """Whether a library itself put another function of this name there, as some do when they are imported late."""
    code = getattr(function, "__code__", None)
    own = code is None or code.co_filename.startswith(("answer ", "<"))
    return not own and getattr(function, "__name__", "") == name


_EVENTS = {
    "socket.": "network", "urllib.": "network", "http.": "network", "smtplib.": "network", "ftplib.": "network",
    "os.fork": "process", "os.exec": "process", "os.posix_spawn": "process", "os.system": "process",
    "os.kill": "process", "subprocess.": "process", "pty.": "process", "signal.pthread_kill": "process",
    "os.remove": "files", "os.rename": "files", "os.rmdir": "files", "os.mkdir": "files", "os.truncate": "files",
    "os.chmod": "files", "os.chown": "files", "os.link": "files", "os.symlink": "files", "shutil.": "files",
    "ctypes.dlopen": "native", "sys._getframe": "frames", "sys._current_frames": "frames",
    "gc.get_referrers": "frames", "gc.get_objects": "frames",
}  # fmt: skip


def listen(note: Callable[[str, str], None], listening: Callable[[], bool], open_places: tuple[str, ...]) -> None:
    """Adds an audit hook (which cannot be taken off) that names events while `listening()`."""
    busy = False
    events = tuple(_EVENTS.items())

    def hook(event: str, details: tuple) -> None:
        nonlocal busy
        if busy or not listening():
            return
        busy = True
        try:
            if event == "open":
                _opened(details, note, open_places)
            elif event not in ("sys._getframe", "gc.get_objects") or _from_answer():
                kind = next((kind for start, kind in events if event.startswith(start)), None)
                allowed = kind == "files" and str(details[0] if details else "").startswith(open_places)
                if kind is not None and not allowed:
                    note(kind, event)
        finally:
            busy = False

    linecache.clearcache()  # what stands there is read without a sound
    sys.addaudithook(hook)
    sys.meta_path.insert(0, _Listener(note))


class _Listener:
    """Hears the names of modules that are looked for, and finds none."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        self.note = note

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if any(part in name for part in _CHECKS):
            self.note("checks", name[:60])


def _from_answer() -> bool:
    """Whether the frame above the hook belongs to an answer (libraries look at frames all the time)."""
    frame = sys._getframe(2)
    return frame.f_code.co_filename.startswith("answer ")


def _opened(details: tuple, note: Callable[[str, str], None], open_places: tuple[str, ...]) -> None:
    path, mode, flags = (*details, None, None, None)[:3]
    if isinstance(path, bytes):
        path = path.decode(errors="replace")
    if isinstance(path, PurePath):
        path = str(path)
    if not isinstance(path, str):
        return
    if any(part in path for part in _CHECKS[1:4]):
        note("checks", path[-60:])
    writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
    writes = writes or (isinstance(flags, int) and flags & 0o1103)
    if writes and (not path.startswith(open_places) or path.startswith(f"{PACKAGE}/")):
        note("files", path[-60:])
    if path.startswith("answer "):
        return
    place = os.path.realpath(path)
    root = next((root for root in _libraries() if place.startswith(root)), None)
    if root is not None and place.endswith((".py", ".pyc")) and _copying(root):
        note("copied", place[len(root) - len(os.path.basename(root[:-1])) - 1 :][-60:])


@lru_cache(maxsize=1)
def _libraries() -> tuple[str, ...]:
    """The folders of the libraries that have ready-made functions."""
    import torch

    return tuple(f"{os.path.realpath(place)}{os.sep}" for place in (PACKAGE, Path(torch.__file__).parent))


def _copying(root: str) -> bool:
    """Whether an answer has a library's source opened, on whatever way.

    An import does not count, nor a traceback or a warning, which quote the line, nor a library that reads itself.
    """
    frame = sys._getframe(1)
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file.startswith(("answer ", "<string>")):
            return True
        imports = file.startswith("<frozen importlib") and name in ("get_code", "exec_module")
        if imports or file in (traceback.__file__, warnings.__file__):
            return False
        if file != __file__ and os.path.realpath(file).startswith(root):
            return False
        frame = frame.f_back
    return False
