"""08-sigmoid-loss: ask of every picture and every text whether they belong together."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse import losses
from mmcourse.course.exercise import Case, Exercise, Mistake


def sigmoid_loss(cosines, scale, bias):
    logits = scale * cosines + bias
    signs = 2 * torch.eye(len(cosines)) - 1
    return -F.logsigmoid(signs * logits).sum() / len(cosines)


def _asked(count, scale, bias):
    def inputs(generator):
        cosines = 2 * torch.rand(count, count, generator=generator) - 1
        return (cosines + 0.4 * torch.eye(count)).clamp(-1, 1), scale, bias

    return inputs


def _yes_or_no(*, logits=None, signs=None, each=None, end=None):
    """The sigmoid loss with other logits, signs, loss of an entry, or summary."""

    def answer(cosines, scale, bias):
        found = scale * cosines + bias if logits is None else logits(cosines, scale, bias)
        eye = torch.eye(len(cosines))
        signed = (2 * eye - 1 if signs is None else signs(eye)) * found
        losses = -F.logsigmoid(signed) if each is None else each(signed)
        return losses.sum() / len(cosines) if end is None else end(losses, eye)

    return answer


EXERCISE = Exercise(
    id="08-sigmoid-loss",
    title="Yes or no, N² times",
    goal="ask of every picture and every text whether they belong together",
    stars=2,
    minutes=10,
    points=2,
    reference=sigmoid_loss,
    ready_made=(losses.sigmoid_loss,),
    cases=(
        Case(name="four pairs at the usual start", inputs=_asked(4, 10.0, -10.0)),
        Case(name="six pairs, a gentle scale", inputs=_asked(6, 2.0, -1.0)),
        Case(name="scale 500: nothing becomes infinite", inputs=_asked(5, 500.0, -20.0)),
    ),
    mistakes=(
        Mistake(
            message="This is the mean over all N² questions. The loss is their sum for one picture: divide by N.",
            answer=_yes_or_no(end=lambda losses, eye: losses.mean()),
        ),
        Mistake(
            message="This is the sum over all questions. Divide it by N, the number of pictures.",
            answer=_yes_or_no(end=lambda losses, eye: losses.sum()),
        ),
        Mistake(
            message="The bias is missing. It keeps the many “no” from ruling at the start.",
            answer=_yes_or_no(logits=lambda c, scale, bias: scale * c),
        ),
        Mistake(
            message="The bias is subtracted. It is negative already: add it.",
            answer=_yes_or_no(logits=lambda c, scale, bias: scale * c - bias),
        ),
        Mistake(
            message="The bias is multiplied by the scale. It is added after the scaling.",
            answer=_yes_or_no(logits=lambda c, scale, bias: scale * (c + bias)),
        ),
        Mistake(
            message="The cosines are divided by the scale. Scale is 1 / temperature: multiply by it.",
            answer=_yes_or_no(logits=lambda c, scale, bias: c / scale + bias),
        ),
        Mistake(
            message="All answers are taken to be yes. Off the diagonal the right answer is no: the sign is −1 there.",
            answer=_yes_or_no(signs=torch.ones_like),
        ),
        Mistake(
            message="The signs are turned round: +1 on the diagonal, −1 elsewhere.",
            answer=_yes_or_no(signs=lambda eye: 1 - 2 * eye),
        ),
        Mistake(
            message="Only the right pairs are asked. Without the “no” answers, saying yes to everything is best.",
            answer=_yes_or_no(end=lambda losses, eye: (losses * eye).sum() / len(losses)),
        ),
        Mistake(
            message="Only the wrong pairs are asked. The diagonal asks as well.",
            answer=_yes_or_no(end=lambda losses, eye: (losses * (1 - eye)).sum() / len(losses)),
        ),
        Mistake(
            message="The sign is 0 off the diagonal, which makes each “no” a constant log 2. It must be −1.",
            answer=_yes_or_no(signs=lambda eye: eye),
        ),
        Mistake(
            message="This is one minus the probability. Take minus the logarithm of the probability.",
            answer=_yes_or_no(each=lambda signed: 1 - signed.sigmoid()),
        ),
        Mistake(
            message="The sigmoid becomes exactly 0 for a large wrong logit, and its logarithm infinite. Use "
            "F.logsigmoid.",
            answer=_yes_or_no(each=lambda signed: -signed.sigmoid().log()),
        ),
    ),
    hints=(
        "A logit is scale · cosine + bias. The probability of yes is σ(logit), that of no is σ(−logit).",
        "`signs = 2 * torch.eye(N) - 1` is +1 on the diagonal and −1 elsewhere.",
        "`-F.logsigmoid(signs * logits).sum() / N`.",
    ),
)
