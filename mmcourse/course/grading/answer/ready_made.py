"""Which functions do a whole exercise in one call, and how their calls are seen, whatever name or way leads to them."""

from __future__ import annotations

import functools
import gc
import importlib
import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any

from torch.overrides import TorchFunctionMode

# The same under the names that torch has for its parts.
_PARTS = {
    "scaled_dot_product_attention": ("_scaled_dot_product", "_fused_sdp", "_native_multi_head", "_flash_attention"),
    "multi_head_attention_forward": ("_native_multi_head", "_transform_bias_rescale_qkv"),
    "cross_entropy": ("cross_entropy_loss",),
    "nll_loss": ("nll_loss_",),
    "conv2d": ("convolution", "_convolution", "mkldnn_convolution", "thnn_conv2d", "_slow_conv2d"),
    "logsumexp": ("special_logsumexp",),
    "rfft": ("fft_", "stft"),
}
# Where the functions of torch's inner modules are to be had, and what their names begin with inside alone.
_HOMES = {"torch._C._nn": ("torch.nn.functional", ""), "torch._C._fft": ("torch.fft", "fft_")}


def by_operators(place: str) -> bool:
    """Whether calls are seen by `Operators`; those of Python functions outside torch's core are seen by `watch`."""
    return place.startswith(("torch:", "torch.")) and not place.startswith("torch.autograd:")


def place_of(function: Callable[..., Any]) -> str:
    """Where a function is to be had on the other side of the border, such as `mmcourse.lm.gpt:shift`."""
    if inspect.ismethoddescriptor(function):
        return f"torch.Tensor:{function.__name__}"
    if inspect.isbuiltin(function):
        home, start = _HOMES.get(function.__module__, ("torch", ""))
        return f"{home}:{function.__name__.removeprefix(start)}"
    return f"{function.__module__}:{function.__qualname__}"


def found(place: str) -> Any:
    """What is at a place."""
    module, _, name = place.partition(":")
    if module == "torch.Tensor":
        module, name = "torch", f"Tensor.{name}"
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


class Operators(TorchFunctionMode):
    """Sees every function and operator of torch that Python calls within, and tells of those that are ready-made."""

    def __init__(self, ready_made: Iterable[str], note: Callable[[str, str], None]) -> None:
        super().__init__()
        self.note = note
        names = {place.rpartition(":")[2] for place in ready_made if by_operators(place)}
        self.starts = {start: name for name in names for start in _PARTS.get(name, ())}
        self.names = names

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        called = str(getattr(function, "__name__", "")).partition(".")[0]
        name = called if called in self.names else self._part(called)
        if name is not None:
            self.note("ready-made", name)
        return function(*args, **(kwargs or {}))

    def _part(self, called: str) -> str | None:
        return next((name for start, name in self.starts.items() if called.startswith(start)), None)


def watch(ready_made: Iterable[str], note: Callable[[str, str], None]) -> None:
    """Lets each ready-made function of the library tell that it is called. Its code is exchanged and not its name.

    So another name, another module, a reference taken before or `__wrapped__` lead to the same.
    """
    for place in ready_made:
        if not by_operators(place):
            function, name = inspect.unwrap(found(place)), place.rpartition(":")[2]
            _WATCHED[_shape(function.__code__)] = name
            _exchange(function, name, note)


_WATCHED: dict[tuple, str] = {}  # the code that a ready-made function had -> its name


def watch_copies(note: Callable[[str, str], None]) -> None:
    """Lets also those functions tell that were made since from the same code: source run again, a module loaded again.

    What stands in a cell counts as the learner's own, wherever it comes from.
    """
    if not _WATCHED:
        return
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and not thing.__code__.co_filename.startswith("answer "):
            name = _WATCHED.get(_shape(thing.__code__))
            if name is not None and thing.__closure__ is None:
                _exchange(thing, name, note)


def _shape(code: types.CodeType) -> tuple:
    """What a piece of code is made of, wherever it stands and however its function is called.

    Its instructions are left out: Python makes others of `torch.ones` where the text does not import torch itself.
    """
    constants = [_shape(one) if isinstance(one, types.CodeType) else repr(one) for one in code.co_consts]
    return code.co_argcount, code.co_kwonlyargcount, code.co_names, code.co_varnames, tuple(constants)


def _exchange(function: types.FunctionType, name: str, note: Callable[[str, str], None]) -> None:
    original = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__)
    original.__kwdefaults__ = function.__kwdefaults__
    signature = inspect.signature(function)

    def watched(*inputs: Any, **options: Any) -> Any:
        note("ready-made", name)
        return original(*inputs, **options)

    def stub(*inputs: Any, **options: Any) -> Any:
        watched = "its place"
        return watched(*inputs, **options)

    # The code may have no names from around it, like the code in whose place it comes: what it calls is a constant.
    constants = tuple(watched if constant == "its place" else constant for constant in stub.__code__.co_consts)
    function.__code__ = stub.__code__.replace(co_consts=constants, co_name=function.__code__.co_name)
    function.__defaults__ = function.__kwdefaults__ = None
    function.__signature__ = signature
