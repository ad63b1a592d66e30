"""04-fair-scaling: bring features to one size with the statistics of the training rows alone."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def fair_scaling(train, test):
    center = train.mean(dim=0)
    size = (train - center).norm(dim=1).mean()
    return (train - center) / size, (test - center) / size


def _two_tables(rows, more, width):
    def inputs(generator):
        train = 3 * torch.randn(rows, width, generator=generator) + 2 * torch.rand(width, generator=generator)
        return train, 1 + 2 * torch.randn(more, width, generator=generator)

    return inputs


def _scaled(center, size):
    """Both tables scaled by other numbers: center(train, test) first, then size(centered train, train)."""

    def answer(train, test):
        middle = center(train, test)
        length = size(train - middle, train)
        return (train - middle) / length, (test - middle) / length

    return answer


def _length(rows, train=None):
    return rows.norm(dim=1).mean()


EXERCISE = Exercise(
    id="04-fair-scaling",
    title="Scale by what you may know",
    goal="bring features to one size with the statistics of the training rows alone",
    stars=1,
    minutes=5,
    points=1,
    reference=fair_scaling,
    nothing_ready="whose statistics to take is the exercise; mean and std are parts",
    cases=(
        Case(name="eight rows to train on, four to test", inputs=_two_tables(8, 4, 5)),
        Case(name="more features than rows", inputs=_two_tables(6, 10, 20)),
        Case(name="a single row to test", inputs=_two_tables(12, 1, 3)),
    ),
    mistakes=(
        Mistake(
            message="The test rows are scaled by their own statistics. The two tables no longer mean the same, and a "
            "single test row would always become 0. Use the training rows for both.",
            answer=lambda train, test: (fair_scaling(train, train)[0], fair_scaling(test, test)[0]),
        ),
        Mistake(
            message="The statistics come from training and test rows together: a leak. What you report must not know "
            "the test set.",
            answer=_scaled(
                lambda train, test: torch.cat((train, test)).mean(dim=0),
                lambda rows, train: _length(rows),
            ),
        ),
        Mistake(
            message="The statistics come from training and test rows together: a leak. What you report must not know "
            "the test set.",
            answer=lambda train, test: fair_scaling(torch.cat((train, test)), torch.cat((train, test)))[0].split(
                (len(train), len(test))
            ),
        ),
        Mistake(
            message="Nothing is centered. Subtract the mean of the training rows from both tables first.",
            answer=_scaled(lambda train, test: torch.zeros(train.shape[1]), lambda rows, train: _length(rows)),
        ),
        Mistake(
            message="The length is measured before the mean is subtracted. Center first; then measure.",
            answer=_scaled(lambda train, test: train.mean(dim=0), lambda rows, train: _length(train)),
        ),
        Mistake(
            message="Every row is scaled to length 1 by itself. Divide all rows by one number, the mean length of the "
            "centered training rows.",
            answer=lambda train, test: (
                F.normalize(train - train.mean(dim=0), dim=1),
                F.normalize(test - train.mean(dim=0), dim=1),
            ),
        ),
        Mistake(
            message="The mean runs over the features of each row. It runs over the rows: dim=0, one number a feature.",
            answer=lambda train, test: tuple(
                (t - t.mean(dim=1, keepdim=True)) / _length(train - train.mean(dim=1, keepdim=True))
                for t in (train, test)
            ),
        ),
        Mistake(
            message="Each feature is divided by its own standard deviation. With a handful of rows many features never "
            "change, and you divide by 0. Divide by one number.",
            answer=_scaled(lambda train, test: train.mean(dim=0), lambda rows, train: train.std(dim=0)),
        ),
        Mistake(
            message="Both tables are centered, but not scaled. Divide by the mean length of the centered train rows.",
            answer=_scaled(lambda train, test: train.mean(dim=0), lambda rows, train: torch.tensor(1.0)),
        ),
        Mistake(
            message="Only the training rows are scaled. The test rows have to go the same way, with the same numbers.",
            answer=lambda train, test: (fair_scaling(train, test)[0], test),
        ),
    ),
    hints=(
        "`train.mean(dim=0)` has one number a feature; subtract it from both tables.",
        "`(train - center).norm(dim=1).mean()` is one number: how long a centered training row is on average.",
        "Divide both centered tables by that number, and return them as a pair.",
    ),
)
