"""`CLIP`: a picture tower and a text tower that end in one space, where what belongs together points the same way.

    model = CLIP(CLIPConfig(image="vit", text="transformer"), WordTokenizer.train(texts))
    batches = Batches(images, *model.tokenize(texts), size=128)
    fit(model, lambda model, batch: model.loss(model(*batch)), batches, steps=1000)
    retrieval(model.embed_texts(texts) @ model.embed_images(images).T)
    model.zero_shot_classifier(["cat", "dog"], templates=["a {}", "a drawing of a {}"]).predict(images).labels

Source: Radford et al., "Learning transferable visual models from natural language supervision" (2021).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.losses import info_nce, sigmoid_loss
from mmcourse.models.base import PictureTextModel
from mmcourse.models.classifier import Prediction
from mmcourse.runtime import evaluating
from mmcourse.tokenizer import Tokenizer

LOSSES = ("info_nce", "sigmoid")
LOG_SCALES = 0.0, math.log(100.0)  # of CLIP and its successors: beyond the end, training became unstable


@dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """What a `CLIP` is made of; everything in it can be written as JSON.

    Args:
        image: "cnn", "vit", "features" (computed beforehand), "efficientnet-lite0", or a network of the hub.
        text: "bag", "transformer", "features", "minilm", or a network of the hub.
        image_options, text_options: of each encoder, see `mmcourse.models.parts`.
        width: of the shared space.
        loss: "info_nce" or "sigmoid".
        hidden: None ends each tower in one linear map, as CLIP does; a number makes it a network of that hidden width.
        dropout: before these maps; two numbers are those of pictures and of texts.
        standardize: bring what the encoders give to mean 0 and spread 1 first; see `CLIP.measure`.
    Raises:
        ValueError: a name or number is not one of those that there are.
    """

    image: str = "cnn"
    text: str = "transformer"
    image_options: Mapping[str, Any] = field(default_factory=dict)
    text_options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 128
    loss: str = "info_nce"
    hidden: int | None = None
    dropout: float | Sequence[float] = 0.0
    standardize: bool = False

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        for name in ("width", "hidden"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


class ClipFeatures(NamedTuple):
    """What the loss reads: features of length 1, (B, width) each, the scale, and the bias of the sigmoid loss."""

    images: Tensor
    texts: Tensor
    scale: Tensor
    bias: Tensor | None = None


class CLIP(PictureTextModel):
    """Two towers: pictures in, texts in, and for each a feature of length 1 in the same space.

    Args:
        config: what it is made of.
        tokenizer: of texts, for an encoder that brings none; saved with the model. Without one give
            text_options={"vocabulary_size": ...} and the tokens yourself.
    Raises:
        ValueError: a name or option is unknown, or one is missing.

    >>> options = {"image_options": {"width": 6}, "text_options": {"width": 4}}
    >>> model = CLIP(CLIPConfig(image="features", text="features", **options, width=8))
    >>> features = model(torch.randn(3, 6), torch.randn(3, 4))
    >>> features.images.shape, features.texts.shape, model.loss(features).shape
    (torch.Size([3, 8]), torch.Size([3, 8]), torch.Size([]))
    """

    Config: ClassVar[type] = CLIPConfig

    def __init__(self, config: CLIPConfig, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(config, tokenizer, tokens=False)
        dropout = config.dropout if isinstance(config.dropout, Sequence) else (config.dropout, config.dropout)
        self.image_projection = _projection(self.image_encoder.width, config, dropout[0])
        self.text_projection = _projection(self.text_encoder.width, config, dropout[1])
        sigmoid = config.loss == "sigmoid"
        self.log_scale = nn.Parameter(torch.tensor(math.log(10 if sigmoid else 1 / 0.07)))  # where each paper starts
        self.bias = nn.Parameter(torch.tensor(-10.0)) if sigmoid else None

    @property
    def scale(self) -> Tensor:
        """1 / temperature, learned as its logarithm, between 1 and 100.

        Beyond an end the value is that of the end, and the gradient still that of exp: were it zero, nothing would
        ever bring the parameter back.
        """
        known = self.log_scale.detach()
        return (self.log_scale + (known.clamp(*LOG_SCALES) - known)).exp()  # inside, nothing at all is added

    @torch.no_grad()
    def after_step(self) -> None:
        """Brings the scale's parameter back into its range after a step that left it, so that it can turn at once.

        `mmcourse.train.fit` calls it; a loop of your own does so too.
        """
        self.log_scale.clamp_(*LOG_SCALES)

    def measure(self, images: Tensor, texts: Tensor) -> None:
        """Takes the mean and the spread that standardize=True brings to 0 and 1 from features of the training data.

        Pictures are measured channel by channel, as channels of a network differ in size by orders of magnitude. For
        texts one spread serves all: their directions mean something already, and this keeps them.

        Args:
            images, texts: (N, width) and (M, width), what the encoders give.
        """
        self.image_projection[0].measure(images, images.std(dim=0) + 1e-3)
        self.text_projection[0].measure(texts, (texts - texts.mean(dim=0)).std())

    def encode_image(self, images: Tensor) -> Tensor:
        """Features of length 1, (B, width), of uint8 (B, 3, H, W), floats ready for the encoder, or features."""
        return _unit(self.image_projection(self.image_encoder(images.to(self.device)).vector))

    def encode_text(self, texts: Sequence[str] | Tensor, mask: Tensor | None = None) -> Tensor:
        """Features of length 1, (B, width).

        Args:
            texts: a list of B texts, ids (B, L), or features.
            mask: bool (B, L), True = a token; None = all are.
        """
        if not isinstance(texts, Tensor):
            texts, mask = self.tokenize(texts)
        mask = None if mask is None else mask.to(self.device)
        return _unit(self.text_projection(self.text_encoder(texts.to(self.device), mask).vector))

    def forward(self, images: Tensor, tokens: Tensor | Sequence[str], mask: Tensor | None = None) -> ClipFeatures:
        """Both features of each pair; arguments as for `encode_image` and `encode_text`."""
        if len(images) != len(tokens):
            raise ValueError(f"images has {len(images)} samples, tokens {len(tokens)}; want one text a picture")
        return ClipFeatures(self.encode_image(images), self.encode_text(tokens, mask), self.scale, self.bias)

    def loss(self, features: ClipFeatures, *, negatives: Tensor | None = None) -> Tensor:
        """The loss of the configuration; `negatives` (K, width) are features of texts that belong to no picture."""
        images, texts, scale, bias = features
        if self.config.loss == "sigmoid":
            return sigmoid_loss(images, texts, scale=scale, bias=bias, negatives=negatives)
        return info_nce(images, texts, scale=scale, negatives=negatives)

    def embed_images(self, images: Tensor, *, batch_size: int = 256) -> Tensor:
        """Like `encode_image`, for any number: in evaluation mode, without gradients, and on the CPU."""
        with evaluating(self):
            found = [self.encode_image(part).cpu() for part in images.split(batch_size)]
        return torch.cat(found)

    def embed_texts(
        self, texts: Sequence[str] | Tensor, mask: Tensor | None = None, *, batch_size: int = 256
    ) -> Tensor:
        """Like `encode_text`, for any number: in evaluation mode, without gradients, and on the CPU."""
        found = []
        with evaluating(self):
            for start in range(0, max(len(texts), 1), batch_size):
                part = slice(start, start + batch_size)
                found.append(self.encode_text(texts[part], None if mask is None else mask[part]).cpu())
        return torch.cat(found)

    def zero_shot_classifier(
        self,
        prompts: Sequence[str] | Mapping[str, Sequence[str] | Tensor],
        *,
        templates: Sequence[str] = ("{}",),
    ) -> ZeroShot:
        """A classifier of pictures that was never trained as one: each class is what its name means to the text tower.

        Args:
            prompts: the names of the classes, or for each name the texts that describe it (for text="features" their
                features). The features of several are averaged and brought back to length 1, a prompt ensemble.
            templates: what each text is put into, in place of "{}".
        Raises:
            ValueError: fewer than two classes, a class without texts, or a template without "{}".
        """
        if isinstance(prompts, str) or isinstance(templates, str):
            raise ValueError("prompts and templates must be lists of strings, got one string; write [text]")
        for template in templates:
            if "{}" not in template:
                raise ValueError(f"templates must hold {{}} where the text goes, got {template!r}")
        known = prompts if isinstance(prompts, Mapping) else {name: [name] for name in prompts}
        if len(known) < 2 or len(known) != len(prompts):
            raise ValueError(f"prompts must name two classes or more, each once, got {list(prompts)}")
        groups = [_said(name, texts, templates) for name, texts in known.items()]
        tensors = [isinstance(group, Tensor) for group in groups]
        if any(tensors) != all(tensors):
            raise ValueError("prompts must be texts for every class, or features for every class")
        together = torch.cat(groups) if any(tensors) else [text for group in groups for text in group]
        parts = self.embed_texts(together).split([len(group) for group in groups])  # (K, width) for each class
        return ZeroShot(self, tuple(known), torch.stack([_unit(part.mean(dim=0)) for part in parts]))


class ZeroShot:
    """A classifier by description, made by `CLIP.zero_shot_classifier`.

    Attributes:
        names: of the classes.
        weights: (classes, width), one feature of length 1 for each.
    """

    def __init__(self, model: CLIP, names: tuple[str, ...], weights: Tensor) -> None:
        self.model, self.names, self.weights = model, names, weights

    def predict(self, images: Tensor, *, batch_size: int = 256) -> Prediction:
        """The likeliest name of each picture, and `probabilities` (B, classes): the softmax of scaled similarities."""
        features = self.model.embed_images(images, batch_size=batch_size)
        logits = self.model.scale.detach().cpu() * features @ self.weights.T  # (B, width) -> (B, classes)
        return Prediction([self.names[i] for i in logits.argmax(dim=-1).tolist()], logits.softmax(dim=-1))


def _said(name: str, texts: Sequence[str] | Tensor, templates: Sequence[str]) -> list[str] | Tensor:
    """Every text of one class in every template; features as they are."""
    if isinstance(texts, str) or not len(texts) or not templates:
        raise ValueError(f"prompts for {name!r} and templates must be lists of one text or more, got {texts!r}")
    if isinstance(texts, Tensor):
        return texts
    return [template.replace("{}", text) for template in templates for text in texts]


class Standardize(nn.Module):
    """Features minus their mean, divided by their spread; both are measured once and saved with the model."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def measure(self, features: Tensor, spread: Tensor) -> None:
        """The mean is that of features (N, width); spread is a number or (width,)."""
        self.mean.copy_(features.mean(dim=0))
        self.spread.copy_(spread.expand_as(self.spread))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread


def _projection(width: int, config: CLIPConfig, dropout: float) -> nn.Module:
    """The last step of a tower, into the shared space."""
    before = [Standardize(width)] * config.standardize + [nn.Dropout(dropout)] * bool(dropout or config.hidden)
    if config.hidden is not None:
        inside = nn.Linear(width, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.width)
        return nn.Sequential(*before, *inside)
    last = nn.Linear(width, config.width, bias=False)
    nn.init.normal_(last.weight, std=width**-0.5)
    return nn.Sequential(*before, last) if before else last


def _unit(features: Tensor) -> Tensor:
    """Features of length 1, in float32 at least: in half precision the length would be off by a percent."""
    return F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=-1)
