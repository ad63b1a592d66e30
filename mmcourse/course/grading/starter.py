"""The judge's end of the process that starts answers."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import socket
import subprocess
import sys
from typing import Any

from mmcourse.course.errors import CourseError
from mmcourse.course.grading import nursery
from mmcourse.course.grading.proxies import Link
from mmcourse.course.grading.sandbox import Limits, environment

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
        command = [sys.executable, "-m", "mmcourse.course.grading.nursery", str(theirs.fileno())]
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
