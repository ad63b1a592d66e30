"""A small open_clip model and the course's `CLIP` with the same towers and weights, made of the course's parts."""

import warnings
from unittest.mock import patch

import torch
from torch import nn

from mmcourse.attention import LearnedPositions, MultiHeadAttention
from mmcourse.models import CLIP, TEXT_ENCODERS, CLIPConfig, Seen
from mmcourse.transformer import Decoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that open_clip imports
    from open_clip.model import CLIP as OpenCLIP
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg


class CausalText(nn.Module):
    """CLIP's text tower as a part: tokens see only earlier ones, and the last, of the highest id, speaks for all."""

    def __init__(self, *, vocabulary_size, width, depth, heads, context):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.positions = LearnedPositions(context, width)
        self.decoder = Decoder(depth, width, heads)
        self.width = width

    def forward(self, tokens, mask=None):
        words = self.decoder(self.positions(self.embedding(tokens)))
        return Seen(words[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=1)])


def open_clip_model(*, image_size=32, patch_size=8, width=32, depth=2, vocabulary=50, context=12, space=16, bias=None):
    """open_clip's own model with random weights; its vision transformer without the norm before the blocks."""
    vision = CLIPVisionCfg(
        layers=depth, width=width, head_width=width // 4, patch_size=patch_size, image_size=image_size, no_ln_pre=True
    )
    text = CLIPTextCfg(context_length=context, vocab_size=vocabulary, width=width, heads=4, layers=depth)
    scale = {} if bias is None else {"init_logit_scale": torch.log(torch.tensor(10.0)).item(), "init_logit_bias": bias}
    return OpenCLIP(space, vision, text, **scale)


def twin(theirs):
    """The course's `CLIP` with the same towers and a copy of every weight."""
    visual, text = theirs.visual, theirs.transformer
    blocks = visual.transformer.resblocks
    shared = {"width": text.width, "depth": len(text.resblocks), "heads": text.resblocks[0].attn.num_heads}
    config = CLIPConfig(
        image="vit",
        image_options={
            "image_size": visual.image_size[0],
            "patch_size": visual.patch_size[0],
            "width": visual.conv1.out_channels,
            "depth": len(blocks),
            "heads": blocks[0].attn.num_heads,
        },
        text="causal",
        text_options={"vocabulary_size": theirs.vocab_size, "context": theirs.context_length, **shared},
        width=visual.output_dim,
        loss="info_nce" if theirs.logit_bias is None else "sigmoid",
    )
    with patch.dict(TEXT_ENCODERS, {"causal": CausalText}):  # known here alone
        ours = CLIP(config).to(theirs.logit_scale)
    vit, tower = ours.image_encoder.network, ours.text_encoder
    with torch.no_grad():
        vit.patch_embedding.weight.copy_(visual.conv1.weight.flatten(1))  # a kernel for each channel -> a row
        vit.patch_embedding.bias.zero_().requires_grad_(False)  # they have none
        vit.class_token.copy_(visual.class_embedding)
        vit.positions.table.copy_(visual.positional_embedding)
        tower.embedding.weight.copy_(theirs.token_embedding.weight)
        tower.positions.table.copy_(theirs.positional_embedding)
        ours.image_projection.weight.copy_(visual.proj.T)
        ours.text_projection.weight.copy_(theirs.text_projection.T)
        ours.log_scale.copy_(theirs.logit_scale)
        if ours.bias is not None:
            ours.bias.copy_(theirs.logit_bias)
    _copy_stack(vit.encoder, blocks, visual.ln_post)
    _copy_stack(tower.decoder, text.resblocks, theirs.ln_final)
    return ours


def _copy_stack(stack, layers, norm):
    for block, layer in zip(stack.blocks, layers, strict=True):
        block.attention = MultiHeadAttention.from_torch(layer.attn)
        _copy(block.attention_norm, layer.ln_1)
        _copy(block.feed_forward_norm, layer.ln_2)
        _copy(block.feed_forward.expand, layer.mlp.c_fc)
        _copy(block.feed_forward.contract, layer.mlp.c_proj)
    _copy(stack.norm, norm)


def _copy(ours, theirs):
    ours.load_state_dict(theirs.state_dict())
    if isinstance(ours, nn.LayerNorm):
        ours.eps = theirs.eps
