"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mmcourse import distributed
from mmcourse.distributed import Mean
from mmcourse.runtime import device as best_device
from mmcourse.runtime import progress, seed_everything
from mmcourse.train.batches import to_device
from mmcourse.train.checkpoint import (
    CheckpointError,
    State,
    load_checkpoint,
    prepare,
    random_state,
    restore_random_state,
    save_checkpoint,
)
from mmcourse.train.optimizer import make_optimizer, warmup_cosine

MOST_SKIPPED = 30  # steps in a row: from the scale at which it starts down to far below 1


class Evaluation(NamedTuple):
    """What `evaluate` returned after so many steps."""

    step: int
    value: float


class History(NamedTuple):
    """What happened in a run: of step i + 1 the loss is `losses[i]`; `seconds` counts this and earlier sittings."""

    steps: int
    losses: list[float]
    evaluations: list[Evaluation]
    seconds: float


class DivergedError(ArithmeticError):
    """The loss or a gradient is no longer a finite number; the weights are those before that step."""

    def _render_traceback_(self) -> list[str]:
        return [f"DivergedError: {self}"]


def fit(
    model: nn.Module,
    loss: Callable[[nn.Module, Any], Tensor | Mean],
    batches: Callable[[int], Any],
    *,
    steps: int,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.99),
    warmup: int | None = None,
    final: float = 0.0,
    clip: float | None = 1.0,
    mixed_precision: bool | None = None,
    seed: int = 0,
    generators: Sequence[torch.Generator] = (),
    evaluate: Callable[[nn.Module], float] | None = None,
    evaluate_every: int = 100,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 100,
    facts: Mapping[str, Any] | None = None,
    description: str | None = "Training",
    device: torch.device | None = None,
) -> History:
    """Trains `model` on the best device there is, brings it back to where it was, and returns what happened.

    In several processes (`mmcourse.distributed`) `batches` gives the whole batch in each, which then computes on its
    rows of it; process 0 alone writes checkpoints and shows the progress.

    Args:
        loss: `loss(model, batch)`, a single number to make smaller, or a `Mean` whose two parts processes share.
        batches: `batches(step)` gives the batch of step 0, 1, …, such as `Batches`; it is moved to the model's device.
        steps: how many steps in all, those before an interruption included.
        learning_rate, weight_decay, betas: of AdamW, see `make_optimizer`.
        warmup, final: the learning rate rises for `warmup` steps (a twentieth of all by default) and falls along a
            cosine to `final` times its height, see `warmup_cosine`.
        clip: longest gradient; a longer one is shortened to it. None leaves gradients alone.
        mixed_precision: compute in half precision where it is safe; by default on a CUDA GPU and nowhere else.
        seed: for dropout and whatever else draws from the global generators, whose state outside stays untouched.
        generators: further generators that `loss` or `batches` draw from, to be kept in the checkpoint.
        evaluate: called in evaluation mode and without gradients every `evaluate_every` steps and at the end, with the
            model where it was before.
        checkpoint: a file. It is written every `checkpoint_every` steps and at the end; if it is there already, the
            run goes on from it and ends with the very same weights as if it had never stopped.
        facts: what else makes this run what it is, such as {"batch_size": 64}; a checkpoint of other facts is refused.
        description: of the progress bar, which also names a device that is not the CPU; None shows none.
        device: where to train; by default where the model is, or from the CPU to `mmcourse.runtime.device()`.
    Raises:
        ValueError: an option is out of range, or several processes would each have batch statistics of their own.
        DivergedError: the loss or a gradient is not finite. The weights and the checkpoint are the last good ones.
        CheckpointError: the checkpoint is damaged, belongs to another run or cannot be written.
    """
    warmup = int(steps / 20) if warmup is None else warmup
    settings = {
        "learning_rate": learning_rate, "weight_decay": weight_decay, "betas": list(betas), "steps": steps,
        "warmup": warmup, "final": final, "clip": clip, "seed": seed, "generators": len(generators),
        **(facts or {}),
    }  # fmt: skip
    _check(settings, evaluate_every, checkpoint_every)
    home = next(model.parameters()).device
    device = device if device is not None else home if home.type != "cpu" else best_device()
    model.to(device)
    optimizer = make_optimizer(model, learning_rate=learning_rate, weight_decay=weight_decay, betas=betas)
    run = _Run(model, optimizer, _Precision(device, mixed_precision), generators, device)
    path = None if checkpoint is None else Path(checkpoint)
    training, description = model.training, description if distributed.rank() == 0 else None
    if description is not None and device.type != "cpu":
        description = f"{description} on {device.type}"
    with _own_randomness(seed, device):
        if path is not None:
            prepare(path)
            run.load(path, settings)
        distributed.copy_from_first(model)
        begin = time.perf_counter() - run.seconds
        bar = range(run.step, steps)
        bar = bar if description is None else progress(bar, description)
        model.train()
        distributed.refuse_own_statistics(model)
        try:
            for step in bar:
                share = warmup_cosine(step, steps=steps, warmup=warmup, final=final)
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * share
                value = _step(run, loss, to_device(distributed.share_of(batches(step)), device), clip, path)
                run.step, run.seconds = step + 1, time.perf_counter() - begin
                run.losses.append(value)
                if description is not None:
                    bar.set_postfix_str(f"loss {value:.3f}", refresh=False)
                if evaluate is not None and (run.step % evaluate_every == 0 or run.step == steps):
                    model.to(home)
                    run.evaluations.append(Evaluation(run.step, _evaluate(model, evaluate, home)))
                    model.to(device)
                if path is not None and (run.step % checkpoint_every == 0 or run.step == steps):
                    run.save(path, settings)
        finally:
            model.train(training)
            model.to(home)
            if description is not None:
                bar.close()
    return History(run.step, run.losses, run.evaluations, run.seconds)


def _step(
    run: _Run, loss: Callable[[nn.Module, Any], Tensor | Mean], batch: Any, clip: float | None, path: Path | None
) -> float:
    """One step of gradient descent; returns the loss before it."""
    run.optimizer.zero_grad(set_to_none=True)
    run.remember()
    with run.precision.context(), run.dropout():
        value = distributed.whole_mean(loss(run.model, batch))
    number = distributed.average(value)
    if not math.isfinite(number):
        raise run.diverged(f"the loss became {number}", path)
    scaler = run.precision.scaler
    scaler.scale(value).backward()
    learning = [parameter for group in run.optimizer.param_groups for parameter in group["params"]]
    distributed.average_gradients(learning)
    scaler.unscale_(run.optimizer)
    length = nn.utils.clip_grad_norm_(learning, math.inf if clip is None else clip)
    # With a scaler an overflow is expected now and then: it skips that step by itself and scales less from then on.
    run.skipped = 0 if math.isfinite(length.item()) else run.skipped + 1
    if run.skipped > (MOST_SKIPPED if scaler.is_enabled() else 0):
        raise run.diverged(f"the length of the gradient became {length.item()}", path)
    scaler.step(run.optimizer)
    scaler.update()
    return number


def _evaluate(model: nn.Module, evaluate: Callable[[nn.Module], float], device: torch.device) -> float:
    """The value of `evaluate`, which can look as often as it likes without changing how training goes on."""
    with _own_randomness(0, device), torch.no_grad():
        model.eval()
        value = float(evaluate(model))
        model.train()
    return value


@contextmanager
def _own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Global generators that start from `seed` inside and are outside as if nothing had been drawn."""
    before = random_state((), device)
    seed_everything(seed)
    try:
        yield
    finally:
        restore_random_state(before, (), device)


class _Precision:
    """Half precision: bfloat16, or on older GPUs float16 with scaled losses (Micikevicius et al., 2018)."""

    def __init__(self, device: torch.device, wanted: bool | None) -> None:
        self.device = device
        self.on = device.type == "cuda" if wanted is None else wanted
        wide = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
        self.dtype = torch.bfloat16 if wide else torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.on and not wide)

    def context(self) -> Any:
        return torch.autocast(self.device.type, self.dtype) if self.on else nullcontext()


@dataclass
class _Run:
    """Everything that changes while a model trains: what a checkpoint holds."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    precision: _Precision
    generators: Sequence[torch.Generator]
    device: torch.device
    step: int = 0
    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    seconds: float = 0.0
    saved: int = 0  # the step of the last checkpoint
    skipped: int = 0  # steps in a row that the scaler left out
    statistics: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.norms = [module for module in self.model.modules() if isinstance(module, _NormBase)]

    def remember(self) -> None:
        """Keeps the running statistics of before a step: its forward pass changes them, whatever comes of it."""
        learning = (norm for norm in self.norms if norm.training)
        self.statistics = [(value, value.clone()) for norm in learning for value in norm.buffers(recurse=False)]

    def dropout(self) -> Any:
        """Processes draw alike, so that they agree on every batch; what they drop from their own rows must differ."""
        turn = self.step * distributed.world_size() + distributed.rank()
        return _own_randomness(turn, self.device) if distributed.world_size() > 1 else nullcontext()

    def save(self, path: Path, settings: State) -> None:
        self.saved = self.step
        if distributed.rank() > 0:
            return
        state = {
            "settings": settings, "step": self.step, "seconds": self.seconds,
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "evaluations": [tuple(evaluation) for evaluation in self.evaluations],
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(), "random": random_state(self.generators, self.device),
        }  # fmt: skip
        save_checkpoint(path, state)

    def load(self, path: Path, settings: State) -> None:
        """Goes on from the checkpoint, if there is one."""
        state = load_checkpoint(path)
        found = torch.tensor(-1 if state is None else state["step"], device=self.device)
        if distributed.average(found) != found.item():
            raise CheckpointError(f"the processes do not all find the same checkpoint {path}; give them one folder")
        if state is None:
            return
        advice = f"delete {path} or choose another path"
        for name, value in settings.items():
            if state["settings"].get(name) != value:
                kept = state["settings"].get(name)
                raise CheckpointError(f"the checkpoint {path} has {name}={kept}, this run {name}={value}; {advice}")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint {path} is of another model than this one; {advice}") from error
        if state["scaler"]:  # empty where it was saved without one
            self.precision.scaler.load_state_dict(state["scaler"])
        restore_random_state(state["random"], self.generators, self.device)
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"].tolist()
        self.evaluations = [Evaluation(*pair) for pair in state["evaluations"]]
        self.saved = self.step

    def diverged(self, what: str, path: Path | None) -> DivergedError:
        with torch.no_grad():
            for value, before_it in self.statistics:
                value.copy_(before_it)
        before = f" (the loss before it was {self.losses[-1]:.4g})" if self.losses else ""
        kept = f"; {path} holds step {self.saved}" if self.saved else ""
        told = f"{what} at step {self.step + 1}{before}: the weights are those before that step{kept}"
        advice = "try a lower learning_rate, a longer warmup or clip=1.0, and look for log(0) or a division by 0"
        return DivergedError(f"{told}; {advice} in the loss")


def _check(settings: State, evaluate_every: int, checkpoint_every: int) -> None:
    counts = {"steps": settings["steps"], "evaluate_every": evaluate_every, "checkpoint_every": checkpoint_every}
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
