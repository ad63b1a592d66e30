"""`Matcher`: is this text true of this picture? One network reads both at once, word against patch.

Two towers end in one vector each, and a vector that is a sum of what is there has lost what stands where. A matcher
lets every word ask the patches before anything is pooled. The price: it must run for each picture with each text, so it
is no search engine; `rerank` lets it look at the first few that a fast one has found.

    matcher = load_trained("matcher").model
    patches = load_trained("patches").model.tokens(images)
    matcher.scores(patches, texts)          # (N pictures, M texts), one number a pair
    rerank(similarity, lambda text, found: matcher.scores(patches[found], [texts[text]])[:, 0])

Sources: the matching head of Lu et al., "ViLBERT" (2019), which Li et al., "Align before fuse" (2021), put behind two
towers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mmcourse.fusion import CrossAttentionFusion, Views
from mmcourse.models.base import PictureTextModel
from mmcourse.runtime import evaluating, on_best_device
from mmcourse.tokenizer import Tokenizer


def rerank(similarity: Tensor, better: Callable[[int, Tensor], Tensor], *, first: int = 10) -> Tensor:
    """The same ranking, with the first few of each query put in the order that slower, better scores give.

    Args:
        similarity: (Q, G), Q queries against G items.
        better: `better(query, items)` gives the better score of each of the items (K,), int64, as (K,).
        first: K, how many items of each query are scored again; fewer if there are fewer.
    Returns:
        (Q, G): for each query the places counted from the end, so the best has G − 1. Only their order means something.
    Raises:
        ValueError: similarity is no table, first is below 1, or `better` gives another number of scores.

    >>> rerank(torch.tensor([[0.9, 0.8, 0.1]]), lambda query, items: items.float(), first=2)
    tensor([[1., 2., 0.]])
    """
    if similarity.dim() != 2:
        raise ValueError(f"similarity must have shape (Q, G), got {tuple(similarity.shape)}")
    if first < 1:
        raise ValueError(f"first must be at least 1, got {first}")
    order = similarity.argsort(dim=1, descending=True, stable=True)
    for query, row in enumerate(order):
        items = row[:first].clone()
        scores = better(query, items)
        if scores.shape != items.shape:
            raise ValueError(f"better must give {len(items)} scores for {len(items)} items, got {tuple(scores.shape)}")
        row[:first] = items[scores.argsort(descending=True, stable=True)]
    places = torch.arange(similarity.shape[1] - 1, -1, -1, dtype=torch.get_default_dtype())
    return torch.empty(similarity.shape, dtype=places.dtype).scatter_(1, order, places.expand_as(order))


@dataclass(frozen=True, kw_only=True)
class MatcherConfig:
    """What a `Matcher` is made of; everything in it can be written as JSON.

    Args:
        image: an encoder that gives tokens: "features" (patches computed beforehand), "cnn", "vit" and so on.
        text: "transformer", or another that gives tokens.
        image_options, text_options: of each encoder, see `mmcourse.models.parts`.
        fusion_options: of `mmcourse.fusion.CrossAttentionFusion`; positions of real size tell left from right.
        width: of the fusion.
    Raises:
        ValueError: width is below 1.
    """

    image: str = "features"
    text: str = "transformer"
    image_options: Mapping[str, Any] = field(default_factory=dict)
    text_options: Mapping[str, Any] = field(default_factory=dict)
    fusion_options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 64

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")


class Matcher(PictureTextModel):
    """Picture and text in, one logit out: how sure it is that the text is true of the picture.

    Args:
        config: what it is made of.
        tokenizer: of texts; saved with the model. Without one give text_options={"vocabulary_size": ...} and the
            tokens yourself.
    Raises:
        ValueError: parts that do not fit together, or a name that is unknown.

    >>> config = MatcherConfig(image_options={"width": 8}, text_options={"vocabulary_size": 9, "width": 8}, width=8)
    >>> model = Matcher(config).eval()
    >>> model(torch.zeros(2, 64, 8), torch.tensor([[1, 2, 3], [3, 2, 1]])).shape
    torch.Size([2])
    """

    Config: ClassVar[type] = MatcherConfig

    def __init__(self, config: MatcherConfig, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(config, tokenizer, tokens=True)
        widths = self.image_encoder.width, self.text_encoder.width
        self.fusion = CrossAttentionFusion(*widths, config.width, **config.fusion_options)
        self.head = nn.Linear(config.width, 1)

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B,): above 0, the text is more likely true than false.

        Args:
            images: what the image encoder reads, for "features" patches (B, P, C).
            tokens: ids (B, L).
            mask: bool (B, L), True = a token; None = all are.
        """
        return self.head(self.fusion(self._views(images, tokens, mask))).squeeze(-1)

    def match(self, images: Tensor, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """The logit of each picture with its own text, (B,): in evaluation mode, without gradients, on the CPU."""
        if len(images) != len(texts):
            raise ValueError(f"images has {len(images)} samples, texts {len(texts)}; want one text a picture")
        found = [torch.zeros(0)]
        with on_best_device(self) as place, evaluating(self):
            for start in range(0, len(texts), batch_size):
                ids, mask = self.tokenize(texts[start : start + batch_size])
                part = images[start : start + batch_size].to(place)
                found.append(self(part, ids.to(place), mask.to(place)).cpu())
        return torch.cat(found)

    def scores(self, images: Tensor, texts: Sequence[str], *, batch_size: int = 256) -> Tensor:
        """The logit of every picture with every text, (N, M), computed pair by pair; see `match`."""
        pairs = [(row, text) for row in range(len(images)) for text in texts]
        found = [torch.zeros(0)]
        with on_best_device(self):  # once, and not for every batch
            for start in range(0, len(pairs), batch_size):
                part = pairs[start : start + batch_size]
                rows = torch.tensor([row for row, _ in part])
                found.append(self.match(images[rows], [text for _, text in part], batch_size=batch_size))
        return torch.cat(found).unflatten(0, (len(images), len(texts)))

    def _views(self, images: Tensor, tokens: Tensor, mask: Tensor | None) -> Views:
        if images.shape[0] != tokens.shape[0]:
            raise ValueError(f"images has {len(images)} samples, tokens {len(tokens)}; want one text a picture")
        seen, said = self.image_encoder(images), self.text_encoder(tokens, mask)
        return Views(image_tokens=seen.tokens, text_tokens=said.tokens, image_mask=seen.mask, text_mask=said.mask)
