"""Tensors of several processes: rows dealt out, features gathered, gradients and losses averaged.

Each process computes on its rows of every batch, and all take the same step. The mean of their gradients is that of the
whole batch wherever the loss is a mean over rows, is a `Mean` over what rows hold unequal numbers of, or is computed on
features that `gather` has brought together. In a single process nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm

from mmcourse.distributed.processes import rank, world_size


class Mean(NamedTuple):
    """A loss that is a mean over something of which rows hold unequal numbers, such as tokens that are no padding.

    With the two numbers apart, processes together divide by the count of the whole batch; the mean of their own means
    would weigh a token more where there are few.
    """

    total: Tensor
    count: Tensor


def share_of(batch: Any) -> Any:
    """This process's rows of every tensor and every list of texts in a batch; single numbers go to each.

    Raises:
        ValueError: the rows cannot be dealt out evenly.
    """
    count, own = world_size(), rank()
    if count == 1:
        return batch
    if isinstance(batch, dict):
        return {name: share_of(value) for name, value in batch.items()}
    texts = isinstance(batch, list | tuple) and len(batch) > 0 and all(isinstance(item, str) for item in batch)
    if texts or (isinstance(batch, Tensor) and batch.dim() > 0):
        if len(batch) % count:
            raise ValueError(f"a batch of {len(batch)} rows cannot be shared evenly by {count} processes")
        rows = len(batch) // count
        return batch[own * rows : (own + 1) * rows]
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(share_of(value) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(share_of(value) for value in batch)
    return batch


def copy_from_first(model: nn.Module) -> None:
    """Gives every process the weights and buffers of process 0."""
    if world_size() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces every gradient by its mean over the processes.

    All of them travel as one vector, which is much quicker than one by one. A parameter that no process used keeps no
    gradient; one that some did not use counts as zero there.
    """
    if world_size() == 1:
        return
    parameters = list(parameters)
    present = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in parameters]
    mine = [parameter.grad is not None for parameter in parameters]
    used = present[0].new_tensor(mine)
    vector = torch.cat([*(gradient.flatten() for gradient in present), used])
    dist.all_reduce(vector)
    values = vector[: -len(parameters)] / world_size()
    pieces = values.split([parameter.numel() for parameter in parameters])
    # What this process used need not be asked for, and asking would make an accelerator wait.
    uses = mine if all(mine) else vector[-len(parameters) :].tolist()
    for parameter, piece, used in zip(parameters, pieces, uses, strict=True):
        # In the layout of the parameter (channels last), as fused optimizers go through memory and not through indices.
        parameter.grad = torch.empty_like(parameter).copy_(piece.view(parameter.shape)) if used else None


def whole_mean(loss: Tensor | Mean) -> Tensor:
    """The loss as one number, whose mean over the processes is the loss of the whole batch."""
    total, count = whole_parts(loss)
    return total / count


def whole_parts(loss: Tensor | Mean) -> Mean:
    """Two numbers that, divided, give `whole_mean`; the same two of several batches can be added up first."""
    if isinstance(loss, Tensor):
        return Mean(loss, torch.ones((), dtype=loss.dtype, device=loss.device))
    count = loss.count.detach().to(loss.total.dtype)
    if world_size() > 1:
        count = count.clone()
        dist.all_reduce(count)
        count /= world_size()
    return Mean(loss.total, count)


def refuse_own_statistics(model: nn.Module) -> None:
    """Raises a ValueError where several processes would normalise their rows by statistics of their own."""
    if world_size() == 1:
        return
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training and not isinstance(module, nn.SyncBatchNorm):
            raise ValueError(
                f"{name} is a {type(module).__name__}, whose statistics would be those of each process's own rows: "
                "train in one process, or on GPUs convert the model with nn.SyncBatchNorm.convert_sync_batchnorm"
            )


def average(number: Tensor) -> float:
    """The mean of a single number over the processes."""
    return averaged(number).item()


def averaged(number: Tensor) -> Tensor:
    """The same where it was computed, so that nobody waits for it."""
    if world_size() == 1:
        return number.detach()
    total = number.detach().to(torch.float32 if number.device.type == "mps" else torch.float64)
    dist.all_reduce(total)
    return total / world_size()


def gather(features: Tensor) -> Tensor:
    """The features of all processes, (B, D) in each -> (processes · B, D), in the order of their numbers.

    Gradients flow back to where the features were computed. A loss of what is gathered is the loss of the whole batch;
    as every process computes it, `fit` averages gradients over processes.
    """
    return features if world_size() == 1 else _Gather.apply(features)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        parts = [torch.empty_like(features) for _ in range(world_size())]
        dist.all_gather(parts, features.contiguous())
        return torch.cat(parts)  # (B, D) of each process -> (processes · B, D)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """What the losses of all processes say about the features of this one."""
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]
