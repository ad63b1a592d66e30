"""Pruning: the weights nearest to 0 become 0, as a network hardly misses them.

Han et al., "Learning both weights and connections for efficient neural networks" (2015): train, prune by magnitude,
train on without what was pruned. A mask is bool of the weight's shape, True where a number stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mmcourse.deploy.layers import refuse_meta, weight_layers

Scope = Literal["layer", "global"]
SCOPES = ("layer", "global")
KINDS = (nn.Linear, nn.Conv2d)


def magnitude_mask(weight: Tensor, *, amount: float) -> Tensor:
    """Which numbers stay when the share `amount` of them, the smallest by magnitude, goes; of equal ones the first go.

    Args:
        amount: from 0 to 1; the count is rounded, halves to the even one.
    Raises:
        ValueError: weight is no finite floating-point tensor, or amount lies outside 0 to 1.
    Source: as `torch.nn.utils.prune.l1_unstructured`.

    >>> magnitude_mask(torch.tensor([[3.0, -1.0], [-2.0, 0.5]]), amount=0.5)
    tensor([[ True, False],
            [ True, False]])
    """
    return global_masks({"weight": weight}, amount=amount)["weight"]


def global_masks(weights: Mapping[str, Tensor], *, amount: float) -> dict[str, Tensor]:
    """The same for several weights of any shapes whose numbers are compared all together.

    Raises:
        ValueError: as `magnitude_mask`.
    Source: as `torch.nn.utils.prune.global_unstructured`.

    >>> masks = global_masks({"small": torch.tensor([0.1, 0.2]), "large": torch.tensor([3.0, 4.0])}, amount=0.5)
    >>> {name: mask.tolist() for name, mask in masks.items()}
    {'small': [False, False], 'large': [True, True]}
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"amount must be from 0 to 1, got {amount}")
    for name, weight in weights.items():
        if not weight.is_floating_point() or not weight.isfinite().all():
            raise ValueError(f"{name} must be finite floating-point numbers, got {weight.dtype} or infinities or NaN")
    sizes = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    keep = torch.ones_like(sizes, dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(amount * len(sizes))]] = False
    parts = keep.split([weight.numel() for weight in weights.values()])
    return {name: part.view(weight.shape) for (name, weight), part in zip(weights.items(), parts, strict=True)}


def prune_model(model: nn.Module, *, amount: float, scope: Scope = "layer") -> dict[str, Tensor]:
    """Sets the smallest weights of linear and convolution layers to 0, in place, and gives the masks of what stays.

    A weight that several layers share is pruned once, under its first name. Biases and embeddings stay whole, but a
    table that a linear layer shares is pruned with it.

    Args:
        amount: share of the numbers that go.
        scope: "layer" takes it from each layer, "global" compares the numbers of all layers, so that layers of large
            weights keep more.
    Returns:
        Masks by the names of the weights; `apply_masks(model, masks)` after each step of further training keeps what
        was pruned at 0.
    Raises:
        ValueError: an option is out of its range, there is no such layer, or a weight is not finite; the model is then
            as it was.

    >>> model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    >>> masks = prune_model(model, amount=0.25)
    >>> list(masks), sparsity(model)
    (['0.weight', '2.weight'], 0.25)
    """
    if scope not in SCOPES:
        raise ValueError(f"scope must be one of {', '.join(SCOPES)}, got {scope!r}")
    refuse_meta(model)
    weights = prunable_weights(model)
    if scope == "global":
        masks = global_masks(weights, amount=amount)
    else:
        masks = {name: global_masks({name: weight}, amount=amount)[name] for name, weight in weights.items()}
    apply_masks(model, masks)
    return masks


@torch.no_grad()
def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Sets the weights of these names to 0 where their mask is False, in place.

    Raises:
        ValueError: the model has no weight of a name, or one of another shape; it is then as it was.
    """
    weights = dict(model.named_parameters(remove_duplicate=False))
    for name, mask in masks.items():
        found = tuple(weights[name].shape) if name in weights else "none"
        if found != tuple(mask.shape) or mask.dtype != torch.bool:
            raise ValueError(f"masks have {mask.dtype} {tuple(mask.shape)} for {name}, the model has {found}")
    for name, mask in masks.items():
        weights[name].masked_fill_(~mask.to(weights[name].device), 0.0)


def sparsity(model: nn.Module) -> float:
    """The share of zeros among the weights that `prune_model` looks at.

    Raises:
        ValueError: there is no such layer.
    """
    weights = prunable_weights(model).values()
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of linear and convolution layers by name, shared ones once."""
    found: dict[int, tuple[str, Tensor]] = {}
    for name, layer in weight_layers(model, KINDS).items():
        found.setdefault(id(layer.weight), (f"{name}.weight" if name else "weight", layer.weight))
    if not found:
        raise ValueError("model has no linear and no convolution layer with a weight of floats; there is none to prune")
    return dict(found.values())
