"""Low rank: a weight becomes the product of two thin ones, and its layer two layers with fewer numbers and operations.

Of all matrices of rank R, the singular values say which is nearest (Eckart and Young, 1936). What counts is not the
weight, though, but its outputs for the inputs that it gets: with their second moments E[x xᵀ] = L Lᵀ, the same is done
to W L (Wang et al., "SVD-LLM", 2024). A convolution is cut between its places and its output channels (Zhang et al.,
"Accelerating very deep convolutional networks", 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.deploy.layers import refuse_meta, weight_layers
from mmcourse.runtime import evaluating

KINDS = (nn.Linear, nn.Conv2d)
LEAST = 1e-4  # of the mean second moment, added to each: directions that no input took still count a little


class Factors(NamedTuple):
    """tall (O, R) and wide (R, I), whose product stands for a weight; importance (min(O, I),): the share of the squared
    size of the outputs that each rank adds, largest first."""

    tall: Tensor
    wide: Tensor
    importance: Tensor


def thin_factors(weight: Tensor, *, rank: int, moments: Tensor | None = None) -> Factors:
    """The product of rank R that is nearest to a weight (O, I), by its outputs.

    Args:
        moments: E[x xᵀ] of its inputs (I, I); None takes all directions alike, which gives the nearest matrix.
    Raises:
        ValueError: weight is no matrix of finite floating-point numbers, it has no such rank, or moments do not fit.

    >>> factors = thin_factors(torch.tensor([[3.0, 4.0], [6.0, 8.0]]), rank=1)
    >>> (factors.tall @ factors.wide).round(decimals=4)
    tensor([[3., 4.],
            [6., 8.]])
    """
    if weight.dim() != 2 or not weight.is_floating_point() or not weight.isfinite().all():
        raise ValueError(f"weight must be a matrix of finite numbers, got {weight.dtype} {tuple(weight.shape)}")
    if not 1 <= rank <= min(weight.shape):
        raise ValueError(f"rank must be from 1 to {min(weight.shape)}, got {rank}")
    if moments is not None and moments.shape != (weight.shape[1],) * 2:
        raise ValueError(f"moments must be (I, I) = {(weight.shape[1],) * 2}, got {tuple(moments.shape)}")
    eye = torch.eye(weight.shape[1], dtype=torch.float64, device=weight.device)
    moments = eye if moments is None else moments.to(eye)
    root = torch.linalg.cholesky(moments + LEAST * moments.diagonal().mean().clamp(min=1e-12) * eye)
    left, values, right = torch.linalg.svd(weight.detach().double() @ root, full_matrices=False)
    tall, wide = (
        left[:, :rank] * values[:rank],
        torch.linalg.solve_triangular(root, right[:rank], upper=False, left=False),
    )
    importance = values.square() / values.square().sum().clamp(min=1e-300)
    return Factors(tall.to(weight.dtype), wide.to(weight.dtype), importance)


def input_moments(model: nn.Module, inputs: Sequence[Any]) -> dict[str, Tensor]:
    """E[x xᵀ] (I, I), float64, of what each linear and convolution layer gets in `model(*inputs)`, by its name.

    For a convolution x is a window, the channels one after the other. The model is run in evaluation mode.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def watch(name: str, layer: nn.Module):
        def hook(_: nn.Module, given: tuple[Tensor], __: Tensor) -> None:
            x = given[0].detach()
            if isinstance(layer, nn.Conv2d):
                places = {"padding": layer.padding, "stride": layer.stride, "dilation": layer.dilation}
                x = F.unfold(x, layer.kernel_size, **places).mT
            x = x.flatten(0, -2).double()
            sums[name] = sums.get(name, 0) + x.T @ x
            counts[name] = counts.get(name, 0) + len(x)

        return hook

    hooks = [layer.register_forward_hook(watch(name, layer)) for name, layer in _own_layers(model, 0).items()]
    try:
        with evaluating(model), torch.no_grad():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: total / counts[name] for name, total in sums.items()}


def factorize_model(
    model: nn.Module, *, keep: float, inputs: Sequence[Any] | None = None, smallest: int = 4096
) -> dict[str, int]:
    """Puts two thin layers in the place of linear and convolution layers, in place; gives their ranks by name.

    Ranks go where they add most to outputs for each number that they cost. What is smaller than `smallest` stays, so
    does a convolution in groups, what shares its weight with another layer, and every bias.

    Args:
        keep: the share of the numbers of these layers that is left, above 0 and below 1; each has at least rank 1.
        inputs: arguments of one forward pass that shows what the layers get; None takes all inputs alike.
        smallest: numbers of a weight from which it is cut.
    Raises:
        ValueError: keep is out of its range, or there is no such layer; the model is then as it was.

    >>> model = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 3))
    >>> factorize_model(model, keep=0.25)
    {'0': 10}
    >>> model(torch.zeros(1, 128)).shape
    torch.Size([1, 3])
    """
    if not 0 < keep < 1:
        raise ValueError(f"keep must be above 0 and below 1, got {keep}")
    refuse_meta(model)
    layers = _own_layers(model, smallest)
    if not layers:
        raise ValueError(f"model has no linear or convolution layer with {smallest} numbers of its own; lower smallest")
    moments = {} if inputs is None else input_moments(model, inputs)
    weights = {name: layer.weight.flatten(1) for name, layer in layers.items()}
    whole = {
        name: thin_factors(weight, rank=min(weight.shape), moments=moments.get(name))
        for name, weight in weights.items()
    }
    ranks = _dealt({name: factors.importance.tolist() for name, factors in whole.items()}, weights, keep)
    for name, layer in layers.items():
        rank, (tall, wide, _) = ranks[name], whole[name]
        model.set_submodule(name, _two_layers(layer, tall[:, :rank], wide[:rank]))
    return ranks


def _own_layers(model: nn.Module, smallest: int) -> dict[str, nn.Linear | nn.Conv2d]:
    """The layers that can be cut, whose weight belongs to them alone."""
    owners = [id(value) for _, value in model.named_parameters(remove_duplicate=False)]
    return {
        name: layer
        for name, layer in weight_layers(model, KINDS).items()
        if layer.weight.numel() >= smallest
        and owners.count(id(layer.weight)) == 1
        and getattr(layer, "groups", 1) == 1
        and getattr(layer, "padding_mode", "zeros") == "zeros"
        and not isinstance(getattr(layer, "padding", 0), str)
    }


def _dealt(importance: dict[str, list[float]], weights: dict[str, Tensor], keep: float) -> dict[str, int]:
    """The rank of each layer: one for all, and then the next that adds most for each number, while there are some."""
    cost = {name: sum(weight.shape) for name, weight in weights.items()}
    most = {name: max(1, (weight.numel() - 1) // cost[name]) for name, weight in weights.items()}
    left = keep * sum(weight.numel() for weight in weights.values()) - sum(cost.values())
    ranks = dict.fromkeys(weights, 1)
    nexts = [(-value / cost[name], name, i) for name, values in importance.items() for i, value in enumerate(values)]
    for _, name, number in sorted(nexts):
        if number == ranks[name] < most[name] and cost[name] <= left:
            ranks[name], left = number + 1, left - cost[name]
    return ranks


def _two_layers(layer: nn.Linear | nn.Conv2d, tall: Tensor, wide: Tensor) -> nn.Sequential:
    """First to R channels, then to all, with the bias behind."""
    rank, bias = len(wide), layer.bias is not None
    options = {"device": layer.weight.device, "dtype": layer.weight.dtype}
    if isinstance(layer, nn.Linear):
        first = nn.Linear(layer.in_features, rank, bias=False, **options)
        second = nn.Linear(rank, layer.out_features, bias=bias, **options)
    else:
        places = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        first = nn.Conv2d(layer.in_channels, rank, layer.kernel_size, bias=False, **places, **options)
        second = nn.Conv2d(rank, layer.out_channels, 1, bias=bias, **options)
    with torch.no_grad():
        first.weight.copy_(wide.view_as(first.weight))
        second.weight.copy_(tall.view_as(second.weight))
        if bias:
            second.bias.copy_(layer.bias)
    return nn.Sequential(first, second).train(layer.training)
