"""GPT-2 as transformers keeps it, read into our GPT: for parity, and for anybody's trained weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mmcourse.lm.gpt import GPT, GPTConfig
from mmcourse.transformer import HF_ACTIVATIONS


def from_hf_gpt2(theirs: Any) -> GPT:
    """The same model as a transformers `GPT2LMHeadModel`, with copies of its weights.

    Raises:
        ValueError: its configuration has something that `GPT` has not.
    """
    config = theirs.config
    plain = config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx and not config.add_cross_attention
    if config.activation_function not in HF_ACTIVATIONS or not plain or not config.tie_word_embeddings:
        raise ValueError(
            "theirs has another activation, scale or head than GPT, or cross-attention; give a plain GPT-2 with "
            f"tied embeddings and one of the activations {', '.join(HF_ACTIVATIONS)}"
        )
    sizes = {"width": config.n_embd, "heads": config.n_head, "depth": config.n_layer, "hidden": config.n_inner}
    ours = GPT(
        GPTConfig(
            vocabulary_size=config.vocab_size,
            context=config.n_positions,
            **sizes,
            dropout=config.resid_pdrop,
            activation=HF_ACTIVATIONS[config.activation_function],
        )
    )
    body = theirs.transformer
    with torch.no_grad():
        ours.embedding.weight.copy_(body.wte.weight)
        ours.positions.table.copy_(body.wpe.weight)
        for block, layer in zip(ours.decoder.blocks, body.h, strict=True):
            _copy_block(block, layer)
        _copy_norm(ours.decoder.norm, body.ln_f)
    return ours.to(body.wte.weight).train(theirs.training)


def _copy_block(block: nn.Module, layer: Any) -> None:
    attention = block.attention
    # GPT-2 keeps its linear maps the other way round (in, out), and queries, keys and values side by side in one.
    weights, biases = layer.attn.c_attn.weight.chunk(3, dim=1), layer.attn.c_attn.bias.chunk(3)
    linears = [
        *zip((attention.query, attention.key, attention.value), weights, biases, strict=True),
        (attention.out, layer.attn.c_proj.weight, layer.attn.c_proj.bias),
        (block.feed_forward.expand, layer.mlp.c_fc.weight, layer.mlp.c_fc.bias),
        (block.feed_forward.contract, layer.mlp.c_proj.weight, layer.mlp.c_proj.bias),
    ]
    for linear, weight, bias in linears:
        linear.weight.copy_(weight.T)
        linear.bias.copy_(bias)
    _copy_norm(block.attention_norm, layer.ln_1)
    _copy_norm(block.feed_forward_norm, layer.ln_2)


def _copy_norm(ours: nn.LayerNorm, theirs: nn.LayerNorm) -> None:
    ours.load_state_dict(theirs.state_dict())
    ours.eps = theirs.eps
