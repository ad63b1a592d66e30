"""13-lora: correct a frozen linear map by two small matrices beside it."""

from __future__ import annotations

import torch

from mmcourse import adapters
from mmcourse.course.exercise import Case, Exercise, Mistake


def lora(x, weight, a, b, alpha):
    return x @ weight.T + alpha / len(a) * (x @ a.T @ b.T)


def _inputs(samples, channels, outputs, rank, alpha, *, begins=False):
    def inputs(generator):
        shapes = (samples, channels), (outputs, channels), (rank, channels), (outputs, rank)
        x, weight, a, b = (torch.randn(shape, generator=generator) for shape in shapes)
        return x, weight, a, b * (not begins), alpha

    return inputs


def _corrected(*, scale=None, correction=None, joined=None):
    """The same with another scale of (alpha, a), another correction, or joined in another way."""

    def answer(x, weight, a, b, alpha):
        factor = alpha / len(a) if scale is None else scale(alpha, a)
        beside = x @ a.T @ b.T if correction is None else correction(x, a, b)
        frozen = x @ weight.T
        return frozen + factor * beside if joined is None else joined(frozen, beside, factor)

    return answer


def _case(name, *sizes, **options):
    return Case(name=name, inputs=_inputs(*sizes, **options), rtol=1e-4, atol=1e-4)


EXERCISE = Exercise(
    id="13-lora",
    title="Two small matrices",
    goal="correct a frozen linear map by two small matrices beside it",
    stars=2,
    minutes=8,
    points=2,
    reference=lora,
    ready_made=(adapters.low_rank_update, adapters.merged_weight, adapters.LoRALinear.forward),
    cases=(
        _case("six channels in and out, rank 3", 5, 6, 6, 3, 8.0),
        _case("eight channels in, four out, rank 2", 4, 8, 4, 2, 16.0),
        _case("rank 1", 3, 5, 7, 1, 4.0),
        _case("as it begins, with b at zero", 2, 4, 3, 2, 8.0, begins=True),
    ),
    mistakes=(
        Mistake(
            message="The correction is multiplied by alpha. Take alpha / R, so that another rank needs no other alpha.",
            answer=_corrected(scale=lambda alpha, a: alpha),
        ),
        Mistake(
            message="The correction is multiplied by alpha / √R, a later variant. Here it is alpha / R.",
            answer=_corrected(scale=lambda alpha, a: alpha / len(a) ** 0.5),
        ),
        Mistake(
            message="The correction is multiplied by alpha · R. Divide by the rank.",
            answer=_corrected(scale=lambda alpha, a: alpha * len(a)),
        ),
        Mistake(
            message="The correction is multiplied by 1 / R: alpha is missing.",
            answer=_corrected(scale=lambda alpha, a: 1 / len(a)),
        ),
        Mistake(
            message="The scale is missing: the correction is multiplied by alpha / R.",
            answer=_corrected(scale=lambda alpha, a: 1),
        ),
        Mistake(
            message="alpha is divided by the channels of x. Divide it by the rank: how many rows a has.",
            answer=_corrected(scale=lambda alpha, a: alpha / a.shape[1]),
        ),
        Mistake(
            message="The frozen weight is replaced. The correction is added to what it gives.",
            answer=_corrected(joined=lambda frozen, beside, factor: factor * beside),
        ),
        Mistake(
            message="The correction is missing: this is the frozen map alone.",
            answer=_corrected(joined=lambda frozen, beside, factor: frozen),
        ),
        Mistake(
            message="The frozen part is scaled, too. Only the correction is multiplied by alpha / R.",
            answer=_corrected(joined=lambda frozen, beside, factor: factor * (frozen + beside)),
        ),
        Mistake(
            message="Something bends between a and b. The correction is linear: otherwise it could not be merged.",
            answer=_corrected(correction=lambda x, a, b: (x @ a.T).relu() @ b.T),
        ),
        Mistake(
            message="b comes before a. First a takes x to the rank R, then b takes that to the outputs.",
            answer=_corrected(correction=lambda x, a, b: x @ b @ a),
        ),
        Mistake(
            message="The frozen weight is not transposed. It is (O, I), as in `nn.Linear`: x @ weight.T.",
            answer=lambda x, weight, a, b, alpha: x @ weight + alpha / len(a) * (x @ a.T @ b.T),
        ),
    ),
    hints=(
        "The frozen map gives `x @ weight.T`, (N, O).",
        "Beside it `x @ a.T` is (N, R), and that times `b.T` is (N, O) again.",
        "Add the second, times alpha / R, to the first; R is `len(a)`.",
    ),
)
