"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmcourse import distributed
from mmcourse.distributed import Mean
from mmcourse.runtime import home_of, on_best_device, progress
from mmcourse.train.batches import to_device
from mmcourse.train.optimizer import make_optimizer
from mmcourse.train.options import Checkpointing, Computing, Schedule, check, settings_of
from mmcourse.train.randomness import own_randomness
from mmcourse.train.run import Evaluation, Precision, Run


class History(NamedTuple):
    """What happened in a run: of step i + 1 the loss is `losses[i]`; `seconds` counts this and earlier sittings."""

    steps: int
    losses: list[float]
    evaluations: list[Evaluation]
    seconds: float


def fit(
    model: nn.Module,
    loss: Callable[[nn.Module, Any], Tensor | Mean],
    batches: Callable[[int], Any],
    *,
    steps: int,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    schedule: Schedule = Schedule(),  # noqa: B008  frozen
    evaluate: Callable[[nn.Module], float] | None = None,
    evaluate_every: int = 100,
    checkpoint: Checkpointing | None = None,
    computing: Computing = Computing(),  # noqa: B008  frozen
    seed: int = 0,
    description: str | None = "Training",
) -> History:
    """Trains `model` on the best device there is, brings it back to where it was, and returns what happened.

    A model with a method `after_step()`, which brings parameters back into their range, has it called after each step.
    In several processes (`mmcourse.distributed`) `batches` gives the whole batch in each, which then computes on its
    rows of it; process 0 alone writes checkpoints and shows the progress.

    Args:
        loss: `loss(model, batch)`, a single number to make smaller, or a `Mean` whose two parts processes share.
        batches: `batches(step)` gives the batch of step 0, 1, …, such as `Batches`; it is moved to the model's device.
            With `Computing(accumulate=k)` step s computes on batches k·s to k·s + k − 1.
        steps: how many steps in all, those before an interruption included.
        learning_rate, weight_decay: of AdamW, see `make_optimizer`.
        schedule: how the learning rate rises and falls, and the longest gradient; see `Schedule`.
        evaluate: called in evaluation mode and without gradients every `evaluate_every` steps and at the end, with the
            model where it was before.
        checkpoint: a file from which an interrupted run goes on, to end with the very same weights; `Checkpointing`.
        computing: gradients of several batches in one step, half precision, the device; see `Computing`.
        seed: for dropout and whatever else draws from the global generators, whose state outside stays untouched.
        description: of the progress bar, which also names a device that is not the CPU; None shows none.
    Raises:
        ValueError: an option is out of range, or several processes would each have batch statistics of their own.
        DivergedError: the loss or a gradient is not finite. The weights and the checkpoint are the last good ones.
        CheckpointError: the checkpoint is damaged, belongs to another run or cannot be written.
    """
    settings = settings_of(steps, learning_rate, weight_decay, seed, schedule, checkpoint, computing)
    every, several = checkpoint.every if checkpoint else steps, computing.accumulate
    check(settings, {
        "steps": steps, "evaluate_every": evaluate_every, "Checkpointing.every": every, "accumulate": several,
    })  # fmt: skip
    home = home_of(model)
    with on_best_device(model, computing.device) as place, own_randomness(seed, place):
        optimizer = make_optimizer(model, learning_rate=learning_rate, weight_decay=weight_decay, betas=schedule.betas)
        run = Run(model, optimizer, Precision(place, computing.mixed_precision), place, checkpoint, settings)
        run.load()
        distributed.copy_from_first(model)
        begin = time.perf_counter() - run.seconds
        with _training(model), _bar(range(run.step, steps), description, place) as (bar, tell):
            for step in bar:
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * schedule.share(step, steps)
                numbers = range(step * several, (step + 1) * several)
                run.take_step(loss, (to_device(distributed.share_of(batches(number)), place) for number in numbers))
                run.seconds = time.perf_counter() - begin
                tell(run.losses)
                last = run.step == steps
                if evaluate is not None and (last or run.step % evaluate_every == 0):
                    run.look()
                    run.evaluations.append(Evaluation(run.step, _evaluate(model, evaluate, home, place)))
                if checkpoint is not None and (last or run.step % every == 0):
                    run.look()
                    run.save()
            run.look()
    return History(run.step, run.losses, run.evaluations, run.seconds)


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """Training mode inside, the model's own mode afterwards."""
    before = model.training
    model.train()
    try:
        distributed.refuse_own_statistics(model)
        yield
    finally:
        model.train(before)


@contextmanager
def _bar(
    steps: range, description: str | None, place: torch.device
) -> Iterator[tuple[Iterable[int], Callable[[list[float]], None]]]:
    """The steps to go, shown as a bar by process 0, and how to tell it the losses so far."""
    if description is None or distributed.rank() > 0:
        yield steps, lambda losses: None
        return

    def tell(losses: list[float]) -> None:
        if losses:
            bar.set_postfix_str(f"loss {losses[-1]:.3f}", refresh=False)

    bar = progress(steps, description if place.type == "cpu" else f"{description} on {place.type}")
    try:
        yield bar, tell
    finally:
        bar.close()


def _evaluate(
    model: nn.Module, evaluate: Callable[[nn.Module], float], home: torch.device, place: torch.device
) -> float:
    """The value of `evaluate`, which can look as often as it likes without changing how training goes on."""
    model.to(home)
    with own_randomness(0, home), torch.no_grad():
        model.eval()
        value = float(evaluate(model))
        model.train()
    model.to(place)
    return value
