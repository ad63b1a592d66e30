"""Explanations by removal: how much of the score is lost where something is taken away?

They need no gradient, so whatever gives a number can be explained; the price is a pass for everything that is taken
away. Score is always given all samples in their order, and so may hold what belongs to each, such as its question.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmcourse.interpret.asking import Score, ask, check_images, nothing_like


def occlusion(
    score: Score, images: Tensor, *, size: int, stride: int | None = None, baseline: Tensor | float = 0.0
) -> Tensor:
    """How far the score falls behind a square that slides over the picture: (B, C, H, W) -> (B, H, W).

    Zeiler and Fergus, "Visualizing and understanding convolutional networks" (2014). A pixel gets the mean over all
    squares that hide it.

    Args:
        score: float images (B, C, H, W) -> (B,).
        size: side of the square in pixels; at the last row and column it may be cut off.
        stride: how far it moves each time; its own size, if not given.
        baseline: what the square shows: a number, or a tensor that broadcasts to images.
    Raises:
        ValueError: sizes or shapes do not fit, or the score is not one number a sample.

    >>> occlusion(lambda images: images[:, 0, 0, 0], torch.ones(1, 3, 2, 4), size=2).tolist()
    [[[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]]
    """
    check_images(images)
    height, width = images.shape[-2:]
    if not 1 <= size <= min(height, width):
        raise ValueError(f"size must be from 1 to {min(height, width)}, the shorter side of the images, got {size}")
    stride = size if stride is None else stride
    if not 1 <= stride <= size:
        raise ValueError(f"stride must be from 1 to {size}, the size, so that no pixel is left out, got {stride}")
    empty, before = nothing_like(images, baseline), ask(score, images)
    lost, times = torch.zeros_like(images[:, 0]), torch.zeros_like(images[0, 0])
    for top in _starts(height, size, stride):
        for left in _starts(width, size, stride):
            place = (..., slice(top, top + size), slice(left, left + size))
            hidden = images.clone()
            hidden[place] = empty[place]
            lost[place] += (before - ask(score, hidden))[:, None, None]
            times[place] += 1
    return lost / times


def _starts(length: int, size: int, stride: int) -> range:
    """Where windows begin so that the last of them reaches the end, or beyond it."""
    return range(0, math.ceil((length - size) / stride) * stride + 1, stride)


def leave_one_out(score: Score, tokens: Tensor, *, fill_id: int | None = None) -> Tensor:
    """How far the score falls without each single token of a text: ids (B, T) -> (B, T).

    Li, Monroe and Jurafsky, "Understanding neural networks through representation erasure" (2016). Of two words that
    say the same, neither is missed.

    Args:
        score: ids (B, T) -> (B,).
        fill_id: the token that takes the place of the one left out, such as that of an unknown word. Without one the
            text closes up, and score must read ids (B, T − 1) as well.
    Raises:
        ValueError: tokens are not ids (B, T), there is no word to spare, or the score is not one number a sample.

    >>> leave_one_out(lambda tokens: (tokens == 7).sum(dim=1).float(), torch.tensor([[5, 7, 6]])).tolist()
    [[0.0, 1.0, 0.0]]
    """
    if tokens.dim() != 2 or tokens.is_floating_point() or tokens.dtype == torch.bool:
        raise ValueError(f"tokens must be ids, integers (B, T), got {tokens.dtype} {tuple(tokens.shape)}")
    if tokens.shape[1] < (2 if fill_id is None else 1):
        raise ValueError(f"tokens must have a word to spare, got {tuple(tokens.shape)}; give a fill_id or longer texts")
    before, lost = ask(score, tokens), []
    for place in range(tokens.shape[1]):
        if fill_id is None:
            rest = torch.cat((tokens[:, :place], tokens[:, place + 1 :]), dim=1)
        else:
            rest = tokens.clone()
            rest[:, place] = fill_id
        lost.append(before - ask(score, rest))
    return torch.stack(lost, dim=1)
