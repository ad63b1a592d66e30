"""15-distill: measure how far a student is from its teacher, with both softened.

`soft_loss(student, teacher, temperature)` of logits (B, V) is T² · KL(teacher ‖ student), the mean over samples, in
nats (Hinton et al., 2015, section 2: their cross-entropy less a constant).
"""

from __future__ import annotations

import torch

from mmcourse import deploy
from mmcourse.course.exercise import Case, Exercise, Mistake


def soft_loss(student, teacher, temperature):
    log_p = (teacher / temperature).log_softmax(dim=-1)
    log_q = (student / temperature).log_softmax(dim=-1)
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean()


def _inputs(samples, classes, temperature, *, size=2.0):
    def inputs(generator):
        student, teacher = (size * torch.randn(samples, classes, generator=generator) for _ in range(2))
        return student, teacher, temperature

    return inputs


def _loss(*, softened=None, compared=None, joined=None, factor=None):
    """The same with other logarithms, another comparison, another mean, or another factor than T²."""

    def answer(student, teacher, temperature):
        if softened is None:
            log_p, log_q = ((each / temperature).log_softmax(dim=-1) for each in (teacher, student))
        else:
            log_p, log_q = softened(student, teacher, temperature)
        each = log_p.exp() * (log_p - log_q) if compared is None else compared(log_p, log_q)
        mean = each.sum(dim=-1).mean() if joined is None else joined(each)
        return (temperature**2 if factor is None else factor(temperature)) * mean

    return answer


def _logs(*each):
    return [logits.log_softmax(dim=-1) for logits in each]


def _by_logarithms(student, teacher, temperature):
    p, q = ((each / temperature).softmax(dim=-1) for each in (teacher, student))
    return temperature**2 * (p * (p.log() - q.log())).sum(dim=-1).mean()


def _divided_after(student, teacher, temperature):
    return [(each.softmax(dim=-1) / temperature).log() for each in (teacher, student)]


EXERCISE = Exercise(
    id="15-distill",
    title="Learn from a teacher",
    goal="measure how far a student is from its teacher, with both softened",
    stars=2,
    minutes=8,
    points=2,
    reference=soft_loss,
    ready_made=(deploy.soft_loss, deploy.distillation_loss),
    cases=(
        Case(name="eight samples of five classes, T = 3", inputs=_inputs(8, 5, 3.0), rtol=1e-4),
        Case(name="three samples of 20 classes, T = 5", inputs=_inputs(3, 20, 5.0), rtol=1e-4),
        Case(name="T = 1", inputs=_inputs(6, 4, 1.0), rtol=1e-4),
        Case(name="both are very sure, T = 1.5", inputs=_inputs(6, 4, 1.5, size=200.0), rtol=1e-4),
    ),
    mistakes=(
        Mistake(
            message="The factor T² is missing. Without it a high temperature makes the gradients smaller by T², and "
            "the soft part fades beside the true targets.",
            answer=_loss(factor=lambda t: 1),
        ),
        Mistake(
            message="The factor is T. Logits are divided by T in the loss and once more in its gradient, so it is T².",
            answer=_loss(factor=lambda t: t),
        ),
        Mistake(
            message="The loss is divided by T². The gradients are small enough; the factor T² makes up for that.",
            answer=_loss(factor=lambda t: t**-2),
        ),
        Mistake(
            message="Student and teacher are exchanged: KL(student ‖ teacher). It is the teacher's probabilities that "
            "weigh the differences.",
            answer=lambda student, teacher, temperature: soft_loss(teacher, student, temperature),
        ),
        Mistake(
            message="The difference has the wrong sign: the loss is log p − log q, with the teacher's p first, and "
            "never below 0.",
            answer=_loss(factor=lambda t: -(t**2)),
        ),
        Mistake(
            message="Only the teacher is softened. The student is compared at the same temperature.",
            answer=_loss(softened=lambda student, teacher, t: _logs(teacher / t, student)),
        ),
        Mistake(
            message="Only the student is softened. Divide the teacher's logits by T, too.",
            answer=_loss(softened=lambda student, teacher, t: _logs(teacher, student / t)),
        ),
        Mistake(
            message="Neither is softened. Divide both logits by T before the softmax.",
            answer=_loss(softened=lambda student, teacher, t: _logs(teacher, student)),
        ),
        Mistake(
            message="The logits are multiplied by T, which sharpens. Divide them.",
            answer=_loss(softened=lambda student, teacher, t: _logs(teacher * t, student * t)),
        ),
        Mistake(
            message="The probabilities are divided by T and no longer sum to 1. Divide the logits, before the softmax.",
            answer=_loss(softened=_divided_after),
        ),
        Mistake(
            message="This is the cross-entropy. Its gradients are the same, but it is not 0 where the student agrees: "
            "take the teacher's entropy off, with log p − log q.",
            answer=_loss(compared=lambda log_p, log_q: -log_p.exp() * log_q),
        ),
        Mistake(
            message="The mean is taken over classes, too, as `F.kl_div` does by default. Sum over the classes: its "
            'reduction "batchmean".',
            answer=_loss(joined=lambda each: each.mean()),
        ),
        Mistake(
            message="The samples are added up. Take their mean.",
            answer=_loss(joined=lambda each: each.sum()),
        ),
        Mistake(
            message="The logarithm is taken of the softmax, which is 0 where a model is very sure: 0 · −∞ is no "
            "number. Use `log_softmax`.",
            answer=_by_logarithms,
        ),
    ),
    hints=(
        "Both logits are divided by T before anything else; `log_softmax(dim=-1)` gives log p and log q.",
        "Of each sample take Σ p · (log p − log q), where p = `log_p.exp()` is the teacher's.",
        "Then the mean over the samples, times T².",
    ),
)
