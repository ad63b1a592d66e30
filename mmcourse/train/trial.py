"""Whether an accelerator computes what the CPU computes: eight steps of a small network on both."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcourse.attention import MultiHeadAttention
from mmcourse.train.batches import Batches
from mmcourse.train.loop import fit
from mmcourse.train.options import Computing
from mmcourse.train.watch import DivergedError

STEPS = 8
TOLERANCE = 0.02  # of the loss: single precision on another kind of chip is off by a tenth of that


class _Small(nn.Module):
    """A little of everything that the course's models are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.attention, self.norm = MultiHeadAttention(16, 2), nn.LayerNorm(16)
        self.head = nn.Linear(16, 4)

    def forward(self, images: Tensor) -> Tensor:
        x = self.cnn(images).flatten(2).mT  # (B, C, h, w) -> (B, P, C)
        return self.head(self.norm(x + self.attention(x)).mean(dim=1))


def try_device(place: torch.device) -> str:
    """What is wrong with `place`, one sentence; empty where it trains a small network as the CPU does."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % 4
    images = torch.randn(64, 3, 12, 12, generator=generator) + labels[:, None, None, None] / 2
    try:
        here, there = (_losses(images, labels, device) for device in (torch.device("cpu"), place))
    except (RuntimeError, NotImplementedError, DivergedError) as error:
        return f"{place.type} cannot train a small network ({str(error).splitlines()[0]})"
    worst = max(range(STEPS), key=lambda step: abs(here[step] - there[step]) / here[step])
    if abs(here[worst] - there[worst]) <= TOLERANCE * here[worst]:
        return ""
    return f"after {worst} steps the loss on {place.type} is {there[worst]:.3f}, on the CPU {here[worst]:.3f}"


def _losses(images: Tensor, labels: Tensor, place: torch.device) -> list[float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = _Small()
    batches = Batches(images, labels, size=32)
    return fit(
        model, lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]), batches, steps=STEPS,
        learning_rate=3e-3, description=None, computing=Computing(mixed_precision=False, device=place),
    ).losses  # fmt: skip
