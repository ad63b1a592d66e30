"""`Captioner`: a picture as a row of patches, and a decoder that writes a sentence about them, word by word.

The picture side is a small convolutional network, whose last map of features becomes the patches, and a transformer
encoder in which patches see each other. The text side is a transformer decoder with cross-attention to the patches
(Vaswani et al., "Attention is all you need", 2017; for pictures Xu et al., "Show, attend and tell", 2015). One table
both reads words and scores them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import LearnedPositions, record, sinusoidal_positions_2d
from mmcourse.decoding import Decoded, beam_search, greedy, sample
from mmcourse.encoders.cnn import CNN
from mmcourse.models.base import SavedModel
from mmcourse.pictures import centered
from mmcourse.runtime import evaluating, on_best_device
from mmcourse.tokenizer import Tokenizer
from mmcourse.transformer import BlockCache, Decoder, Encoder

METHODS = ("greedy", "sample", "beam")


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig:
    """The size of a `Captioner`.

    Args:
        max_length: most tokens of a sentence, <bos> and <eos> counted.
        width: channels C of patches and words.
        seen: how many of them hold what a patch shows; the others say where it is.
        heads: of every attention.
        encoder_depth, encoder_hidden: blocks in which patches see each other, and channels inside them.
        decoder_depth: blocks of the decoder.
        widths, stem: of the convolutional network, see `mmcourse.encoders.cnn.CNN`.
        position_size: size of the position signal; 1 is that of `sinusoidal_positions_2d`.
        dropout: in the transformers.
    """

    max_length: int = 16
    width: int = 128
    seen: int = 64
    heads: int = 4
    encoder_depth: int = 1
    encoder_hidden: int = 256
    decoder_depth: int = 2
    widths: Sequence[int] = (64, 128)
    stem: int = 4
    position_size: float = 2.0
    dropout: float = 0.0


class Caption(NamedTuple):
    """A sentence that was written: its text, its ids without <bos> and <eos>, and its log-probability."""

    text: str
    tokens: list[int]
    log_probability: float


class WordMaps(NamedTuple):
    """Where each word of a sentence looked: the words, and maps (T, rows, columns) that sum to 1 each."""

    words: list[str]
    maps: Tensor


class Captioner(SavedModel):
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
    needs_tokenizer: ClassVar[bool] = True

    def __init__(self, config: CaptionerConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        missing = [name for name in ("pad", "bos", "eos") if getattr(tokenizer, f"{name}_id") is None]
        if missing:
            raise ValueError(f"tokenizer has no <{'>, <'.join(missing)}>; a sentence needs a beginning and an end")
        if not 0 < config.seen <= config.width or (config.width - config.seen) % 4:
            raise ValueError(f"width - seen must be a multiple of 4, got {config.width} - {config.seen}")
        width, heads, dropout = config.width, config.heads, config.dropout
        self.cnn = CNN(tuple(config.widths), stem=config.stem)
        self.narrow = nn.Linear(self.cnn.width, width)
        self.encoder = Encoder(config.encoder_depth, width, heads, hidden=config.encoder_hidden, dropout=dropout)
        self.embedding = nn.Embedding(len(tokenizer), width)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.positions = LearnedPositions(config.max_length, width)
        self.dropout = nn.Dropout(dropout)
        self.decoder = Decoder(config.decoder_depth, width, heads, cross=True, dropout=dropout)

    def patches(self, images: Tensor) -> Tensor:
        """What stands at which place, before patches have seen each other: uint8 (B, 3, H, W) -> (B, P, C)."""
        # The colors of a pixel side by side in memory: the same numbers, up to twice as fast on a CPU.
        features = self.cnn.feature_map(centered(images).contiguous(memory_format=torch.channels_last))
        rows, columns = features.shape[-2:]
        x = self.narrow(features.flatten(2).mT)  # (B, channels, h, w) -> (B, channels, P) -> (B, P, C)
        seen, rest = x.split((self.config.seen, self.config.width - self.config.seen), dim=-1)
        place = sinusoidal_positions_2d(rows, columns, rest.shape[-1]).to(x) * self.config.position_size
        return torch.cat((F.layer_norm(seen, seen.shape[-1:]), rest + place), dim=-1)

    def memory(self, images: Tensor) -> Tensor:
        """What the decoder reads about each picture: uint8 (B, 3, H, W) -> (B, P, C)."""
        return self.encoder(self.dropout(self.patches(images)))

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of `tokens` (B, T), which begin with <bos>.

        Args:
            images: uint8 (B, 3, H, W), or the memory (B, P, C). There may be several rows of tokens for each picture:
                then rows 0 to n − 1 are about the first, and so on.
        """
        memory, x = self._memory(images), self._embed(tokens, 0)
        each, rest = divmod(len(tokens), max(len(memory), 1))
        if rest or not each:
            raise ValueError(f"tokens has {len(tokens)} rows for {len(memory)} pictures; want as many for each")
        # The rows about one picture are read side by side, so that its patches are projected once; none sees another.
        apart = torch.eye(each, dtype=torch.bool, device=x.device).repeat_interleave(tokens.shape[1], dim=0)
        mask = None if each == 1 else apart.repeat_interleave(tokens.shape[1], dim=1)  # (n, n) -> (n·T, n·T)
        x = self.decoder(x.reshape(len(memory), -1, x.shape[-1]), memory, mask=mask)  # (B·n, T, C) -> (B, n·T, C)
        return self.score(x.reshape(*tokens.shape, -1))

    def score(self, features: Tensor) -> Tensor:
        """(…, C) -> logits (…, V): the dot product with the embedding of every token."""
        return F.linear(features, self.embedding.weight)

    def stepper(self, memory: Tensor, *, cached: bool = True) -> CaptionStepper:
        """A step function for `mmcourse.decoding` about the pictures whose memory (B, P, C) is given."""
        if self.training and self.config.dropout:
            raise ValueError("the model is in training mode, where dropout makes tokens random; call model.eval()")
        return CaptionStepper(self, memory, self.decoder.new_cache() if cached else None)

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
        tokens = torch.tensor([[self.tokenizer.bos_id, *ids[:-1]]], device=self.device)
        number = range(self.config.decoder_depth)[layer]
        with evaluating(self):
            maps = record(self, image[None], tokens).maps
        weights = maps[f"decoder.blocks.{number}.cross_attention"][0]  # (H, T, P)
        chosen = (weights.mean(dim=0) if head is None else weights[head])[: len(ids)]  # (words, P); no words, no maps
        rows = image.shape[-2] // (self.config.stem * 2 ** (len(self.config.widths) - 1))
        return WordMaps([self.tokenizer.vocabulary[i] for i in ids], chosen.unflatten(-1, (rows, -1)))

    def _memory(self, images: Tensor) -> Tensor:
        if images.dim() not in (3, 4) or (images.dim() == 3) != images.is_floating_point():
            wanted = "uint8 (B, 3, H, W), or their memory, float (B, P, C)"
            raise ValueError(f"images must be {wanted}; got {images.dtype} {tuple(images.shape)}")
        return self.memory(images) if images.dim() == 4 else images

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        if tokens.dim() != 2 or tokens.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"tokens must be integers (batch, length), got {tokens.dtype} {tuple(tokens.shape)}")
        return self.dropout(self.positions(self.embedding(tokens), start=start))  # (B, T) -> (B, T, C)

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


class CaptionStepper:
    """A captioner as decoding wants it: all tokens so far (B, T) in, logits (B, V) of the next token out."""

    def __init__(self, model: Captioner, memory: Tensor, cache: list[BlockCache] | None) -> None:
        self.model, self.memory, self.cache = model, memory, cache

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Tensor:
        past = len(self.cache[0]) if self.cache else 0
        x = self.model._embed(tokens[:, past:], past)
        return self.model.score(self.model.decoder(x, self.memory, cache=self.cache)[:, -1])

    def reorder(self, index: Tensor) -> None:
        """Makes row i of the batch a copy of row index[i]."""
        self.memory = self.memory.index_select(0, index)
        for kept in self.cache or ():
            kept.reorder(index)
