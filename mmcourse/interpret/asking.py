"""What every explanation does with a score: ask it, or ask for its gradient, and say so where it cannot answer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor], Tensor]  # inputs (B, …) -> the number to explain for each sample (B,)


def ask(score: Score, x: Tensor) -> Tensor:
    """The scores (B,) of inputs (B, …), without gradients.

    Raises:
        ValueError: the score does not give one number for each sample.
    """
    with torch.no_grad():
        return one_each(score(x), x)


def gradient(score: Score, x: Tensor) -> Tensor:
    """How each score changes with each number of its own input: (B, …), like x.

    The sum over samples is what is differentiated, so samples must not depend on each other. Weights get no gradients.

    Raises:
        ValueError: the score does not give one number for each sample, or no gradient leads from it to x.
    """
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        return gradient_of(one_each(score(leaf), x), leaf, "its input")


def gradient_of(scores: Tensor, source: Tensor, name: str) -> Tensor:
    """The gradient of the sum of scores (B,) by a tensor that took part in them.

    Raises:
        ValueError: it took no part, or gradients were switched off on the way.
    """
    found = None
    if scores.requires_grad:
        (found,) = torch.autograd.grad(scores.sum(), source, allow_unused=True)
    if found is None:
        cuts = "a no_grad, a detach or a rounding to whole numbers"
        raise ValueError(f"score must let gradients through to {name}, got none: look for {cuts} on the way")
    return found


def one_each(scores: Tensor, x: Tensor) -> Tensor:
    """The scores, if they are one float for each sample of x; a ValueError otherwise."""
    if not isinstance(scores, Tensor) or scores.shape != x.shape[:1] or not scores.is_floating_point():
        got = f"{scores.dtype} {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        hint = "choose a target, as in lambda images: model(images)[:, target]"
        raise ValueError(f"score must give one float for each sample, shape ({len(x)},), got {got}; {hint}")
    return scores


def check_images(images: Tensor) -> None:
    """Raises a ValueError unless images are float (B, C, H, W)."""
    if images.dim() != 4 or not images.is_floating_point():
        hint = "a picture of whole numbers becomes one of floats with .float()"
        raise ValueError(f"images must be float (B, C, H, W), got {images.dtype} {tuple(images.shape)}; {hint}")


def nothing_like(x: Tensor, baseline: Tensor | float) -> Tensor:
    """A baseline, a number or a tensor that broadcasts to x, as a tensor of the shape, type and device of x.

    Raises:
        ValueError: it does not broadcast to x.
    """
    value = torch.as_tensor(baseline, dtype=x.dtype, device=x.device)
    try:
        return value.expand_as(x)
    except RuntimeError:
        wanted, got = tuple(x.shape), tuple(value.shape)
        raise ValueError(f"baseline must be a number or broadcast to the input {wanted}, got {got}") from None
