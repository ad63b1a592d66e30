"""06-film: let one modality scale and shift the features of the other."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.fusion import vectors


def film(x, text, weight_scale, weight_shift):
    return (1 + text @ weight_scale.T) * x + text @ weight_shift.T


def _film_inputs(batch, width, text, *, zero=False):
    def inputs(generator):
        x, y = torch.randn(batch, width, generator=generator), torch.randn(batch, text, generator=generator)
        scale, shift = torch.randn(2, width, text, generator=generator)
        return x, y, scale * (not zero), shift * (not zero)

    return inputs


EXERCISE = Exercise(
    id="06-film",
    title="The sentence turns the knobs",
    goal="let one modality scale and shift the features of the other",
    stars=2,
    minutes=10,
    points=2,
    reference=film,
    ready_made=(vectors.film,),
    cases=(
        Case(name="four samples", inputs=_film_inputs(4, 6, 3), atol=1e-5),
        Case(name="as many words as features, where shapes forgive", inputs=_film_inputs(5, 4, 4), atol=1e-5),
        Case(name="with weights of zero the picture passes unchanged", inputs=_film_inputs(3, 5, 2, zero=True)),
    ),
    mistakes=(
        Mistake(
            message="The 1 is missing: with a scale of 0 your picture vanishes. (1 + scale) · x lets it pass at the "
            "start.",
            answer=lambda x, t, a, b: (t @ a.T) * x + t @ b.T,
        ),
        Mistake(
            message="The shift is multiplied, too. Scale the picture first, then add the shift.",
            answer=lambda x, t, a, b: (1 + t @ a.T) * (x + t @ b.T),
        ),
        Mistake(
            message="The shift is missing: add text @ weight_shift.T.",
            answer=lambda x, t, a, b: (1 + t @ a.T) * x,
        ),
        Mistake(
            message="You add the scale instead of multiplying by it. A sum of both modalities is late fusion again.",
            answer=lambda x, t, a, b: x + t @ a.T + t @ b.T,
        ),
        Mistake(
            message="Scale and shift are exchanged.",
            answer=lambda x, t, a, b: film(x, t, b, a),
        ),
        Mistake(
            message="The 1 is added to the shift. It belongs to the scale: (1 + scale) · x + shift.",
            answer=lambda x, t, a, b: (t @ a.T) * x + (1 + t @ b.T),
        ),
        Mistake(
            message="The weights are not transposed: `text @ weight_scale.T` takes (B, T) to (B, C).",
            answer=lambda x, t, a, b: (1 + t @ a) * x + t @ b,
        ),
        Mistake(
            message="The scale went through a sigmoid. Then a feature can be turned down and never up or around; FiLM "
            "leaves the scale free.",
            answer=lambda x, t, a, b: (1 + (t @ a.T).sigmoid()) * x + t @ b.T,
        ),
    ),
    hints=(
        "First compute scale and shift, both of shape (B, C), from the text.",
        "`scale = text @ weight_scale.T`, and the same for the shift.",
        "(1 + scale) · x + shift, elementwise.",
    ),
)
