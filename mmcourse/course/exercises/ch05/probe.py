"""05-probe: ask a layer what it knows."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def probe_accuracy(x, y, new_x, new_y, classes):
    return _probe(x, y, new_x, new_y, classes)


def _with_one(x):
    return torch.cat([x, torch.ones(len(x), 1)], dim=1)


def _guesses(x, y, new_x, classes, *, constant=True, pick=torch.argmax):
    x, new_x = (_with_one(x), _with_one(new_x)) if constant else (x, new_x)
    weights = torch.linalg.lstsq(x, F.one_hot(y, classes).float()).solution
    return pick(new_x @ weights, dim=1)


def _probe(x, y, new_x, new_y, classes, **options):
    return (_guesses(x, y, new_x, classes, **options) == new_y).float().mean()


def _on_the_number(x, y, new_x, new_y, classes):
    weights = torch.linalg.lstsq(_with_one(x), y[:, None].float()).solution
    return ((_with_one(new_x) @ weights).squeeze(1).round() == new_y).float().mean()


def _clusters(samples, unseen, width, classes):
    """Noisy clusters far from zero, so that the constant and the unseen samples matter."""

    def inputs(generator):
        centers = torch.randn(classes, width, generator=generator)
        y, new_y = (torch.randint(classes, (count,), generator=generator) for count in (samples, unseen))
        x, new_x = (
            centers[labels] + 2.0 + torch.randn(len(labels), width, generator=generator) for labels in (y, new_y)
        )
        return x, y, new_x, new_y, classes

    return inputs


EXERCISE = Exercise(
    id="05-probe",
    title="A linear probe",
    goal="ask a layer what it knows",
    stars=3,
    minutes=15,
    points=3,
    reference=probe_accuracy,
    nothing_ready="lstsq is a part; no function of the library fits a probe",
    cases=(
        Case(name="three classes, 60 to fit, 203 unseen", inputs=_clusters(60, 203, 4, 3)),
        Case(name="five classes, 80 to fit, 307 unseen", inputs=_clusters(80, 307, 6, 5)),
        Case(name="two classes, 30 to fit, 211 unseen", inputs=_clusters(30, 211, 3, 2)),
    ),
    mistakes=(
        Mistake(
            message="This is the accuracy on the samples that the probe was fitted to. Ask the unseen ones.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, x, y, classes),
        ),
        Mistake(
            message="The probe was fitted to the unseen samples. It must not see them before it is asked.",
            answer=lambda x, y, new_x, new_y, classes: _probe(new_x, new_y, new_x, new_y, classes),
        ),
        Mistake(
            message="The constant 1 is missing, so every plane must go through zero. Put a column of ones beside the "
            "features, of both sets.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, new_x, new_y, classes, constant=False),
        ),
        Mistake(
            message="The probe predicts the class *number* and rounds. Class 2 is not twice class 1: fit one-hot "
            "targets and take the largest.",
            answer=_on_the_number,
        ),
        Mistake(
            message="This is the share of wrong answers.",
            answer=lambda x, y, new_x, new_y, classes: 1 - _probe(x, y, new_x, new_y, classes),
        ),
        Mistake(
            message="This is the number of right answers. Divide by how many were asked.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, new_x, new_y, classes) * len(new_y),
        ),
        Mistake(
            message="The smallest score is taken. The class with the largest score is the guess.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, new_x, new_y, classes, pick=torch.argmin),
        ),
        Mistake(
            message="Each set was centered by its own mean. The unseen samples must be moved by the mean of those that "
            "the probe was fitted to.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x - x.mean(0), y, new_x - new_x.mean(0), new_y, classes),
        ),
    ),
    hints=(
        "`torch.cat([x, torch.ones(len(x), 1)], dim=1)` puts the constant beside the features.",
        "`torch.linalg.lstsq(X, F.one_hot(y, classes).float()).solution` is the weight matrix.",
        "The guess is the argmax of `New @ weights` over the classes; the accuracy is the mean of guess == new_y.",
    ),
)
