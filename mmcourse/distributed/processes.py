"""The processes of one run: how they meet, which is which, and what happens when one is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed as dist

from mmcourse.errors import OneSentence
from mmcourse.runtime import device

T = TypeVar("T")


class LostProcessError(OneSentence, RuntimeError):
    """Another process of the run has ended, so this one cannot go on."""


class ElsewhereError(RuntimeError):
    """Process 0 met an error and says which; the others end quietly."""


@contextmanager
def start(*, timeout: float = 1800.0) -> Iterator[None]:
    """Joins the processes that torchrun started; does nothing in a program that was started alone.

    On GPUs each process takes its own and they talk through NCCL, elsewhere through gloo.

    Args:
        timeout: seconds to wait for a process that is there but says nothing. One that has ended is noticed at once.
    Raises:
        ValueError: there are more processes than GPUs.
        LostProcessError: another process has ended, inside the block.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1 or dist.is_initialized():
        yield
        return
    backend = "gloo"
    if device().type == "cuda":
        place, here = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= here:
            advice = f"start {here} with --nproc-per-node, or set MMCOURSE_DEVICE=cpu"
            raise ValueError(f"there are more processes than the {here} GPUs of this machine; {advice}")
        torch.cuda.set_device(place)
        backend = "cpu:gloo,cuda:nccl"
    before = _listen()
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        yield
        _on_sigterm(before)
    except BaseException as error:
        _on_sigterm(signal.SIG_IGN)  # torchrun's signal may still come, and must not cut short what is said now
        if isinstance(error, RuntimeError) and _lost(error):
            raise LostProcessError(f"process {_number()} lost the others of the run, of which one has ended") from error
        raise
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among those that work together, counted from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this is process 0, the one that writes files and speaks; before `start`, torchrun says which it is."""
    return rank() == 0 if world_size() > 1 else int(os.environ.get("RANK", 0)) == 0


def on_main(work: Callable[[], T]) -> T:
    """Does `work` in process 0 while the others wait; each of them gets its result.

    Raises:
        ElsewhereError: `work` failed; in process 0 itself its own error.
    """
    if world_size() == 1:
        return work()
    told: list[Any] = [None, False]
    try:
        if is_main():
            told = [work(), True]
    finally:  # the others must not wait for a result that never comes
        dist.broadcast_object_list(told, src=0)
    if not told[1]:
        raise ElsewhereError("process 1 stopped at an error, which it names itself")
    return told[0]


def _listen() -> Any:
    """torchrun ends the processes that are left with SIGTERM: an error like any other, so that they can say goodbye."""

    def stopped(*_: Any) -> None:
        raise LostProcessError(f"process {_number()} was told to stop, because another of the run has ended")

    return _on_sigterm(stopped)


def _on_sigterm(handler: Any) -> Any:
    """Sets what the signal does and returns what it did; only the main thread may."""
    if threading.current_thread() is threading.main_thread():
        return signal.signal(signal.SIGTERM, handler)
    return handler


def _number() -> str:
    return f"{int(os.environ['RANK']) + 1} of {os.environ['WORLD_SIZE']}"


def _lost(error: RuntimeError) -> bool:
    """Whether the network between processes failed: gloo has no error of its own, only its name in the message."""
    return isinstance(error, dist.DistError) or "gloo" in str(error) or "Connection closed by peer" in str(error)
