"""`MultiModalModel`: an image encoder, a text encoder, a fusion and a head, each exchangeable by its name.

On pictures of your own, in a folder as `mmcourse.datasets.folder` describes it with a `label` in each line:

    data = labeled_folder("my_pictures")
    tokenizer = WordTokenizer.train(data.texts)
    model = MultiModalModel(MultiModalConfig(labels=data.labels, fusion="gated"), tokenizer)
    batches = Batches(data.images, *tokenizer.encode_batch(data.texts), data.targets, size=32)
    fit(model, lambda model, batch: cross_entropy(model(*batch[:3]), batch[3]), batches, steps=300)
    model.save("my_model")
    MultiModalModel.load("my_model").predict(data.images[:1], data.texts[:1]).labels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from mmcourse.fusion import FUSIONS, ModalityDropout, Views, make_fusion
from mmcourse.models.base import PictureTextModel
from mmcourse.models.parts import Seen
from mmcourse.runtime import evaluating
from mmcourse.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class MultiModalConfig:
    """What a `MultiModalModel` is made of; everything in it can be written as JSON.

    Args:
        labels: the names of the classes, in the order of the logits.
        image: "cnn", "vit", "features" (computed beforehand), "efficientnet-lite0", or a network of the hub.
        text: "bag", "transformer", "features", "minilm", or a network of the hub.
        fusion: one of `mmcourse.fusion.FUSIONS`.
        image_options, text_options, fusion_options: of each part, see there.
        width: of what the fusion gives to the head; "late" fusion has heads of its own and does without.
        dropout: before the head.
        modality_dropout, learned_placeholder: see `mmcourse.fusion.ModalityDropout`.
    Raises:
        ValueError: a name or number is not one of those that there are.
    """

    labels: Sequence[str]
    image: str = "cnn"
    text: str = "bag"
    fusion: str = "concat"
    image_options: Mapping[str, Any] = field(default_factory=dict)
    text_options: Mapping[str, Any] = field(default_factory=dict)
    fusion_options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 256
    dropout: float = 0.0
    modality_dropout: float = 0.0
    learned_placeholder: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.labels, str) or len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise ValueError(f"labels must be the names of two classes or more, each once, got {self.labels!r}")
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {self.fusion!r}")
        object.__setattr__(self, "labels", tuple(self.labels))


class Prediction(NamedTuple):
    """The likeliest label of each sample, and `probabilities` (B, classes)."""

    labels: list[str]
    probabilities: Tensor


class MultiModalModel(PictureTextModel):
    """Picture and text in, one logit a class out.

    Args:
        config: what it is made of.
        tokenizer: of texts, for an encoder that brings none; saved with the model. Without one give
            text_options={"vocabulary_size": ...} and the tokens yourself.
    Raises:
        ValueError: parts that do not fit together, or a name that is unknown.

    >>> config = MultiModalConfig(labels=("no", "yes"), image="features", image_options={"width": 6},
    ...                           text_options={"vocabulary_size": 9}, fusion="gated")
    >>> model = MultiModalModel(config).eval()
    >>> model(torch.zeros(3, 6), torch.tensor([[1, 2], [3, 4], [5, 6]])).shape
    torch.Size([3, 2])
    """

    Config: ClassVar[type] = MultiModalConfig

    def __init__(self, config: MultiModalConfig, tokenizer: Tokenizer | None = None) -> None:
        fusion_options = dict(config.fusion_options)
        uses_tokens = FUSIONS[config.fusion].uses_tokens or bool(fusion_options.get("tokens"))
        super().__init__(config, tokenizer, tokens=uses_tokens)
        widths = self.image_encoder.width, self.text_encoder.width
        share, learned = config.modality_dropout, config.learned_placeholder
        self.missing = ModalityDropout(*widths, share=share, learned=learned)
        classes, logits = len(config.labels), FUSIONS[config.fusion].gives_logits
        self.fusion = make_fusion(config.fusion, *widths, classes if logits else config.width, **fusion_options)
        self.dropout = nn.Dropout(0.0 if logits else config.dropout)
        self.head = nn.Identity() if logits else nn.Linear(config.width, classes)

    def forward(self, images: Tensor | None, tokens: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """Logits (B, classes).

        Args:
            images: uint8 (B, 3, H, W), floats that are ready for the image encoder, or features; None where there are
                no pictures.
            tokens: ids (B, L), or features; None where there is no text.
            mask: bool (B, L), True = a token; None = all are.
        """
        return self.head(self.dropout(self.fusion(self.views(images, tokens, mask))))

    def views(self, images: Tensor | None, tokens: Tensor | None, mask: Tensor | None = None) -> Views:
        """What the fusion reads: the findings of both encoders, and a placeholder for what is missing."""
        if images is not None and tokens is not None and len(images) != len(tokens):
            raise ValueError(f"images has {len(images)} samples, tokens {len(tokens)}; want one text a picture")
        image = Seen(None) if images is None else self.image_encoder(images)
        text = Seen(None) if tokens is None else self.text_encoder(tokens, mask)
        return self.missing(Views(image.vector, text.vector, image.tokens, text.tokens, image.mask, text.mask))

    def predict(
        self, images: Tensor | None, texts: Sequence[str] | Tensor | None, *, batch_size: int = 256
    ) -> Prediction:
        """The likeliest label of each picture with its text, in evaluation mode; either may be None or features."""
        if images is None and texts is None:
            raise ValueError("images, texts or both must be given, got None for both")
        batches = range(0, len(texts if images is None else images), batch_size)
        found = []
        with evaluating(self):
            for start in batches:
                part = slice(start, start + batch_size)
                x = None if images is None else images[part].to(self.device)
                ids, mask = self._ids(None if texts is None else texts[part])
                found.append(self(x, ids, mask).softmax(dim=-1).cpu())
        probabilities = torch.cat(found) if found else torch.zeros(0, len(self.config.labels))
        return Prediction([self.config.labels[i] for i in probabilities.argmax(dim=-1).tolist()], probabilities)

    def _ids(self, texts: Sequence[str] | Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if texts is None or isinstance(texts, Tensor):
            return None if texts is None else texts.to(self.device), None
        ids, mask = self.tokenize(texts)
        return ids.to(self.device), mask.to(self.device)
