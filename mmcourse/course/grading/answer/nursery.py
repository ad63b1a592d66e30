"""The process that starts answers: Python and the library are loaded once, and every answer is a fork of that.

Where a system cannot fork (Windows), the process of one answer alone.

It never runs a line of a learner's code, and never loads an exercise. A judge talks to it over a socket: `start` with
the two ends that the new process is to use, `stop` to end it and to hear how it went.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from typing import Any

from mmcourse.course.grading import namespaces, sandbox

PRELOADED = ("matplotlib.pyplot", "torch.nn.functional", "mmcourse.attention", "mmcourse.datasets", "mmcourse.runtime")
PRELOADED += ("mmcourse.losses", "mmcourse.metrics", "mmcourse.encoders", "mmcourse.tokenizer", "mmcourse.lm")
PRELOADED += ("mmcourse.decoding", "mmcourse.fusion", "mmcourse.course.grading.answer.worker", "mmcourse.transformer")
PRELOADED += ("mmcourse.tokenizer.byte_pair", "mmcourse.tokenizer.wordpiece", "mmcourse.viz", "symtable", "timeit")


def live(judge: socket.socket) -> None:
    """Serves a judge until it hangs up. Never returns: nothing of whoever started this process may go on in it."""
    try:
        os.closerange(3, judge.fileno())
        os.closerange(judge.fileno() + 1, 4096)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        _serve(judge)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(0)


def alone() -> None:
    """Is the process of one answer, from the start of Python to its end; the settings come over standard input."""
    settings = json.loads(sys.stdin.readline())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    folder = os.getcwd()
    _load(folder)
    connection = socket.create_connection(("127.0.0.1", settings["port"]))
    connection.sendall(settings["token"].encode())
    assert _ready(connection)
    sizes = open("/proc/self/statm") if os.path.exists("/proc/self/statm") else None  # noqa: SIM115
    sandbox.confine(sandbox.Limits(**settings["limits"]), settings["report"], _size(sizes))
    from mmcourse.course.grading.answer import worker

    worker.serve(connection, (f"{os.path.realpath(folder)}{os.sep}", f"{folder}{os.sep}", os.devnull))


def _load(home: str) -> None:
    """Loads Python's and the library's modules, with only those variables that an answer may see."""
    kept = sandbox.environment()
    for name in set(os.environ) - set(kept):
        del os.environ[name]
    os.environ.update(MMCOURSE_BUDGET="smoke", MMCOURSE_DEVICE="cpu", MMCOURSE_WORK="", MPLBACKEND="Agg", HOME=home)
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    import torch

    torch.set_num_threads(1)  # threads do not live through a fork
    square = torch.ones(8, 8)  # what torch asks the system about once, it asks now: later there is no /proc
    (
        torch.nn.functional.conv2d(square[None, None], square[None, None, :3, :3]).softmax(-1).sum()
        + (square @ square).sum()
    )


def _serve(judge: socket.socket) -> None:
    _load("/tmp")
    _send(judge, {"ready": _ready(judge)})
    sizes = open("/proc/self/statm") if os.path.exists("/proc/self/statm") else None  # noqa: SIM115
    report = sandbox.enclose()
    _send(judge, {"report": report})
    if report["namespaces"]:
        _first_process()
    gc.collect()
    gc.freeze()
    child: int | None = None
    started = 0.0
    while True:
        data, handles, _, _ = socket.recv_fds(judge, 1 << 16, 2)
        if not data:
            if child is not None:
                os.kill(child, signal.SIGKILL)
            return
        request = json.loads(data)
        if "start" in request:
            size = _size(sizes)
            started = time.monotonic()
            child = os.fork()
            if child == 0:
                judge.close()
                _become_answer(handles, sandbox.Limits(**request["start"]), report, size)
            for handle in handles:
                os.close(handle)
            _send(judge, {"started": True})
        elif child is not None:
            _send(judge, _end(child, started))
            child = None


def _ready(judge: socket.socket) -> bool:
    assert not any(name.startswith("mmcourse.course.exercises.") for name in sys.modules), "answers must not see checks"
    return judge.fileno() >= 0


def _send(judge: socket.socket, message: dict) -> None:
    judge.sendall(json.dumps(message).encode() + b"\n")


def _size(sizes: Any) -> int:
    """The address space of this process, in bytes."""
    if sizes is None:
        return 0
    sizes.seek(0)
    return int(sizes.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _first_process() -> None:
    """The process that a process namespace lives and dies with; it only waits for orphans."""
    if os.fork() == 0:
        namespaces.die_with_parent()
        os.closerange(3, 256)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            signal.pause()


def _become_answer(handles: list[int], limits: sandbox.Limits, report: dict, size: int) -> None:
    """In the new process: only the two ends stay open, then it is confined, then it serves. Never returns."""
    try:
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        channel, output = os.dup(handles[0]), os.dup(handles[1])
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(channel, 3)
        os.closerange(4, 4096)
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        sandbox.confine(limits, report, size)
        from mmcourse.course.grading.answer import worker

        worker.serve(socket.socket(fileno=3), ("/tmp/", "/dev/null") if report["namespaces"] else ("/dev/null",))
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        sys.__stderr__.flush()
    finally:
        os._exit(70)


def _end(child: int, started: float) -> dict:
    """Ends the process and its group, and says how it had ended or would have gone on."""
    done, status, usage = os.wait4(child, os.WNOHANG)
    running = done == 0
    if running:
        for end in (os.killpg, os.kill):
            try:
                end(child, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return {"running": running, "code": code, "cpu": cpu, "wall": time.monotonic() - started, "memory": usage.ru_maxrss}


if __name__ == "__main__":
    live(socket.socket(fileno=int(sys.argv[1]))) if len(sys.argv) > 1 else alone()
