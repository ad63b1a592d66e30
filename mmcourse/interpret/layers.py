"""Explanations from inside a network: what a layer found and how much the score cares, and where attention flowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import record
from mmcourse.interpret.asking import Score, check_images, gradient_of, one_each
from mmcourse.runtime import evaluating


def enlarge(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Maps of cells as maps of pixels, with smooth steps between them: (B, rows, columns) -> (B, H, W).

    >>> enlarge(torch.tensor([[[0.0, 1.0]]]), (1, 4)).tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    return F.interpolate(maps[:, None], tuple(size), mode="bilinear")[:, 0]


def square_grid(tokens: Tensor) -> Tensor:
    """Patches in reading order as rows and columns: (B, P, …) -> (B, √P, √P, …).

    Raises:
        ValueError: P is not the number of cells of a square.
    """
    patches = tokens.shape[1]
    side = math.isqrt(patches)
    if side == 0 or side**2 != patches:
        hint = "tell how many tokens before them are no patches, such as the class token"
        raise ValueError(f"tokens must be the patches of a square grid, got {patches} of them; {hint}")
    return tokens.unflatten(1, (side, side))


def grad_cam(score: Score, images: Tensor, *, layer: nn.Module, skip: int = 0, pooled: bool = True) -> Tensor:
    """Where a layer found what raises the score: its channels, weighted by their mean gradients; a map (B, H, W) ≥ 0.

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization" (2017). Of a
    layer that runs several times, the last run counts.

    Args:
        score: float images (B, C, H, W) -> (B,), of a model in evaluation mode.
        layer: the part of that model to look at, such as the last stage of a convolutional network. It gives a grid of
            features (B, K, h, w), or tokens (B, P, K) whose P patches form a square. In a transformer take the norm
            before the last attention: what comes after, in a patch's own place, no longer reaches the class token.
        skip: how many tokens before the patches are none, 1 for a class token.
        pooled: a channel counts alike everywhere, as in the paper. Where the score reads some places and not others, as
            with attention, that mixes them up; with pooled=False each place has its own gradient (Draelos and Carin,
            "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020).
    Raises:
        ValueError: shapes do not fit, the layer did not run, or no gradient leads from the score to it.
    """
    check_images(images)
    seen: list[Tensor] = []

    def watch(module: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise ValueError(f"layer must give one tensor, got {type(output).__name__} from {type(layer).__name__}")
        # Cut off from what was before: gradients need go no further, and a frozen network that runs without them will
        # do. The copy is for those who write into what they are given, such as ReLU(inplace=True).
        seen[:] = [output.detach().requires_grad_()]
        with torch.enable_grad():
            return seen[0].clone()

    with torch.enable_grad(), ExitStack() as stack:
        stack.callback(layer.register_forward_hook(watch).remove)
        scores = one_each(score(images), images)
        if not seen:
            raise ValueError(f"layer must be a part that runs when score is asked, got {type(layer).__name__}")
        slopes = gradient_of(scores, seen[0], "layer")
    features, slopes = (_as_grid(each, skip) for each in (seen[0].detach(), slopes))
    weights = slopes.mean(dim=(2, 3), keepdim=True) if pooled else slopes  # (B, K, h, w) -> (B, K, 1, 1)
    return enlarge((weights * features).sum(dim=1).relu(), images.shape[-2:])


def _as_grid(features: Tensor, skip: int) -> Tensor:
    """(B, K, h, w) as it is; tokens (B, skip + P, K) -> (B, K, √P, √P)."""
    if features.dim() == 4:
        return features
    if features.dim() != 3:
        raise ValueError(f"layer must give (B, K, h, w), or tokens (B, P, K), got {tuple(features.shape)}")
    return square_grid(features[:, skip:]).permute(0, 3, 1, 2)


def rollout(maps: Sequence[Tensor], *, residual: float = 0.5) -> Tensor:
    """How much of each first token has arrived in each last one, through all layers: (B, T, T), rows sum to 1.

    Abnar and Zuidema, "Quantifying attention flow in transformers" (2020). Attention of each layer, the mean over
    heads, is mixed with the identity, as a token also keeps what it was; then layers are multiplied.

    Args:
        maps: of each layer, first to last, the weights of self-attention (B, H, T, T), as `record` gives them.
        residual: the share of what a token keeps; the paper's is a half.
    Raises:
        ValueError: there are no maps, they are not all alike, or the share is not from 0 to 1.

    >>> rollout([torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])] * 2).tolist()
    [[[0.25, 0.75], [0.0, 1.0]]]
    """
    if not 0 <= residual <= 1:
        raise ValueError(f"residual must be from 0 to 1, got {residual}")
    shapes = {(len(each), each.shape[-2:]) if each.dim() == 4 else None for each in maps}
    if len(shapes) != 1 or maps[0].dim() != 4 or maps[0].shape[-1] != maps[0].shape[-2]:
        got = ", ".join(str(tuple(each.shape)) for each in maps) or "none"
        raise ValueError(f"maps must be self-attention of one size in each layer, (B, H, T, T), got {got}")
    arrived = keep = torch.eye(maps[0].shape[-1]).to(maps[0])
    for weights in maps:
        arrived = (residual * keep + (1 - residual) * weights.mean(dim=1)) @ arrived  # (B, T, T)
    return arrived


def rollout_map(
    model: nn.Module | Callable[[Tensor], Any], images: Tensor, *, skip: int = 1, residual: float = 0.5
) -> Tensor:
    """What of each patch arrives in the class token by way of attention: (B, C, H, W) -> (B, H, W).

    It knows no target: the same map explains every answer. Without a class token, the mean over all patches is shown.

    Args:
        model: a vision transformer with nothing but self-attention inside, such as `ViT`, or a method of one.
        skip: how many tokens before the patches are none; the first of them is the class token, 0 = there is none.
        residual: see `rollout`.
    Raises:
        ValueError: shapes do not fit, or the model has no attention.
    """
    check_images(images)
    owner = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    with ExitStack() as stack:
        if isinstance(owner, nn.Module):  # otherwise `record` says what is wrong
            stack.enter_context(evaluating(owner))
        maps = record(model, images).maps
    arrived = rollout([*maps.values()], residual=residual)
    row = arrived[:, 0] if skip else arrived.mean(dim=1)  # (B, T, T) -> (B, T)
    return enlarge(square_grid(row[:, skip:]), images.shape[-2:])
