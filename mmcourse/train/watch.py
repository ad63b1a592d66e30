"""Whether a run still consists of numbers, without making an accelerator wait for the answer at every step."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mmcourse.errors import OneSentence

LOOK = {"cuda": 10}  # steps between two looks, where asking is slow and the optimizer leaves out a step by itself
MOST_SKIPPED = 30  # steps in a row: from the scale at which it starts down to far below 1


class DivergedError(OneSentence, ArithmeticError):
    """The loss or a gradient is no longer a finite number; the weights are those before that step."""


class Found(NamedTuple):
    """The losses of the steps since the last look, up to one that went wrong; and what did, empty where none."""

    losses: list[float]
    wrong: str


class Watch:
    """Notes the loss and the length of the gradient of each step where they were computed, and judges them there.

    The first step that is no number sets `stopped`, for good: that step and all later ones are left out by the
    optimizer itself, and running statistics stay what they were. So whenever somebody comes to look, every `every`
    steps, the weights are those before that step. On a CPU, where looking costs nothing, it is after each.

    Args:
        scaled: losses are scaled for half precision. Then an overflow is expected now and then: it leaves out that
            step alone, unless too many follow one another.
    """

    def __init__(self, model: nn.Module, place: torch.device, *, scaled: bool) -> None:
        self.most, self.every = MOST_SKIPPED if scaled else 0, LOOK.get(place.type, 1)
        self.wide = torch.float32 if place.type == "mps" else torch.float64
        self.skipped = torch.zeros((), device=place)  # steps in a row
        self.stopped = torch.zeros((), dtype=torch.bool, device=place)
        self.norms = [module for module in model.modules() if isinstance(module, _NormBase)]
        self.statistics: list[tuple[Tensor, Tensor]] = []
        self.noted: list[Tensor] = []

    def remember(self) -> None:
        """Keeps the running statistics of before a step: its forward pass changes them, whatever comes of it."""
        now = [value for norm in self.norms for value in norm.buffers(recurse=False)]
        kept = [value for _, value in self.statistics] or now
        self.statistics = [(value, torch.where(self.stopped, old, value)) for value, old in zip(now, kept, strict=True)]

    def judge(self, loss: Tensor, length: Tensor) -> Tensor:
        """Notes a step; returns 1.0 where the optimizer has to leave it out, otherwise 0.0."""
        sound = length.isfinite()
        self.skipped = torch.where(sound, 0.0, self.skipped + 1)
        self.stopped = self.stopped | ~loss.isfinite() | (self.skipped > self.most)
        self.noted.append(torch.stack([value.to(self.wide) for value in (loss, length, self.skipped)]))
        return (self.stopped | ~sound).float()

    def look(self) -> Found:
        """Reads what was noted since the last time, in one go; where something went wrong, statistics come back."""
        rows = torch.stack(self.noted).tolist() if self.noted else []
        self.noted, losses, wrong = [], [], ""
        for loss, length, skipped in rows:
            if not math.isfinite(loss):
                wrong = f"the loss became {loss}"
            elif skipped > self.most:
                wrong = f"the length of the gradient became {length}"
            if wrong:
                with torch.no_grad():
                    for value, before in self.statistics:
                        value.copy_(before)
                break
            losses.append(loss)
        return Found(losses, wrong)
