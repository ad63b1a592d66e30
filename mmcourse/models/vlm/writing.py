"""A VLM as a writer: prompts of different lengths go on side by side, with what was read before kept in a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

from mmcourse.decoding import Decoded, beam_search, greedy, sample
from mmcourse.models.vlm.packing import Packed, Side, pack, pack_turns
from mmcourse.runtime import evaluating, on_best_device

if TYPE_CHECKING:
    from mmcourse.models.vlm.model import VLM

DECODERS = {"greedy": greedy, "beam": beam_search, "sample": sample}


class Reply(NamedTuple):
    """What a model wrote after a prompt: the text, its ids without <eos>, and their log-probability with it."""

    text: str
    tokens: list[int]
    log_probability: float


class Stepper:
    """A VLM as decoding wants it: all tokens so far (B, T) in, logits (B, V) of the next token out.

    Args:
        model: in evaluation mode.
        features: (B, P, F) or None.
        prompts: tokens and mask (B, T) of the prompts, padded on the left; what is written behind them is no padding.
        cached: keep keys and values of what was read; without it everything is read again for each token.
    """

    def __init__(self, model: VLM, features: Tensor | None, prompts: Packed, *, cached: bool = True) -> None:
        if not bool(prompts.mask[:, -1].all()):
            raise ValueError("prompts must be padded on the left: what is written would stand behind the padding")
        self.model, self.mask = model, prompts.mask
        self.prefix = model.embed(features, prompts.tokens)  # (B, T, C)
        self.cache = model.language.new_cache() if cached else None
        self.read = 0  # tokens in the cache

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Tensor:
        if self.read >= tokens.shape[1]:
            raise ValueError(f"the cache holds {self.read} tokens, got {tokens.shape[1]} in all; begin a new stepper")
        written = self.model.language.table(tokens[:, self.prefix.shape[1] :])
        x = torch.cat((self.prefix, written), dim=1)[:, self.read :]
        mask = torch.cat((self.mask, self.mask.new_ones(written.shape[:2])), dim=1)
        places = self.model.places(mask)[:, self.read :]
        last = torch.tensor([x.shape[1] - 1], device=x.device)
        logits = self.model.language.read(x, mask, places, cache=self.cache, columns=last)[:, 0]
        if self.cache is not None:
            self.read = tokens.shape[1]
        # A placeholder says nothing, so none is ever written; the hub's vocabularies may not have it at all.
        if self.model.image_id < logits.shape[-1]:
            logits = logits.index_fill(-1, torch.tensor([self.model.image_id], device=x.device), -torch.inf)
        return logits

    def reorder(self, index: Tensor) -> None:
        """Makes row i of the batch a copy of row index[i]."""
        self.prefix, self.mask = self.prefix.index_select(0, index), self.mask.index_select(0, index)
        if self.cache is not None and self.read:
            self.model.language.reorder(self.cache, index)


class Writer:
    """The part of a `VLM` that turns texts into tables and writes."""

    def pack(
        self: VLM, prompts: Sequence[str], answers: Sequence[str] | None = None, *, padding_side: Side = "right"
    ) -> Packed:
        """Prompts and answers as this model reads them, see `mmcourse.models.vlm.pack`."""
        return pack(self.tokenizer, prompts, answers, patches=self.config.words, padding_side=padding_side)

    def pack_turns(
        self: VLM, prompts: Sequence[str], turns: Sequence[Sequence[tuple[str, str]]], *, padding_side: Side = "right"
    ) -> Packed:
        """Conversations as this model reads them, see `mmcourse.models.vlm.pack_turns`."""
        return pack_turns(self.tokenizer, prompts, turns, patches=self.config.words, padding_side=padding_side)

    def stepper(self: VLM, features: Tensor | None, prompts: Packed, *, cached: bool = True) -> Stepper:
        """A step function for `mmcourse.decoding` about these pictures and prompts, see `Stepper`."""
        if self.training:
            raise ValueError("the model is in training mode, where dropout makes tokens random; call model.eval()")
        return Stepper(self, features, prompts, cached=cached)

    def generate(
        self: VLM,
        images: Tensor | None,
        prompts: Sequence[str],
        *,
        method: Literal["greedy", "beam", "sample"] = "greedy",
        max_new_tokens: int = 24,
        beam_size: int = 4,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | None = None,
        cached: bool = True,
        batch_size: int = 256,
    ) -> list[Reply]:
        """Goes on with each prompt until <eos>.

        Args:
            images: one a prompt, uint8 (N, 3, H, W), or features (N, P, F); None for prompts without a picture.
            prompts: N texts, in each of which <image> says where the picture stands.
            method: "greedy", "beam" or "sample", see `mmcourse.decoding` for its options.
            max_new_tokens: where a reply ends at the latest, <eos> counted.
            beam_size: texts that "beam" keeps; of those that end the likeliest wins, whatever its length.
            cached: keep keys and values between steps.
            batch_size: prompts that are read side by side.
        Raises:
            ValueError: there is not one picture a prompt, a prompt is too long, or an option is wrong.
        """
        if method not in DECODERS:
            raise ValueError(f"method must be one of {', '.join(DECODERS)}, got {method!r}")
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, got {max_new_tokens}")
        if images is not None and len(images) != len(prompts):
            raise ValueError(f"images has {len(images)} samples, prompts {len(prompts)}; want one for each")
        features = images if images is None or images.is_floating_point() else self.see(images)
        options = {
            "greedy": {},
            "beam": {"beam_size": beam_size, "length_penalty": 0.0},
            "sample": {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator},
        }
        replies = []
        with on_best_device(self) as place, evaluating(self):
            for start in range(0, len(prompts), batch_size):
                rows = slice(start, start + batch_size)
                packed = Packed(*(part.to(place) for part in self.pack(prompts[rows], padding_side="left")))
                seen = None if features is None else features[rows].to(place)
                step = self.stepper(seen, packed, cached=cached)
                replies += self._write(
                    step, packed.tokens, max_new_tokens, partial(DECODERS[method], **options[method])
                )
        return replies

    def _write(
        self: VLM, step: Stepper, prompts: Tensor, max_new_tokens: int, decode: Callable[..., Decoded]
    ) -> list[Reply]:
        asked = prompts.shape[1]
        longest, context = int(step.mask.sum(dim=1).max()) + max_new_tokens - 1, self.language.context
        if context is not None and longest > context:  # the last token is written, but never read
            most = context + max_new_tokens - longest
            raise ValueError(f"max_new_tokens must be at most {most} behind these prompts, got {max_new_tokens}")
        ends = {"max_length": asked + max_new_tokens, "stop_id": self.tokenizer.eos_id, "pad_id": self.tokenizer.pad_id}
        found = decode(step, prompts, **ends)
        replies = []
        for row, score, end in zip(found.tokens.tolist(), found.scores.tolist(), found.lengths.tolist(), strict=True):
            ids = [index for index in row[asked:end] if index != self.tokenizer.eos_id]
            replies.append(Reply(self.tokenizer.decode(ids, skip_special=True), ids, score))
        return replies
