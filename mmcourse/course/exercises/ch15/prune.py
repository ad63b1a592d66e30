"""15-prune: say which weights stay when the smallest of them go.

`magnitude_mask(weight, amount)` is bool of the shape of weight, True where a number stays; `round(amount · N)` of the N
numbers go, and of equal sizes those that come first, row by row.
"""

from __future__ import annotations

import torch

from mmcourse import deploy
from mmcourse.course.exercise import Case, Exercise, Mistake


def magnitude_mask(weight, amount):
    order = weight.abs().flatten().argsort(stable=True)
    keep = torch.ones(weight.numel(), dtype=torch.bool)
    keep[order[: round(amount * weight.numel())]] = False
    return keep.view(weight.shape)


def _inputs(*shape, amount):
    return lambda generator: (torch.randn(shape, generator=generator), amount)


def _ties(*shape, amount):
    """Sizes of 1, 2 and 3 alone, more than enough of each that the border runs through equal ones."""

    def inputs(generator):
        count = torch.Size(shape).numel()
        sizes = (torch.arange(count) % 3 + 1)[torch.randperm(count, generator=generator)]
        signs = torch.randint(2, (count,), generator=generator) * 2 - 1
        return (sizes * signs).float().view(shape), amount

    return inputs


def _by(*, size=None, count=None, result=None):
    """The same with other sizes of weight, another count of (amount, weight), or another result of (weight, mask)."""

    def answer(weight, amount):
        sizes = (weight.abs() if size is None else size(weight)).flatten()
        number = round(amount * len(sizes)) if count is None else count(amount, weight)
        keep = torch.ones(len(sizes), dtype=torch.bool)
        keep[sizes.argsort(stable=True)[:number]] = False
        mask = keep.view(weight.shape)
        return mask if result is None else result(weight, mask)

    return answer


def _last_first(weight, amount):
    return magnitude_mask(weight.flatten().flip(0), amount).flip(0).view(weight.shape)


def _border(weight, amount):
    """The largest size that goes; below all sizes where none does."""
    sizes, count = weight.abs().flatten().sort().values, round(amount * weight.numel())
    return sizes[count - 1] if count else -1.0


def _of_rows(weight, amount):
    return torch.stack([magnitude_mask(row, amount) for row in weight])


EXERCISE = Exercise(
    id="15-prune",
    title="The smallest go",
    goal="say which weights stay when the smallest of them go",
    stars=2,
    minutes=8,
    points=2,
    reference=magnitude_mask,
    ready_made=(deploy.magnitude_mask, deploy.global_masks),
    cases=(
        Case(name="30 % of a weight of six by seven", inputs=_inputs(6, 7, amount=0.3)),
        Case(name="70 % of a convolution", inputs=_inputs(3, 2, 3, 3, amount=0.7)),
        Case(name="half of 36 numbers of three sizes", inputs=_ties(4, 9, amount=0.5)),
        Case(name="nothing goes", inputs=_ties(3, 4, amount=0.0)),
        Case(name="all go", inputs=_inputs(2, 5, amount=1.0)),
    ),
    mistakes=(
        Mistake(
            message="The most negative numbers go, and they may be the most important. Sizes count: `weight.abs()`.",
            answer=_by(size=lambda weight: weight),
        ),
        Mistake(
            message="The mask is turned round: True must stand where a number stays.",
            answer=_by(result=lambda weight, mask: ~mask),
        ),
        Mistake(
            message="The largest go, and the smallest stay. It must be the other way round.",
            answer=_by(size=lambda weight: -weight.abs()),
        ),
        Mistake(
            message="The share `amount` stays. It must go.",
            answer=_by(count=lambda amount, weight: weight.numel() - round(amount * weight.numel())),
        ),
        Mistake(
            message="All numbers of the size at the border go, and more than were asked for. Of equal ones as many go "
            "as the count still allows, the first ones.",
            answer=lambda weight, amount: weight.abs() > _border(weight, amount),
        ),
        Mistake(
            message="All numbers of the size at the border stay, and fewer go than were asked for. Of equal ones the "
            "first go, until the count is reached.",
            answer=lambda weight, amount: weight.abs() >= _border(weight, amount),
        ),
        Mistake(
            message="Of equal sizes the last go. It must be the first ones, as of a stable sort: "
            "`argsort(stable=True)`.",
            answer=_last_first,
        ),
        Mistake(
            message="The share is taken from each row. Compare the numbers of the whole weight.",
            answer=_of_rows,
        ),
        Mistake(
            message="The count is cut off to a whole number. Round it: `round(amount * weight.numel())`.",
            answer=_by(count=lambda amount, weight: int(amount * weight.numel())),
        ),
        Mistake(
            message="The amount is a share of the rows. It is one of all numbers: `weight.numel()`.",
            answer=_by(count=lambda amount, weight: round(amount * len(weight))),
        ),
        Mistake(
            message="amount is compared with the sizes, as a border. It is the share of the numbers that goes.",
            answer=lambda weight, amount: weight.abs() >= amount,
        ),
        Mistake(
            message="This is the pruned weight. Return the mask, bool, which is needed again after every further step.",
            answer=_by(result=lambda weight, mask: weight * mask),
        ),
    ),
    hints=(
        "`weight.abs().flatten().argsort(stable=True)` names the places from the smallest size to the largest.",
        "The first `round(amount * weight.numel())` of them go.",
        "Begin with `torch.ones(weight.numel(), dtype=torch.bool)`, put False at these places, and give it the shape "
        "of the weight with `.view(weight.shape)`.",
    ),
)
