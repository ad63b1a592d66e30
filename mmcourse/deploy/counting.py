"""What a model costs before it runs: numbers, bytes in a file, and multiply–adds for one input shape.

Operations are counted on the meta device, where tensors have a shape and no values, so a model that would not fit into
the memory can be counted too. One multiply–add is a product and its sum; papers that count both report twice as many.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.module_tracker import ModuleTracker

from mmcourse.deploy.layers import Method, stored_once
from mmcourse.runtime import evaluating

aten = torch.ops.aten


class Operations(NamedTuple):
    """Multiply–adds: all together, and by the dotted name of the part that computes them; "" is the model itself."""

    total: int
    parts: dict[str, int]


def linear_operations(rows: int, inputs: int, outputs: int) -> int:
    """Of a linear map: each of `outputs` numbers of each row is a sum of `inputs` products.

    >>> linear_operations(10, 64, 256)
    163840
    """
    return rows * inputs * outputs


def convolution_operations(output: tuple[int, ...], weight: tuple[int, ...]) -> int:
    """Of a convolution: each number of the output (B, O, …) is a sum over one kernel of the weight (O, C / groups, …).

    >>> convolution_operations((1, 8, 16, 16), (8, 3, 3, 3))  # 2,048 numbers of 27 products
    55296
    """
    return math.prod(output) * math.prod(weight[1:])


def attention_operations(q: tuple[int, ...], k: tuple[int, ...], v: tuple[int, ...]) -> int:
    """Of scaled dot products of q (…, T, D), k (…, S, D), v (…, S, E): T · S logits of D, and T · E sums over S.

    A causal mask saves nothing here: what it hides is counted as well.

    >>> attention_operations((2, 4, 10, 16), (2, 4, 10, 16), (2, 4, 10, 16))  # 8 heads · 2 · 10 · 10 · 16
    25600
    """
    return math.prod(q[:-1]) * k[-2] * (q[-1] + v[-1])


def count_parameters(model: nn.Module, *, learning: bool = False) -> int:
    """How many numbers a model has as parameters, shared ones once; only those that learn if asked for.

    A quantized weight is no parameter; `count_bytes` sees it.
    """
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad or not learning)


def count_bytes(model: nn.Module) -> int:
    """How many bytes the parameters and buffers take that a file of the model holds, shared ones once.

    >>> count_bytes(nn.Linear(3, 2)), count_bytes(nn.Linear(3, 2).half())
    (32, 16)
    """
    return sum(value.numel() * value.element_size() for value in stored_once(model).values())


def count_operations(model: nn.Module, *inputs: Tensor, method: str = "forward") -> Operations:
    """Multiply–adds of one call in evaluation mode: matrix products, convolutions and attention; the rest is small.

    Args:
        inputs: tensors of the right shapes and types, on any device; their values are not looked at.
        method: which one of the model is called.
    Raises:
        ValueError: the model has no such method.
    Source: `torch.utils.flop_counter`, which counts two for each of ours.

    >>> count_operations(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), torch.zeros(5, 4))
    Operations(total=240, parts={'0': 160, '2': 80})
    """
    call, counted = Method(model, method), _Counting()
    meta = {name: value.to("meta") for name, value in chain(call.named_parameters(), call.named_buffers())}
    with evaluating(call), counted, counted.where:
        functional_call(call, meta, tuple(value.to("meta") for value in inputs))
    return Operations(counted.parts.total(), dict(counted.parts))


def _product(a: Tensor, b: Tensor) -> int:
    return linear_operations(math.prod(a.shape[:-1]), a.shape[-1], b.shape[-1])


def _attention(q: Tensor, k: Tensor, v: Tensor) -> int:
    return attention_operations(q.shape, k.shape, v.shape)


# What PyTorch's functions come down to: a linear map is `mm` or `addmm`, a batch of products `bmm`.
FORMULAS: dict[Any, Callable[..., int]] = {
    aten.mm: lambda out, a, b: _product(a, b),
    aten.addmm: lambda out, bias, a, b: _product(a, b),
    aten.bmm: lambda out, a, b: _product(a, b),
    aten.baddbmm: lambda out, bias, a, b: _product(a, b),
    aten.convolution: lambda out, x, weight, bias, stride, padding, dilation, transposed, *rest: convolution_operations(
        x.shape if transposed else out.shape, weight.shape
    ),
    aten._scaled_dot_product_flash_attention_for_cpu: lambda out, q, k, v, *rest: _attention(q, k, v),
    aten._scaled_dot_product_flash_attention: lambda out, q, k, v, *rest: _attention(q, k, v),
    aten._scaled_dot_product_efficient_attention: lambda out, q, k, v, *rest: _attention(q, k, v),
    aten._scaled_dot_product_cudnn_attention: lambda out, q, k, v, *rest: _attention(q, k, v),
    aten._scaled_dot_product_fused_attention_overrideable: lambda out, q, k, v, *rest: _attention(q, k, v),
}


class _Counting(TorchDispatchMode):
    """Sees every operation that is left when PyTorch has taken its functions apart."""

    def __init__(self) -> None:
        super().__init__()
        self.where, self.parts = ModuleTracker(), Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.parts[self._part()] += formula(out, *args)
        return out

    def _part(self) -> str:
        """The innermost part at work: names begin with the class of the outermost, and then "model" of `Method`."""
        innermost = max(self.where.parents, key=len)
        return ".".join(innermost.split(".")[2:])
