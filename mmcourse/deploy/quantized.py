"""A model whose weights lie in memory as int8: each layer makes floats of its own when it is called.

A quarter of the memory, for a little more work; the sums are those of floats. Biases, norms and tables outside of
embedding layers are few numbers and stay as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.adapters.wrapping import refuse_wrapped
from mmcourse.deploy.layers import refuse_meta, weight_layers
from mmcourse.deploy.quantization import Grid, Scheme, dequantize, fit_grid, quantize


class QuantizedWeight(nn.Module):
    """A weight as int8 with its grid; called, it gives the floats. Layers that share a weight share one of these.

    Args:
        values: int8, (O, …).
        grid: of one scale, or one an output channel.
        dtype: of the floats; `model.half()` and the like change it, but never the scale.
    """

    values: Tensor
    scale: Tensor
    zero_point: Tensor
    like: Tensor

    def __init__(self, values: Tensor, grid: Grid, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("scale", grid.scale)
        self.register_buffer("zero_point", grid.zero_point)
        self.register_buffer("like", torch.empty(0, dtype=dtype, device=values.device), persistent=False)

    @classmethod
    def of(cls, weight: Tensor, *, scheme: Scheme = "symmetric", per_channel: bool = True) -> QuantizedWeight:
        """A weight (O, …) put on the grid of `fit_grid`, each output channel on its own if `per_channel`."""
        grid = fit_grid(weight, scheme=scheme, axis=0 if per_channel else None)
        return cls(quantize(weight.detach(), grid), grid, dtype=weight.dtype)

    @property
    def grid(self) -> Grid:
        return Grid(self.scale, self.zero_point)

    def forward(self) -> Tensor:
        return dequantize(self.values, self.grid).to(self.like.dtype)

    def rows(self, index: Tensor) -> Tensor:
        """The floats of some output channels alone: int64 (…) -> (…, *rest)."""
        scale, zero_point = (part[index] if len(part) > 1 else part.squeeze(0) for part in self.grid)
        return dequantize(self.values[index], Grid(scale, zero_point)).to(self.like.dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> QuantizedWeight:
        scale = self.scale
        super()._apply(fn, recurse)
        if self.scale.dtype != scale.dtype:  # in float16 a scale of 1e-5 would have two digits left
            self.scale = scale.to(self.scale.device)
        return self


class _QuantizedLayer(nn.Module):
    """What the layers share: the stored weight, and the floats for code that reads a layer's weight."""

    def __init__(self, base: nn.Module, stored: QuantizedWeight) -> None:
        super().__init__()
        if tuple(stored.values.shape) != tuple(base.weight.shape):
            raise ValueError(f"stored must be {tuple(base.weight.shape)}, got {tuple(stored.values.shape)}")
        self.stored = stored
        self.bias = getattr(base, "bias", None)
        self.training = base.training

    @property
    def weight(self) -> Tensor:
        return self.stored()


class QuantizedLinear(_QuantizedLayer):
    """An `nn.Linear` with its weight as int8, (…, I) -> (…, O).

    >>> layer = nn.Linear(3, 2)
    >>> QuantizedLinear(layer, QuantizedWeight.of(layer.weight))(torch.zeros(1, 3)).shape
    torch.Size([1, 2])
    """

    def __init__(self, base: nn.Linear, stored: QuantizedWeight) -> None:
        super().__init__(base, stored)
        self.in_features, self.out_features = base.in_features, base.out_features

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class QuantizedConv2d(_QuantizedLayer):
    """An `nn.Conv2d` with its weight as int8, (B, C, H, W) -> (B, O, H', W')."""

    def __init__(self, base: nn.Conv2d, stored: QuantizedWeight) -> None:
        super().__init__(base, stored)
        self.options = {name: getattr(base, name) for name in ("stride", "padding", "dilation", "groups")}

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, **self.options)


class QuantizedEmbedding(_QuantizedLayer):
    """An `nn.Embedding` with its table as int8, (…) -> (…, C): only the rows that are asked for become floats."""

    def __init__(self, base: nn.Embedding, stored: QuantizedWeight) -> None:
        super().__init__(base, stored)
        self.num_embeddings, self.embedding_dim = base.num_embeddings, base.embedding_dim
        self.padding_idx = base.padding_idx

    def forward(self, tokens: Tensor) -> Tensor:
        return self.stored.rows(tokens)


WRAPPERS: dict[type[nn.Module], Callable[[Any, QuantizedWeight], nn.Module]] = {
    nn.Linear: QuantizedLinear,
    nn.Conv2d: QuantizedConv2d,
    nn.Embedding: QuantizedEmbedding,
}


def quantize_model(
    model: nn.Module, *, scheme: Scheme = "symmetric", per_channel: bool = True, in_place: bool = False
) -> nn.Module:
    """The model with the weights of its linear, convolution and embedding layers as int8; tied ones stay tied.

    Left as they are: weights that something else than such a layer shares, convolutions that pad with anything but
    zeros, and embeddings that change their table (`max_norm`).

    Args:
        scheme, per_channel: see `QuantizedWeight.of`.
        in_place: change this model and return it, for one too large for a copy; by default it stays as it was.
    Raises:
        ValueError: there is no such layer, the model has adapters, is quantized or is on the meta device, or a weight
            is not finite; the model is then as it was.

    >>> small = quantize_model(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    >>> small[0].stored.values.dtype
    torch.int8
    """
    refuse_wrapped(model)
    refuse_quantized(model)
    refuse_meta(model)
    layers = quantizable(model)
    if not layers:
        raise ValueError("model has no linear, convolution or embedding layer inside; there is nothing to quantize")
    made: dict[int, QuantizedWeight] = {}
    for layer in layers.values():
        if id(layer.weight) not in made:
            made[id(layer.weight)] = QuantizedWeight.of(layer.weight, scheme=scheme, per_channel=per_channel)
    stored = {name: made[id(layer.weight)] for name, layer in layers.items()}
    if not in_place:
        model = copy.deepcopy(model)
    replace(model, stored)
    return model


def quantizable(model: nn.Module) -> dict[str, nn.Module]:
    """The layers inside a model that `quantize_model` puts others in place of, by their dotted names."""
    layers = {name: layer for name, layer in weight_layers(model).items() if name and _is_simple(layer)}
    ours = {f"{name}.weight" for name in layers}
    holders: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        holders.setdefault(id(weight), []).append(name)
    return {name: layer for name, layer in layers.items() if ours.issuperset(holders[id(layer.weight)])}


def refuse_quantized(model: nn.Module) -> None:
    """A ValueError if a model is quantized already."""
    for name, module in model.named_modules():
        if isinstance(module, _QuantizedLayer):
            raise ValueError(f"model is quantized already, the first layer is {name}; begin with one of floats")


def replace(model: nn.Module, stored: Mapping[str, QuantizedWeight]) -> None:
    """Puts layers with these weights in place of those of the same dotted names; one of two names stays one layer."""
    made: dict[int, nn.Module] = {}
    for name, weight in stored.items():
        base = model.get_submodule(name)
        if id(base) not in made:
            kind = next(kind for kind in WRAPPERS if isinstance(base, kind))
            made[id(base)] = WRAPPERS[kind](base, weight)
    for name, layer in {name: made[id(model.get_submodule(name))] for name in stored}.items():
        model.set_submodule(name, layer)


def _is_simple(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        return layer.padding_mode == "zeros"
    return not isinstance(layer, nn.Embedding) or layer.max_norm is None
