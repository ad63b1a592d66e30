"""A small GPT: the decoder of Radford et al., "Language models are unsupervised multitask learners" (GPT-2, 2019).

Pre-norm blocks, learned or rotary positions, and one table that reads tokens and scores them (Press and Wolf, 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import LearnedPositions
from mmcourse.transformer import BlockCache, Decoder, TransformerConfig


@dataclass(frozen=True, kw_only=True)
class GPTConfig:
    """The size of a `GPT`.

    Args:
        vocabulary_size: number of tokens V.
        context: the longest sequence that it can read.
        width, heads, depth, hidden: of the blocks, see `mmcourse.transformer.TransformerConfig`.
        dropout: of the embeddings and in the blocks.
        activation: as for `FeedForward`; GPT-2 uses "gelu_tanh", an approximation.
        rotary: turn queries and keys by their positions, in every block, instead of a learned vector a position.
    """

    vocabulary_size: int
    context: int
    width: int
    heads: int
    depth: int
    hidden: int | None = None
    dropout: float = 0.0
    activation: str = "gelu"
    rotary: bool = False

    @property
    def stack(self) -> TransformerConfig:
        """The decoder inside."""
        sizes = {"depth": self.depth, "width": self.width, "heads": self.heads, "hidden": self.hidden}
        return TransformerConfig(**sizes, dropout=self.dropout, activation=self.activation, rotary=self.rotary)

    @property
    def parameters(self) -> int:
        """How many numbers the model learns; the head shares the table of the embeddings."""
        places = 0 if self.rotary else self.context
        return (self.vocabulary_size + places) * self.width + self.stack.parameters


class GPT(nn.Module):
    """A decoder that reads tokens and scores the next one.

    >>> model = GPT(GPTConfig(vocabulary_size=11, context=8, width=16, heads=2, depth=2)).eval()
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 11])
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = None if config.rotary else LearnedPositions(config.context, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = Decoder(config.stack)
        self._initialize()

    def _initialize(self) -> None:
        """GPT-2's start: small normal weights, smaller still where 2·depth of them add up along the residual path."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        for block in self.decoder.blocks:
            for last in (block.attention.out, block.feed_forward.contract):
                nn.init.normal_(last.weight, std=0.02 / (2 * self.config.depth) ** 0.5)

    def forward(self, tokens: Tensor, *, cache: Sequence[BlockCache] | None = None) -> Tensor:
        """Logits (B, T, V) of the token after each of `tokens` (B, T).

        Args:
            cache: from `new_cache`: earlier tokens; `tokens` then holds the new ones alone.
        """
        return self.score(self.features(tokens, cache=cache))

    def features(self, tokens: Tensor, *, cache: Sequence[BlockCache] | None = None) -> Tensor:
        """What the model knows at each token before it scores the next: (B, T) -> (B, T, C)."""
        if tokens.dim() != 2 or tokens.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"tokens must be integers (batch, length), got {tokens.dtype} {tuple(tokens.shape)}")
        return self.read(self.embedding(tokens), cache=cache)

    def read(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Sequence[BlockCache] | None = None,
    ) -> Tensor:
        """The same as `features` from vectors (B, T, C) in place of tokens, whether or not they are in the table.

        Args:
            mask: bool (B, S), True = a token, False = padding; S counts the tokens in the cache and these.
            positions: int64 (B, T), where each stands; by default each stands behind the one before it. With rotary
                positions only distances count, and padding on one side changes none.
            cache: as for `forward`.
        """
        past = len(cache[0]) if cache else 0
        reached = past + x.shape[1]
        if positions is not None:
            reached = 1 + int(positions.max())
        if reached > self.config.context:
            raise ValueError(f"tokens reach length {reached}, the model reads at most {self.config.context}; cut them")
        if self.positions is not None:
            x = self.positions(x, start=past) if positions is None else x + self.positions.table[positions]
        if mask is not None:
            # Padding sees itself: a row of attention that sees nothing at all is NaN in some kernels.
            itself = torch.eye(mask.shape[1], dtype=torch.bool, device=x.device)[-x.shape[1] :]  # (T, S)
            mask = mask[:, None, None] | itself  # (B, S) -> (B, 1, T, S)
        return self.decoder(self.dropout(x), mask=mask, cache=cache)

    def score(self, features: Tensor) -> Tensor:
        """(…, C) -> logits (…, V): the dot product with the embedding of every token."""
        return F.linear(features, self.embedding.weight)

    def new_cache(self) -> list[BlockCache]:
        """An empty key–value cache for one batch of sequences."""
        return self.decoder.new_cache()

    def stepper(self, *, cached: bool = True) -> Stepper:
        """A step function for `mmcourse.decoding`; without a cache it reads the whole sequence again for each token."""
        if self.training and self.config.dropout:
            raise ValueError("the model is in training mode, where dropout makes tokens random; call model.eval()")
        return Stepper(self, self.new_cache() if cached else None)


class Stepper:
    """A GPT as decoding wants it: all tokens so far (B, T) in, logits (B, V) of the next token out.

    With a cache only the tokens that it has not seen yet are computed; `reorder` follows the choices of beam search.
    """

    def __init__(self, model: GPT, cache: list[BlockCache] | None = None) -> None:
        self.model, self.cache = model, cache

    @torch.no_grad()
    def __call__(self, tokens: Tensor) -> Tensor:
        past = len(self.cache[0]) if self.cache else 0
        if past >= tokens.shape[1]:
            raise ValueError(f"the cache holds {past} tokens, got {tokens.shape[1]} in all; begin with a new stepper()")
        features = self.model.features(tokens[:, past:], cache=self.cache)
        return self.model.score(features[:, -1])  # the head is only needed for the last token

    def reorder(self, index: Tensor) -> None:
        """Makes row i of the batch a copy of row index[i]."""
        for kept in self.cache or ():
            kept.reorder(index)
