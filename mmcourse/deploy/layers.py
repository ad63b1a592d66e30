"""Where the many numbers of a model are: its linear maps, convolutions and embeddings, and who shares a weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

KINDS = (nn.Linear, nn.Conv2d, nn.Embedding)


class Method(nn.Module):
    """A model called by one of its methods: for what asks for a module, such as an export.

    Raises:
        ValueError: the model has no such method.

    >>> Method(nn.Linear(2, 3), "forward")(torch.zeros(1, 2)).shape
    torch.Size([1, 3])
    """

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        if not callable(getattr(model, name, None)):
            raise ValueError(f"method must be one that {type(model).__name__} has, got {name!r}")
        self.model, self.name = model, name
        self.training = model.training

    @property
    def about(self) -> str:
        """What an error says was called."""
        return f"{type(self.model).__name__}.{self.name}"

    def forward(self, *inputs: Any) -> Any:
        return getattr(self.model, self.name)(*inputs)


def weight_layers(model: nn.Module, kinds: Sequence[type[nn.Module]] = KINDS) -> dict[str, nn.Module]:
    """The layers of these kinds by their dotted names, with a weight that is a parameter and used as it is.

    A subclass with a `forward` of its own is left out, and so is a weight that is computed, as by `weight_norm`.
    A layer that a model has under two names comes twice.
    """
    found = {}
    for name, module in model.named_modules(remove_duplicate=False):
        plain = any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds)
        if plain and isinstance(module._parameters.get("weight"), nn.Parameter):
            found[name] = module
    return found


def stored_once(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that a file of the model has to hold, by name: parameters and persistent buffers, shared ones once.

    >>> head, table = nn.Linear(2, 5, bias=False), nn.Embedding(5, 2)
    >>> head.weight = table.weight
    >>> list(stored_once(nn.Sequential(table, head)))
    ['0.weight']
    """
    names = first_names(model)
    return {name: value for name, value in model.state_dict().items() if names[name] == name}


def first_names(model: nn.Module) -> dict[str, str]:
    """For each name in the state of a model the first name of the same tensor, which is itself if nobody shares it."""
    first: dict[int, str] = {}
    # keep_vars gives the tensors themselves, whose identity tells; addresses do not on the meta device or of nothing.
    return {name: first.setdefault(id(value), name) for name, value in model.state_dict(keep_vars=True).items()}


def refuse_meta(model: nn.Module) -> None:
    """A ValueError if a weight has no values."""
    if any(value.is_meta for value in model.state_dict().values()):
        raise ValueError("the model is on the meta device, where weights have no values; load some first")
