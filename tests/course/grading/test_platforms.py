"""Systems without namespaces, `fork` or signals: what is missing is said, and answers are graded all the same."""

from __future__ import annotations

import os
import platform
import select
import socket
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from mmcourse.course.grading import sandbox, submission
from mmcourse.course.grading.judge import judge, patience, starter

HIDDEN = ("resource", "fcntl", "pwd", "grp", "termios", "pty", "tty", "posix")
LACKING = ("fork", "wait4", "killpg", "setsid", "geteuid", "getegid", "forkpty")
# Other people's packages look at the system as they load; so it is pretended once they have.
PRETEND = f"""
import asyncio, logging, multiprocessing, os, platform, signal, socket, subprocess, symtable, sys, tempfile, timeit
import matplotlib.pyplot, numpy, torch
sys.platform, platform.system = "win32", lambda: "Windows"
for name in {HIDDEN}:
    sys.modules[name] = None
for name in {LACKING}:
    delattr(os, name)
for name in ("setitimer", "SIGKILL", "SIGXFSZ", "SIGCHLD", "SIGVTALRM", "pause"):
    delattr(signal, name)
del socket.send_fds, socket.recv_fds
assert not any(name.startswith("mmcourse") for name in sys.modules)
"""
RIGHT = "def build_causal_mask(length):\n    print('hello')\n    return torch.ones(length, length).tril().bool()"
ENDLESS = "def build_causal_mask(length):\n    while True: pass"
ENDED = "import os\ndef build_causal_mask(length):\n    os._exit(0)"
LOUD = "def build_causal_mask(length):\n    while True: print('x' * 100_000)"
SELECT = select.select


def sockets_only(reading, writing, odd, seconds=None):
    """As on Windows."""
    for one in (*reading, *writing, *odd):
        if not isinstance(one, socket.socket):
            raise OSError(10038, "An operation was attempted on something that is not a socket")
    return SELECT(reading, writing, odd, seconds)


@pytest.fixture
def windows(monkeypatch):
    """This process as one on Windows."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    for name in HIDDEN:
        monkeypatch.setitem(sys.modules, name, None)
    for name in LACKING:
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(patience, "signal", types.SimpleNamespace())
    for name in ("send_fds", "recv_fds"):
        monkeypatch.delattr(socket, name, raising=False)
    monkeypatch.setattr(select, "select", sockets_only)


@pytest.fixture
def alone(windows):
    """A judge on such a system, whose answers run on such a system."""
    found = judge.Judge(sandbox.Limits(seconds=3), hidden={})
    assert isinstance(found.nursery, starter.Alone)
    found.nursery.python = [
        *(sys.executable, "-c"),
        f"{PRETEND}\nfrom mmcourse.course.grading.answer import nursery\nnursery.alone()",
    ]
    return found


def graded(by, text):
    course = submission.course_chapter("01")
    before = [{"name": cell.id, "origin": "course", "text": cell.text} for cell in course.code[:1]]
    around = {"before": before, "after": [], "spare": []}
    work = submission.Work(exercise="01-causal-mask", answer="build_causal_mask", cell=text, around=around)
    return by.grade(work, course, "x")


def test_a_system_without_fork_grades(alone):
    began = time.monotonic()
    right, endless, ended, loud = (graded(alone, text) for text in (RIGHT, ENDLESS, ENDED, LOUD))
    assert (right.status, right.points) == ("done", 1), right
    assert right.output.startswith("hello")
    assert (endless.status, endless.limit, endless.points) == ("stopped", "time", 0), endless
    assert (ended.status, ended.limit, ended.points) == ("stopped", "ended", 0), ended
    assert (loud.status, loud.limit, loud.points) == ("stopped", "output", 0), loud
    assert time.monotonic() - began < 300
    assert not Path(alone.nursery.folder).exists()
    assert alone.nursery.process.returncode is not None


def test_what_is_missing_is_said_at_once_with_what_is_done_instead(alone):
    said = " ".join(alone.wait())
    for part in ("read-only file system", "system calls", "limit on memory", "group of processes", "processor time"):
        assert part in said, part
    assert said.count("(instead, ") == len(alone.wait()) == 6
    assert "every answer starts a Python of its own" in said


def test_a_mac_keeps_no_limit_on_memory(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    pytest.importorskip("resource")
    said = sandbox.missing(sandbox.offered())
    assert [text.split(" (")[0] for text in said] == [
        "a read-only file system without the solutions, and a process space of its own",
        "a filter of system calls",
        "a limit on memory",
    ]


def test_nothing_is_missing_where_everything_is_there():
    assert sandbox.missing(dict.fromkeys(sandbox.offered(), True)) == []


def test_every_module_of_the_grader_loads_there():
    room = Path(sandbox.__file__).parent
    files = [path.relative_to(room).with_suffix("") for path in room.rglob("*.py") if path.stem != "__init__"]
    names = sorted(".".join(file.parts) for file in files)
    others = "import jupytext, nbformat, PIL.Image, torchvision"
    load = f"import importlib\nfor name in {names}: importlib.import_module('mmcourse.course.grading.' + name)"
    done = subprocess.run(
        [sys.executable, "-c", f"{others}\n{PRETEND}\n{load}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(names) > 15


def test_a_process_that_does_not_start_is_said(windows):
    broken = starter.Alone([sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(judge.CourseError, match="does not start"):
        broken.start(sandbox.Limits(), 5)
    assert not Path(broken.folder).exists()
