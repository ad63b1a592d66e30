"""06-modality-dropout: take one modality away in training, never both."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.fusion import views


def drop_modalities(image, text, share, draw):
    image = image * (draw >= share)[:, None]
    return image, text * (draw < 1 - share)[:, None]


def _drop_inputs(share, batch, image=4, text=3):
    def inputs(generator):
        pair = torch.randn(batch, image, generator=generator), torch.randn(batch, text, generator=generator)
        draw = torch.rand(batch, generator=generator)
        if share:
            draw[:2] = torch.tensor([share, 1 - share])  # the text says what becomes of these two
        return *pair, share, draw

    return inputs


def _both(answer, *inputs):
    image, text = answer(*inputs)
    return image, text


EXERCISE = Exercise(
    id="06-modality-dropout",
    title="Practice for the day a camera fails",
    goal="take one modality away in training, never both",
    stars=3,
    minutes=15,
    points=3,
    reference=drop_modalities,
    ready_made=(views.ModalityDropout.forward,),
    cases=(
        Case(name="a quarter loses its picture, another its sentence", inputs=_drop_inputs(0.25, 40), probe=_both),
        Case(name="half and half: every sample loses one", inputs=_drop_inputs(0.5, 30), probe=_both),
        Case(name="share 0 changes nothing", inputs=_drop_inputs(0.0, 6), probe=_both),
    ),
    mistakes=(
        Mistake(
            message="Some samples lose both. Both decisions use the same end of the draw: let the picture go where "
            "draw < share and the sentence where draw ≥ 1 − share.",
            answer=lambda i, t, s, d: (i * (d >= s)[:, None], t * (d >= s)[:, None]),
        ),
        Mistake(
            message="What is left is scaled by 1 / (1 − share), as in ordinary dropout. There thousands of numbers "
            "replace each other; here a whole view is missing, at test time as well. Leave the other as it is.",
            answer=lambda i, t, s, d: (i * (d >= s)[:, None] / (1 - s), t * (d < 1 - s)[:, None] / (1 - s)),
        ),
        Mistake(
            message="Picture and sentence are exchanged: small draws take the picture, large ones the sentence.",
            answer=lambda i, t, s, d: (i * (d < 1 - s)[:, None], t * (d >= s)[:, None]),
        ),
        Mistake(
            message="Picture and sentence are exchanged: small draws take the picture, large ones the sentence.",
            answer=lambda i, t, s, d: drop_modalities(i, t, s, 1 - d),
        ),
        Mistake(
            message="The masks are turned around: this keeps what should go.",
            answer=lambda i, t, s, d: (i * (d < s)[:, None], t * (d >= 1 - s)[:, None]),
        ),
        Mistake(
            message="Only pictures are taken away. The model must learn to do without sentences, too.",
            answer=lambda i, t, s, d: (i * (d >= s)[:, None], t),
        ),
        Mistake(
            message="Single numbers are dropped, as in ordinary dropout. Here the whole vector of a modality goes.",
            answer=lambda i, t, s, d: (
                torch.nn.functional.dropout(i, s),
                torch.nn.functional.dropout(t, s),
            ),
        ),
        Mistake(
            message="The whole batch loses its picture or its sentence together. Decide for each sample.",
            answer=lambda i, t, s, d: (i * bool(d[0] >= s), t * bool(d[0] < 1 - s)),
        ),
        Mistake(
            message="Every sample that loses anything loses its picture. Half of them should lose the sentence.",
            answer=lambda i, t, s, d: (i * (d >= 2 * s)[:, None], t),
        ),
    ),
    hints=(
        "One draw between 0 and 1 decides for each sample. Use its two ends: they never meet while share is at most ½.",
        "`(draw >= share)` is a mask (B,) of the pictures that stay; `[:, None]` lets it meet (B, C).",
        "image · (draw ≥ share) and text · (draw < 1 − share), nothing else.",
    ),
)
