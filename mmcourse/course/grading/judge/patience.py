"""How long is too long: for an answer on a busy machine, and for the judge itself at what an answer gave back."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MORE_TIME = 4  # times the limit for what ended by the clock, before it had so much of the processor
AGAIN = 0.5  # seconds of computing after which the judge that goes on is told once more
SOON = 0.01  # seconds of computing until it is tried again where an exception would go nowhere
BUSY = 0.8  # less of the limit than this was computing: the machine had other work, or the answer waits


class TooLongError(BaseException):
    """The judge's own time is over. No `except Exception` on the way may swallow it."""


@contextmanager
def at_most(seconds: float, tell: Callable[[], Any]) -> Iterator[None]:
    """Raises TooLongError in the block, after calling `tell`, once this process has computed for so long.

    Time in which it waits does not count. It does nothing outside of the main thread and where the system has no such
    clock (Windows): there the desk that hears nothing for long is ended as a whole.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, frame: Any) -> None:
        if _swallows(frame):
            signal.setitimer(signal.ITIMER_VIRTUAL, SOON, AGAIN)
            return
        tell()
        raise TooLongError

    before = signal.signal(signal.SIGVTALRM, over)
    # Again and again: there are callbacks that cannot be told from other code, and swallow it.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _swallows(frame: Any) -> bool:
    """Whether an exception raised here would end as a warning: in a finalizer or in a callback of the collector."""
    callbacks = [getattr(callback, "__code__", None) for callback in gc.callbacks]
    while frame is not None:
        if frame.f_code.co_name == "__del__" or any(frame.f_code is code for code in callbacks):
            return True
        frame = frame.f_back
    return False
