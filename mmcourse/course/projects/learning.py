"""What a project learns: features of frozen networks, and a small head on them whose settings are chosen on validation.

The bundled `clip` sees pictures and reads texts; its features are computed once and kept. A head on frozen features is
what a small data set can pay for (Kornblith et al., "Do better ImageNet models transfer better?", 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.course.projects.data import Parts
from mmcourse.losses import info_nce
from mmcourse.metrics import retrieval
from mmcourse.models import CLIP
from mmcourse.models.clip import Standardize
from mmcourse.recipes import load_trained
from mmcourse.recipes.clip import picture_features, text_features
from mmcourse.runtime import by_budget, evaluating
from mmcourse.train import Batches, fit

DECAYS = (0.1, 5.0)
MAP_STEPS = (0, 20, 80)
SCALE = 20.0  # 1 / temperature of a map


class Features(NamedTuple):
    """What frozen networks say of pictures."""

    maps: Tensor  # (N, D): what EfficientNet sees
    common: Tensor  # (N, 384), length 1: where clip puts the picture among words


class Head(NamedTuple):
    """A trained head, the settings that were chosen, and how surprised it is by the validation part."""

    model: nn.Module
    features: str
    decay: float
    loss: float

    def probabilities(self, features: Features) -> Tensor:
        """(N, classes)"""
        with evaluating(self.model):
            return self.model(getattr(features, self.features)).softmax(-1)


class PictureMap(NamedTuple):
    """A trained map of pictures into the space of words, its number of steps, and its validation quality."""

    model: nn.Module
    steps: int
    precision: float  # mean average precision

    def scores(self, texts: Tensor, images: Tensor) -> Tensor:
        """How well each text fits each picture, (Q, N)."""
        with evaluating(self.model):
            return texts @ F.normalize(self.model(images), dim=-1).T


def see(images: Tensor, *, name: str) -> Features:
    """Features of pictures uint8 (N, 3, H, W); `name` is what the cache calls them."""
    maps = picture_features(images, f"project-{name}")
    return Features(maps, _clip().embed_images(maps))


def read(texts: Sequence[str], *, name: str) -> Tensor:
    """Where clip puts texts, (N, 384), length 1."""
    return _clip().embed_texts(text_features(list(texts), f"project-{name}"))


@lru_cache(maxsize=1)
def _clip() -> CLIP:
    return load_trained("clip").model


def zero_shot(common: Tensor, words: Mapping[str, str], *, name: str) -> Tensor:
    """The probability of each label by its words alone, (N, classes): nothing is learned from the folder.

    Args:
        common: (N, 384), of `see`.
        words: for each label what it means.
    """
    with torch.no_grad():
        return (_clip().scale.detach().cpu() * common @ read(list(words.values()), name=f"{name}-words").T).softmax(-1)


def train_head(features: Tensor, targets: Tensor, classes: int, *, decay: float, seed: int) -> nn.Module:
    """Logistic regression on standardized features (N, D), every step on all of them."""
    standard = Standardize(features.shape[1])
    standard.measure(features, features.std(dim=0, correction=0) + 1e-3)
    linear = nn.Linear(features.shape[1], classes)
    nn.init.normal_(linear.weight, std=0.01, generator=torch.Generator().manual_seed(seed))
    nn.init.zeros_(linear.bias)
    head = nn.Sequential(standard, linear)
    fit(
        head, lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]),
        Batches(features, targets, size=len(features), seed=seed), steps=by_budget(smoke=10, standard=50),
        learning_rate=5e-3, weight_decay=decay, seed=seed, description=None,
    )  # fmt: skip
    return head.eval()


def choose_head(features: Features, targets: Tensor, classes: int, parts: Parts, *, seed: int) -> Head:
    """Trains a head for each kind of features and each decay, and takes the one least surprised by validation."""
    best: Head | None = None
    for kind in Features._fields:
        table = getattr(features, kind)
        for decay in DECAYS:
            model = train_head(table[parts.train], targets[parts.train], classes, decay=decay, seed=seed)
            with evaluating(model):
                loss = F.cross_entropy(model(table[parts.val]), targets[parts.val]).item()
            if best is None or loss < best.loss:
                best = Head(model, kind, decay, loss)
    return best


def choose_map(images: Tensor, texts: Tensor, right: Tensor, parts: Parts, *, seed: int) -> PictureMap:
    """Trains a linear map of pictures that brings them nearer to their texts, and takes the best number of steps.

    It begins as the identity, so that no step at all is clip as it is.

    Args:
        images, texts: (N, 384), text i belongs to picture i.
        right: bool (N, N), which pictures (columns) are right for a text (row).
    """
    best: PictureMap | None = None
    for steps in MAP_STEPS:
        model = nn.Linear(images.shape[1], images.shape[1], bias=False)
        nn.init.eye_(model.weight)
        if steps:
            fit(
                model, lambda model, batch: info_nce(F.normalize(model(batch[0]), dim=-1), batch[1], scale=SCALE),
                Batches(images[parts.train], texts[parts.train], size=64, seed=seed), learning_rate=5e-4,
                steps=by_budget(smoke=2, standard=steps), seed=seed, description=None,
            )  # fmt: skip
        found = PictureMap(model.eval(), steps, 0.0)
        scores = found.scores(texts[parts.val], images[parts.val])
        quality = retrieval(scores, right[parts.val][:, parts.val]).mean_average_precision
        if best is None or quality > best.precision:
            best = found._replace(precision=quality)
    return best


def same_text(texts: Sequence[str]) -> Tensor:
    """bool (N, N): a text is right for its own picture, and for every other with an equal text."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    which = torch.tensor([numbers[text] for text in texts])
    return which[:, None] == which[None, :]
