"""Training in parts: each goes on with the model that the part before left, and its learning rate rises and falls anew.

Easy lessons first, hard ones later is a curriculum (Bengio et al., 2009); a rate that rises again is a warm restart
(Loshchilov and Hutter, 2017).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from glob import escape
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from mmcourse.train import Checkpointing, fit
from mmcourse.train.checkpoint import load_checkpoint


class Part(NamedTuple):
    """What is learned for how many steps; a part of no steps is skipped.

    `batches(step)` counts through all parts, so that none of them sees what another has seen. `before` is done to the
    model first. `learning_rate` stands instead of that of the other parts.
    """

    batches: Callable[[int], Any]
    steps: int
    before: Callable[[nn.Module], object] | None = None
    learning_rate: float | None = None


def fit_parts(
    model: nn.Module,
    loss: Callable[[nn.Module, Any], Any],
    parts: Sequence[Part],
    *,
    checkpoint: Path | None,
    every: int = 50,
    **options: Any,
) -> float:
    """Trains part after part, and returns how many seconds all took.

    Args:
        checkpoint: where the first part keeps what it needs to go on; the others do so beside it, and their files are
            deleted at the end. None keeps nothing.
        every: steps between two savings.
        **options: of `fit`, the same for all parts that say nothing else.
    """
    seconds, first = 0.0, 0
    if checkpoint is not None and not checkpoint.exists():
        _forget(checkpoint)  # of another run
    for number, part in enumerate(parts):
        if part.steps:
            if part.before is not None:
                part.before(model)  # a checkpoint of this part, where there is one, holds what came of it
            kept = None if checkpoint is None else Checkpointing(_kept(checkpoint, number), every)
            batches = partial(_from, first, part.batches)
            own = {} if part.learning_rate is None else {"learning_rate": part.learning_rate}
            seconds += fit(model, loss, batches, steps=part.steps, checkpoint=kept, **options | own).seconds
            first += part.steps
    if checkpoint is not None:
        _forget(checkpoint)
    return seconds


def planned(steps: int, parts: Sequence[Part]) -> list[Part]:
    """The same parts with `steps` in all, in the proportions that they were planned in."""
    ends = list(itertools.accumulate((part.steps for part in parts), initial=0))
    ends = [steps * end // ends[-1] for end in ends]
    return [
        part._replace(steps=end - begin) for part, (begin, end) in zip(parts, itertools.pairwise(ends), strict=True)
    ]


def reached(checkpoint: Path) -> int:
    """How many steps a run had made when it was interrupted, in all its parts."""
    return sum(state["step"] for file in [checkpoint, *_later(checkpoint)] if (state := load_checkpoint(file)))


def _from(first: int, batches: Callable[[int], Any], step: int) -> Any:
    return batches(first + step)


def _kept(checkpoint: Path, number: int) -> Path:
    return checkpoint.with_name(f"part-{number}-of-{checkpoint.name}") if number else checkpoint


def _later(checkpoint: Path) -> list[Path]:
    """What there is of all parts but the first."""
    return list(checkpoint.parent.glob(f"part-*-of-{escape(checkpoint.name)}"))


def _forget(checkpoint: Path) -> None:
    for file in _later(checkpoint):
        file.unlink(missing_ok=True)
