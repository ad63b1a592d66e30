"""12-guided: lead a velocity away from what comes anyway, towards what was asked for."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def exaggerate(conditional, unconditional, scale):
    return unconditional + scale * (conditional - unconditional)


def _inputs(scale, *shape):
    def inputs(generator):
        return *torch.randn(2, *shape, generator=generator), scale

    return inputs


def _any_scale(generator):
    return *torch.randn(2, 5, 2, generator=generator), 1.5 + 4 * torch.rand(1, generator=generator).item()


EXERCISE = Exercise(
    id="12-guided",
    title="Guidance",
    goal="lead a velocity away from what comes anyway, towards what was asked for",
    stars=1,
    minutes=6,
    points=1,
    reference=exaggerate,
    nothing_ready="the library guides functions, not velocities",
    cases=(
        Case(name="scale 3, five places", inputs=_inputs(3.0, 5, 2)),
        Case(name="scale 1 is the condition alone", inputs=_inputs(1.0, 4, 2)),
        Case(name="scale 0 ignores the condition", inputs=_inputs(0.0, 4, 2)),
        Case(name="any scale", inputs=_any_scale),
        Case(name="pictures", inputs=_inputs(2.0, 2, 3, 4, 4)),
    ),
    mistakes=(
        Mistake(
            message="The two velocities are exchanged: this leads away from what was asked for.",
            answer=lambda conditional, unconditional, scale: conditional + scale * (unconditional - conditional),
        ),
        Mistake(
            message="The step starts at the conditional velocity, so scale 1 is too far. Start at the unconditional "
            "one. (In the paper's notation with w, scale = 1 + w.)",
            answer=lambda conditional, unconditional, scale: conditional + scale * (conditional - unconditional),
        ),
        Mistake(
            message="The difference has the wrong sign.",
            answer=lambda conditional, unconditional, scale: unconditional - scale * (conditional - unconditional),
        ),
        Mistake(
            message="Only the conditional velocity is scaled, so the pictures overshoot. Scale the difference.",
            answer=lambda conditional, unconditional, scale: scale * conditional,
        ),
        Mistake(
            message="Only the difference is left. Add it to the unconditional velocity.",
            answer=lambda conditional, unconditional, scale: scale * (conditional - unconditional),
        ),
        Mistake(
            message="The shares add up to more than 1: the unconditional velocity has the share 1 − scale.",
            answer=lambda conditional, unconditional, scale: unconditional + scale * conditional,
        ),
        Mistake(
            message="The scale is taken at most as 1. Beyond 1 guidance begins.",
            answer=lambda conditional, unconditional, scale: torch.lerp(unconditional, conditional, min(scale, 1.0)),
        ),
        Mistake(
            message="The result is divided by the scale. A velocity has to keep its length.",
            answer=lambda conditional, unconditional, scale: (
                (unconditional + scale * (conditional - unconditional)) / max(scale, 1.0)
            ),
        ),
        Mistake(
            message="The scale has no effect.",
            answer=lambda conditional, unconditional, scale: conditional,
        ),
        Mistake(
            message="This is the mean of the two, whatever the scale.",
            answer=lambda conditional, unconditional, scale: (conditional + unconditional) / 2,
        ),
    ),
    hints=(
        "Begin with the unconditional velocity and add something that is 0 where the condition changes nothing.",
        "What the condition changes is `conditional - unconditional`.",
        "`unconditional + scale * (conditional - unconditional)`; with scale 1 the unconditional one cancels.",
    ),
)
