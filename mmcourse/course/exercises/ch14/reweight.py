"""14-reweight: weigh samples so that rare combinations of thing and background count like common ones.

A baseline that is hard to beat against shortcuts: Idrissi et al., "Simple data balancing achieves competitive
worst-group-accuracy" (2022).
"""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def group_weights(labels, backgrounds):
    _, group, counts = torch.stack((labels, backgrounds)).unique(dim=1, return_inverse=True, return_counts=True)
    return len(labels) / (len(counts) * counts[group])


def _inputs(samples, labels, backgrounds, *, missing=None):
    """Backgrounds that mostly go with their labels; all combinations are there but the one that is missing."""

    def inputs(generator):
        every = torch.cartesian_prod(torch.arange(labels), torch.arange(backgrounds))
        label = torch.randint(labels, (samples,), generator=generator)
        chance = torch.randint(backgrounds, (samples,), generator=generator)
        alike = torch.rand(samples, generator=generator) < 0.7
        pairs = torch.stack((label, torch.where(alike, label % backgrounds, chance)), dim=1)
        pairs = torch.cat((pairs, every))
        if missing is not None:
            pairs = pairs[(pairs != torch.tensor(missing)).any(dim=1)]
        pairs = pairs[torch.randperm(len(pairs), generator=generator)]
        return pairs[:, 0], pairs[:, 1]

    return inputs


def _groups(labels, backgrounds):
    """For each sample how many are in its group, and how many groups there are."""
    _, group, counts = torch.stack((labels, backgrounds)).unique(dim=1, return_inverse=True, return_counts=True)
    return counts[group].double(), len(counts)


def _weighed(weights):
    """An answer made of n (N,), how many are in the group of each sample, and the number of groups."""
    return lambda labels, backgrounds: weights(*_groups(labels, backgrounds))


def _balanced(one):
    """The weights by one property alone."""
    return group_weights(one, torch.zeros_like(one))


def _mean_one(weights):
    return weights / weights.mean()


def _grid(labels, backgrounds):
    """Counts the combinations that nobody has as groups."""
    size, _ = _groups(labels, backgrounds)
    return len(size) / ((labels.max() + 1) * (backgrounds.max() + 1) * size)


def _of_groups(labels, backgrounds):
    _, counts = torch.stack((labels, backgrounds)).unique(dim=1, return_counts=True)
    return len(labels) / (len(counts) * counts)


EXERCISE = Exercise(
    id="14-reweight",
    title="Rare combinations count",
    goal="weigh samples so that rare combinations of thing and background count like common ones",
    stars=2,
    minutes=8,
    points=2,
    reference=group_weights,
    nothing_ready="unique and bincount are parts; no function of the library weighs groups",
    cases=(
        Case(name="two labels, two backgrounds", inputs=_inputs(40, 2, 2)),
        Case(name="three labels, four backgrounds", inputs=_inputs(60, 3, 4)),
        Case(name="a combination that nobody has", inputs=_inputs(30, 3, 3, missing=(1, 2))),
        Case(name="one group alone", inputs=_inputs(5, 1, 1)),
    ),
    mistakes=(
        Mistake(
            message="Only labels are balanced. A group is a label together with a background.",
            answer=lambda labels, backgrounds: _balanced(labels),
        ),
        Mistake(
            message="Only backgrounds are balanced. A group is a label together with a background.",
            answer=lambda labels, backgrounds: _balanced(backgrounds),
        ),
        Mistake(
            message="Labels and backgrounds are balanced apart from each other, and multiplied. Count the samples of "
            "each combination instead.",
            answer=lambda labels, backgrounds: _balanced(labels) * _balanced(backgrounds),
        ),
        Mistake(
            message="Labels and backgrounds are balanced apart from each other, multiplied, and brought to a mean of 1."
            " Count the samples of each combination instead.",
            answer=lambda labels, backgrounds: _mean_one(_balanced(labels) * _balanced(backgrounds)),
        ),
        Mistake(
            message="The sum of both numbers stands for the group, so (0, 1) and (1, 0) are one. Keep them apart.",
            answer=lambda labels, backgrounds: _balanced(labels + backgrounds),
        ),
        Mistake(
            message="The weights are 1 / n, so their mean is not 1. Multiply by N / G.",
            answer=_weighed(lambda size, groups: 1 / size),
        ),
        Mistake(
            message="The weights are N / n, so their mean is the number of groups. Divide by it.",
            answer=_weighed(lambda size, groups: len(size) / size),
        ),
        Mistake(
            message="The weights sum to 1. Let their mean be 1, so that the loss stays as large as it was.",
            answer=_weighed(lambda size, groups: 1 / (groups * size)),
        ),
        Mistake(
            message="Combinations that nobody has are counted as groups, so the mean of the weights is not 1.",
            answer=_grid,
        ),
        Mistake(
            message="The weights grow with the group, so what is common counts even more. Divide by its size.",
            answer=_weighed(lambda size, groups: _mean_one(size)),
        ),
        Mistake(
            message="The root of the size is taken, so large groups still count more. Divide by the size itself.",
            answer=_weighed(lambda size, groups: _mean_one(size.rsqrt())),
        ),
        Mistake(
            message="A weight is 1 minus the share of the group, brought to a mean of 1: no group counts like another. "
            "Divide by the size.",
            answer=_weighed(lambda size, groups: _mean_one(1 - size / len(size))),
        ),
        Mistake(
            message="There is one weight for each group. Give every sample that of its group: (N,).",
            answer=_of_groups,
        ),
    ),
    hints=(
        "How many samples have the same label and the same background as this one? That is n.",
        "`torch.stack((labels, backgrounds)).unique(dim=1, return_inverse=True, return_counts=True)` gives the groups, "
        "which of them each sample is in, and their sizes.",
        "A weight is N / (G · n) with N samples and G groups: each group then has the sum N / G.",
    ),
)
