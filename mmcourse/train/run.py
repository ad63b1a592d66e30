"""Everything that changes while a model trains: one step of it, and what a checkpoint holds of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmcourse import distributed
from mmcourse.distributed import Mean
from mmcourse.train.checkpoint import CheckpointError, State, load_checkpoint, prepare, save_checkpoint
from mmcourse.train.options import Checkpointing
from mmcourse.train.randomness import own_randomness, random_state, restore_random_state
from mmcourse.train.watch import DivergedError, Watch

Loss = Callable[[nn.Module, Any], Tensor | Mean]
EARLIER = {"accumulate": 1}  # settings that checkpoints of earlier versions do not name


class Evaluation(NamedTuple):
    """What `evaluate` returned after so many steps."""

    step: int
    value: float


class Precision:
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
class Run:
    """A model, how it moves, and how far it has come."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    device: torch.device
    checkpoint: Checkpointing | None
    settings: State
    step: int = 0
    losses: list[float] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    seconds: float = 0.0
    saved: int = 0  # the step of the last checkpoint

    def __post_init__(self) -> None:
        self.watch = Watch(self.model, self.device, scaled=self.precision.scaler.is_enabled())
        self.path = None if self.checkpoint is None else Path(self.checkpoint.path)
        self.after_step = getattr(self.model, "after_step", lambda: None)

    def take_step(self, loss: Loss, batches: Iterable[Any]) -> None:
        """One step of gradient descent, on batches that count as one."""
        self.optimizer.zero_grad(set_to_none=True)
        self.watch.remember()
        value = self._gradients(loss, batches)
        learning = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        distributed.average_gradients(learning)
        scaler, clip = self.precision.scaler, self.settings["clip"]
        scaler.unscale_(self.optimizer)
        length = nn.utils.clip_grad_norm_(learning, math.inf if clip is None else clip)
        left_out = self.watch.judge(distributed.averaged(value), length)
        if (self.step + 1) % self.watch.every == 0:
            self.look()
        if self.device.type != "mps":  # which is looked at in each step, and whose optimizer does not ask
            self.optimizer.found_inf = left_out  # where a fused optimizer of PyTorch reads whether to do nothing
        self.optimizer.step()
        scaler.update()
        self.after_step()
        self.step += 1

    def _gradients(self, loss: Loss, batches: Iterable[Any]) -> Tensor:
        """Leaves the gradient of the mean over all batches with the parameters; returns that mean.

        How many rows or tokens there are in all is known at the end, so until then everything is divided by the count
        of the first batch.
        """
        totals, counts, unit = [], [], torch.ones(())
        for turn, batch in enumerate(batches):
            with self.precision.context(), self._dropout(turn):
                total, count = distributed.whole_parts(loss(self.model, batch))
            if turn == 0:
                unit = count if self.settings["accumulate"] == 1 else count.clamp(min=1)
            self.precision.scaler.scale(total / unit).backward()
            totals.append(total.detach().reshape(()))
            counts.append(count)
        total, count = (torch.stack(parts).sum(dim=0) for parts in (totals, counts))
        if len(counts) > 1:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    parameter.grad *= unit / count
        return total / count

    def _dropout(self, turn: int) -> Any:
        """Processes draw alike, so that they agree on every batch; what they drop from their own rows must differ."""
        if distributed.world_size() == 1:
            return nullcontext()
        batch = self.step * self.settings["accumulate"] + turn
        return own_randomness(batch * distributed.world_size() + distributed.rank(), self.device)

    def look(self) -> None:
        """Reads the losses since the last look.

        Raises:
            DivergedError: one of those steps was no number.
        """
        losses, wrong = self.watch.look()
        self.losses += losses
        if not wrong:
            return
        before = f" (the loss before it was {self.losses[-1]:.4g})" if self.losses else ""
        kept = f"; {self.path} holds step {self.saved}" if self.saved else ""
        told = f"{wrong} at step {len(self.losses) + 1}{before}: the weights are those before that step{kept}"
        advice = "try a lower learning_rate, a longer warmup or clip=1.0, and look for log(0) or a division by 0"
        raise DivergedError(f"{told}; {advice} in the loss")

    def save(self) -> None:
        """Writes the checkpoint."""
        self.saved = self.step
        if distributed.rank() > 0:
            return
        state = {
            "settings": self.settings, "step": self.step, "seconds": self.seconds,
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "evaluations": [tuple(evaluation) for evaluation in self.evaluations],
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "random": random_state(self.checkpoint.generators, self.device),
        }  # fmt: skip
        save_checkpoint(self.path, state)

    def load(self) -> None:
        """Goes on from the checkpoint, if there is one."""
        if self.path is None:
            return
        prepare(self.path)
        state = load_checkpoint(self.path)
        found = torch.tensor(-1 if state is None else state["step"], device=self.device)
        if distributed.average(found) != found.item():
            raise CheckpointError(
                f"the processes do not all find the same checkpoint {self.path}; give them one folder"
            )
        if state is None:
            return
        advice = f"delete {self.path} or choose another path"
        earlier = {**EARLIER, **state["settings"]}
        for name, value in self.settings.items():
            if earlier.get(name) != value:
                kept = f"the checkpoint {self.path} has {name}={earlier.get(name)}"
                raise CheckpointError(f"{kept}, this run {name}={value}; {advice}")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint {self.path} is of another model than this one; {advice}") from error
        if state["scaler"]:  # empty where it was saved without one
            self.precision.scaler.load_state_dict(state["scaler"])
        restore_random_state(state["random"], self.checkpoint.generators, self.device)
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"].tolist()
        self.evaluations = [Evaluation(*pair) for pair in state["evaluations"]]
        self.saved = self.step
