"""Explanations by gradients: which pixels, or which words, would change the score if they changed a little?

A gradient tells of small changes at one place (Simonyan et al., "Deep inside convolutional networks", 2013). Summed on
the way from a baseline to the input, the gradients add up to the whole difference of the score between the two
(Sundararajan et al., "Axiomatic attribution for deep networks", 2017), and how nearly they do can be checked.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.interpret.asking import Score, ask, check_images, gradient, nothing_like


class Attribution(NamedTuple):
    """Integrated gradients: `map` (B, H, W), or (B, T) of tokens, and the `gap` (B,) that its sum leaves.

    The gap is what the sum of a map lacks of, or has above, score(input) − score(baseline); more steps close it.
    """

    map: Tensor
    gap: Tensor


def saliency(score: Score, images: Tensor) -> Tensor:
    """The size of the gradient at each pixel, the largest over its colors: (B, C, H, W) -> (B, H, W).

    Simonyan et al., "Deep inside convolutional networks" (2013).

    Args:
        score: float images (B, C, H, W) -> (B,), of a model in evaluation mode.
    Raises:
        ValueError: images are not float (B, C, H, W), or the score is not one number a sample with a gradient.

    >>> saliency(lambda images: 2 * images[:, 0, 1, 0] - images[:, 1, 0, 0], torch.zeros(1, 3, 2, 2)).tolist()
    [[[1.0, 0.0], [2.0, 0.0]]]
    """
    check_images(images)
    return gradient(score, images).abs().amax(dim=1)


def integrated_gradients(
    score: Score, images: Tensor, *, baseline: Tensor | float = 0.0, steps: int = 64
) -> Attribution:
    """What each pixel adds to the score on the straight way from a baseline: a map (B, H, W), summed over colors.

    Sundararajan et al., "Axiomatic attribution for deep networks" (2017). Where the input equals the baseline nothing
    is added: a black object before a black baseline stays unseen.

    Args:
        score: float images (B, C, H, W) -> (B,), of a model in evaluation mode.
        baseline: a picture of nothing: a number, or a tensor that broadcasts to images.
        steps: gradients on the way, each in the middle of its step.
    Raises:
        ValueError: shapes do not fit, steps is below 1, or the score has no gradient.

    >>> found = integrated_gradients(lambda images: images.square().sum(dim=(1, 2, 3)), torch.full((1, 3, 1, 1), 2.0))
    >>> found.map.tolist(), found.gap.tolist()
    ([[[12.0]]], [0.0])
    """
    check_images(images)
    parts, gap = _along_the_way(score, images, baseline, steps)
    return Attribution(parts.sum(dim=1), gap)


def token_gradients(
    score: Score, embeddings: Tensor, *, baseline: Tensor | float = 0.0, steps: int = 64
) -> Attribution:
    """What each token of a text adds to the score: integrated gradients over embeddings (B, T, C), a map (B, T).

    Ids have no gradient, but the vectors that stand for them have one; as in Sundararajan et al. (2017), section 6.3.

    Args:
        score: embeddings (B, T, C) -> (B,): the model from behind its table of words on.
        baseline: of no word: zeros, or the embedding (C,) of the padding.
        steps: gradients on the way.
    Raises:
        ValueError: embeddings are not float (B, T, C), steps is below 1, or the score has no gradient.

    >>> token_gradients(lambda words: words.sum(dim=2)[:, 1], torch.ones(1, 3, 4)).map.tolist()
    [[0.0, 4.0, 0.0]]
    """
    if embeddings.dim() != 3 or not embeddings.is_floating_point():
        got = f"{embeddings.dtype} {tuple(embeddings.shape)}"
        raise ValueError(f"embeddings must be float (B, T, C), got {got}; ids have no gradient, their vectors have one")
    parts, gap = _along_the_way(score, embeddings, baseline, steps)
    return Attribution(parts.sum(dim=2), gap)


def _along_the_way(score: Score, x: Tensor, baseline: Tensor | float, steps: int) -> tuple[Tensor, Tensor]:
    """(x − baseline) times the mean gradient between the two, like x, and the gap to completeness (B,)."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    start = nothing_like(x, baseline)
    difference = x.detach() - start
    total = torch.zeros_like(x)
    for step in range(steps):
        total += gradient(score, start + (step + 0.5) / steps * difference)
    parts = difference * total / steps
    return parts, parts.flatten(1).sum(dim=1) - (ask(score, x) - ask(score, start))
