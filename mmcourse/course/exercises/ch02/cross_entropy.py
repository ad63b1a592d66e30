"""02-cross-entropy: the whole formula, stable, with the right sum and the right mean."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse import losses
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import logits_and_targets
from mmcourse.course.exercises.variants import picked


def mean_cross_entropy(logits, targets):
    return (torch.logsumexp(logits, dim=1) - picked(logits, targets)).mean()


def _sure_and_wrong(generator):
    """Every sample is sure of another class than its target: the probability of the target is 0 in float32."""
    targets = torch.randint(4, (5,), generator=generator)
    logits = torch.randn(5, 4, generator=generator) + 300 * F.one_hot((targets + 1) % 4, 4)
    return logits, targets


EXERCISE = Exercise(
    id="02-cross-entropy",
    title="Cross-entropy from logits",
    goal="the whole formula, stable, with the right sum and the right mean",
    stars=2,
    minutes=10,
    points=2,
    reference=mean_cross_entropy,
    ready_made=(
        F.cross_entropy,
        losses.cross_entropy,
    ),
    cases=(
        Case(name="six samples, five classes", inputs=logits_and_targets(6, 5)),
        Case(name="logits near 200, where exp overflows", inputs=logits_and_targets(6, 5, shift=200.0)),
        Case(
            name="sure and wrong: the right class has probability 0 in float32",
            inputs=_sure_and_wrong,
        ),
    ),
    mistakes=(
        Mistake(
            message="This takes the logarithm of a finished softmax. A probability below 1e-45 is 0 by then, and its "
            "logarithm −∞. Use logits: −log p = logsumexp(z) − z_target.",
            answer=lambda z, t: -picked(z.softmax(dim=1), t).log().mean(),
        ),
        Mistake(
            message="This is the plain formula, in which exp overflows. Use logits: −log p = logsumexp(z) − z_target, "
            "with a stable log-sum-exp.",
            answer=lambda z, t: -(picked(z.exp(), t) / z.exp().sum(dim=1)).log().mean(),
        ),
        Mistake(
            message="A small number is added before the logarithm. It hides the −∞ and bends every loss: nothing can "
            "cost more than −log of it. Use logits: −log p = logsumexp(z) − z_target.",
            answer=lambda z, t: -(picked(z.softmax(dim=1), t) + 1e-9).log().mean(),
        ),
        Mistake(
            message="This is the sum over the samples. The formula takes their mean: divide by N.",
            answer=lambda z, t: F.cross_entropy(z, t, reduction="sum"),
        ),
        Mistake(
            message="This is a mean over classes, too: the result is V times too small. Sum over classes, mean over "
            "samples.",
            answer=lambda z, t: F.cross_entropy(z, t) / z.shape[1],
        ),
        Mistake(
            message="Softmax runs twice: probabilities are treated as logits. Its floor is log(e + V − 1) − 1, so it "
            "can never reach 0.",
            answer=lambda z, t: F.cross_entropy(z.softmax(dim=1), t),
        ),
        Mistake(
            message="The softmax runs over the samples (dim=0). The classes of one sample compete: dim=1.",
            answer=lambda z, t: -picked(z.log_softmax(dim=0), t).mean(),
        ),
        Mistake(
            message="The logit itself is taken as the log-probability: softmax is missing. Subtract the log-sum-exp of "
            "the row.",
            answer=lambda z, t: -picked(z, t).mean(),
        ),
        Mistake(
            message="The sign is turned around: the loss is logsumexp(z) − z_target, which is never negative.",
            answer=lambda z, t: -F.cross_entropy(z, t),
        ),
        Mistake(
            message="The logarithm is missing: this is minus the probability of the target.",
            answer=lambda z, t: -picked(z.softmax(dim=1), t).mean(),
        ),
        Mistake(
            message="The log-probabilities of all classes are added up. Only the target's term counts, because y is 0 "
            "elsewhere.",
            answer=lambda z, t: -z.log_softmax(dim=1).sum(dim=1).mean(),
        ),
    ),
    hints=(
        "Section 4 has it without probabilities: −log p of the target is logsumexp(z) minus the logit of the target.",
        "`torch.logsumexp(logits, dim=1)` has shape (N,).",
        "`logits[torch.arange(len(targets)), targets]` picks the logit of each target; then take the mean of the "
        "differences.",
    ),
)
