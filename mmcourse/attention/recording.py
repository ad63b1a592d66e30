"""Attention maps of a whole model, by the names of its layers: where did each token look in this very pass?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from mmcourse.attention.layers import MultiHeadAttention


class Recording(NamedTuple):
    """What a model gave, and `maps`: by layer, the weights (B, H, T, S) of attention that made it."""

    output: Any
    maps: dict[str, Tensor]


def record(model: nn.Module | Callable[..., Any], *inputs: Any, **options: Any) -> Recording:
    """Runs a model, or one of its methods, and keeps the attention maps of that one pass.

    The weights are those that made the output: masked, causal, and in training what dropout has left of them. They
    take part in gradients, unless the call stands under `torch.no_grad()`. Nothing stays behind in the model.

    Args:
        model: any module that holds `MultiHeadAttention`, or a method of it, such as `vit.tokens`.
        inputs, options: what it is called with.
    Returns:
        The output, and a map for each layer that ran, in the order and by the names of `model.named_modules()`. Of a
        layer that ran several times, as in generating word by word, the last map is kept.
    Raises:
        ValueError: there is no model to record, or it holds no attention.

    >>> import torch
    >>> from mmcourse.transformer import Decoder
    >>> seen = record(Decoder(2, 16, 4), torch.zeros(1, 3, 16))
    >>> {name: tuple(weights.shape) for name, weights in seen.maps.items()}
    {'blocks.0.attention': (1, 4, 3, 3), 'blocks.1.attention': (1, 4, 3, 3)}
    """
    owner = model if isinstance(model, nn.Module) else getattr(model, "__self__", None)
    if not isinstance(owner, nn.Module):
        raise ValueError(f"model must be a module or one of its methods, such as vit.tokens, got {model!r}")
    layers = {name: part for name, part in owner.named_modules() if isinstance(part, MultiHeadAttention)}
    if not layers:
        raise ValueError(f"model has no attention to record: {type(owner).__name__} holds no MultiHeadAttention")
    found: dict[str, Tensor] = {}
    with ExitStack() as stack:
        for name, layer in layers.items():
            stack.enter_context(_watched(layer, partial(found.__setitem__, name)))
        output = model(*inputs, **options)
    return Recording(output, {name: found[name] for name in layers if name in found})


@contextmanager
def _watched(layer: MultiHeadAttention, watch: Callable[[Tensor], None]) -> Iterator[None]:
    layer.watchers = (*layer.watchers, watch)
    try:
        yield
    finally:
        layer.watchers = tuple(each for each in layer.watchers if each is not watch)
