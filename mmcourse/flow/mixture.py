"""Data whose velocity is known exactly: a mixture of normal clouds."""

from __future__ import annotations

import torch
from torch import Tensor


class GaussianMixture:
    """The one kind of data whose velocity is known exactly: normal clouds around centers.

    Of data from one cloud, x_t is normal around t·center with variance (1 − t)² + t²·spread²; of several clouds, the
    velocity at x is the mean over them, each with the probability that x came from it. With spread 0 the data are the
    centers alone: what a network that learns its training set by heart would predict.

    Args:
        centers: (K, D).
        spread: the standard deviation of each cloud, the same in all directions.
    Raises:
        ValueError: centers is no table, or spread is negative.
    """

    def __init__(self, centers: Tensor, spread: float) -> None:
        if centers.dim() != 2 or spread < 0:
            raise ValueError(f"want centers (K, D) and a spread of at least 0, got {tuple(centers.shape)} and {spread}")
        self.centers, self.spread = centers, spread

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Data (count, D), each cloud as likely as the others."""
        which = torch.randint(len(self.centers), (count,), generator=generator)
        noise = torch.randn(count, self.centers.shape[1], generator=generator)
        return self.centers[which] + self.spread * noise.to(self.centers)

    def came_from(self, x: Tensor, times: Tensor) -> Tensor:
        """The probability that x (B, D) at times (B,), all before 1, is on its way to each cloud: (B, K)."""
        t = times[:, None]
        variance = (1 - t).square() + (t * self.spread).square()
        distances = (x[:, None] - t[:, :, None] * self.centers).square().sum(dim=-1)  # to where the clouds are, (B, K)
        return (-distances / (2 * variance)).softmax(dim=1)

    def __call__(self, x: Tensor, times: Tensor) -> Tensor:
        """The velocity at x (B, D) and times (B,): (B, D)."""
        t = times[:, None]
        variance = (1 - t).square() + (t * self.spread).square()
        rate = (t * self.spread**2 - (1 - t)) / variance  # how fast a cloud grows around its center
        center = self.came_from(x, times) @ self.centers  # (B, K) @ (K, D): where x is expected to go
        return center + rate * (x - t * center)
