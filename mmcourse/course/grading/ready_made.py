"""Which functions do a whole exercise in one call, and how their calls are seen, whatever name or way leads to them."""

from __future__ import annotations

import functools
import importlib
import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any

from torch.overrides import TorchFunctionMode

_ATTENTION = (
    "torch.nn.functional:scaled_dot_product_attention",
    "torch.nn.functional:multi_head_attention_forward",
    "mmcourse.attention:attention",
    "mmcourse.attention:fused_attention",
)
_LOSSES = "mmcourse.losses"
# Each does the whole exercise in one call.
READY_MADE: dict[str, tuple[str, ...]] = {
    "01-attend-one": _ATTENTION,
    "01-scaled-attention": _ATTENTION,
    "01-softmax-backward": ("torch:_softmax_backward_data",),
    "01-causal-mask": ("mmcourse.attention:causal_mask",),
    "01-masked-attention": _ATTENTION,
    "01-merge-heads": ("mmcourse.attention:merge_heads",),
    "02-mean-surprise": ("torch.nn.functional:nll_loss", "torch.nn.functional:cross_entropy"),
    "02-log-sum-exp": ("torch:logsumexp", "torch.Tensor:logsumexp", f"{_LOSSES}:log_sum_exp"),
    "02-cross-entropy": ("torch.nn.functional:cross_entropy", f"{_LOSSES}:cross_entropy"),
    "02-gradient": (f"{_LOSSES}:cross_entropy_gradient",),
    "02-calibration-error": ("mmcourse.metrics:expected_calibration_error",),
    "03-merge": ("mmcourse.tokenizer.byte_pair:merge_pair",),
    "03-shift": ("mmcourse.lm:shift",),
    "03-top-p": ("mmcourse.decoding:filter_logits",),
    "03-mask-tokens": ("mmcourse.encoders.masked:mask_tokens",),
    "04-convolution": ("torch.nn.functional:conv2d", "mmcourse.encoders.cnn:convolve"),
    "04-patchify": ("mmcourse.encoders.vit:patchify",),
    "05-longest-match": ("mmcourse.tokenizer.wordpiece:longest_pieces",),
    "05-mask-tokens": ("mmcourse.encoders.masked:mask_tokens",),
    "05-masked-mean": ("mmcourse.encoders.bert:pool", "mmcourse.pooling:masked_mean"),
    "06-late-fusion": ("mmcourse.fusion.vectors:average_predictions",),
    "06-low-rank-bilinear": ("mmcourse.fusion.vectors:low_rank_bilinear",),
    "06-scores-of-a-class": ("mmcourse.metrics:precision_recall_f1",),
    "07-positions-2d": ("mmcourse.attention:sinusoidal_positions_2d",),
    "08-info-nce": (f"{_LOSSES}:info_nce",),
    "08-recall-at-k": ("mmcourse.metrics:recall_at_k",),
    "08-sigmoid-loss": (f"{_LOSSES}:sigmoid_loss",),
    "04-residual-block": ("mmcourse.encoders.cnn:ResidualBlock.forward",),
    "06-film": ("mmcourse.fusion.vectors:film",),
    "09-shift-targets": ("mmcourse.lm:shift",),
    "09-greedy": ("mmcourse.decoding:greedy", "mmcourse.decoding:beam_search"),
    "09-beam-step": ("mmcourse.decoding:beam_search", "mmcourse.decoding:beam_candidates"),
    "09-clipped-precision": ("mmcourse.metrics:bleu",),
    "09-rouge-l": ("mmcourse.metrics:rouge_l",),
    "09-cider-weights": ("mmcourse.metrics:cider_d",),
}

# The same under the names that torch has for its parts.
_PARTS = {
    "scaled_dot_product_attention": ("_scaled_dot_product", "_fused_sdp", "_native_multi_head", "_flash_attention"),
    "multi_head_attention_forward": ("_native_multi_head", "_transform_bias_rescale_qkv"),
    "cross_entropy": ("cross_entropy_loss",),
    "nll_loss": ("nll_loss_",),
    "conv2d": ("convolution", "_convolution", "mkldnn_convolution", "thnn_conv2d", "_slow_conv2d"),
    "logsumexp": ("special_logsumexp",),
}


def found(place: str) -> Any:
    """What is at a place such as `mmcourse.attention:causal_mask`."""
    module, _, name = place.partition(":")
    if module == "torch.Tensor":
        module, name = "torch", f"Tensor.{name}"
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


class Operators(TorchFunctionMode):
    """Sees every function and operator of torch that Python calls within, and tells of those that are ready-made."""

    def __init__(self, ready_made: Iterable[str], note: Callable[[str, str], None]) -> None:
        super().__init__()
        self.note = note
        names = {place.rpartition(":")[2] for place in ready_made if place.startswith("torch")}
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
        if not place.startswith("torch"):
            _exchange(inspect.unwrap(found(place)), place.rpartition(":")[2], note)


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
