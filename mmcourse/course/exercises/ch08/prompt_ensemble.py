"""08-prompt-ensemble: turn several prompts for each class into one vector for each class."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def prompt_ensemble(features):
    return F.normalize(F.normalize(features, dim=-1).mean(dim=1), dim=-1)


def _prompted(classes, templates, width):
    """Text features before normalization; the templates differ in length as well as in direction."""

    def inputs(generator):
        means = torch.randn(classes, 1, width, generator=generator)
        lengths = 0.2 + 5 * torch.rand(classes, templates, 1, generator=generator) ** 2
        noise = 0.6 * torch.randn(classes, templates, width, generator=generator)
        return (lengths * (means + noise),)

    return inputs


EXERCISE = Exercise(
    id="08-prompt-ensemble",
    title="Several ways to say it",
    goal="turn several prompts for each class into one vector for each class",
    stars=1,
    minutes=8,
    points=2,
    reference=prompt_ensemble,
    nothing_ready="normalize is a part; the order of mean and normalization is the exercise",
    cases=(
        Case(name="four classes, four templates, four channels", inputs=_prompted(4, 4, 4)),
        Case(name="three classes, seven templates", inputs=_prompted(3, 7, 8)),
        Case(name="a single template", inputs=_prompted(5, 1, 6)),
    ),
    mistakes=(
        Mistake(
            message="The mean is taken of features of any length: the longest prompt has the say. Normalize each "
            "prompt before the mean as well.",
            answer=lambda x: F.normalize(x.mean(dim=1), dim=-1),
        ),
        Mistake(
            message="The mean of unit vectors is shorter than 1, and shorter the more they differ: classes whose "
            "prompts disagree would lose. Normalize once more.",
            answer=lambda x: F.normalize(x, dim=-1).mean(dim=1),
        ),
        Mistake(
            message="Nothing is normalized. Bring every prompt to length 1, average, and bring the mean to length 1.",
            answer=lambda x: x.mean(dim=1),
        ),
        Mistake(
            message="The mean runs over the classes. Average over the templates, dim=1.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=0), dim=-1),
        ),
        Mistake(
            message="The mean runs over the channels. Average over the templates, dim=1.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=2), dim=-1),
        ),
        Mistake(
            message="The prompts are normalized along the templates. A feature runs along the last dimension.",
            answer=lambda x: F.normalize(F.normalize(x, dim=1).mean(dim=1), dim=-1),
        ),
        Mistake(
            message="The mean is normalized over the classes. A feature runs along the last dimension.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=1), dim=0),
        ),
        Mistake(
            message="Only the first template is used. Average over all of them.",
            answer=lambda x: F.normalize(x[:, 0], dim=-1),
        ),
        Mistake(
            message="The largest value of each channel is kept. Average over the templates.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).amax(dim=1), dim=-1),
        ),
        Mistake(
            message="All classes are averaged into one vector. Each class needs its own.",
            answer=lambda x: F.normalize(F.normalize(x, dim=-1).mean(dim=(0, 1)), dim=-1),
        ),
    ),
    hints=(
        "Only directions mean something here. Bring every prompt to length 1 before you average.",
        "The mean of vectors of length 1 is shorter than 1. What has to happen to it?",
        "`F.normalize(F.normalize(features, dim=-1).mean(dim=1), dim=-1)`.",
    ),
)
