"""Where and how long things run: device, seed, threads, progress bars and the budget dial."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

Budget = Literal["smoke", "standard", "gpu"]
BUDGETS: tuple[Budget, ...] = ("smoke", "standard", "gpu")
T = TypeVar("T")


def device(prefer: str | None = None) -> torch.device:
    """The best device here: cuda, then mps, then cpu.

    Args:
        prefer: ask for one device by name; `MMCOURSE_DEVICE` asks the same from outside.
    Raises:
        ValueError: the device asked for is not on this machine.
    """
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    counts = {"cuda": cuda, "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    here = [name for name, count in counts.items() if count]
    wanted = prefer or os.environ.get("MMCOURSE_DEVICE") or here[0]
    kind, _, index = wanted.partition(":")
    if kind not in here or (index and not index.isdecimal()) or int(index or 0) >= counts[kind]:
        raise ValueError(f"device {wanted!r} is not on this machine; choose one of: {', '.join(here)}")
    return torch.device(wanted)


def seed_everything(seed: int) -> torch.Generator:
    """Seeds Python, NumPy and PyTorch, and returns a CPU generator with the same seed to hand on explicitly."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  libraries that we call still read the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def set_threads(count: int | None = None) -> int:
    """Sets how many CPU threads PyTorch uses and returns the number; None asks for every core of this process.

    In a container that may use less processor time than the machine has (cgroup v2), that share counts.
    """
    if count is None:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        count = min(count, _allowed_cores(Path("/sys/fs/cgroup/cpu.max")))
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    torch.set_num_threads(count)
    return count


def _allowed_cores(quota: Path) -> int | float:
    """The cores that a cgroup's `cpu.max` pays for, such as "150000 100000" for two; without a limit infinity."""
    try:
        share, period = map(float, quota.read_text().split())
    except (OSError, ValueError):  # no such file, or "max 100000"
        return math.inf
    return max(1, math.ceil(share / period))


def full_precision(device_type: str) -> AbstractContextManager[object]:
    """Switches `torch.autocast` off inside, on devices that know it: for what half precision would spoil."""
    known = torch.amp.is_autocast_available(device_type)
    return torch.autocast(device_type, enabled=False) if known else nullcontext()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients inside; each part's own mode of before afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def home_of(model: nn.Module) -> torch.device:
    """Where a model is; one without any tensor is on the CPU."""
    return next(chain(model.parameters(), model.buffers()), torch.zeros(())).device


@contextmanager
def on_best_device(model: nn.Module, place: torch.device | None = None) -> Iterator[torch.device]:
    """A model that lives on the CPU works on the best device inside, and is home afterwards; so does `fit`.

    A model that somebody put elsewhere stays there, and `place` names another one. What is given is the device to
    bring its inputs to.
    """
    home = home_of(model)
    if place is None:
        place = device() if home.type == "cpu" else home
    if place == home:
        yield home
        return
    model.to(place)
    try:
        yield place
    finally:
        model.to(home)


def budget() -> Budget:
    """The budget dial `MMCOURSE_BUDGET`: `smoke` (seconds, for tests), `standard` (the default) or `gpu`."""
    value = os.environ.get("MMCOURSE_BUDGET") or "standard"
    if value not in BUDGETS:
        raise ValueError(f"MMCOURSE_BUDGET is {value!r}; set it to one of: {', '.join(BUDGETS)}")
    return value


def by_budget(*, smoke: T, standard: T, gpu: T | None = None) -> T:
    """The value for today's budget; `gpu` falls back to `standard`.

    >>> by_budget(smoke=10, standard=600) == (10 if budget() == "smoke" else 600)
    True
    """
    chosen = budget()
    if chosen == "smoke":
        return smoke
    return gpu if chosen == "gpu" and gpu is not None else standard


def progress(items: Iterable[T], description: str, *, total: int | None = None) -> Iterator[T]:
    """Iterates with a progress bar: a widget in a notebook, a line of text in a terminal.

    It moves twice a second: every move is up to three messages, and a client that reads them when the cell has ended
    (nbval) keeps some two thousand; the ones after that are lost, and with them the news that the cell has ended.
    """
    return tqdm(items, desc=description, total=total, dynamic_ncols=True, mininterval=0.5)


@contextmanager
def silence() -> Iterator[None]:
    """transformers loads without bars and remarks."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
