"""How the weights move: AdamW with weight decay on matrices alone, and a learning rate that rises and falls."""

from __future__ import annotations

import math

import torch
from torch import nn


def warmup_cosine(step: int, *, steps: int, warmup: int = 0, final: float = 0.0) -> float:
    """The share of the full learning rate at `step` (0, …, steps − 1): a line up, then half a cosine down to `final`.

    Warm-up as in Vaswani et al. (2017), the cosine as in Loshchilov and Hutter, "SGDR" (2017), equation 5. Equals
    PyTorch's LinearLR followed by CosineAnnealingLR.

    >>> [round(warmup_cosine(step, steps=6, warmup=2), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15]
    """
    if not 0 <= warmup <= steps:
        raise ValueError(f"warmup must lie between 0 and steps {steps}, got {warmup}")
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, done))) / 2


def make_optimizer(
    model: nn.Module,
    *,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.99),
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, 2019) over the parameters that learn.

    Only tensors with two or more dimensions decay: a bias or the scale of a norm has no reason to be near zero.
    """
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not learning:
        raise ValueError("model has no parameter that learns; set requires_grad=True on those that should")
    groups = [
        {"params": [parameter for parameter in learning if parameter.dim() >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in learning if parameter.dim() < 2], "weight_decay": 0.0},
    ]
    # The fused kernel is one pass over the weights where the plain loop is ten; all three kinds of device have it.
    return torch.optim.AdamW([group for group in groups if group["params"]], learning_rate, betas=betas, fused=True)
