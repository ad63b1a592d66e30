"""`Captioner`: a picture in, a sentence about it out, written word by word; see `PictureDecoder` for its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcourse.decoding import Decoded, beam_search, greedy, sample
from mmcourse.models.picture_decoder import PictureDecoder, PictureDecoderConfig, WordMaps
from mmcourse.runtime import evaluating, on_best_device

METHODS = ("greedy", "sample", "beam")


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig(PictureDecoderConfig):
    """The size of a `Captioner`; its fields are those of `PictureDecoderConfig`."""


class Caption(NamedTuple):
    """A sentence that was written: its text, its ids without <bos> and <eos>, and its log-probability."""

    text: str
    tokens: list[int]
    log_probability: float


class Captioner(PictureDecoder):
    """Pictures in, sentences out.

    >>> from mmcourse.tokenizer import WordTokenizer
    >>> tokenizer = WordTokenizer.train(["a cat on a pink background"])
    >>> config = CaptionerConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16))
    >>> model = Captioner(config, tokenizer).eval()
    >>> images = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    >>> model(images, torch.tensor([[2, 4, 5], [2, 4, 5]])).shape
    torch.Size([2, 3, 9])
    """

    Config: ClassVar[type] = CaptionerConfig

    def generate(
        self,
        images: Tensor,
        *,
        method: Literal["greedy", "sample", "beam"] = "greedy",
        beam_size: int = 3,
        length_penalty: float = 1.0,
        max_length: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        generator: torch.Generator | None = None,
        cached: bool = True,
    ) -> list[Caption]:
        """Writes a sentence about each picture.

        Args:
            images: uint8 (B, 3, H, W), or the memory (B, P, C).
            method: "greedy", "sample" or "beam", see `mmcourse.decoding` for their options. Beam search may lose the
                greedy sentence on its way; here it stays a candidate, so that the result never scores below it.
            max_length: where a sentence ends at the latest, <bos> counted; as long as the model can by default.
            cached: keep keys and values between steps.
        """
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        longest = self.config.max_length + 1  # the last token is written, but never read
        max_length = longest if max_length is None else max_length
        if not 2 <= max_length <= longest:
            raise ValueError(f"max_length must be from 2 to {longest} for this model, got {max_length}")
        draw = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "generator": generator}
        # In evaluation mode no sentence depends on the pictures beside it, or changes what the model has learned.
        with on_best_device(self) as place, evaluating(self):
            found = self._write(images.to(place), method, beam_size, length_penalty, draw, max_length, cached)
        return self._captions(found)

    def _write(
        self, images: Tensor, method: str, beam_size: int, length_penalty: float, draw: dict[str, Any],
        max_length: int, cached: bool,
    ) -> Decoded:  # fmt: skip
        memory = self._memory(images)
        prompt = torch.full((len(memory), 1), self.tokenizer.bos_id, device=memory.device)
        ends = {"max_length": max_length, "stop_id": self.tokenizer.eos_id, "pad_id": self.tokenizer.pad_id}
        if method == "sample":
            return sample(self.stepper(memory, cached=cached), prompt, **draw, **ends)
        best = greedy(self.stepper(memory, cached=cached), prompt, **ends)
        if method == "beam" and beam_size != 1:
            beams = {"beam_size": beam_size, "length_penalty": length_penalty}
            found = beam_search(self.stepper(memory, cached=cached), prompt, **beams, **ends)
            best = self._better(found, best, length_penalty)
        return best

    def word_maps(self, image: Tensor, text: str, *, layer: int = -1, head: int | None = None) -> WordMaps:
        """Where the model looked for each word of a sentence about one picture uint8 (3, H, W), as it was written.

        Args:
            layer: of the decoder.
            head: one head; None takes their mean.
        """
        ids = self.tokenizer.encode(text)
        tokens = torch.tensor([self.tokenizer.bos_id, *ids[:-1]])
        maps = self.maps(image, tokens, layer=layer, head=head)[: len(ids)]  # no words, no maps
        return WordMaps([self.tokenizer.vocabulary[i] for i in ids], maps)

    def _better(self, found: Decoded, other: Decoded, length_penalty: float) -> Decoded:
        """Row by row the one with the higher score, where `other` still has sums of log-probabilities."""
        rival = other.scores / (other.lengths - 1) ** length_penalty
        wins = found.scores >= rival
        length = max(found.tokens.shape[1], other.tokens.shape[1])
        mine, theirs = (
            F.pad(rows.tokens, (0, length - rows.tokens.shape[1]), value=self.tokenizer.pad_id)
            for rows in (found, other)
        )
        sums = found.scores * (found.lengths - 1) ** length_penalty
        return Decoded(
            torch.where(wins[:, None], mine, theirs),
            torch.where(wins, sums, other.scores),
            torch.where(wins, found.lengths, other.lengths),
        )

    def _captions(self, rows: Decoded) -> list[Caption]:
        written = []
        for row, score, length in zip(rows.tokens.tolist(), rows.scores.tolist(), rows.lengths.tolist(), strict=True):
            ids = [index for index in row[1:length] if index != self.tokenizer.eos_id]
            written.append(Caption(self.tokenizer.decode(ids, skip_special=True), ids, score))
        return written
