"""The side of the answer: one process that runs a learner's cell and does as the judge says.

Nothing of value is here: no reference, no check, no file of others. What the judge sends are inputs; what goes back are
data. Everything that this process says about itself after the learner's code began is only believed to its own harm.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import os
import socket
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mmcourse.course.answers import describe_error, is_unwritten
from mmcourse.course.grading.answer import extract, ready_made, tamper
from mmcourse.course.grading.channel import Channel
from mmcourse.course.grading.codec import BorderError, Decoder, Encoder

PLAIN = (bool, str, int, float, list, tuple, dict, set, frozenset, complex, torch.Tensor, np.ndarray, np.generic)


class Worker:
    """Loads an answer and serves it: calls, attributes and items of what it keeps."""

    def __init__(self, connection: socket.socket) -> None:
        self.channel = Channel(connection)
        self.kept: list[Any] = []
        self.notes: set[tuple[str, str]] = set()
        self.serving = False
        self.ready_made: list[str] = []
        self.lock = threading.RLock()
        self.pid = os.getpid()

    # --- messages

    def note(self, kind: str, detail: str) -> None:
        """Tells the judge of something that no answer needs to do."""
        if (kind, detail) in self.notes or len(self.notes) > 20 or os.getpid() != self.pid:
            return
        self.notes.add((kind, detail))
        with self.lock:
            self.channel.send({"note": [kind, detail]}, [])

    def heard(self, kind: str, detail: str) -> None:
        """What the hook heard. Who reads the source of the library to answer a check has it do the exercise."""
        self.note("ready-made" if kind == "copied" and self.serving and self.ready_made else kind, detail)

    def _served(self, kind: str, detail: str) -> None:
        """Notes what counts only while the answer works for the judge."""
        if self.serving:
            self.note(kind, detail)

    def keep(self, value: Any) -> int:
        self.kept.append(value)
        return len(self.kept) - 1

    def say(self, key: str, value: Any, **more: Any) -> None:
        flush()
        encoder = Encoder(self.keep, trusted=False)
        message = {key: encoder.encode(value), **more}
        with self.lock:
            self.channel.send(message, encoder.raw)

    def stand_in(self, number: int, name: str) -> Callable:
        """A function of the judge: calling it asks the judge."""

        def ask(*inputs: Any, **options: Any) -> Any:
            self.say("ask", (inputs, options), number=number)
            message, raw = self.channel.receive()
            if "error" in message:
                raise getattr(builtins, message["kind"], RuntimeError)(message["error"])
            return Decoder(raw, self.stand_in, trusted=True).decode(message["value"])

        return ask

    def fail(self, error: BaseException) -> None:
        """Sends an exception as text: its kind, its message, and the learner's line."""
        try:
            text, described = str(error), describe_error(error)
        except Exception:
            text = described = type(error).__name__
        kept = [arg for arg in error.args if type(arg) in (int, float, bool) or (type(arg) is str and len(arg) < 2000)][
            :3
        ]
        plain = len(kept) == len(error.args)
        more = {"kind": type(error).__name__[:80], "text": text[:2000], "described": described[:2000]}
        self.say("failed", kept if plain else None, **more)

    # --- the work

    def run(self) -> None:
        """Serves until the judge hangs up."""
        while True:
            try:
                message, raw = self.channel.receive()
            except BorderError:
                return
            try:
                getattr(self, f"do_{message['do']}")(message, raw)
            except BorderError as error:
                self.say("failed", None, kind="ValueError", text=str(error), described=f"ValueError: {error}.")
            except BaseException as error:
                self.fail(error)

    def do_load(self, message: dict, raw: list[bytes]) -> None:
        """Runs the cell of an exercise in a namespace that holds what it needs, and says what the answer is."""
        own = extract.Source(name=message["exercise"], origin="exercise", text=message["cell"])
        places = [[extract.Source(**cell) for cell in message[key]] for key in ("before", "after", "spare")]
        tree = extract.parse(own.text)
        wanted = extract.used(tree) | extract.used(ast.parse(message["answer"], mode="eval"))
        defined = set(extract.bound(tree))
        helpers = extract.needed(sorted(wanted - defined), *places)
        expression = self._expression(message["answer"], defined, helpers, tree)
        for kind, detail in tamper.read_text(tree):
            self.note(kind, detail)
        for statement in helpers:
            if statement.source.origin != "course":
                for kind, detail in tamper.read_text(statement.node):
                    self.note(kind, detail)
        from_own = sorted({name for s in helpers if s.source.origin != "course" for name in s.binds & wanted})
        ready_made.watch(message["ready_made"], self._served)
        self.ready_made = message["ready_made"]
        before = tamper.libraries()
        space = self._namespace(own, tree, helpers)
        failure = self._execute(own, tree, helpers, space)
        try:
            answer = eval(compile(expression, "answer", "eval"), space)
        except NameError as error:
            raise failure or error from None
        self._changed(before)
        ready_made.watch_copies(self._served)
        state = "unwritten" if is_unwritten(answer) else "value" if isinstance(answer, PLAIN) else "function"
        if not callable(answer) and state == "function":
            state = "value"
        said = None if failure is None else describe_error(failure)
        self.before = before
        self.say("loaded", answer, state=state, error=said, helpers=from_own, kept=self.keep(answer))

    def _expression(self, answer: str, defined: set[str], helpers: list, tree: ast.Module) -> str:
        """What to take as the answer: as the check cell calls it or, where it was renamed, the only thing like it."""
        known = defined.union(*(statement.binds for statement in helpers))
        if not answer.isidentifier() or answer in known:
            return answer
        functions = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        found = functions or sorted(defined)
        if len(found) != 1:
            raise NameError(f"name {answer!r} is not defined")
        self.note("renamed", found[0])
        return found[0]

    def _namespace(self, own: extract.Source, tree: ast.Module, helpers: list) -> dict[str, Any]:
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        space = vars(main)
        space.update(__builtins__=builtins, get_ipython=_no_notebook, display=print)
        return space

    def _execute(self, own: extract.Source, tree: ast.Module, helpers: list, space: dict) -> BaseException | None:
        """Helpers first; an error in one of them or after the answer is defined need not be the end."""
        failure: BaseException | None = None
        for statement in helpers:
            name = f"answer {statement.source.name}"
            _remember(name, statement.source.text)
            try:
                exec(compile(ast.Module([statement.node], []), name, "exec"), space)
            except Exception as error:
                failure = failure or error
        name = f"answer {own.name}"
        _remember(name, own.text)
        try:
            exec(compile(tree, name, "exec"), space)
        except BaseException as error:
            failure = error
        return failure

    def _changed(self, before: dict) -> None:
        for name in tamper.replaced(before)[:5]:
            self.note("replaced", name)

    def do_call(self, message: dict, raw: list[bytes]) -> None:
        decoder = Decoder(raw, self.stand_in, trusted=True)
        inputs, options = decoder.decode(message["inputs"])
        if message["chance"] is not None:
            torch_state, numpy_state = decoder.decode(message["chance"])
            torch.set_rng_state(torch_state)
            np.random.set_state(numpy_state)  # noqa: NPY002  learners may use the global generator
        before = _bytes(inputs)
        with self._watched():
            value = self.kept[message["kept"]](*inputs, **options)
        self._changed(self.before)
        changed = _bytes(inputs) != before
        self.say("value", (value, [_state(item) for item in inputs] if changed else None))

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """While the judge has the answer work, what it calls is watched; a test beside it may call what it likes."""
        self.serving = True
        try:
            with warnings.catch_warnings(), torch.enable_grad(), ready_made.Operators(self.ready_made, self.note):
                warnings.simplefilter("ignore")
                yield
        finally:
            self.serving = False

    def do_get(self, message: dict, raw: list[bytes]) -> None:
        """An attribute, an item, the length or all items of something kept."""
        thing, key = self.kept[message["kept"]], Decoder(raw, self.stand_in, trusted=True).decode(message["key"])
        how = {"attribute": getattr, "item": lambda x, k: x[k], "length": lambda x, k: len(x), "items": _items}
        with self._watched():
            value = how[message["how"]](thing, key)
        self.say("value", (value, None))


def _bytes(inputs: Any) -> tuple:
    """The inputs as bytes, to see whether an answer changed them."""
    encoder = Encoder(lambda value: 0, trusted=True)
    return encoder.encode(inputs), encoder.raw


def _state(item: Any) -> Any:
    """An input as it is now; of a module its numbers and switches."""
    if not isinstance(item, torch.nn.Module):
        return item
    return {"numbers": list(item.state_dict().values()), "training": [part.training for part in item.modules()]}


def _items(thing: Any, limit: int) -> list:
    found = []
    for item in thing:
        found.append(item)
        if len(found) >= limit:
            break
    return found


def _remember(name: str, text: str) -> None:
    """Lets tracebacks quote the line."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


class _Nothing:
    """Takes the place of the notebook's own Python, of `check` and of `hint`: does nothing, whatever is asked."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *inputs: Any, **options: Any) -> None:
        return None


def _no_notebook() -> _Nothing:
    return _Nothing()


def quiet_checks() -> None:
    """`check` and `hint` exist for answers that call them, and do nothing: what they need is not here."""
    for name in ("check", "hint"):
        module: Any = types.ModuleType(f"mmcourse.course.notebook.{name}")
        setattr(module, name, _Nothing())
        sys.modules[module.__name__] = module


def serve(connection: socket.socket, temporary: tuple[str, ...]) -> None:
    """Runs until the judge hangs up, then ends the process, whatever the answer left behind."""
    worker = Worker(connection)
    quiet_checks()
    tamper.listen(worker.heard, lambda: os.getpid() == worker.pid, temporary)
    try:
        worker.run()
    finally:
        os._exit(0)


def flush() -> None:
    """Sends off what was printed; the streams may be anything by now."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue
