"""The judge's end of the process that starts answers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

from mmcourse.course.errors import CourseError
from mmcourse.course.grading.answer import nursery
from mmcourse.course.grading.judge.proxies import Link
from mmcourse.course.grading.sandbox import Limits, can_fork, environment, offered

START_SECONDS = 120  # for Python and the library to load


class Nursery:
    """Starts answers, one at a time, in a process of its own that has Python and the library ready.

    Args:
        fork: make that process out of this one, which is quicker but must not have loaded any exercise yet.
    """

    def __init__(self, *, fork: bool = False) -> None:
        ours, theirs = socket.socketpair()
        self.socket, self.buffer = ours, b""
        self.report: dict[str, Any] = {}
        if fork:
            self.number = os.fork()
            if self.number == 0:
                ours.close()
                nursery.live(theirs)
            theirs.close()
            return
        command = [sys.executable, "-m", "mmcourse.course.grading.answer.nursery", str(theirs.fileno())]
        options: dict[str, Any] = {"pass_fds": [theirs.fileno()], "env": environment(), "cwd": "/"}
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
        self.number = self.process.pid
        theirs.close()

    def wait(self) -> None:
        """Until it is ready; `report` then says which parts of the isolation it has."""
        self._hear(START_SECONDS)
        self.report = self._hear(START_SECONDS)["report"]

    def start(self, limits: Limits, wall: float) -> Link:
        """A new process for an answer, which has so many seconds by the clock."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        message = json.dumps({"start": dataclasses.asdict(limits)}).encode()
        socket.send_fds(self.socket, [message], [theirs.fileno(), writing])
        theirs.close()
        os.close(writing)
        self._hear(START_SECONDS)
        return Link(ours, reading, seconds=limits.seconds, wall=wall, most_output=limits.output << 10)

    def stop(self, link: Link) -> dict[str, Any]:
        """Ends an answer's process, and says how it had ended."""
        link.channel.connection.close()
        self.socket.sendall(b'{"stop": true}')
        ended = self._hear(START_SECONDS)
        link.read_output()
        os.close(link.output)
        return ended

    def close(self) -> None:
        """Lets it end; whoever made it by `fork` is about to end too."""
        self.socket.close()
        if hasattr(self, "process"):
            self.process.wait(timeout=30)

    def _hear(self, seconds: float) -> dict[str, Any]:
        while b"\n" not in self.buffer:
            if not select.select([self.socket], [], [], seconds)[0]:
                raise CourseError("the process that starts answers does not reply")
            data = self.socket.recv(1 << 16)
            if not data:
                raise CourseError("the process that starts answers has ended; `mmcourse doctor` looks for the cause")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


class Alone:
    """Starts every answer as a Python of its own, where the system cannot fork or hand over open files (Windows).

    Args:
        python: the command that starts it.
    """

    def __init__(
        self, python: Sequence[str] = (sys.executable, "-m", "mmcourse.course.grading.answer.nursery")
    ) -> None:
        self.python = list(python)
        self.report: dict[str, Any] = {**offered(), "namespaces": False, "filter": False, "fork": False}
        self.number = os.getpid()

    def wait(self) -> None:
        """Nothing is to wait for: the report stands at once."""

    def start(self, limits: Limits, wall: float) -> Link:
        """A new process for an answer, which has so many seconds by the clock once Python and the library are loaded.

        What it prints comes through a socket: Windows waits for nothing else together with a message.
        """
        self.folder = tempfile.mkdtemp(prefix="answer-")
        places = dict.fromkeys(("TMP", "TEMP", "TMPDIR"), self.folder)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        token = secrets.token_hex(32)
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.process = subprocess.Popen(self.python, env=environment() | places, cwd=self.folder, **pipes)
            settings = {"port": server.getsockname()[1], "token": token, "limits": dataclasses.asdict(limits)}
            with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
                pipe.write(json.dumps({**settings, "report": self.report}).encode() + b"\n")
            reading, writing = socket.socketpair()
            self.pump = threading.Thread(target=_pump, args=(self.process.stdout, writing), daemon=True)
            self.pump.start()
            try:
                ours = self._accept(server, token.encode())
            except CourseError:
                self._clear(reading)
                raise
        self.began = time.monotonic()
        return Link(ours, reading, seconds=limits.seconds, wall=wall, most_output=limits.output << 10)

    def stop(self, link: Link) -> dict[str, Any]:
        """Ends an answer's process, and says how it had ended. How long it computed, only the clock says."""
        code, wall = self.process.poll(), time.monotonic() - self.began
        link.channel.connection.close()
        self._end()
        self.pump.join(0.5)
        link.read_output()
        self._clear(link.output)
        return {"running": code is None, "code": code or 0, "cpu": wall, "wall": wall, "memory": 0}

    def close(self) -> None:
        """Nothing is left to close."""

    def _accept(self, server: socket.socket, token: bytes) -> socket.socket:
        """The connection of the new process; whoever else calls this port does not know the token."""
        deadline = time.monotonic() + START_SECONDS
        server.settimeout(0.2)
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                found, _ = server.accept()
            except TimeoutError:
                continue
            found.settimeout(1)
            with contextlib.suppress(OSError):
                if secrets.compare_digest(found.recv(len(token), socket.MSG_WAITALL), token):
                    found.settimeout(None)
                    return found
            found.close()
        raise CourseError("a process for an answer does not start; `mmcourse doctor` looks for the cause")

    def _end(self) -> None:
        """Ends the process and, as far as the system knows them, those that it started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        elif (taskkill := shutil.which("taskkill")) is not None:
            subprocess.run([taskkill, "/T", "/F", "/PID", str(self.process.pid)], capture_output=True, check=False)
        self.process.kill()
        self.process.wait(timeout=30)

    def _clear(self, output: socket.socket | int) -> None:
        self._end()
        assert isinstance(output, socket.socket)
        output.close()
        self.pump.join(5)
        if not self.pump.is_alive():
            self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _pump(source: Any, sink: socket.socket) -> None:
    """Hands on what a pipe brings until it ends or nobody takes it."""
    with sink, contextlib.suppress(OSError):
        while data := os.read(source.fileno(), 1 << 16):
            sink.sendall(data)


def open_nursery(*, fork: bool = False) -> Nursery | Alone:
    """What starts answers on this system; `fork` as for `Nursery`."""
    return Nursery(fork=fork) if can_fork() else Alone()
