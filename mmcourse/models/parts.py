"""Encoders as parts of a model: whatever is inside, each gives one vector and, where it has them, tokens of that width.

Pictures are uint8 (B, 3, H, W), or floats that are ready for the network. Text is ids (B, L) with a mask (B, L).
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmcourse.attention import sinusoidal_positions
from mmcourse.encoders.cnn import CNN
from mmcourse.encoders.pretrained import (
    EncoderUnavailableError,
    ImageEncoder,
    TextEncoder,
    load_image_encoder,
    load_text_encoder,
)
from mmcourse.encoders.vit import ViT, ViTConfig
from mmcourse.pictures import centered
from mmcourse.pooling import masked_mean
from mmcourse.transformer import Encoder


class Seen(NamedTuple):
    """What an encoder found: `vector` (B, C), and `tokens` (B, T, C) with `mask` bool (B, T) where it has any."""

    vector: Tensor
    tokens: Tensor | None = None
    mask: Tensor | None = None


class CNNPart(nn.Module):
    """A small residual network; its places are the tokens. Options as for `mmcourse.encoders.cnn.CNN`."""

    def __init__(self, *, widths: Sequence[int] = (32, 64, 128), stem: int = 4, blocks: int = 1) -> None:
        super().__init__()
        self.network = CNN(widths, stem=stem, blocks=blocks)
        self.width = self.network.width

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Seen:
        return _places(self.network.feature_map(_numbers(images)))


class ViTPart(nn.Module):
    """A vision transformer: the class token and the patches. Options as for `mmcourse.encoders.vit.ViTConfig`."""

    def __init__(
        self,
        *,
        image_size: int = 64,
        patch_size: int = 8,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = {"image_size": image_size, "patch_size": patch_size, "width": width, "depth": depth, "heads": heads}
        self.network = ViT(ViTConfig(**sizes, hidden=hidden, dropout=dropout))
        self.width = width

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Seen:
        tokens = self.network.tokens(_numbers(images))
        return Seen(tokens[:, 0], tokens[:, 1:])


class FeaturePart(nn.Module):
    """Features computed beforehand: (B, width), or tokens (B, T, width), whose mean is then the vector."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Seen:
        if features.dim() not in (2, 3) or features.shape[-1] != self.width or not features.is_floating_point():
            wanted = f"(B, {self.width}) or (B, tokens, {self.width})"
            raise ValueError(f"features must be float {wanted}, got {features.dtype} {tuple(features.shape)}")
        return Seen(features) if features.dim() == 2 else Seen(masked_mean(features, mask), features, mask)


class BagPart(nn.Module):
    """A bag of words: one learned vector for each word of the vocabulary, and their mean, which forgets the order."""

    def __init__(self, *, vocabulary_size: int, width: int = 128) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.width = width

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Seen:
        words = self.embedding(tokens)  # (B, L) -> (B, L, C)
        return Seen(masked_mean(words, mask), words, mask)


class TransformerPart(nn.Module):
    """Words that know their place and each other: embeddings, sine positions, and an encoder of the course.

    Args:
        depth: blocks; 0 gives words that know their place alone.
        context: the longest text, in tokens.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        width: int = 128,
        depth: int = 1,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.0,
        context: int = 64,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.register_buffer("positions", sinusoidal_positions(context, width), persistent=False)
        self.encoder = Encoder(depth, width, heads, hidden=hidden, dropout=dropout)
        self.width = width

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Seen:
        if tokens.shape[1] > len(self.positions):
            raise ValueError(
                f"tokens have length {tokens.shape[1]}, context is {len(self.positions)}; shorten the text"
            )
        seen = None if mask is None else mask[:, None, None, :]  # (B, L) -> (B, 1, 1, L)
        words = self.encoder(self.embedding(tokens) + self.positions[: tokens.shape[1]], mask=seen)
        return Seen(masked_mean(words, mask), words, mask)


class PretrainedImagePart(nn.Module):
    """A frozen network of `load_image_encoder`; its last map gives the tokens.

    Args:
        size: side of the square that it reads; its own by default. Smaller is faster.
    """

    def __init__(self, encoder: ImageEncoder, *, tokens: bool, size: int | None = None) -> None:
        super().__init__()
        self.encoder, self.tokens = encoder, tokens
        if size is not None:
            self.encoder.preprocess = dataclasses.replace(self.encoder.preprocess, size=size, resize=size)
        nothing = torch.zeros(1, 3, *[self.encoder.preprocess.size] * 2)
        self.width = self.encoder.feature_map(nothing).shape[1] if tokens else self.encoder.width

    @torch.no_grad()
    def forward(self, images: Tensor, mask: Tensor | None = None) -> Seen:
        x = self.encoder.preprocess(images) if images.dtype == torch.uint8 else images
        return _places(self.encoder.feature_map(x)) if self.tokens else Seen(self.encoder(x))


class PretrainedTextPart(nn.Module):
    """A frozen network of `load_text_encoder`, which brings its own tokenizer."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.width = encoder.network.config.hidden_size

    @torch.no_grad()
    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Seen:
        mask = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        words = self.encoder(tokens, mask)
        return Seen(masked_mean(words, mask), words, mask)


Part = Callable[..., nn.Module]
IMAGE_ENCODERS: dict[str, Part] = {"cnn": CNNPart, "vit": ViTPart, "features": FeaturePart}
TEXT_ENCODERS: dict[str, Part] = {"bag": BagPart, "transformer": TransformerPart, "features": FeaturePart}


def make_image_encoder(name: str, options: Mapping[str, Any], *, tokens: bool) -> nn.Module:
    """The part of that name; what `IMAGE_ENCODERS` does not know is a network of `load_image_encoder`."""
    make = IMAGE_ENCODERS.get(name)
    if make is None:
        encoder = _load("image", name, load_image_encoder, [*IMAGE_ENCODERS, "efficientnet-lite0"])
        make = lambda *, size=None: PretrainedImagePart(encoder, tokens=tokens, size=size)  # noqa: E731
    return _make("image", name, make, options)


def make_text_encoder(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The part of that name; what `TEXT_ENCODERS` does not know is a network of `load_text_encoder`."""
    make = TEXT_ENCODERS.get(name)
    if make is None:
        encoder = _load("text", name, load_text_encoder, [*TEXT_ENCODERS, "minilm"])
        make = lambda: PretrainedTextPart(encoder)  # noqa: E731
    return _make("text", name, make, options)


def _load(kind: str, name: str, load: Callable[[str], Any], choices: list[str]) -> Any:
    try:
        return load(name)
    except EncoderUnavailableError as error:
        known = ", ".join(choices)
        raise ValueError(f"{kind} must be one of {known} or a pretrained network, got {name!r}: {error}") from error


def _make(kind: str, name: str, make: Part, options: Mapping[str, Any]) -> nn.Module:
    known = inspect.signature(make).parameters
    for option in options:
        if option not in known:
            choices = ", ".join(known) or "no options"
            raise ValueError(f"{kind} encoder {name!r} has {choices}, got the option {option!r}")
    for option, parameter in known.items():
        if parameter.default is parameter.empty and option not in options:
            hint = " or a tokenizer" if option == "vocabulary_size" else ""
            raise ValueError(f"{kind} encoder {name!r} needs {kind}_options={{{option!r}: ...}}{hint}")
    return make(**options)


def _numbers(images: Tensor) -> Tensor:
    """Colors as numbers from −1 to 1; what is floating-point is ready already."""
    return centered(images) if images.dtype == torch.uint8 else images


def _places(feature_map: Tensor) -> Seen:
    tokens = feature_map.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, C, h·w) -> (B, h·w, C)
    return Seen(tokens.mean(dim=1), tokens)
