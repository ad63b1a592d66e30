"""A quantized model as a file: safetensors with int8 weights and their scales, and in its metadata who shares what.

It is read into a model of floats of the same architecture, whose own weights do not matter.
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

from mmcourse.adapters.wrapping import refuse_wrapped
from mmcourse.deploy.layers import first_names, refuse_meta, stored_once
from mmcourse.deploy.quantization import Grid
from mmcourse.deploy.quantized import QuantizedWeight, quantizable, refuse_quantized, replace
from mmcourse.files import expanded, write_in_one_step

FORMAT = 1
KIND = "quantized"
KEY = "mmcourse"  # one entry of metadata: safetensors writes several in no particular order
VALUES = ".stored.values"  # how the name of a quantized weight ends


class QuantizedFileError(ValueError):
    """A file that holds no quantized model, a damaged one, or one of another model; the text is one sentence."""

    def _render_traceback_(self) -> list[str]:
        return [f"QuantizedFileError: {self}"]


def save_quantized(model: nn.Module, path: str | Path) -> None:
    """Writes a quantized model in one step; the same model gives the same bytes.

    Raises:
        ValueError: the model is not quantized or is on the meta device.
    """
    refuse_meta(model)
    tensors = {name: value.detach().cpu().contiguous() for name, value in stored_once(model).items()}
    if not any(name.endswith(VALUES) for name in tensors):
        raise ValueError("model is not quantized; call quantize_model first")
    shared = {name: first for name, first in first_names(model).items() if name != first}
    facts = {"format": FORMAT, "kind": KIND, "shared": shared, "sha256": _checksum(shared, tensors)}
    write_in_one_step(expanded(path), save(tensors, metadata={KEY: json.dumps(facts)}))


def load_quantized(model: nn.Module, path: str | Path) -> None:
    """Quantizes a fresh model as the saved one was, in place, and fills in what the file holds.

    Layers make floats of the type that their weights have now, on the device where these are.

    Raises:
        QuantizedFileError: there is no file, it was cut or changed, it holds no quantized model, or one of another
            architecture.
        ValueError: the model has adapters, is quantized or is on the meta device. In every case it is as it was.
    """
    path = expanded(path)
    shared, tensors = _read(path)
    refuse_wrapped(model)
    refuse_quantized(model)
    refuse_meta(model)
    state = tensors | {name: tensors[first] for name, first in shared.items()}
    names = [name.removesuffix(VALUES) for name in state if name.endswith(VALUES)]
    try:
        _check_fit(model, names, state)
        stored = _weights(model, names, shared, state)
    except ValueError as error:
        raise QuantizedFileError(f"the quantized model {path} does not fit this one: {error}") from None
    replace(model, stored)
    model.load_state_dict(state)


def _weights(
    model: nn.Module, names: list[str], shared: Mapping[str, str], state: Mapping[str, Tensor]
) -> dict[str, QuantizedWeight]:
    """A weight for each layer, one for those that share it, beside the floats that it takes the place of."""
    made: dict[str, QuantizedWeight] = {}
    for name in names:
        first = shared.get(f"{name}{VALUES}", f"{name}{VALUES}")
        if first not in made:
            old = model.get_submodule(name).weight
            part = f"{name}.stored."
            values, *grid = (state[part + each].to(old.device) for each in ("values", "scale", "zero_point"))
            made[first] = QuantizedWeight(values, Grid(*grid), dtype=old.dtype)
    return {name: made[shared.get(f"{name}{VALUES}", f"{name}{VALUES}")] for name in names}


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Who shares what and the tensors of a file that `save_quantized` wrote."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except FileNotFoundError:
        raise QuantizedFileError(f"there is no file {path}; give one that save_quantized wrote") from None
    except (OSError, SafetensorError, ValueError) as error:
        raise QuantizedFileError(
            f"the file {path} is damaged or no safetensors file ({error}); save it again"
        ) from None
    if not isinstance(facts, dict) or facts.get("kind") != KIND:
        raise QuantizedFileError(f"the file {path} holds no quantized model; give one that save_quantized wrote")
    if facts.get("format") != FORMAT:
        raise QuantizedFileError(
            f"the quantized model {path} has format {facts.get('format')}, this version reads {FORMAT}; save it again"
        )
    if facts.get("sha256") != _checksum(facts.get("shared"), tensors):
        raise QuantizedFileError(f"the quantized model {path} was changed after it was saved; save it again")
    return facts["shared"], tensors


def _check_fit(model: nn.Module, names: list[str], state: Mapping[str, Tensor]) -> None:
    """A ValueError that names the first difference between what the file holds and what the model would ask for."""
    layers = quantizable(model)
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for name in names:
        if name not in layers:
            raise ValueError(f"it quantizes {name}, and the model has no such linear, convolution or embedding layer")
        shape = wanted.pop(f"{name}.weight")
        ones = (1,) * (len(shape) - 1)
        scale = state[f"{name}.stored.scale"]
        one = tuple(scale.shape) == (1, *ones)  # for the whole tensor
        wanted[f"{name}{VALUES}"] = shape
        wanted |= {f"{name}.stored.{part}": (1 if one else shape[0], *ones) for part in ("scale", "zero_point")}
    for name in sorted(state.keys() | wanted.keys()):
        found = tuple(state[name].shape) if name in state else "nothing"
        if found != wanted.get(name, "nothing"):
            raise ValueError(f"it holds {found} for {name}, the model wants {wanted.get(name, 'nothing')}")


def _checksum(shared: Any, tensors: Mapping[str, Tensor]) -> str:
    """Of everything that counts."""
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
