"""Shuffled batches as a pure function of the step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Batches:
    """Batches of tensors that belong together row by row, in a new order every epoch.

    `batches(step)` depends on nothing but the step and the seed: whoever goes on at step 700 sees what it would have
    seen. Every row comes once an epoch; the rest that fills no batch waits for the next order.

    Args:
        tensors: one or more with the same first dimension N.
        size: rows of a batch; N if there are fewer.

    >>> batches = Batches(torch.arange(4), size=2, seed=0)
    >>> sorted(torch.cat([*batches(0), *batches(1)]).tolist())
    [0, 1, 2, 3]
    """

    def __init__(self, *tensors: Tensor, size: int, seed: int = 0) -> None:
        rows = {len(tensor) for tensor in tensors}
        if len(rows) != 1 or rows == {0}:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors) or "none"
            raise ValueError(f"tensors must be one or more with the same number of rows, got {shapes}")
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.tensors, self.rows, self.seed = tensors, rows.pop(), seed
        self.size = min(size, self.rows)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    @property
    def steps_per_epoch(self) -> int:
        return self.rows // self.size

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed((self.seed << 24) + epoch)
            self._epoch, self._order = epoch, torch.randperm(self.rows, generator=generator)
        index = self._order[place * self.size : (place + 1) * self.size]
        return tuple(tensor[index.to(tensor.device)] for tensor in self.tensors)


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with every tensor in its tuples, lists and dicts moved to the device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch
