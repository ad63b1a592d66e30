"""An adapter as a file: safetensors with `down` and `up` of each layer, and as JSON in its metadata how they are used.

The weights of the model are not in it; an adapter means something only beside the ones it was trained with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mmcourse.adapters.lora import channels
from mmcourse.adapters.wrapping import Learning, linear_layers, lora_layers, needed_layers, refuse_wrapped, wrap
from mmcourse.files import expanded, write_in_one_step

FORMAT = 1
KIND = "lora"
KEY = "mmcourse"  # one entry of metadata: safetensors writes several in no particular order
PARTS = ("down", "up")


class AdapterFileError(ValueError):
    """A file that is no adapter, a damaged one, or one of another model; the text is one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [f"AdapterFileError: {self}"]


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
    facts = {"format": FORMAT, "kind": KIND, "config": config, "sha256": _checksum(config, weights)}
    write_in_one_step(expanded(path), save(weights, metadata={KEY: json.dumps(facts)}))


def load_adapter(model: nn.Module, path: str | Path) -> Learning:
    """Wraps the layers of a fresh model that the file is for, in place, and fills in what it holds; the rest is frozen.

    The numbers take the type and device of the layers. Whether the frozen weights are those of the training is not
    compared.

    Raises:
        AdapterFileError: there is no file, it was cut or changed, it holds no adapter, or it is of another model.
        ValueError: the model has adapters. In every case the model is as it was.
    """
    path = expanded(path)
    config, weights = _read(path)
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


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and weights of a file that `save_adapter` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(KEY, "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except FileNotFoundError:
        raise AdapterFileError(f"there is no file {path}; give one that save_adapter wrote") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise AdapterFileError(f"the file {path} is damaged or no safetensors file ({error}); save it again") from None
    if not isinstance(facts, dict) or facts.get("kind") != KIND:
        raise AdapterFileError(f"the file {path} holds no adapter; give one that save_adapter wrote")
    if facts.get("format") != FORMAT:
        raise AdapterFileError(
            f"the adapter {path} has format {facts.get('format')}, this version reads {FORMAT}; save it again"
        )
    if facts.get("sha256") != _checksum(facts.get("config"), weights):
        raise AdapterFileError(f"the adapter {path} was changed after it was saved; save it again")
    return facts["config"], weights


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


def _checksum(config: Any, weights: Mapping[str, Tensor]) -> str:
    """Of everything that counts, so that neither a weight nor alpha can change unseen."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(weights):
        weight = weights[name]
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
