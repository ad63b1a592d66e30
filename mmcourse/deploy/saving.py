"""A quantized model as a file: safetensors with int8 weights and their scales, and in its metadata who shares what.

It is read into a model of floats of the same architecture, whose own weights do not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mmcourse.adapters.wrapping import refuse_wrapped
from mmcourse.deploy.layers import first_names, refuse_meta, stored_once
from mmcourse.deploy.quantization import Grid
from mmcourse.deploy.quantized import QuantizedWeight, quantizable, refuse_quantized, replace
from mmcourse.errors import OneSentence
from mmcourse.files import expanded
from mmcourse.sealed import Sealed

VALUES = ".stored.values"  # how the name of a quantized weight ends


class QuantizedFileError(OneSentence, ValueError):
    """A file that holds no quantized model, a damaged one, or one of another model; the text is one sentence."""


FILE = Sealed(
    kind="quantized",
    format=1,
    noun="quantized model",
    writer="save_quantized",
    about="shared",
    error=QuantizedFileError,
)


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
    FILE.write(expanded(path), shared, tensors)


def load_quantized(model: nn.Module, path: str | Path) -> None:
    """Quantizes a fresh model as the saved one was, in place, and fills in what the file holds.

    Layers make floats of the type that their weights have now, on the device where these are.

    Raises:
        QuantizedFileError: there is no file, it was cut or changed, it holds no quantized model, or one of another
            architecture.
        ValueError: the model has adapters, is quantized or is on the meta device. In every case it is as it was.
    """
    path = expanded(path)
    shared, tensors = FILE.read(path)
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
