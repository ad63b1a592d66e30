"""LoRA in a whole model: which layers are wrapped, and all of them merged, unmerged or taken off at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import torch
from torch import nn

from mmcourse.adapters.lora import LoRALinear, is_linear


class Learning(NamedTuple):
    """How many numbers of a model learn, and how many it has in all, the adapters among them."""

    learning: int
    total: int


def add_lora(
    model: nn.Module,
    *,
    rank: int,
    alpha: float,
    where: str | Sequence[str] | None = None,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> Learning:
    """Wraps linear layers of `model`, in place, and freezes everything but what it adds.

    Args:
        rank, alpha, dropout, generator: see `LoRALinear`.
        where: a name or several; a layer is wrapped if its dotted name is one of them or ends in a dot and one of them.
            `*` stands for anything: "c_attn", "h.3.*", ["query", "value"]. None wraps every linear layer of the model
            that shares its weight with nobody, the last one too.
    Raises:
        ValueError: a name matches nothing, a layer shares its weight, an argument is out of its range, or the model has
            adapters; the model is then as it was.

    >>> model = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10))
    >>> add_lora(model, rank=2, alpha=4, where="2")
    Learning(learning=40, total=260)
    """
    refuse_wrapped(model)
    return wrap(model, _chosen(model, where), rank=rank, alpha=alpha, dropout=dropout, generator=generator)


def merge(model: nn.Module) -> None:
    """Puts all corrections into the weights, in place, so that they cost nothing; on a merged model it does nothing.

    Raises:
        ValueError: the model has no adapters.
    """
    for layer in needed_layers(model).values():
        layer.merge()


def unmerge(model: nn.Module) -> None:
    """Undoes `merge`, in place: the base weights are those of before, to the bit. Unmerged, it does nothing.

    Raises:
        ValueError: the model has no adapters.
    """
    for layer in needed_layers(model).values():
        layer.unmerge()


def remove_lora(model: nn.Module, *, merged: bool = True) -> None:
    """Takes the adapters off, in place: plain layers again, under their old names. All weights stay frozen.

    Args:
        merged: with the corrections in the weights, for saving an ordinary model; else the model of before `add_lora`.
    Raises:
        ValueError: the model has no adapters.
    """
    for name, layer in needed_layers(model).items():
        if merged:
            layer.merge()
        else:
            layer.unmerge()
        model.set_submodule(name, layer.base)


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The wrapped layers of a model by their dotted names."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def needed_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The wrapped layers of a model that has some; else a ValueError."""
    layers = lora_layers(model)
    if not layers:
        raise ValueError("model has no adapters; call add_lora or load_adapter first")
    return layers


def refuse_wrapped(model: nn.Module) -> None:
    """A ValueError if the model has adapters: a second one on top would be merged and saved as if it were the first."""
    layers = lora_layers(model)
    if layers:
        raise ValueError(f"model has adapters already, the first on {next(iter(layers))}; call remove_lora(model)")


def linear_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The layers inside a model that LoRA can wrap, by their dotted names."""
    return {name: module for name, module in model.named_modules() if name and is_linear(module)}


def wrap(
    model: nn.Module,
    names: Sequence[str],
    *,
    rank: int,
    alpha: float,
    dropout: float,
    generator: torch.Generator | None,
) -> Learning:
    """Wraps the layers of these dotted names and freezes the rest; nothing has changed when it raises a ValueError."""
    sharing = _sharing(model)
    for name in names:
        if name in sharing:
            raise ValueError(f"layer {name} shares its weight with {sharing[name]}, which a merge would change as well")
    options = {"rank": rank, "alpha": alpha, "dropout": dropout, "generator": generator}
    layers = {name: LoRALinear(model.get_submodule(name), **options) for name in names}
    model.requires_grad_(False)
    for name, layer in layers.items():
        model.set_submodule(name, layer)
    sizes = [(weight.numel(), weight.requires_grad) for weight in model.parameters()]
    return Learning(sum(size for size, learns in sizes if learns), sum(size for size, _ in sizes))


def _chosen(model: nn.Module, where: str | Sequence[str] | None) -> list[str]:
    """The dotted names of the layers that `where` asks for, in the order of the model."""
    names = list(linear_layers(model))
    sharing = _sharing(model) if where is None else {}
    names = [name for name in names if name not in sharing]
    patterns = ["*"] if where is None else [where] if isinstance(where, str) else list(where)
    if not names:
        raise ValueError("model has no nn.Linear and no Conv1D inside with a weight of its own; there is none to wrap")
    if not patterns:
        raise ValueError("where is empty; name layers, or leave it out to wrap them all")
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            there = dict.fromkeys(re.sub(r"(?<![^.])\d+(?![^.])", "*", name) for name in names)
            raise ValueError(f"where={pattern!r} matches no linear layer; there are {', '.join(there)}")
    return [name for name in names if any(_matches(name, pattern) for pattern in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"*.{pattern}")


def _sharing(model: nn.Module) -> dict[str, str]:
    """The linear layers whose weight is known by a second name, each with that name: heads tied to embeddings."""
    names: dict[int, list[str]] = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(weight), []).append(name)
    found = {}
    for name, layer in linear_layers(model).items():
        others = [other for other in names[id(layer.weight)] if other != f"{name}.weight"]
        if others:
            found[name] = others[0]
    return found
