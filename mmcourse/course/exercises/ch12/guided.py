"""12-guided: go further towards a sentence than its own velocity does."""

from __future__ import annotations

import torch

from mmcourse import flow
from mmcourse.course.exercise import Case, Exercise, Mistake


def guided(conditional, unconditional, scale):
    return unconditional + scale * (conditional - unconditional)


def _inputs(*shape, scale=None):
    """Two velocities that agree in part; a scale from 2 to 6 where none is given."""

    def inputs(generator):
        shared = torch.randn(shape, generator=generator)
        conditional, unconditional = (shared + 0.5 * torch.randn(shape, generator=generator) for _ in range(2))
        chance = torch.rand(1, generator=generator).item()
        return conditional, unconditional, 2 + 4 * chance if scale is None else scale

    return inputs


def _as_long_as_asked(conditional, unconditional, scale):
    found = guided(conditional, unconditional, scale).flatten(1)
    lengths = conditional.flatten(1).norm(dim=1, keepdim=True) / found.norm(dim=1, keepdim=True)
    return (found * lengths).view_as(conditional)


EXERCISE = Exercise(
    id="12-guided",
    title="Guidance",
    goal="go further towards a sentence than its own velocity does",
    stars=1,
    minutes=6,
    points=1,
    reference=guided,
    ready_made=(flow.guided,),
    cases=(
        Case(name="five points in the plane", inputs=_inputs(5, 2), atol=1e-5),
        Case(name="two pictures", inputs=_inputs(2, 3, 4, 4), atol=1e-5),
        Case(name="scale 1: the sentence alone", inputs=_inputs(3, 4, scale=1.0), atol=1e-5),
        Case(name="scale 0: no sentence", inputs=_inputs(2, 3, scale=0.0), atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="The two velocities are exchanged: scale 1 must give the conditional one, scale 0 the other.",
            answer=lambda conditional, unconditional, scale: guided(unconditional, conditional, scale),
        ),
        Mistake(
            message="This starts from the conditional velocity: it is the w of the paper, where 0 is the sentence "
            "alone. Here scale = 1 + w, so start from the unconditional one.",
            answer=lambda conditional, unconditional, scale: conditional + scale * (conditional - unconditional),
        ),
        Mistake(
            message="The conditional velocity alone is stretched. Stretch what the sentence adds to the unconditional "
            "one.",
            answer=lambda conditional, unconditional, scale: scale * conditional,
        ),
        Mistake(
            message="This is only what the sentence adds. Add it to the unconditional velocity.",
            answer=lambda conditional, unconditional, scale: scale * (conditional - unconditional),
        ),
        Mistake(
            message="The unconditional velocity is not taken off the conditional one, so it counts twice.",
            answer=lambda conditional, unconditional, scale: unconditional + scale * conditional,
        ),
        Mistake(
            message="The unconditional velocity is taken off once, whatever the scale. Its factor is 1 − scale.",
            answer=lambda conditional, unconditional, scale: scale * conditional - unconditional,
        ),
        Mistake(
            message="This goes away from the sentence. The difference is conditional − unconditional, and it is added.",
            answer=lambda conditional, unconditional, scale: guided(conditional, unconditional, -scale),
        ),
        Mistake(
            message="The scale makes no difference here.",
            answer=lambda conditional, unconditional, scale: conditional.clone(),
        ),
        Mistake(
            message="The scale stops at 1. Guidance goes beyond the conditional velocity where it is larger.",
            answer=lambda conditional, unconditional, scale: guided(conditional, unconditional, min(scale, 1.0)),
        ),
        Mistake(
            message="The result is shortened to the length of the conditional velocity. Leave it as long as it is.",
            answer=_as_long_as_asked,
        ),
        Mistake(
            message="The velocity is clamped to −1 … 1. Only the finished picture has limits; a velocity has none.",
            answer=lambda conditional, unconditional, scale: guided(conditional, unconditional, scale).clamp(-1, 1),
        ),
        Mistake(
            message="This is the mean of both velocities, times the scale. It is their difference that is stretched.",
            answer=lambda conditional, unconditional, scale: scale * (conditional + unconditional) / 2,
        ),
    ),
    hints=(
        "What the sentence adds is the difference of the two velocities.",
        "Start from the unconditional velocity and go `scale` times as far: 0 is no sentence, 1 the sentence alone.",
        "`unconditional + scale * (conditional - unconditional)`.",
    ),
)
