"""06-gate: a gate that reads both modalities and lets one through."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.fusion import vectors


def gate(image, text, weight):
    z = (torch.cat((image, text), dim=-1) @ weight.T).sigmoid()
    return z * image.tanh() + (1 - z) * text.tanh()


def _gate_inputs(batch, width):
    def inputs(generator):
        image, text = torch.randn(2, batch, width, generator=generator)
        return image, text, torch.randn(width, 2 * width, generator=generator)

    return inputs


def _gated(z):
    """The same with another gate."""
    return lambda i, t, w: torch.lerp(t.tanh(), i.tanh(), z(torch.cat((i, t), dim=-1) @ w.T))


EXERCISE = Exercise(
    id="06-gate",
    title="Who may speak",
    goal="a gate that reads both modalities and lets one through",
    stars=2,
    minutes=10,
    points=2,
    reference=gate,
    ready_made=(
        vectors.GatedFusion.forward,
        vectors.GatedFusion.gate,
    ),
    cases=(
        Case(name="five samples of width 4", inputs=_gate_inputs(5, 4)),
        Case(name="two samples of width 2, where shapes forgive", inputs=_gate_inputs(2, 2)),
        Case(name="a batch of one", inputs=_gate_inputs(1, 8)),
    ),
    mistakes=(
        Mistake(
            message="Picture and sentence are exchanged: z lets the picture through, 1 − z the sentence.",
            answer=lambda i, t, w: _gated(lambda a: 1 - a.sigmoid())(i, t, w),
        ),
        Mistake(
            message="The gate has no sigmoid. It must lie between 0 and 1.",
            answer=_gated(lambda a: a),
        ),
        Mistake(
            message="Both are multiplied by z, so the gate only makes everything louder or softer. The sentence gets "
            "what the picture does not: 1 − z.",
            answer=lambda i, t, w: (torch.cat((i, t), dim=-1) @ w.T).sigmoid() * (i.tanh() + t.tanh()),
        ),
        Mistake(
            message="tanh is missing: image and text are mixed as they are.",
            answer=lambda i, t, w: torch.lerp(t, i, (torch.cat((i, t), dim=-1) @ w.T).sigmoid()),
        ),
        Mistake(
            message="The gate reads the text first. Join them in the order image, text: the columns of the weight "
            "belong to them in this order.",
            answer=lambda i, t, w: torch.lerp(t.tanh(), i.tanh(), (torch.cat((t, i), dim=-1) @ w.T).sigmoid()),
        ),
        Mistake(
            message="The gate reads tanh of both. It reads image and text as they are.",
            answer=lambda i, t, w: torch.lerp(
                t.tanh(), i.tanh(), (torch.cat((i.tanh(), t.tanh()), dim=-1) @ w.T).sigmoid()
            ),
        ),
        Mistake(
            message="A softmax over the channels makes the gates of one sample compete. Each channel decides for "
            "itself: sigmoid.",
            answer=_gated(lambda a: a.softmax(dim=-1)),
        ),
        Mistake(
            message="The gate is rounded to 0 or 1. Then no gradient reaches its weights: keep the sigmoid.",
            answer=_gated(lambda a: (a > 0).to(a.dtype)),
        ),
        Mistake(
            message="tanh runs over the finished mixture. Bend each modality first, then mix.",
            answer=lambda i, t, w: torch.lerp(t, i, (torch.cat((i, t), dim=-1) @ w.T).sigmoid()).tanh(),
        ),
    ),
    hints=(
        "The gate reads both: `torch.cat((image, text), dim=-1)` has shape (B, 2·C).",
        "z = sigmoid(joined @ weight.T), shape (B, C): one gate for each sample and channel.",
        "z · tanh(image) + (1 − z) · tanh(text)",
    ),
)
