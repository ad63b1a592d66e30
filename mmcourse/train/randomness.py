"""Every source of randomness of a training step: kept, brought back, and kept apart from the world outside."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from mmcourse.runtime import seed_everything

State = dict[str, Any]


def random_state(generators: Sequence[torch.Generator], device: torch.device) -> State:
    """Every source of randomness of a training step: PyTorch's, Python's and NumPy's own, and the given generators."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002  libraries that a loss calls may use it
    on_device = None
    if device.type == "cuda":
        on_device = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        on_device = torch.mps.get_rng_state()
    return {
        "torch": torch.get_rng_state(),
        "device": on_device,
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
        "generators": [generator.get_state() for generator in generators],
    }


def restore_random_state(state: State, generators: Sequence[torch.Generator], device: torch.device) -> None:
    """Undoes everything that happened since `random_state`."""
    torch.set_rng_state(state["torch"])
    if state["device"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["device"], device)
    elif state["device"] is not None and device.type == "mps":
        torch.mps.set_rng_state(state["device"])
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    for generator, kept in zip(generators, state["generators"], strict=True):
        generator.set_state(kept)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Global generators that start from `seed` inside and are outside as if nothing had been drawn."""
    before = random_state((), device)
    seed_everything(seed)
    try:
        yield
    finally:
        restore_random_state(before, (), device)
