"""08-similarity: compare every picture with every text by direction alone."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.variants import unit


def similarities(images, texts, scale):
    return scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T


def _features(pictures, texts, width, scale):
    """Features of very different lengths, as towers give them before they are normalized."""

    def inputs(generator):
        def draw(count):
            lengths = 0.5 + 4 * torch.rand(count, 1, generator=generator)
            return lengths * torch.randn(count, width, generator=generator)

        return draw(pictures), draw(texts), scale

    return inputs


def _prepared(change_images, change_texts):
    """Scaled products of features that were prepared in another way."""
    return lambda images, texts, scale: scale * change_images(images) @ change_texts(texts).T


def _same(x):
    return x


EXERCISE = Exercise(
    id="08-similarity",
    title="Who fits whom",
    goal="compare every picture with every text by direction alone",
    stars=1,
    minutes=6,
    points=2,
    reference=similarities,
    nothing_ready="contrastive_logits takes unit vectors; to make them so is the exercise",
    cases=(
        Case(name="four pictures and four texts", inputs=_features(4, 4, 4, 10.0)),
        Case(name="three pictures and five texts", inputs=_features(3, 5, 6, 100.0)),
        Case(name="one picture, two texts, scale 1", inputs=_features(1, 2, 8, 1.0)),
    ),
    mistakes=(
        Mistake(
            message="Nothing is normalized: a long feature fits everything. Divide each row by its length first.",
            answer=_prepared(_same, _same),
        ),
        Mistake(
            message="The texts are not normalized: a text with a long feature wins every row.",
            answer=_prepared(unit, _same),
        ),
        Mistake(
            message="The pictures are not normalized: a picture with a long feature wins every column.",
            answer=_prepared(_same, unit),
        ),
        Mistake(
            message="The columns are normalized, each channel over all samples. A feature is a row: use dim=1, so that "
            "no sample depends on the others.",
            answer=_prepared(lambda x: F.normalize(x, dim=0), lambda x: F.normalize(x, dim=0)),
        ),
        Mistake(
            message="The whole matrix is divided by one length. Each row has a length of its own.",
            answer=_prepared(lambda x: x / x.norm(), lambda x: x / x.norm()),
        ),
        Mistake(
            message="The rows are divided by the sum of their absolute values. The cosine needs the Euclidean length.",
            answer=_prepared(lambda x: F.normalize(x, p=1, dim=1), lambda x: F.normalize(x, p=1, dim=1)),
        ),
        Mistake(
            message="The rows are divided by the square of their length. Take the root.",
            answer=_prepared(
                lambda x: x / x.square().sum(1, keepdim=True), lambda x: x / x.square().sum(1, keepdim=True)
            ),
        ),
        Mistake(
            message="The features go through a softmax. Normalizing means to divide a row by its length.",
            answer=_prepared(lambda x: x.softmax(dim=1), lambda x: x.softmax(dim=1)),
        ),
        Mistake(
            message="The scale is missing: these are bare cosines between −1 and 1.",
            answer=lambda images, texts, scale: unit(images) @ unit(texts).T,
        ),
        Mistake(
            message="The cosines are divided by the scale. Scale is 1 / temperature: multiply by it.",
            answer=lambda images, texts, scale: unit(images) @ unit(texts).T / scale,
        ),
        Mistake(
            message="The scale is multiplied in on both sides, so it counts squared.",
            answer=lambda images, texts, scale: (scale * unit(images)) @ (scale * unit(texts)).T,
        ),
        Mistake(
            message="Rows and columns are exchanged: rows are pictures, columns are texts.",
            answer=lambda images, texts, scale: similarities(texts, images, scale),
        ),
        Mistake(
            message="Only the pairs are compared, picture i with text i. Compare every picture with every text: a "
            "matrix product.",
            answer=lambda images, texts, scale: scale * F.cosine_similarity(images, texts),
        ),
    ),
    hints=(
        "The cosine of two vectors is the dot product of both after each is divided by its length.",
        "`F.normalize(x, dim=1)` divides each row by its length.",
        "`scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T`.",
    ),
)
