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
    "01-block": ("mmcourse.transformer:Block.forward",),
    "03-bigram": ("mmcourse.lm:Bigram.log_probabilities",),
    "03-gpt-logits": ("mmcourse.lm:GPT.forward",),
    "03-cached-step": ("mmcourse.attention:MultiHeadAttention.forward", "mmcourse.attention:KeyValueCache.append"),
    "05-embed": ("mmcourse.encoders.bert:BERT.layers", "mmcourse.encoders.bert:BERT._embed"),
    "06-gate": ("mmcourse.fusion.vectors:GatedFusion.forward", "mmcourse.fusion.vectors:GatedFusion.gate"),
    "06-modality-dropout": ("mmcourse.fusion.views:ModalityDropout.forward",),
    "07-words-ask-patches": (*_ATTENTION, "mmcourse.attention:MultiHeadAttention.forward"),
    "07-padded-words": (*_ATTENTION, "mmcourse.attention:MultiHeadAttention.forward"),
    "08-temperature-gradient": ("torch.autograd:grad", "torch.autograd:backward"),  # "without autograd", it is asked
    "08-hard-negatives": (f"{_LOSSES}:info_nce",),
}
# Exercises for which nothing is ready-made, and why.
NOTHING_READY: dict[str, str] = {
    "00-numbers": "a number to work out",
    "00-to-tensor": "torchvision's own takes NumPy arrays, and to watch it every answer would have to load torchvision",
    "00-count-true": "the judge of the world is to be called; counting its verdicts is the exercise",
    "00-chance": "a number to work out",
    "00-best-sentence": "argmax is the answer itself; along which dimension is the exercise",
    "01-parameter-count": "a number to work out",
    "02-label-smoothing": "one_hot is a part; torch smooths inside its loss only and returns no targets",
    "02-perplexity": "a number to work out",
    "03-count-pairs": "learn_merges counts inside and returns merges, no counts",
    "04-normalize": "torchvision's normalize is a part; the scale before it is the exercise",
    "04-color-histogram": "histc and bincount are parts, for one channel at a time",
    "04-fair-scaling": "whose statistics to take is the exercise; mean and std are parts",
    "04-receptive-field": "nothing in the library or in torch computes it",
    "04-frozen-features": "the library's own takes its pretrained encoders, not a network with a head",
    "05-our-name": "the library copies whole checkpoints and translates no single name to these",
    "05-search": "cosine_similarity and topk are its parts",
    "05-mean-cosine": "cosine_similarity is a part; leaving out the diagonal is the exercise",
    "05-probe": "lstsq is a part; no function of the library fits a probe",
    "06-layer-shapes": "a few numbers to work out",
    "06-interaction": "no function of the library takes it apart",
    "07-co-attention": "the attentions are handed in; the library's layer makes its own",
    "07-identity-start": "the library does it while it builds a whole layer",
    "07-pointing-game": "no function of the library scores maps",
    "07-attention-mass": "no function of the library scores maps",
    "08-similarity": "contrastive_logits takes unit vectors; to make them so is the exercise",
    "08-prompt-ensemble": "normalize is a part; the order of mean and normalization is the exercise",
    "09-length-penalty": "beam_search divides inside and takes no finished sentences",
}
READY_MADE |= dict.fromkeys(NOTHING_READY, ())

# The same under the names that torch has for its parts.
_PARTS = {
    "scaled_dot_product_attention": ("_scaled_dot_product", "_fused_sdp", "_native_multi_head", "_flash_attention"),
    "multi_head_attention_forward": ("_native_multi_head", "_transform_bias_rescale_qkv"),
    "cross_entropy": ("cross_entropy_loss",),
    "nll_loss": ("nll_loss_",),
    "conv2d": ("convolution", "_convolution", "mkldnn_convolution", "thnn_conv2d", "_slow_conv2d"),
    "logsumexp": ("special_logsumexp",),
}


def by_operators(place: str) -> bool:
    """Whether calls are seen by `Operators`; those of Python functions outside torch's core are seen by `watch`."""
    return place.startswith(("torch:", "torch.")) and not place.startswith("torch.autograd:")


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
