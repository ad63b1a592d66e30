"""Values as bytes, without pickle: plain data and arrays cross the border between an answer and its judge, code never.

A message is a JSON text followed by the raw bytes of its arrays. What is no data (a function, an object of the
learner's own class) stays where it is, and a number stands for it on the other side. Whatever arrives from an answer
is read as if an enemy had written it: sizes, shapes and kinds are checked before anything is made of them.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

LIMIT = 1 << 26  # bytes of one message
_DEPTH = 40
_MOST_HASHED = 50_000  # items of a set or dictionary: numbers can be chosen so that each meets all others
_TORCH = {
    str(kind).removeprefix("torch."): kind
    for kind in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16),
        *(torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
    )
}
_NUMPY = {
    np.dtype(name).str: np.dtype(name)
    for name in [
        "bool",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "int8",
        "int16",
        "int32",
        "int64",
        "float16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    ]
}
_LAYERS = {
    kind.__name__: kind
    for kind in (
        *(nn.Linear, nn.LayerNorm, nn.Embedding, nn.Identity, nn.ReLU, nn.GELU, nn.Tanh, nn.Sigmoid),
        *(nn.Sequential, nn.ModuleList),
    )
}


class BorderError(Exception):
    """A message that is no message: too long, cut off, or not what it says it is."""


class Encoder:
    """Makes one message. `keep` gives a number to what cannot cross; `trusted` also sends the course's own objects."""

    def __init__(self, keep: Callable[[Any], int], *, trusted: bool) -> None:
        self.keep, self.trusted = keep, trusted
        self.raw: list[bytes] = []
        self.size = 0
        self.modules: dict[int, int] = {}

    def encode(self, value: Any, depth: int = 0) -> Any:
        if value is None or type(value) in (bool, str, int, float):
            return value
        if depth > _DEPTH:
            raise BorderError("the value is nested too deeply, or holds itself")
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray) and value.dtype.str in _NUMPY:
            return {"$": "array", "d": value.dtype.str, "s": list(value.shape), "n": self._bytes(value.tobytes())}
        if isinstance(value, np.generic) and value.dtype.str in _NUMPY:
            return {"$": "scalar", "d": value.dtype.str, "n": self._bytes(value.tobytes())}
        if isinstance(value, (str, int, float)):  # of a class of its own: only the data goes over
            kind = next(kind for kind in (str, int, float) if isinstance(value, kind))
            return kind.__new__(kind, value)
        for name, kind in (("complex", complex), ("fraction", Fraction), ("decimal", Decimal)):
            if type(value) is kind:
                return {"$": name, "v": str(value)}
        if value is Ellipsis:
            return {"$": "..."}
        if isinstance(value, torch.dtype):
            return {"$": "dtype", "v": str(value).removeprefix("torch.")}
        return self._structure(value, depth + 1)

    def _structure(self, value: Any, depth: int) -> Any:
        if isinstance(value, (dict, set, frozenset)) and not self.trusted and len(value) > _MOST_HASHED:
            raise BorderError("a set or dictionary that is too large to be judged")
        if self.trusted and (dataclasses.is_dataclass(value) or hasattr(value, "_fields")):
            fields = value._asdict() if hasattr(value, "_fields") else vars(value)
            kind = f"{type(value).__module__}:{type(value).__qualname__}"
            return {"$": "object", "c": kind, "v": self.encode(dict(fields), depth)}
        if isinstance(value, list):
            return [self.encode(item, depth) for item in list.__iter__(value)]
        if isinstance(value, dict):
            return {"$": "dict", "v": [[self.encode(k, depth), self.encode(v, depth)] for k, v in dict.items(value)]}
        for name, kind in (("tuple", tuple), ("set", set), ("frozenset", frozenset)):
            if isinstance(value, kind):
                return {"$": name, "v": [self.encode(item, depth) for item in kind.__iter__(value)]}
        if isinstance(value, nn.Module) and (self.trusted or _LAYERS.get(type(value).__name__) is type(value)):
            return self._module(value, depth)
        return {"$": "kept", "k": self.keep(value), "t": type(value).__name__[:80]}

    def _tensor(self, value: torch.Tensor) -> Any:
        kind = str(value.dtype).removeprefix("torch.")
        if kind not in _TORCH or value.layout != torch.strided or value.device.type != "cpu":
            return {"$": "kept", "k": self.keep(value), "t": type(value).__name__[:80]}
        if value.numel() * value.element_size() > LIMIT:
            raise BorderError(f"a tensor of shape {tuple(value.shape)} is too large to be judged")
        plain = value.detach().resolve_conj().resolve_neg().contiguous()
        data = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
        needs = bool(value.requires_grad)
        return {"$": "tensor", "d": kind, "s": list(value.shape), "g": needs, "n": self._bytes(data)}

    def _module(self, value: nn.Module, depth: int) -> Any:
        if id(value) in self.modules:
            return {"$": "again", "n": self.modules[id(value)]}
        self.modules[id(value)] = len(self.modules)
        plain = {k: v for k, v in vars(value).items() if k not in _OF_EVERY_MODULE and _is_plain(v)}
        parts = [dict(part) for part in (plain, value._parameters, value._buffers, value._modules)]
        kind = f"{type(value).__module__}:{type(value).__qualname__}" if self.trusted else type(value).__name__
        return {"$": "module", "c": kind, "t": value.training, "v": self.encode(parts, depth)}

    def _bytes(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > LIMIT:
            raise BorderError("the value is too large to be judged")
        self.raw.append(data)
        return len(self.raw) - 1


_OF_EVERY_MODULE = set(vars(nn.Module()))


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, str, int, float))


class Decoder:
    """Reads one message. `stand_in(number, name)` makes what stands for a thing that stayed on the other side."""

    def __init__(self, raw: list[bytes], stand_in: Callable[[int, str], Any], *, trusted: bool) -> None:
        self.raw, self.stand_in, self.trusted = raw, stand_in, trusted
        self.modules: list[nn.Module] = []
        self.depth = 0

    def decode(self, value: Any) -> Any:
        if not isinstance(value, (list, dict)):
            return value
        if self.depth > 4 * _DEPTH:  # an encoder stops long before
            raise BorderError("a value that is nested too deeply")
        self.depth += 1
        try:
            return [self.decode(item) for item in value] if isinstance(value, list) else self._decode(value)
        finally:
            self.depth -= 1

    def _decode(self, value: dict) -> Any:
        kind = value["$"]
        read = getattr(self, f"_read_{kind}", None) if isinstance(kind, str) and kind.isalpha() else None
        if kind == "...":
            return Ellipsis
        if read is None:
            raise BorderError(f"unknown kind of value {kind!r}")
        return read(value)

    def _read_tuple(self, value: dict) -> tuple:
        return tuple(self.decode(value["v"]))

    def _read_set(self, value: dict) -> set:
        return set(self.decode(self._hashed(value["v"])))

    def _read_frozenset(self, value: dict) -> frozenset:
        return frozenset(self.decode(self._hashed(value["v"])))

    def _read_dict(self, value: dict) -> dict:
        return {self.decode(key): self.decode(item) for key, item in self._hashed(value["v"])}

    def _hashed(self, items: Any) -> Any:
        if not self.trusted and len(items) > _MOST_HASHED:
            raise BorderError("a set or dictionary that is too large to be judged")
        return items

    def _read_complex(self, value: dict) -> complex:
        return complex(_short(value["v"]))

    def _read_fraction(self, value: dict) -> Fraction:
        return Fraction(_short(value["v"]))

    def _read_decimal(self, value: dict) -> Decimal:
        return Decimal(_short(value["v"]))

    def _read_dtype(self, value: dict) -> torch.dtype:
        return _TORCH[value["v"]]

    def _read_kept(self, value: dict) -> Any:
        return self.stand_in(int(value["k"]), str(value["t"])[:80])

    def _read_tensor(self, value: dict) -> torch.Tensor:
        kind, shape = _TORCH[value["d"]], _shape(value["s"])
        data = self._array(np.dtype("uint8"), (math.prod(shape) * kind.itemsize,), value["n"])
        tensor = (
            torch.from_numpy(data.copy()).view(kind).reshape(shape) if data.size else torch.empty(shape, dtype=kind)
        )
        if kind == torch.bool:
            tensor = data.view("uint8").astype(bool) if data.size else data
            tensor = torch.from_numpy(np.ascontiguousarray(tensor, dtype=bool)).reshape(shape)
        return tensor.requires_grad_() if value["g"] is True and (kind.is_floating_point or kind.is_complex) else tensor

    def _read_array(self, value: dict) -> np.ndarray:
        return self._array(_NUMPY[value["d"]], _shape(value["s"]), value["n"]).copy()

    def _read_scalar(self, value: dict) -> np.generic:
        return self._array(_NUMPY[value["d"]], (), value["n"])[()]

    def _array(self, kind: np.dtype, shape: tuple, number: Any) -> np.ndarray:
        if not (type(number) is int and 0 <= number < len(self.raw)):
            raise BorderError("an array without data")
        if len(self.raw[number]) != math.prod(shape) * kind.itemsize:
            raise BorderError("an array of another size than it says")
        return np.frombuffer(self.raw[number], dtype=kind).reshape(shape)

    def _read_module(self, value: dict) -> nn.Module:
        kind = _found(value["c"]) if self.trusted else _LAYERS[value["c"]]
        module = kind.__new__(kind)
        nn.Module.__init__(module)
        self.modules.append(module)
        plain, parameters, buffers, children = self.decode(value["v"])
        if not all(isinstance(key, str) and key.isidentifier() and _is_plain(item) for key, item in plain.items()):
            raise BorderError("a layer with strange settings")
        vars(module).update({k: v for k, v in plain.items() if self.trusted or not k.startswith("_")})
        module.training = bool(value["t"])
        for key, item in parameters.items():
            parameter = None if item is None else nn.Parameter(item.detach(), requires_grad=item.requires_grad)
            module.register_parameter(key, parameter)
        for key, item in buffers.items():
            module.register_buffer(key, item)
        for key, item in children.items():
            module.add_module(key, item)
        return module

    def _read_again(self, value: dict) -> nn.Module:
        return self.modules[value["n"]]

    def _read_object(self, value: dict) -> Any:
        if not self.trusted:
            raise BorderError("an object of a class")
        kind, fields = _found(value["c"]), self.decode(value["v"])
        if hasattr(kind, "_fields"):
            return kind(**fields)
        made = object.__new__(kind)
        for key, item in fields.items():
            object.__setattr__(made, key, item)
        return made


def _found(place: str) -> Any:
    """The class at a place such as `torch.nn.modules.linear:Linear`; only for messages from the judge."""
    module, _, name = place.partition(":")
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def _short(text: Any) -> str:
    if not isinstance(text, str) or len(text) > 300 or ("e" in text.lower() and len(text.lower().split("e")[1]) > 4):
        raise BorderError("a number that is too long")
    return text


def _shape(sizes: Any) -> tuple[int, ...]:
    if not isinstance(sizes, list) or len(sizes) > 32:
        raise BorderError("an array of a strange shape")
    if not all(type(size) is int and 0 <= size <= LIMIT for size in sizes):
        raise BorderError("an array of a strange shape")
    return tuple(sizes)
