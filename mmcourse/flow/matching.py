"""The straight lines from noise to data, the loss that learns their mean velocity, and guidance towards a condition.

On the line x_t = (1 − t)·noise + t·data one moves with the velocity data − noise. A network that predicts it from x_t
and t alone can only say the mean over all lines that pass there, and following that mean still carries the distribution
of noise into that of the data (Lipman et al., "Flow matching for generative modeling", 2023; Liu et al., "Flow straight
and fast", 2023).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Velocity = Callable[[Tensor, Tensor], Tensor]  # places (B, …) and times (B,) -> velocities (B, …)


class Line(NamedTuple):
    """A place on the line from noise to data, and the velocity there, each (B, …)."""

    place: Tensor
    velocity: Tensor


def on_line(noise: Tensor, data: Tensor, times: Tensor) -> Line:
    """Where the lines from noise (B, …) to data (B, …) are at times (B,), and how fast they move.

    >>> on_line(torch.zeros(1, 2), torch.ones(1, 2), torch.tensor([0.25])).place
    tensor([[0.2500, 0.2500]])

    Raises:
        ValueError: the shapes do not fit.
    """
    if noise.shape != data.shape or times.shape != noise.shape[:1]:
        shapes = f"{tuple(noise.shape)}, {tuple(data.shape)} and {tuple(times.shape)}"
        raise ValueError(f"noise and data must be alike, with one time for each of them; got {shapes}")
    t = times.reshape(-1, *[1] * (noise.dim() - 1))  # (B,) -> (B, 1, …)
    return Line((1 - t) * noise + t * data, data - noise)


def flow_matching_loss(velocity: Velocity, data: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """The mean squared distance of a velocity from that of the lines to data (B, …), at times and from noise by chance.

    Its smallest value is not 0: many lines pass through one place, and the best prediction is their mean.
    """
    noise = torch.randn(data.shape, generator=generator).to(data)
    times = torch.rand(len(data), generator=generator).to(data)
    line = on_line(noise, data, times)
    return (velocity(line.place, times) - line.velocity).square().mean()


def guided(conditional: Velocity, unconditional: Velocity, scale: float) -> Velocity:
    """Classifier-free guidance (Ho and Salimans, 2022): away from what would come anyway, towards what is asked for.

    Args:
        scale: 0 ignores the condition, 1 is the condition alone, and above 1 it is exaggerated.
    """

    def velocity(x: Tensor, times: Tensor) -> Tensor:
        without = unconditional(x, times)
        return without + scale * (conditional(x, times) - without)

    return velocity
