"""`PictureDecoder`: a picture as a row of patches, and a decoder whose words look at them; what models of both share.

The picture side is a small convolutional network, whose last map of features becomes the patches, and a transformer
encoder in which patches see each other. The text side is a transformer decoder with cross-attention to the patches
(Vaswani et al., "Attention is all you need", 2017; for pictures Xu et al., "Show, attend and tell", 2015). One table
both reads words and scores them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import LearnedPositions, record, sinusoidal_positions_2d
from mmcourse.encoders.cnn import CNN
from mmcourse.models.base import SavedModel
from mmcourse.pictures import centered
from mmcourse.runtime import evaluating, on_best_device
from mmcourse.tokenizer import Tokenizer
from mmcourse.transformer import BlockCache, Decoder, Encoder


@dataclass(frozen=True, kw_only=True)
class PictureDecoderConfig:
    """The size of a `PictureDecoder`.

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


EYES = ("cnn", "narrow", "encoder")  # the parts that see a picture


class WordMaps(NamedTuple):
    """Where each word of a text looked: the words, and maps (T, rows, columns) that sum to 1 each."""

    words: list[str]
    maps: Tensor


class PictureDecoder(SavedModel):
    """Pictures and the beginnings of texts in, logits of each next token out.

    Args:
        config: its size.
        tokenizer: of the texts; saved with the model.
    Raises:
        ValueError: the tokenizer has no <pad>, <bos> or <eos>, or the sizes do not fit together.
    """

    Config: ClassVar[type] = PictureDecoderConfig
    needs_tokenizer: ClassVar[bool] = True

    def __init__(self, config: PictureDecoderConfig, tokenizer: Tokenizer) -> None:
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

    def remember(self, images: Tensor, *, batch_size: int = 250) -> Tensor:
        """The memory of many pictures uint8 (N, 3, H, W) -> (N, P, C), on the CPU, to be used again and again.

        It is computed in evaluation mode and without gradients: whoever learns from it leaves the picture side alone.
        """
        return self._in_parts(self.memory, images, batch_size)

    def _in_parts(self, see: Callable[[Tensor], Tensor], pictures: Tensor, size: int) -> Tensor:
        """What `see` makes of many pictures, `size` of them at a time, in evaluation mode and on the CPU."""
        with on_best_device(self) as place, evaluating(self):
            return torch.cat([see(part.to(place)).cpu() for part in pictures.split(size)])

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of the token after each of `tokens` (B, T), which begin with <bos>; see `features`."""
        return self.score(self.features(images, tokens))

    def features(self, images: Tensor, tokens: Tensor) -> Tensor:
        """What each of `tokens` (B, T) has found in those before it and in its picture: (B, T, C).

        Args:
            images: uint8 (B, 3, H, W), or the memory (B, P, C). There may be several rows of tokens for each picture:
                then rows 0 to n − 1 are about the first, and so on.
        """
        memory, x = self._memory(images), self._embed(tokens, 0)
        rows, pictures = tokens.shape[0], memory.shape[0]  # no len(), which an export would take for a constant
        each = rows // max(pictures, 1)
        if each * pictures != rows or not each:
            raise ValueError(f"tokens has {rows} rows for {pictures} pictures; want as many for each")
        # The rows about one picture are read side by side, so that its patches are projected once; none sees another.
        apart = torch.eye(each, dtype=torch.bool, device=x.device).repeat_interleave(tokens.shape[1], dim=0)
        mask = None if each == 1 else apart.repeat_interleave(tokens.shape[1], dim=1)  # (n, n) -> (n·T, n·T)
        x = self.decoder(x.reshape(pictures, -1, x.shape[-1]), memory, mask=mask)  # (B·n, T, C) -> (B, n·T, C)
        return x.reshape(*tokens.shape, -1)

    def score(self, features: Tensor) -> Tensor:
        """(…, C) -> logits (…, V): the dot product with the embedding of every token."""
        return F.linear(features, self.embedding.weight)

    def stepper(self, memory: Tensor, *, cached: bool = True) -> Stepper:
        """A step function for `mmcourse.decoding` about the pictures whose memory (B, P, C) is given."""
        if self.training and self.config.dropout:
            raise ValueError("the model is in training mode, where dropout makes tokens random; call model.eval()")
        return Stepper(self, memory, self.decoder.new_cache() if cached else None)

    def maps(self, image: Tensor, tokens: Tensor, *, layer: int = -1, head: int | None = None) -> Tensor:
        """Where each of tokens (T,) looks in one picture uint8 (3, H, W): (T, rows, columns), each sums to 1.

        Args:
            layer: of the decoder.
            head: one head; None takes their mean.
        """
        number = range(self.config.decoder_depth)[layer]
        with evaluating(self):
            found = record(self, image[None], tokens[None].to(self.device)).maps
        weights = found[f"decoder.blocks.{number}.cross_attention"][0]  # (H, T, P)
        return (weights.mean(dim=0) if head is None else weights[head]).unflatten(-1, self._grid(image))

    def _grid(self, images: Tensor) -> tuple[int, ...]:
        """Rows and columns of the patches of pictures (…, H, W)."""
        rows, columns = (side // (self.config.stem * 2 ** (len(self.config.widths) - 1)) for side in images.shape[-2:])
        return rows, columns

    def _memory(self, images: Tensor) -> Tensor:
        if images.dim() not in (3, 4) or (images.dim() == 3) != images.is_floating_point():
            wanted = "uint8 (B, 3, H, W), or their memory, float (B, P, C)"
            raise ValueError(f"images must be {wanted}; got {images.dtype} {tuple(images.shape)}")
        return self.memory(images) if images.dim() == 4 else images

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        if tokens.dim() != 2 or tokens.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"tokens must be integers (batch, length), got {tokens.dtype} {tuple(tokens.shape)}")
        return self.dropout(self.positions(self.embedding(tokens), start=start))  # (B, T) -> (B, T, C)


class Stepper:
    """A picture decoder as decoding wants it: all tokens so far (B, T) in, logits (B, V) of the next token out."""

    def __init__(self, model: PictureDecoder, memory: Tensor, cache: list[BlockCache] | None) -> None:
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
