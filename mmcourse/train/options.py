"""What a run can be told beside the usual: how its steps shrink, where it is kept, and how it is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mmcourse.train.optimizer import warmup_cosine


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long the steps are, from the first to the last.

    Args:
        warmup, final: the learning rate rises for `warmup` steps (a twentieth of all by default) and falls along a
            cosine to `final` times its height, see `warmup_cosine`.
        clip: longest gradient; a longer one is shortened to it. None leaves gradients alone.
        betas: of AdamW, see `make_optimizer`.
    """

    warmup: int | None = None
    final: float = 0.0
    clip: float | None = 1.0
    betas: tuple[float, float] = (0.9, 0.99)

    def rising(self, steps: int) -> int:
        """The steps of warm-up in a run of so many."""
        return int(steps / 20) if self.warmup is None else self.warmup

    def share(self, step: int, steps: int) -> float:
        """The share of the full learning rate at a step."""
        return warmup_cosine(step, steps=steps, warmup=self.rising(steps), final=self.final)


@dataclass(frozen=True)
class Checkpointing:
    """Where a run is kept. If the file is there already, the run goes on from it, as if it had never stopped.

    Args:
        path: of the file.
        every: steps after which it is written, as it is at the end.
        facts: what else makes this run what it is, such as {"batch_size": 64}; a checkpoint of other facts is refused.
        generators: further generators that the loss or the batches draw from.
    """

    path: str | Path
    every: int = 100
    facts: Mapping[str, Any] = field(default_factory=dict)
    generators: Sequence[torch.Generator] = ()


@dataclass(frozen=True, kw_only=True)
class Computing:
    """Where and how a step is computed.

    Args:
        accumulate: batches of a step, whose gradients are averaged: what one batch so many times as large gives, with
            the memory of one. Not where rows of a batch are compared (see `in_chunks`) or normalized together.
        mixed_precision: compute in half precision where it is safe; by default on a CUDA GPU and nowhere else.
        device: by default where the model is, or from the CPU to `mmcourse.runtime.device()`.
    """

    accumulate: int = 1
    mixed_precision: bool | None = None
    device: torch.device | None = None


def settings_of(
    steps: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    schedule: Schedule,
    checkpoint: Checkpointing | None,
    computing: Computing,
) -> dict[str, Any]:
    """What a checkpoint must agree with to be taken up, by name."""
    return {
        "learning_rate": learning_rate, "weight_decay": weight_decay, "betas": list(schedule.betas), "steps": steps,
        "warmup": schedule.rising(steps), "final": schedule.final,
        "clip": schedule.clip, "seed": seed, "accumulate": computing.accumulate,
        "generators": len(checkpoint.generators) if checkpoint else 0, **(checkpoint.facts if checkpoint else {}),
    }  # fmt: skip


def check(settings: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    """Raises a ValueError for a setting that is out of range, and for a count that is no whole number from 1 on."""
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    for name in ("learning_rate", "clip"):
        value = settings[name]
        if value is not None and not value > 0:
            hint = "; None leaves gradients alone" if name == "clip" else ""
            raise ValueError(f"{name} must be positive{hint}, got {value}")
    if not 0 <= settings["final"] <= 1:
        raise ValueError(f"final must lie between 0 and 1, got {settings['final']}")
    warmup_cosine(0, steps=settings["steps"], warmup=settings["warmup"])  # says what is wrong with the warm-up
