"""An adapter as a file: safetensors with `down` and `up` of each layer, and as JSON in its metadata how they are used.

The weights of the model are not in it; an adapter means something only beside the ones it was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mmcourse.adapters.lora import channels
from mmcourse.adapters.wrapping import Learning, linear_layers, lora_layers, needed_layers, refuse_wrapped, wrap
from mmcourse.errors import OneSentence
from mmcourse.files import expanded
from mmcourse.sealed import Sealed

PARTS = ("down", "up")


class AdapterFileError(OneSentence, ValueError):
    """A file that is no adapter, a damaged one, or one of another model; the text is one sentence."""


FILE = Sealed(kind="lora", format=1, noun="adapter", writer="save_adapter", about="config", error=AdapterFileError)


def save_adapter(model: nn.Module, path: str | Path, *, dtype: torch.dtype | None = None) -> None:
    """Writes the adapters of a model, merged or not, in one step; the same adapters give the same bytes.

    Args:
        dtype: of the numbers in the file, such as torch.float16 for a small one; by default as they are.
    Raises:
        ValueError: the model has no adapters or is on the meta device, its layers differ in rank, alpha or dropout, or
            dtype is no floating-point type.
    """
    layers = needed_layers(model)
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype must be a floating-point type, got {dtype}")
    settings = {(layer.rank, layer.alpha, layer.dropout.p) for layer in layers.values()}
    if len(settings) > 1:
        raise ValueError(f"the layers must have one (rank, alpha, dropout), got {sorted(settings)}; a file holds one")
    weights = {f"{name}.{part}": getattr(layer, part).detach() for name, layer in layers.items() for part in PARTS}
    if any(weight.is_meta for weight in weights.values()):
        raise ValueError("the model is on the meta device, where weights have no values; there is nothing to save")
    weights = {name: weight.to("cpu", dtype).contiguous() for name, weight in weights.items()}
    config = dict(zip(("rank", "alpha", "dropout"), settings.pop(), strict=True))
    FILE.write(expanded(path), config, weights)


def load_adapter(model: nn.Module, path: str | Path) -> Learning:
    """Wraps the layers of a fresh model that the file is for, in place, and fills in what it holds; the rest is frozen.

    The numbers take the type and device of the layers. Whether the frozen weights are those of the training is not
    compared.

    Raises:
        AdapterFileError: there is no file, it was cut or changed, it holds no adapter, or it is of another model.
        ValueError: the model has adapters. In every case the model is as it was.
    """
    path = expanded(path)
    config, weights = FILE.read(path)
    refuse_wrapped(model)
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in weights))
    try:
        _check_fit(names, weights, linear_layers(model), config["rank"])
        # A generator of its own: what is drawn here is overwritten, and nobody else's random numbers should move.
        learning = wrap(model, names, **config, generator=torch.Generator())
        with torch.no_grad():
            for name, layer in lora_layers(model).items():
                for part in PARTS:
                    getattr(layer, part).copy_(weights[f"{name}.{part}"])
    except ValueError as error:
        raise AdapterFileError(f"the adapter {path} does not fit this model: {error}") from None
    return learning


def _check_fit(names: list[str], weights: Mapping[str, Tensor], layers: Mapping[str, nn.Module], rank: int) -> None:
    wanted = {}
    for name in names:
        if name not in layers:
            raise ValueError(f"it is for a linear layer {name}, and the model has none of this name")
        inputs, outputs = channels(layers[name])
        wanted |= {f"{name}.down": (rank, inputs), f"{name}.up": (outputs, rank)}
    for name in sorted(weights.keys() | wanted.keys()):
        found = tuple(weights[name].shape) if name in weights else "nothing"
        if found != wanted.get(name):
            raise ValueError(f"it holds {found} for {name}, the model wants {wanted.get(name, 'nothing')}")
