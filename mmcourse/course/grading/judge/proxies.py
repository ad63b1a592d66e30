"""What stands for an answer on the side of the judge: it looks like a function, and asks the process of the answer."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from mmcourse.course.answers import describe_error
from mmcourse.course.grading.channel import Channel, Closed, Late
from mmcourse.course.grading.codec import Decoder, Encoder

_SIMPLE = (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, ZeroDivisionError, NameError)
_SIMPLE += (AssertionError, NotImplementedError, StopIteration, OverflowError, ArithmeticError, LookupError)
_SIMPLE += (
    UnboundLocalError,
    MemoryError,
    RecursionError,
    OSError,
    PermissionError,
    EOFError,
    ImportError,
    SyntaxError,
)
NAMES = {kind.__name__: kind for kind in _SIMPLE} | {"Exception": Exception}
FORGED = "its process sent what no answer sends"
_MOST_SAID = 2000  # characters of an error
_KEPT_OUTPUT = 20_000  # bytes that are kept for the feedback page


class StoppedError(Exception):
    """The answer was ended: it took too long, or it ended Python, or it said what no answer says."""


class Link:
    """The judge's end of one answer's process: messages, what it prints, and the time that it has."""

    def __init__(
        self,
        connection: socket.socket,
        output: int | socket.socket,  # Windows waits for sockets only
        *,
        seconds: float,
        most_output: int,
        wall: float | None = None,
    ) -> None:
        self.channel, self.output = Channel(connection), output
        # On a busy machine it has more time than it hears of.
        self.deadline = time.monotonic() + (seconds if wall is None else wall)
        self.printed, self.printed_size, self.most_output = b"", 0, most_output
        self.notes: list[tuple[str, str]] = []
        self.described: dict[str, str] = {}  # how the judge would tell of an error -> how the answer's side tells it
        self.asked: list[Callable] = []
        self.stopped: tuple[str, str] | None = None  # which limit, and in words
        self.chance: bytes | None = None
        self.seconds = seconds
        self.hushed = self.output_ended = False
        if isinstance(output, int):
            os.set_blocking(output, False)
        else:
            output.setblocking(False)

    # --- messages

    def _wait(self, deadline: float | None) -> None:
        """Until there is a message, reading meanwhile what the answer prints."""
        while True:
            left = max(0.0, self.deadline - time.monotonic())
            sources = [self.channel.connection, *([] if self.output_ended else [self.output])]
            ready, _, _ = select.select(sources, [], [], left)
            if self.output in ready:
                self.read_output()
                if self.printed_size > self.most_output:
                    raise self.stop("output", f"it printed more than {self.most_output >> 10} KiB")
            if self.channel.connection in ready:
                return
            if not left:
                raise Late("nothing came in time")

    def read_output(self) -> None:
        """Takes what the answer has printed; the beginning is kept."""
        try:
            data = os.read(self.output, 1 << 16) if isinstance(self.output, int) else self.output.recv(1 << 16)
        except (BlockingIOError, OSError):
            return
        self.output_ended = not data
        self.printed_size += len(data)
        if not self.hushed:
            self.printed += data[: max(0, _KEPT_OUTPUT - len(self.printed))]

    def hush(self) -> None:
        """From now on nothing that the answer prints or is noted for is shown: it could be the input of a check."""
        while not self.hushed and select.select([self.output], [], [], 0)[0] and self.printed_size < self.most_output:
            before = self.printed_size
            self.read_output()
            if self.printed_size == before:
                break
        self.hushed = True

    def stop(self, limit: str, text: str) -> StoppedError:
        self.stopped = self.stopped or (limit, text)
        return StoppedError(self.stopped[1])

    def out_of_time(self, text: str) -> None:
        """Its end turns out to be that of its processor time, whatever was said of it before."""
        if self.stopped is not None:
            self.described[describe_error(StoppedError(self.stopped[1]))] = text
        self.stopped = ("time", text)

    def exchange(self, message: dict, **values: Any) -> tuple[dict, Callable]:
        """Sends a request and serves the answer's own questions until it replies."""
        if self.stopped is not None:
            raise StoppedError(self.stopped[1])
        try:
            self._send(message, **values)
            reply, decode = self._reply()
            failure = self._error(reply, decode(reply["failed"])) if "failed" in reply else None
        except Late:
            words = f"it did not end within {self.seconds:g} seconds: does a loop never stop?"
            raise self.stop("time", words) from None
        except Closed:
            raise self.stop("ended", "it ended Python in the middle of its work") from None
        except StoppedError:
            raise
        except Exception as error:  # whatever can go wrong with a message that somebody made up
            raise self.stop("forged", FORGED) from error
        if failure is not None:
            raise failure
        return reply, decode

    def _reply(self) -> tuple[dict, Callable]:
        """The next message that is not a note and not a question."""
        while True:
            reply, raw = self.channel.receive(self.deadline, self._wait)
            decode = Decoder(raw, self.stand_in, trusted=False).decode
            if "note" in reply:
                kind, detail = reply["note"]
                if len(self.notes) < 30:
                    self.notes.append(
                        (str(kind)[:20], "in a check that is not shown" if self.hushed else str(detail)[:80])
                    )
            elif "ask" in reply:
                self._answer(self.asked[reply["number"]], decode(reply["ask"]))
            else:
                return reply, decode

    def _send(self, message: dict, **values: Any) -> None:
        encoder = Encoder(self._ask_about, trusted=True)
        body = {**message, **{key: encoder.encode(value) for key, value in values.items()}}
        self.channel.connection.settimeout(max(0.1, self.deadline - time.monotonic()))
        try:
            self.channel.send(body, encoder.raw)
        except TimeoutError:
            raise Late("the answer does not listen") from None
        except OSError:
            raise Closed("the answer is gone") from None

    def _ask_about(self, function: Any) -> int:
        if not callable(function):
            raise TypeError(f"an input of the kind {type(function).__name__} cannot be handed to an answer")
        self.asked.append(function)
        return len(self.asked) - 1

    def _answer(self, function: Callable, given: Any) -> None:
        """Calls a function that the exercise handed over, for the answer."""
        inputs, options = given
        try:
            value = function(*inputs, **options)
        except Exception as error:
            self._send({"error": str(error)[:2000], "kind": type(error).__name__})
        else:
            self._send({}, value=value)

    def stand_in(self, number: int, name: str) -> Remote:
        kind = type(name if name.isidentifier() else "object", (Remote,), {})
        return kind(self, number)

    def _error(self, reply: dict, kept: Any) -> Exception:
        """The exception of the answer, as far as it can be had: same kind, same message."""
        name, text = str(reply["kind"])[:80], str(reply["text"])[:_MOST_SAID]
        if isinstance(kept, list):
            kept = [item[:_MOST_SAID] if isinstance(item, str) else item for item in kept[:3]]
        kind = NAMES.get(name)
        error: Exception
        if kind is not None and isinstance(kept, list) and all(type(item) in (str, int, float, bool) for item in kept):
            error = kind(*kept)
        elif kind is not None:
            error = kind(text)
        else:
            named = name if name.isidentifier() else "Exception"
            error = type(named, (Exception,), {})(text)
        self.described[describe_error(error)] = str(reply["described"])[:_MOST_SAID]
        return error

    # --- the answer itself

    def load(self, message: dict) -> tuple[dict, Any]:
        reply, decode = self.exchange({"do": "load", **message})
        if "loaded" not in reply:
            raise self.stop("forged", FORGED)
        try:
            return reply, decode(reply["loaded"])
        except Exception as error:
            raise self.stop("forged", FORGED) from error

    def call(self, kept: int, inputs: tuple, options: dict) -> Any:
        state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  answers may use the global generators
        fingerprint = state[0].numpy().tobytes() + state[1][1].tobytes() + bytes([state[1][2] % 251])
        chance = None if fingerprint == self.chance else state  # the answer goes on with its own where it stands
        self.chance = fingerprint
        reply, decode = self.exchange({"do": "call", "kept": kept}, inputs=(inputs, options), chance=chance)
        value, changed = self._read(reply, decode)
        for item, now in zip(inputs, changed or (), strict=False):
            update(item, now)
        return value

    def get(self, kept: int, how: str, key: Any) -> Any:
        reply, decode = self.exchange({"do": "get", "kept": kept, "how": how}, key=key)
        return self._read(reply, decode)[0]

    def _read(self, reply: dict, decode: Callable) -> tuple[Any, Any]:
        try:
            value, changed = decode(reply["value"])
        except Exception as error:
            raise self.stop("forged", FORGED) from error
        return value, changed


class Remote:
    """Stands for a function, class, module or object that stays in the process of the answer."""

    def __init__(self, link: Link, kept: int) -> None:
        self.__dict__.update(_link=link, _kept=kept)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self._link.call(self._kept, inputs, options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._link.get(self._kept, "attribute", name)

    def __getitem__(self, key: Any) -> Any:
        return self._link.get(self._kept, "item", key)

    def __len__(self) -> int:
        return int(self._link.get(self._kept, "length", None))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._link.get(self._kept, "items", 10_000))


def update(item: Any, now: Any) -> None:
    """Makes an input what the answer made of it, so that a change in place is seen."""
    if isinstance(item, torch.Tensor) and isinstance(now, torch.Tensor):
        item.data = now.detach()
    elif isinstance(item, torch.nn.Module) and isinstance(now, dict):
        with torch.no_grad():
            for old, new in zip(item.state_dict().values(), now["numbers"], strict=True):
                old.copy_(new)
        for part, training in zip(item.modules(), now["training"], strict=True):
            part.training = bool(training)
    elif isinstance(item, np.ndarray) and isinstance(now, np.ndarray) and item.shape == now.shape:
        item[...] = now
    elif isinstance(item, list) and isinstance(now, list):
        item[:] = now
    elif isinstance(item, (dict, set)) and isinstance(now, type(item)):
        item.clear()
        item.update(now)
    elif isinstance(item, tuple) and isinstance(now, (tuple, list)):
        for old, new in zip(item, now, strict=False):
            update(old, new)
