"""The vision transformer of Dosovitskiy et al., "An image is worth 16x16 words" (2021): patches are the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmcourse.attention import LearnedPositions, MultiHeadAttention
from mmcourse.transformer import Block, Encoder, TransformerConfig


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """The size of a `ViT`.

    Args:
        image_size: side of the square picture, in pixels.
        patch_size: side of a patch; must divide `image_size`.
        width, depth, heads, hidden: of the blocks, see `mmcourse.transformer.TransformerConfig`.
        dropout: of the tokens and in the blocks.
    Raises:
        ValueError: the patches do not fill the picture.
    """

    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    hidden: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.patch_size < 1 or self.image_size < self.patch_size or self.image_size % self.patch_size:
            sizes = f"{self.image_size} and {self.patch_size}"
            raise ValueError(f"image_size must be a multiple of patch_size, got {sizes}")

    @property
    def patches(self) -> int:
        """How many patches P a picture has."""
        return (self.image_size // self.patch_size) ** 2

    @property
    def stack(self) -> TransformerConfig:
        """The encoder inside."""
        sizes = {"depth": self.depth, "width": self.width, "heads": self.heads, "hidden": self.hidden}
        return TransformerConfig(**sizes, dropout=self.dropout)

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        patch = (3 * self.patch_size**2 + 1) * self.width
        return patch + (self.patches + 2) * self.width + self.stack.parameters


def patchify(images: Tensor, size: int) -> Tensor:
    """Cuts pictures into square patches in reading order: (B, C, H, W) -> (B, P, C·size·size).

    Raises:
        ValueError: the patches do not fill the pictures.

    >>> patchify(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 1].tolist()  # the one at the top right
    [2.0, 3.0, 6.0, 7.0]
    """
    if images.dim() != 4 or images.shape[-2] % size or images.shape[-1] % size:
        shape = tuple(images.shape)
        raise ValueError(f"images must be (B, C, H, W) with sides that are multiples of {size}, got {shape}")
    grid = images.unflatten(-1, (-1, size)).unflatten(
        -3, (-1, size)
    )  # (B, C, H, W) -> (B, C, rows, size, columns, size)
    return grid.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)  # -> (B, rows·columns, C·size·size)


class ViT(nn.Module):
    """A transformer that reads a picture as a sequence of patches, after a class token that gathers what it sees.

    >>> model = ViT(ViTConfig(image_size=32, patch_size=8, width=16, depth=2, heads=2)).eval()
    >>> model(torch.zeros(5, 3, 32, 32)).shape, model.tokens(torch.zeros(5, 3, 32, 32)).shape
    (torch.Size([5, 16]), torch.Size([5, 17, 16]))
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = nn.Linear(3 * config.patch_size**2, config.width)
        self.class_token = nn.Parameter(torch.zeros(config.width))
        self.positions = LearnedPositions(1 + config.patches, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Encoder(config.stack)
        for module in self.encoder.modules():  # the start that the paper's own code gives each kind of layer
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.eps = 1e-6

    @classmethod
    def from_torchvision(cls, theirs: Any) -> ViT:
        """The same encoder as a torchvision `VisionTransformer`, with copies of its weights; no classifier.

        Raises:
            ValueError: it reads pictures through several convolutions in place of patches.
        """
        if not isinstance(theirs.conv_proj, nn.Conv2d):
            raise ValueError(
                "theirs has a stem of convolutions (conv_stem_configs); give a VisionTransformer of patches"
            )
        sizes = {"image_size": theirs.image_size, "patch_size": theirs.patch_size, "width": theirs.hidden_dim}
        layers = theirs.encoder.layers
        heads = layers[0].self_attention.num_heads
        more = {"depth": len(layers), "heads": heads, "hidden": theirs.mlp_dim, "dropout": theirs.dropout}
        ours = cls(ViTConfig(**sizes, **more)).to(theirs.class_token)
        with torch.no_grad():
            ours.patch_embedding.weight.copy_(theirs.conv_proj.weight.flatten(1))  # a kernel for each channel -> a row
            ours.patch_embedding.bias.copy_(theirs.conv_proj.bias)
            ours.class_token.copy_(theirs.class_token[0, 0])
            ours.positions.table.copy_(theirs.encoder.pos_embedding[0])
            for block, layer in zip(ours.encoder.blocks, layers, strict=True):
                _copy_block(block, layer)
            _copy(ours.encoder.norm, theirs.encoder.ln)
        return ours.train(theirs.training)

    def forward(self, images: Tensor) -> Tensor:
        """What the class token gathered of each picture: float (B, 3, H, W) -> (B, C)."""
        return self.tokens(images)[:, 0]

    def tokens(self, images: Tensor) -> Tensor:
        """The class token and the patches in reading order, after the last norm: (B, 3, H, W) -> (B, 1 + P, C)."""
        return self.encoder(self._embed(images))

    def _embed(self, images: Tensor) -> Tensor:
        shape, side = tuple(images.shape), self.config.image_size
        if images.dim() != 4 or shape[1:] != (3, side, side) or not images.is_floating_point():
            raise ValueError(f"images must be floating-point (B, 3, {side}, {side}), got {images.dtype} {shape}")
        patches = self.patch_embedding(patchify(images, self.config.patch_size))  # (B, 3, H, W) -> (B, P, C)
        first = self.class_token.expand(len(images), 1, -1)  # (C,) -> (B, 1, C)
        return self.dropout(self.positions(torch.cat((first, patches), dim=1)))


def _copy_block(block: Block, layer: Any) -> None:
    block.attention = MultiHeadAttention.from_torch(layer.self_attention)
    _copy(block.attention_norm, layer.ln_1)
    _copy(block.feed_forward_norm, layer.ln_2)
    _copy(block.feed_forward.expand, layer.mlp[0])
    _copy(block.feed_forward.contract, layer.mlp[3])


def _copy(ours: nn.Module, theirs: nn.Module) -> None:
    ours.load_state_dict(theirs.state_dict())
    if isinstance(ours, nn.LayerNorm):
        ours.eps = theirs.eps
