"""Samplers: steps along a velocity from noise to data. They know nothing else of it.

The order of a method says how fast its error falls: with half the step, order p leaves an error of 1/2^p.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mmcourse.flow.matching import Velocity


def euler_step(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """From time t to t + h along the velocity at the beginning: one evaluation, an error of order h at the end."""
    return x + h * velocity(x, _times(x, t))


def midpoint_step(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """Along the velocity in the middle of an Euler step: two evaluations, an error of order h² at the end."""
    middle = euler_step(velocity, x, t, h / 2)
    return x + h * velocity(middle, _times(x, t + h / 2))


def runge_kutta_step(velocity: Velocity, x: Tensor, t: float, h: float) -> Tensor:
    """The classic mixture of four velocities (Runge 1895, Kutta 1901): four evaluations, an error of order h⁴."""
    first = velocity(x, _times(x, t))
    second = velocity(x + h / 2 * first, _times(x, t + h / 2))
    third = velocity(x + h / 2 * second, _times(x, t + h / 2))
    fourth = velocity(x + h * third, _times(x, t + h))
    return x + h / 6 * (first + 2 * second + 2 * third + fourth)


STEPS = {"euler": euler_step, "midpoint": midpoint_step, "runge_kutta": runge_kutta_step}
EVALUATIONS = {"euler": 1, "midpoint": 2, "runge_kutta": 4}  # of the velocity, for each step


@torch.no_grad()
def trajectory(velocity: Velocity, noise: Tensor, *, steps: int, method: str = "euler") -> Iterator[Tensor]:
    """All places (B, …) on the way from noise (B, …), which comes first, to data: `steps` + 1 of them.

    Args:
        method: "euler", "midpoint" or "runge_kutta".
    Raises:
        ValueError: steps is below 1, or there is no such method.
    """
    if method not in STEPS:
        raise ValueError(f"method must be one of {', '.join(STEPS)}, got {method!r}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    x = noise
    yield x
    for step in range(steps):
        x = STEPS[method](velocity, x, step / steps, 1 / steps)
        yield x


def sample(velocity: Velocity, noise: Tensor, *, steps: int, method: str = "euler") -> Tensor:
    """Where `trajectory` ends."""
    *_, x = trajectory(velocity, noise, steps=steps, method=method)
    return x


def _times(x: Tensor, t: float) -> Tensor:
    return x.new_full((len(x),), t)
