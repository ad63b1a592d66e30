"""06-late-fusion: average what two classifiers say, as probabilities."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.fusion import vectors


def late_fusion(image_logits, text_logits, weight):
    return weight * image_logits.softmax(dim=-1) + (1 - weight) * text_logits.softmax(dim=-1)


def _two_opinions(samples, classes, weight):
    def inputs(generator):
        image, text = 3 * torch.randn(2, samples, classes, generator=generator)
        return image, text, weight

    return inputs


EXERCISE = Exercise(
    id="06-late-fusion",
    title="Two opinions",
    goal="average what two classifiers say, as probabilities",
    stars=1,
    minutes=5,
    points=1,
    reference=late_fusion,
    ready_made=(vectors.average_predictions,),
    cases=(
        Case(name="both count one half", inputs=_two_opinions(5, 4, 0.5)),
        Case(name="the picture counts 0.8", inputs=_two_opinions(4, 4, 0.8)),
        Case(name="the sentence alone counts", inputs=_two_opinions(3, 5, 0.0)),
    ),
    mistakes=(
        Mistake(
            message="You average the logits and take softmax after that: a product of opinions, in which one veto "
            "counts. Here the probabilities are averaged: softmax first.",
            answer=lambda i, t, w: (w * i + (1 - w) * t).softmax(dim=-1),
        ),
        Mistake(
            message="You average the logits. The result must be probabilities: softmax of each, then the average.",
            answer=lambda i, t, w: w * i + (1 - w) * t,
        ),
        Mistake(
            message="The softmax runs over the samples (dim=0). The classes of one sample compete: dim=-1.",
            answer=lambda i, t, w: w * i.softmax(dim=0) + (1 - w) * t.softmax(dim=0),
        ),
        Mistake(
            message="The weights are exchanged: `weight` belongs to the picture, 1 − weight to the sentence.",
            answer=lambda i, t, w: late_fusion(t, i, w),
        ),
        Mistake(
            message="The weight is not used: both count one half, whatever was asked for.",
            answer=lambda i, t, w: late_fusion(i, t, 0.5),
        ),
        Mistake(
            message="The probabilities are added up and the rows sum to 2. Weight them so that they sum to 1.",
            answer=lambda i, t, w: i.softmax(dim=-1) + t.softmax(dim=-1),
        ),
        Mistake(
            message="Softmax runs a second time over the averaged probabilities. They are probabilities already.",
            answer=lambda i, t, w: late_fusion(i, t, w).softmax(dim=-1),
        ),
        Mistake(
            message="The probabilities are multiplied. An average adds them.",
            answer=lambda i, t, w: i.softmax(dim=-1) * t.softmax(dim=-1),
        ),
        Mistake(
            message="These are the logarithms of the averaged probabilities. Return the probabilities.",
            answer=lambda i, t, w: late_fusion(i, t, w).log(),
        ),
    ),
    hints=(
        "Each classifier first turns its own logits into probabilities.",
        "`image_logits.softmax(dim=-1)` has rows that sum to 1; so has a weighted average with weights that sum to 1.",
        "weight · (probabilities of the picture) + (1 − weight) · (probabilities of the sentence)",
    ),
)
