"""Fusion by attention, O = MLP(Attention(I, T)): words ask patches, patches ask words, or both at once.

Cross-attention between modalities follows Lu et al., "ViLBERT" (2019), whose co-attention goes both ways in parallel.
Words find their patches only if they speak the same language and patches say where they are, hence the two options
`identity_start` and `grid`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmcourse.attention import MultiHeadAttention, sinusoidal_positions_2d
from mmcourse.fusion.views import Fusion, Views, mlp
from mmcourse.pooling import masked_max, masked_mean
from mmcourse.transformer import FeedForward

OTHER = {"text": "image", "image": "text"}
LAYER = re.compile(r"layers\.\d+\.(text|image)\.(own_)?attention$")  # of a fusion, by the name of its attention
POOLS = {"max": masked_max, "mean": masked_mean}


def by_direction(maps: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, ...]]:
    """The maps that `record` found in a fusion by attention, or in a model around it, by who looked at what.

    Returns:
        "text_to_image", "image_to_text" and, with self-attention, "text_to_text" and "image_to_image", where they are:
        one map a layer, (B, H, L, P) and the like.
    Raises:
        ValueError: there are none.
    """
    found: dict[str, tuple[Tensor, ...]] = {}
    for name, weights in maps.items():
        if (parts := LAYER.search(name)) is not None:
            who, own = parts.groups()
            direction = f"{who}_to_{who if own else OTHER[who]}"
            found[direction] = (*found.get(direction, ()), weights)
    if not found:
        raise ValueError("maps are of no fusion by attention; cross_attention and co_attention look at something")
    return found


class CrossAttentionLayer(nn.Module):
    """Tokens ask a context and then think by themselves: attention and a feed-forward network, pre-norm with residuals.

    Args:
        width: channels C of tokens and context.
        hidden: channels inside the feed-forward network, 4·C by default.
        self_attention: before that, the tokens ask each other.
        identity_start: the four linear maps of attention change nothing at first: like attends to like, and a token
            becomes the sum of itself and what it sees.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        hidden: int | None = None,
        dropout: float = 0.0,
        self_attention: bool = False,
        identity_start: bool = False,
    ) -> None:
        super().__init__()
        self.own_norm = nn.LayerNorm(width) if self_attention else None
        self.own_attention = MultiHeadAttention(width, heads, dropout=dropout) if self_attention else None
        self.norm, self.context_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = MultiHeadAttention(width, heads, dropout=dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout=dropout)
        if identity_start:
            for linear in (self.attention.query, self.attention.key, self.attention.value, self.attention.out):
                nn.init.eye_(linear.weight)
                nn.init.zeros_(linear.bias)

    def forward(
        self, x: Tensor, context: Tensor, *, mask: Tensor | None = None, context_mask: Tensor | None = None
    ) -> Tensor:
        """x (B, T, C) asks context (B, S, C); masks bool (B, T) and (B, S), True = a token -> (B, T, C)."""
        # masks (B, S) -> (B, 1, 1, S)
        mask, context_mask = (None if each is None else each[:, None, None, :] for each in (mask, context_mask))
        if self.own_attention is not None:
            x = x + self.own_attention(self.own_norm(x), mask=mask)
        x = x + self.attention(self.norm(x), self.context_norm(context), mask=context_mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class CrossAttentionFusion(Fusion):
    """One modality asks the other, token by token; what the tokens that asked have found goes through an MLP.

    Args:
        asks: "text": queries from words, keys and values from patches; "image": the other way round.
        heads, hidden, dropout, self_attention, identity_start: of each `CrossAttentionLayer`.
        depth: how many layers.
        grid: rows and columns of the patches, to tell each its place; None for patches that do not know it.
        positions: "sine", the fixed two-dimensional signal, or "learned", which starts at random.
        position_size: how large the signal is beside the features, whose size is 1.
        pool: "max" over the tokens, channel by channel, keeps what a single word has found; the "mean" dilutes it.
    Raises:
        ValueError: options that do not fit together, or identity_start where widths differ: then a linear map stands
            before the attention, and nothing is aligned.
    """

    uses_tokens = True

    def __init__(
        self,
        image_width: int,
        text_width: int,
        width: int = 256,
        *,
        asks: str = "text",
        heads: int = 4,
        depth: int = 1,
        hidden: int | None = None,
        dropout: float = 0.0,
        self_attention: bool = False,
        identity_start: bool = False,
        grid: tuple[int, int] | None = None,
        positions: str = "sine",
        position_size: float = 1.0,
        pool: str = "max",
    ) -> None:
        super().__init__(image_width, text_width, width)
        if pool not in POOLS:
            raise ValueError(f"pool must be one of {', '.join(POOLS)}, got {pool!r}")
        self.pool = POOLS[pool]
        if asks not in OTHER:
            raise ValueError(f"asks must be one of {', '.join(OTHER)}, got {asks!r}")
        if identity_start and not image_width == text_width == width:
            sizes = f"image_width {image_width}, text_width {text_width} and width {width}"
            raise ValueError(f"identity_start needs pictures and words in one space of one size, got {sizes}")
        sizes = {"image": image_width, "text": text_width}
        self.inputs = nn.ModuleDict(
            {name: nn.Identity() if size == width else nn.Linear(size, width) for name, size in sizes.items()}
        )
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in sizes})
        self._make_positions(grid, positions, position_size)
        options = {"hidden": hidden, "dropout": dropout, "self_attention": self_attention}
        options["identity_start"] = identity_start
        make = lambda: {name: CrossAttentionLayer(width, heads, **options) for name in self._askers(asks)}  # noqa: E731
        self.layers = nn.ModuleList(nn.ModuleDict(make()) for _ in range(depth))
        self.mlp = mlp((len(self._askers(asks)) * width, width, width), dropout=dropout)

    def _askers(self, asks: str) -> tuple[str, ...]:
        return (asks,)

    def forward(self, views: Views) -> Tensor:
        """(B, width)."""
        masks = {"image": views.image_mask, "text": views.text_mask}
        x = {name: self.norms[name](self.inputs[name](self._read(views, f"{name}_tokens"))) for name in masks}
        x["image"] = self._place(x["image"])
        for layer in self.layers:
            new = {}
            for name, asker in layer.items():
                seen = {"mask": masks[name], "context_mask": masks[OTHER[name]]}
                new[name] = asker(x[name], x[OTHER[name]], **seen)
            x |= new  # at once: nobody has seen yet what the other learned in this layer
        return self.mlp(torch.cat([self.pool(x[name], masks[name]) for name in self.layers[0]], dim=-1))

    def _make_positions(self, grid: tuple[int, int] | None, kind: str, size: float) -> None:
        if kind not in ("sine", "learned"):
            raise ValueError(f"positions must be one of sine, learned, got {kind!r}")
        self.grid = grid
        table = None if grid is None else size * sinusoidal_positions_2d(*grid, self.width)  # (P, C)
        if table is not None and kind == "learned":
            self.positions = nn.Parameter(size * torch.randn_like(table))
        else:
            self.register_buffer("positions", table, persistent=False)

    def _place(self, patches: Tensor) -> Tensor:
        """Tells every patch where it is: (B, P, C) -> (B, P, C)."""
        if self.grid is None:
            return patches
        count = patches.shape[1]
        if count not in (1, len(self.positions)):  # one is the placeholder of a missing picture
            raise ValueError(f"grid {self.grid[0]} × {self.grid[1]} has {len(self.positions)} patches, got {count}")
        return patches + self.positions[:count]


class CoAttentionFusion(CrossAttentionFusion):
    """Words ask patches while patches ask words; both findings go through the MLP. Options as above, but `asks`."""

    def _askers(self, asks: str) -> tuple[str, ...]:
        return ("text", "image")
