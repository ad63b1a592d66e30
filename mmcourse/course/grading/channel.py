"""Messages over a socket: a JSON text and the raw bytes of its arrays, each with its length in front."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable

from mmcourse.course.grading.codec import LIMIT, BorderError

_HEADER = struct.Struct(">IQ")
_MOST_TEXT = 1 << 24  # bytes of JSON: as objects it takes up to thirty times as much memory


class Closed(BorderError):
    """Nobody is at the other end any more."""


class Late(BorderError):
    """Nothing came in time."""


class Channel:
    """Messages over a socket, each JSON and raw bytes, neither longer than its limit."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, message: dict, raw: list[bytes]) -> None:
        text = json.dumps({**message, "sizes": [len(data) for data in raw]}).encode()
        if len(text) > _MOST_TEXT:
            raise BorderError("the value is too large to be judged")
        self.connection.sendall(b"".join((_HEADER.pack(len(text), sum(map(len, raw))), text, *raw)))

    def receive(self, deadline: float | None = None, wait: Callable[[float | None], None] | None = None) -> tuple:
        """The next message and its raw parts. `wait` is called with the deadline whenever there is nothing to read."""
        length, more = _HEADER.unpack(self._exactly(_HEADER.size, deadline, wait))
        if length > _MOST_TEXT or more > LIMIT:
            raise BorderError("a message that is too long")
        text, data = self._exactly(length, deadline, wait), self._exactly(more, deadline, wait)
        try:
            message = json.loads(text)
            sizes = message.pop("sizes")
            if sum(sizes) != len(data) or not all(type(size) is int and size >= 0 for size in sizes):
                raise BorderError("a message with parts of wrong size")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BorderError("a message that is no JSON of ours") from error
        raw, start = [], 0
        for size in sizes:
            raw.append(data[start : start + size])
            start += size
        return message, raw

    def _exactly(self, count: int, deadline: float | None, wait: Callable[[float | None], None] | None) -> bytes:
        parts, left = [], count
        while left:
            if wait is not None:
                wait(deadline)
            if deadline is not None and time.monotonic() > deadline:
                raise Late("nothing came in time")
            try:
                data = self.connection.recv(min(left, 1 << 20))
            except (ConnectionError, OSError) as error:
                raise Closed("the other end is gone") from error
            if not data:
                raise Closed("the other end is gone")
            parts.append(data)
            left -= len(data)
        return b"".join(parts)
