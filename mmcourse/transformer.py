"""The transformer: blocks of attention and a small network for each token, stacked into encoders and decoders.

Post-norm blocks are those of Vaswani et al., "Attention is all you need" (2017); pre-norm blocks, the default, are
those of GPT-2 and ViT, whose residual path from input to output has no normalization in it (Xiong et al., "On layer
normalization in the transformer architecture", 2020). Shapes as in `mmcourse.attention`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import KeyValueCache, MultiHeadAttention

Norm = Literal["pre", "post"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),  # GPT-2's, from before the exact one was fast
    "relu": F.relu,
    "silu": F.silu,
}
HF_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "relu": "relu", "silu": "silu"}  # transformers' name -> ours


class FeedForward(nn.Module):
    """Two linear maps with a bend between them, for each token alone: C -> hidden -> C; hidden is 4·C by default."""

    def __init__(
        self, width: int, hidden: int | None = None, *, activation: str = "gelu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.activation = ACTIVATIONS[activation]
        self.expand = nn.Linear(width, 4 * width if hidden is None else hidden)
        self.dropout = nn.Dropout(dropout)
        self.contract = nn.Linear(self.expand.out_features, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.contract(self.dropout(self.activation(self.expand(x))))


@dataclass
class BlockCache:
    """What one block keeps between steps of generation: its own earlier tokens, and the projected context."""

    own: KeyValueCache = field(default_factory=KeyValueCache)
    context: KeyValueCache = field(default_factory=KeyValueCache)

    def __len__(self) -> int:
        return len(self.own)

    def reorder(self, index: Tensor) -> None:
        """Makes row i of the batch a copy of row index[i], for beam search."""
        self.own.reorder(index)
        self.context.reorder(index)


@dataclass(frozen=True)
class TransformerConfig:
    """The size and kind of a stack of blocks, or of one block, for which depth means nothing.

    `Block`, `Stack`, `Encoder` and `Decoder` take one, or its fields: `Encoder(2, 64, 4, norm="post")`.

    Args:
        depth: number of blocks; a `Block` made of fields goes without: `Block(64, 4)`.
        width: channels C.
        heads: attention heads.
        cross: also attend to a context, between self-attention and the feed-forward network.
        hidden: channels inside the feed-forward network, 4·C by default.
        dropout: of attention weights, inside the feed-forward network and of what each part adds.
        norm: "pre" computes x + f(norm(x)), "post" computes norm(x + f(x)).
        rotary: rotary positions in self-attention.
        activation: the bend of the feed-forward network, one of `ACTIVATIONS`.
    Raises:
        ValueError: norm is neither.
    """

    depth: int
    width: int
    heads: int
    _: KW_ONLY
    cross: bool = False
    hidden: int | None = None
    dropout: float = 0.0
    norm: Norm = "pre"
    rotary: bool = False
    activation: str = "gelu"

    def __post_init__(self) -> None:
        if self.norm not in ("pre", "post"):
            raise ValueError(f"norm must be 'pre' or 'post', got {self.norm!r}")

    @classmethod
    def of(cls, *given: TransformerConfig | int, **fields: Any) -> TransformerConfig:
        """From a configuration, with other `fields` where they are named; or from the fields alone."""
        make = replace if given and isinstance(given[0], cls) else cls
        return make(*given, **fields)

    @property
    def head_size(self) -> int:
        return self.width // self.heads

    @property
    def hidden_width(self) -> int:
        return 4 * self.width if self.hidden is None else self.hidden

    @property
    def parameters(self) -> int:
        """How many numbers the stack learns."""
        attention = 4 * (self.width + 1) * self.width
        feed_forward = (self.width + 1) * self.hidden_width + (self.hidden_width + 1) * self.width
        norm = 2 * self.width
        block = (attention + norm) * (2 if self.cross else 1) + feed_forward + norm
        return self.depth * block + (norm if self.norm == "pre" else 0)


class Block(nn.Module):
    """Self-attention, cross-attention if asked for, and a feed-forward network, each with a residual and a norm.

    Made of a `TransformerConfig`, or of its fields without depth.

    >>> Block(64, 4, norm="post").attention.heads
    4
    """

    def __init__(self, *given: TransformerConfig | int, **fields: Any) -> None:
        super().__init__()
        one = given if given and isinstance(given[0], TransformerConfig) else (1, *given)
        config = TransformerConfig.of(*one, **fields)
        width, heads, dropout = config.width, config.heads, config.dropout
        self.norm, self.cross = config.norm, config.cross
        self.attention = MultiHeadAttention(width, heads, dropout=dropout, rotary=config.rotary)
        self.attention_norm = nn.LayerNorm(width)
        if config.cross:
            self.cross_attention = MultiHeadAttention(width, heads, dropout=dropout)
            self.cross_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, config.hidden, activation=config.activation, dropout=dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def from_torch(cls, layer: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer) -> Block:
        """The same block as a PyTorch layer (with biases and a relu or gelu activation), with copies of its weights."""
        names = {function: name for name, function in ACTIVATIONS.items()}
        if layer.activation not in names or layer.linear1.bias is None:
            raise ValueError("layer has no biases or another activation than gelu, relu or silu, which Block has not")
        cross = isinstance(layer, nn.TransformerDecoderLayer)
        new = cls(
            layer.self_attn.embed_dim,
            layer.self_attn.num_heads,
            cross=cross,
            hidden=layer.linear1.out_features,
            dropout=layer.dropout.p,
            norm="pre" if layer.norm_first else "post",
            activation=names[layer.activation],
        )
        new.attention = MultiHeadAttention.from_torch(layer.self_attn)
        pairs = [(new.attention_norm, layer.norm1)]
        if cross:
            new.cross_attention = MultiHeadAttention.from_torch(layer.multihead_attn)
            pairs += [(new.cross_norm, layer.norm2), (new.feed_forward_norm, layer.norm3)]
        else:
            pairs += [(new.feed_forward_norm, layer.norm2)]
        pairs += [(new.feed_forward.expand, layer.linear1), (new.feed_forward.contract, layer.linear2)]
        for ours, theirs in pairs:
            ours.load_state_dict(theirs.state_dict())
            if isinstance(ours, nn.LayerNorm):
                ours.eps = theirs.eps
        return new.to(layer.linear1.weight).train(layer.training)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context_mask: Tensor | None = None,
        causal: bool = False,
        cache: BlockCache | None = None,
    ) -> Tensor:
        """(B, T, C) -> (B, T, C).

        Args:
            context: (B, S, C), needed exactly when the block was made with cross=True.
            mask: for self-attention: bool, (T, T) or broadcasting to (B, H, T, T), True = may attend.
            context_mask: for cross-attention: bool, broadcasting to (B, H, T, S).
            causal: nobody sees the future in self-attention.
            cache: earlier tokens; x then holds the new ones alone.
        """
        self._check_context(context, context_mask)
        own, other = (None, None) if cache is None else (cache.own, cache.context)
        if self.norm == "pre":
            x = x + self.dropout(self.attention(self.attention_norm(x), mask=mask, causal=causal, cache=own))
            if self.cross:
                x = x + self.dropout(self.cross_attention(self.cross_norm(x), context, mask=context_mask, cache=other))
            return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        x = self.attention_norm(x + self.dropout(self.attention(x, mask=mask, causal=causal, cache=own)))
        if self.cross:
            x = self.cross_norm(x + self.dropout(self.cross_attention(x, context, mask=context_mask, cache=other)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))

    def _check_context(self, context: Tensor | None, context_mask: Tensor | None) -> None:
        if self.cross and context is None:
            raise ValueError("context is missing: this block was made with cross=True")
        if not self.cross and (context is not None or context_mask is not None):
            raise ValueError("context was given, but this block has no cross-attention; make it with cross=True")


class Stack(nn.Module):
    """Blocks one after the other, with a last normalization where the blocks are pre-norm.

    Made of a `TransformerConfig` or of its fields, as in `Encoder(2, 64, 4, norm="post")`.
    """

    causal = False

    def __init__(self, *given: TransformerConfig | int, **fields: Any) -> None:
        super().__init__()
        config = TransformerConfig.of(*given, **fields)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        context_mask: Tensor | None = None,
        cache: Sequence[BlockCache] | None = None,
    ) -> Tensor:
        """(B, T, C) -> (B, T, C); arguments as for `Block`, with one cache for each block (see `Decoder.new_cache`)."""
        caches = (None,) * len(self.blocks) if cache is None else cache
        if len(caches) != len(self.blocks):
            raise ValueError(f"cache has {len(caches)} entries, this stack has {len(self.blocks)} blocks")
        for block, kept in zip(self.blocks, caches, strict=True):
            x = block(x, context, mask=mask, context_mask=context_mask, causal=self.causal, cache=kept)
        return self.norm(x)


class Encoder(Stack):
    """A stack in which every token sees every other: for text that is read, and for pictures."""


class Decoder(Stack):
    """A stack in which nobody sees the future: for text that is written; with cross=True about a context.

    >>> import torch
    >>> decoder = Decoder(2, 16, 4).eval()
    >>> x, cache = torch.randn(1, 3, 16), decoder.new_cache()
    >>> steps = torch.cat([decoder(token, cache=cache) for token in x.split(1, dim=1)], dim=1)
    >>> torch.allclose(steps, decoder(x), atol=1e-5)
    True
    """

    causal = True

    def new_cache(self) -> list[BlockCache]:
        """An empty cache for generating one sequence, or one batch of them, token by token."""
        return [BlockCache() for _ in self.blocks]
