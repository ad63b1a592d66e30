"""Exercises of chapter 08: contrastive pretraining; the later ones are in `ch08_more`."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch08_more import HARD_NEGATIVES, PROMPT_ENSEMBLE, RECALL_AT_K, SIGMOID_LOSS

# --- similarities -------------------------------------------------------------------------------------------------


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


def _unit(x):
    return F.normalize(x, dim=1)


def _same(x):
    return x


SIMILARITY = Exercise(
    id="08-similarity",
    title="Who fits whom",
    goal="compare every picture with every text by direction alone",
    stars=1,
    minutes=6,
    points=2,
    reference=similarities,
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
            answer=_prepared(_unit, _same),
        ),
        Mistake(
            message="The pictures are not normalized: a picture with a long feature wins every column.",
            answer=_prepared(_same, _unit),
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
            answer=lambda images, texts, scale: _unit(images) @ _unit(texts).T,
        ),
        Mistake(
            message="The cosines are divided by the scale. Scale is 1 / temperature: multiply by it.",
            answer=lambda images, texts, scale: _unit(images) @ _unit(texts).T / scale,
        ),
        Mistake(
            message="The scale is multiplied in on both sides, so it counts squared.",
            answer=lambda images, texts, scale: (scale * _unit(images)) @ (scale * _unit(texts)).T,
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

# --- the loss -----------------------------------------------------------------------------------------------------


def info_nce(logits):
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _logits(count, spread, gap):
    def inputs(generator):
        return (spread * torch.randn(count, count, generator=generator) + gap * torch.eye(count),)

    return inputs


def _directions(one):
    """The mean over both directions of another loss of one direction, which sees one choice a row."""
    return lambda logits: (one(logits) + one(logits.T)) / 2


def _without_the_right_one(logits):
    others = logits.masked_fill(torch.eye(len(logits), dtype=torch.bool), -torch.inf)
    return (others.logsumexp(dim=1) - logits.diagonal()).mean()


def _plain_exponentials(logits):
    return -(logits.exp().diagonal() / logits.exp().sum(dim=1)).log().mean()


INFO_NCE = Exercise(
    id="08-info-nce",
    title="Two questions, one loss",
    goal="read a square of logits as N choices among texts and N choices among pictures",
    stars=2,
    minutes=10,
    points=2,
    reference=info_nce,
    cases=(
        Case(name="five pairs", inputs=_logits(5, 1.5, 2.0)),
        Case(name="a single pair, nothing to choose", inputs=_logits(1, 1.0, 0.0)),
        Case(name="logits beyond 100", inputs=_logits(7, 70.0, 60.0)),
    ),
    mistakes=(
        Mistake(
            message="Only the rows are asked: which text belongs to this picture? The columns ask the other way round.",
            answer=lambda logits: F.cross_entropy(logits, torch.arange(len(logits))),
        ),
        Mistake(
            message="Only the columns are asked: which picture belongs to this text? The rows ask the other way round.",
            answer=lambda logits: F.cross_entropy(logits.T, torch.arange(len(logits))),
        ),
        Mistake(
            message="Both directions are added. Take their mean.",
            answer=lambda logits: 2 * info_nce(logits),
        ),
        Mistake(
            message="The pairs are added up. Take the mean over the N choices, so that the loss does not grow with the "
            "batch for that reason alone.",
            answer=lambda logits: len(logits) * info_nce(logits),
        ),
        Mistake(
            message="The sign is missing: the loss is minus the log-probability of the right answer.",
            answer=lambda logits: -info_nce(logits),
        ),
        Mistake(
            message="The softmax runs over the whole square. Each row is a choice of its own, and each column is.",
            answer=lambda logits: -logits.flatten().log_softmax(dim=0).view_as(logits).diagonal().mean(),
        ),
        Mistake(
            message="This is the mean over all entries. Only the diagonal holds the right answers.",
            answer=_directions(lambda logits: -logits.log_softmax(dim=1).mean()),
        ),
        Mistake(
            message="The right answer is taken to be number 0 in every row. In row i it is number i.",
            answer=_directions(
                lambda logits: F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long)),
            ),
        ),
        Mistake(
            message="This is one minus the probability of the right answer. Cross-entropy takes minus its logarithm.",
            answer=_directions(lambda logits: (1 - logits.softmax(dim=1).diagonal()).mean()),
        ),
        Mistake(
            message="This is the logarithm of the mean probability. Take the logarithm of each, then the mean.",
            answer=_directions(lambda logits: -logits.softmax(dim=1).diagonal().mean().log()),
        ),
        Mistake(
            message="A softmax has been applied before cross_entropy, which has one inside: it wants logits.",
            answer=_directions(
                lambda logits: F.cross_entropy(logits.softmax(dim=1), torch.arange(len(logits))),
            ),
        ),
        Mistake(
            message="The right answer is left out below the fraction. It is one of the N that compete.",
            answer=_directions(_without_the_right_one),
        ),
        Mistake(
            message="exp of a large logit overflows: infinity divided by infinity is not a number. Use log_softmax or "
            "cross_entropy, as in chapter 02.",
            answer=_directions(_plain_exponentials),
        ),
    ),
    hints=(
        "Row i is a classification among N texts with the right class i. Chapter 02's cross-entropy does the rest.",
        "`F.cross_entropy(logits, torch.arange(N))` is the loss of the rows; the columns are the rows of `logits.T`.",
        "`(F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2`.",
    ),
)

# --- the gradient of the temperature ------------------------------------------------------------------------------


def scale_gradient(cosines, log_scale):
    logits = log_scale.exp() * cosines
    too_much = logits.softmax(dim=1) + logits.softmax(dim=0) - 2 * torch.eye(len(logits), dtype=logits.dtype)
    return (too_much * logits).sum().item() / (2 * len(logits))


def _cosines(count, scale, noise):
    """Cosines of pairs that fit more or less, in float64, and the logarithm of a scale."""

    def inputs(generator):
        def draw():
            return torch.randn(count, 6, generator=generator, dtype=torch.float64)

        images = draw()
        texts = images + noise * draw()
        return _unit(images) @ _unit(texts).T, torch.tensor(math.log(scale), dtype=torch.float64)

    return inputs


def _by_parts(*, error=None, factor=None, scaled=None, divide=None):
    """The gradient with another p − y (rows, columns, y), another last factor, or another divisor."""

    def answer(cosines, log_scale):
        logits = log_scale.exp() * cosines if scaled is None else scaled(cosines, log_scale)
        y = torch.eye(len(logits), dtype=logits.dtype)
        p, q = logits.softmax(dim=1), logits.softmax(dim=0)
        too_much = p + q - 2 * y if error is None else error(p, q, y)
        moved = logits if factor is None else factor(cosines, log_scale)
        return (too_much * moved).sum().item() / (2 * len(logits) if divide is None else divide(len(logits)))

    return answer


TEMPERATURE_GRADIENT = Exercise(
    id="08-temperature-gradient",
    title="Which way the temperature moves",
    goal="derive the gradient of the loss for the logarithm of the scale",
    stars=3,
    minutes=15,
    points=3,
    reference=scale_gradient,
    cases=(
        Case(name="pairs that fit, scale 2: sharpen", inputs=_cosines(5, 2.0, 0.3)),
        Case(name="pairs that hardly fit, scale 30: soften", inputs=_cosines(6, 30.0, 3.0)),
        Case(name="three pairs, scale 1 / 0.07", inputs=_cosines(3, 1 / 0.07, 1.0)),
    ),
    mistakes=(
        Mistake(
            message="This is the gradient for the scale s. The parameter is log s, and ds / d log s = s: one "
            "more factor.",
            answer=_by_parts(factor=lambda cosines, log_scale: cosines),
        ),
        Mistake(
            message="This is the gradient for the temperature 1 / s. The parameter is log s.",
            answer=_by_parts(factor=lambda cosines, log_scale: -cosines * log_scale.exp() ** 2),
        ),
        Mistake(
            message="The sign is turned: the gradient of cross-entropy is p − y, what the model says "
            "minus what is right.",
            answer=_by_parts(error=lambda p, q, y: 2 * y - p - q),
        ),
        Mistake(
            message="Only the rows are counted. The columns have a softmax of their own.",
            answer=_by_parts(error=lambda p, q, y: p - y, divide=lambda count: count),
        ),
        Mistake(
            message="Only the columns are counted. The rows have a softmax of their own.",
            answer=_by_parts(error=lambda p, q, y: q - y, divide=lambda count: count),
        ),
        Mistake(
            message="Rows and columns are added. The loss is the mean of both directions.",
            answer=_by_parts(divide=lambda count: count),
        ),
        Mistake(
            message="This is the sum over the pairs. The loss is their mean: divide by N.",
            answer=_by_parts(divide=lambda count: 2),
        ),
        Mistake(
            message="This is the mean over all N² entries. Each row is one choice: add up its entries, then take the "
            "mean over N rows.",
            answer=_by_parts(divide=lambda count: 2 * count**2),
        ),
        Mistake(
            message="The right answers are missing: p − y, and y is 1 on the diagonal.",
            answer=_by_parts(error=lambda p, q, y: p + q),
        ),
        Mistake(
            message="Only the diagonal is counted. Every logit of a row moves with the scale, the wrong ones as well.",
            answer=_by_parts(error=lambda p, q, y: (p + q - 2 * y) * y),
        ),
        Mistake(
            message="The cosines are multiplied by log s. Take exp first: the scale is s.",
            answer=_by_parts(
                scaled=lambda cosines, log_scale: log_scale * cosines,
                factor=lambda cosines, log_scale: log_scale * cosines,
            ),
        ),
        Mistake(
            message="The softmax sees bare cosines. It must see the logits, s times cosine.",
            answer=_by_parts(
                scaled=lambda cosines, log_scale: cosines,
                factor=lambda cosines, log_scale: log_scale.exp() * cosines,
            ),
        ),
    ),
    hints=(
        "Chapter 02: the gradient of a row's cross-entropy for its logits is p − y. How does logit = s · cos change "
        "with log s?",
        "d logit / d log s = s · cos = the logit itself. So a row gives Σⱼ (pⱼ − yⱼ) · logitⱼ.",
        "`((logits.softmax(1) - eye) * logits).sum() / N` for the rows, the same with softmax(0) for the columns; "
        "return their mean.",
    ),
)

EXERCISES = (
    SIMILARITY,
    INFO_NCE,
    TEMPERATURE_GRADIENT,
    RECALL_AT_K,
    PROMPT_ENSEMBLE,
    SIGMOID_LOSS,
    HARD_NEGATIVES,
)
