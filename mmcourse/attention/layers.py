"""Multi-head attention as a module, and the cache of keys and values for generating token by token.

Multi-head attention follows Vaswani et al., "Attention is all you need" (2017), section 3.2.2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention.functions import Attention, attention, causal_mask, fused_attention, merge_heads, split_heads
from mmcourse.attention.positions import apply_rotary


class KeyValueCache:
    """The keys and values of the tokens already seen, so that the next token need not compute them again."""

    def __init__(self) -> None:
        self.keys: Tensor | None = None  # (B, H, S, D)
        self.values: Tensor | None = None  # (B, H, S, D)

    def __len__(self) -> int:
        return 0 if self.keys is None else self.keys.shape[-2]

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Adds new tokens (B, H, T, D) and returns the keys and values of all tokens so far."""
        if self.keys is None or self.values is None:
            self.keys, self.values = k, v
        elif self.keys.shape[:-2] != k.shape[:-2] or self.keys.shape[-1] != k.shape[-1]:
            raise ValueError(f"k has shape {tuple(k.shape)}, the cache {tuple(self.keys.shape)}; start a new one")
        else:
            self.keys = torch.cat((self.keys, k), dim=-2)
            self.values = torch.cat((self.values, v), dim=-2)
        return self.keys, self.values

    def reorder(self, index: Tensor) -> None:
        """Makes row i of the batch a copy of row index[i]: beam search goes on from the best beams."""
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys.index_select(0, index), self.values.index_select(0, index)


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each over its own part of the channels, between four linear maps.

    Args:
        width: channels C of the tokens that ask and of the output.
        heads: number of heads H; must divide `width`.
        context_width: channels of the tokens that are asked, when they are others (cross-attention) and differ.
        bias: whether the linear maps have one.
        dropout: share of attention weights dropped in training.
        rotary: turn queries and keys by their positions (self-attention only).
    """

    watchers: tuple[Callable[[Tensor], None], ...] = ()  # who wants to see the weights, see `record`

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        context_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"width {width} must be a multiple of heads, got {heads} heads")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
        if rotary and width // heads % 2:
            raise ValueError(f"rotary needs an even head size, got {width} / {heads} = {width // heads}")
        self.width, self.heads, self.dropout, self.rotary = width, heads, dropout, rotary
        self.context_width = width if context_width is None else context_width
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(self.context_width, width, bias=bias)
        self.value = nn.Linear(self.context_width, width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)

    @classmethod
    def from_torch(cls, module: nn.MultiheadAttention) -> MultiHeadAttention:
        """The same attention as a PyTorch module, with copies of its weights."""
        if module.bias_k is not None or module.add_zero_attn or module.kdim != module.vdim:
            raise ValueError("module uses add_bias_kv, add_zero_attn or kdim != vdim, which have no counterpart here")
        width, bias = module.embed_dim, module.in_proj_bias is not None
        new = cls(width, module.num_heads, context_width=module.kdim, bias=bias, dropout=module.dropout)
        new.to(module.out_proj.weight).train(module.training)
        if module.in_proj_weight is None:
            weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        else:
            weights = module.in_proj_weight.chunk(3)
        with torch.no_grad():
            for linear, weight in zip((new.query, new.key, new.value), weights, strict=True):
                linear.weight.copy_(weight)
            if bias:
                for linear, values in zip((new.query, new.key, new.value), module.in_proj_bias.chunk(3), strict=True):
                    linear.bias.copy_(values)
        new.out.load_state_dict(module.out_proj.state_dict())
        return new

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Lets each token of `x` (B, T, C) ask the tokens of `context`, or of `x` itself; returns (B, T, C).

        Args:
            context: (B, S, context_width), or None for self-attention.
            mask: bool, (T, S) or broadcasting to (B, H, T, S), True = may attend.
            causal: nobody sees the future.
            cache: self-attention: holds the earlier tokens and takes these in, so S counts both.
                Cross-attention: holds the projected context after the first call, so that it is projected once.
        """
        if self.watchers:  # the fused kernel never stores the weights
            output, weights = self.attend(x, context, mask=mask, causal=causal, cache=cache)
            for watch in self.watchers:
                watch(weights)
            return output
        q, k, v = self._project(x, context, mask, cache)
        dropout = self.dropout if self.training else 0.0
        return self.out(merge_heads(fused_attention(q, k, v, mask=mask, causal=causal, dropout=dropout)))

    def attend(
        self,
        x: Tensor,
        context: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Attention:
        """The same as `forward`, for looking inside one layer; of a whole model `record` gives the weights.

        Returns:
            The output (B, T, C), and of every head the weights (B, H, T, S) that made it: in training those that
            dropout has left, so that their rows then sum to 1 on average only.
        """
        q, k, v = self._project(x, context, mask, cache)
        if causal:
            earlier = causal_mask(q.shape[-2], past=k.shape[-2] - q.shape[-2], device=q.device)
            mask = earlier if mask is None else mask & earlier
        weights = F.dropout(attention(q, k, v, mask=mask).weights, self.dropout, self.training)
        return Attention(self.out(merge_heads(weights @ v)), weights)

    def _project(
        self, x: Tensor, context: Tensor | None, mask: Tensor | None, cache: KeyValueCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, D) and keys and values (B, H, S, D)."""
        self._check_tokens(x, context, mask)
        q = split_heads(self.query(x), self.heads)  # (B, T, C) -> (B, H, T, D)
        if context is not None and cache is not None and cache.keys is not None and cache.values is not None:
            return q, cache.keys, cache.values
        source = x if context is None else context
        k = split_heads(self.key(source), self.heads)  # (B, S, C) -> (B, H, S, D)
        v = split_heads(self.value(source), self.heads)
        if self.rotary:
            past = 0 if cache is None else len(cache)
            positions = torch.arange(past, past + x.shape[1], device=x.device)
            q, k = apply_rotary(q, positions), apply_rotary(k, positions)
        if cache is not None:
            k, v = cache.append(k, v)
        return q, k, v

    def _check_tokens(self, x: Tensor, context: Tensor | None, mask: Tensor | None) -> None:
        if x.dim() != 3 or x.shape[-1] != self.width:
            raise ValueError(f"x must have shape (batch, tokens, {self.width}), got {tuple(x.shape)}")
        if context is None:
            if self.context_width != self.width:
                raise ValueError(f"context is missing: this layer attends to tokens of width {self.context_width}")
        elif self.rotary:
            raise ValueError("context must be None with rotary=True: rotary positions compare tokens of one sequence")
        elif context.dim() != 3 or context.shape[0] != x.shape[0] or context.shape[-1] != self.context_width:
            wanted = f"({x.shape[0]}, tokens, {self.context_width})"
            raise ValueError(f"context must have shape {wanted}, got {tuple(context.shape)}")
        if mask is not None and mask.dim() == 3:  # would silently broadcast its batch against the heads
            raise ValueError(f"mask has shape {tuple(mask.shape)}; a mask (B, T, S) is written mask[:, None]")
