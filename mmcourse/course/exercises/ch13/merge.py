"""13-merge: put a correction into the weight, so that it costs nothing any more."""

from __future__ import annotations

import torch

from mmcourse import adapters
from mmcourse.course.exercise import Case, Exercise, Mistake


def merge(weight, a, b, alpha):
    return weight + alpha / len(a) * (b @ a)


def _inputs(channels, outputs, rank, alpha, *, begins=False):
    def inputs(generator):
        shapes = (outputs, channels), (rank, channels), (outputs, rank)
        weight, a, b = (torch.randn(shape, generator=generator) for shape in shapes)
        return weight, a, b * (not begins), alpha

    return inputs


def _merged(*, scale=None, correction=None, joined=None):
    """The same with another scale of (alpha, a), another correction, or joined in another way."""

    def answer(weight, a, b, alpha):
        factor = alpha / len(a) if scale is None else scale(alpha, a)
        beside = b @ a if correction is None else correction(a, b)
        return weight + factor * beside if joined is None else joined(weight, beside, factor)

    return answer


def _in_place(weight, beside, factor):
    weight += factor * beside
    return weight


# alpha / R is a power of 2 in all of them: whatever is multiplied first, a weight changed in place has the same bits
# as the mistake that does it, and is called by its name.
def _case(name, *sizes, **options):
    return Case(name=name, inputs=_inputs(*sizes, **options), rtol=1e-4, atol=1e-5)


EXERCISE = Exercise(
    id="13-merge",
    title="One weight again",
    goal="put a correction into the weight, so that it costs nothing any more",
    stars=1,
    minutes=6,
    points=1,
    reference=merge,
    ready_made=(adapters.merged_weight, adapters.LoRALinear.merge),
    cases=(
        _case("five channels in and out, rank 3", 5, 5, 3, 6.0),
        _case("seven channels in, four out, rank 2", 7, 4, 2, 16.0),
        _case("rank 1", 3, 6, 1, 4.0),
        _case("as it begins, with b at zero", 4, 3, 2, 8.0, begins=True),
    ),
    mistakes=(
        Mistake(
            message="The given weight is changed, so nothing can bring it back. Make a new one: `weight + …`.",
            answer=_merged(joined=_in_place),
        ),
        Mistake(
            message="The correction is multiplied by alpha. Take alpha / R, as beside the weight.",
            answer=_merged(scale=lambda alpha, a: alpha),
        ),
        Mistake(
            message="The correction is multiplied by alpha / √R. Here it is alpha / R.",
            answer=_merged(scale=lambda alpha, a: alpha / len(a) ** 0.5),
        ),
        Mistake(
            message="The correction is multiplied by alpha · R. Divide by the rank.",
            answer=_merged(scale=lambda alpha, a: alpha * len(a)),
        ),
        Mistake(
            message="The correction is multiplied by 1 / R: alpha is missing.",
            answer=_merged(scale=lambda alpha, a: 1 / len(a)),
        ),
        Mistake(
            message="The scale is missing: the correction is multiplied by alpha / R.",
            answer=_merged(scale=lambda alpha, a: 1),
        ),
        Mistake(
            message="alpha is divided by the channels in. Divide it by the rank: how many rows a has.",
            answer=_merged(scale=lambda alpha, a: alpha / a.shape[1]),
        ),
        Mistake(
            message="The correction is taken away: that is how a merged weight is unmerged.",
            answer=_merged(joined=lambda weight, beside, factor: weight - factor * beside),
        ),
        Mistake(
            message="This is the correction alone. Add it to the weight.",
            answer=_merged(joined=lambda weight, beside, factor: factor * beside),
        ),
        Mistake(
            message="The weight is scaled, too. Only the correction is multiplied by alpha / R.",
            answer=_merged(joined=lambda weight, beside, factor: factor * (weight + beside)),
        ),
        Mistake(
            message="The correction is transposed. A weight is (O, I), and so is b @ a.",
            answer=_merged(correction=lambda a, b: a.T @ b.T),
        ),
    ),
    hints=(
        "x·aᵀ·bᵀ is x·(b·a)ᵀ: both small matrices together act like one weight, `b @ a`, (O, I).",
        "It is multiplied by alpha / R, and R is `len(a)`.",
        "`weight + …` makes a new tensor; `weight += …` would spoil the one that was given.",
    ),
)
