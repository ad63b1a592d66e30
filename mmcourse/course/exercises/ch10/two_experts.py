"""10-two-experts: train the one that looks on what the one that only reads cannot explain."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def two_experts_loss(logits, prior, answers, floor):
    return F.cross_entropy(logits + prior.clamp(min=floor).log(), answers)


def _questions(count, answers, floor, sure=3.0, zeros=False):
    def inputs(generator):
        prior = (sure * torch.randn(count, answers, generator=generator)).softmax(dim=1)
        if zeros:
            prior[:, 0] = 0.0
            prior = prior / prior.sum(dim=1, keepdim=True)
        right = torch.randint(answers, (count,), generator=generator)
        return torch.randn(count, answers, generator=generator), prior, right, floor

    return inputs


def _together(combine):
    """The cross-entropy of other logits from (logits, prior, floor)."""
    return lambda logits, prior, answers, floor: F.cross_entropy(combine(logits, prior, floor), answers)


EXERCISE = Exercise(
    id="10-two-experts",
    title="Two experts",
    goal="train the one that looks on what the one that only reads cannot explain",
    stars=3,
    minutes=12,
    points=3,
    reference=two_experts_loss,
    nothing_ready="the ready-made cross-entropy is one step of it; what is to be found is what goes into it",
    cases=(
        Case(name="five questions, three answers", inputs=_questions(5, 3, 0.01)),
        Case(name="a reader that is sure of itself", inputs=_questions(6, 4, 0.05, sure=9.0)),
        Case(name="an answer that the reader never gives", inputs=_questions(4, 5, 0.02, zeros=True)),
    ),
    mistakes=(
        Mistake(
            message="The reader has no say: that is the plain loss of the one that looks, which then learns the prior "
            "as well.",
            answer=_together(lambda logits, prior, floor: logits),
        ),
        Mistake(
            message="Probabilities are added to logits. Logits are logarithms: take the logarithm of the prior first.",
            answer=_together(lambda logits, prior, floor: logits + prior.clamp(min=floor)),
        ),
        Mistake(
            message="The logarithm of the prior is taken away, which makes the likely answers unlikely. The "
            "experts are "
            "multiplied, so their logarithms are added.",
            answer=_together(lambda logits, prior, floor: logits - prior.clamp(min=floor).log()),
        ),
        Mistake(
            message="The logits are multiplied by the prior. It is the probabilities that are multiplied; their "
            "logarithms are added.",
            answer=_together(lambda logits, prior, floor: logits * prior.clamp(min=floor)),
        ),
        Mistake(
            message="The floor is missing: an answer that the reader holds for impossible has the logarithm −∞, "
            "and the "
            "one that looks is never asked about it.",
            answer=_together(lambda logits, prior, floor: logits + prior.log()),
        ),
        Mistake(
            message="The floor is added to every probability. It is the least that one may have: clamp.",
            answer=_together(lambda logits, prior, floor: logits + (prior + floor).log()),
        ),
        Mistake(
            message="The two are averaged as probabilities. Then one expert alone can be right for both, and the "
            "reader "
            "leaves nothing to be learned but also nothing to be corrected: multiply them.",
            answer=lambda logits, prior, answers, floor: F.nll_loss(
                ((logits.softmax(dim=1) + prior.clamp(min=floor)) / 2).log(), answers
            ),
        ),
        Mistake(
            message="The losses are added up. Take their mean over the questions.",
            answer=lambda logits, prior, answers, floor: F.cross_entropy(
                logits + prior.clamp(min=floor).log(), answers, reduction="sum"
            ),
        ),
    ),
    hints=(
        "The product of the experts gives answer a the weight exp(logits[a]) · prior[a]. What is its logarithm?",
        "Softmax turns weights into probabilities by itself, so cross-entropy of the summed logarithms is all.",
        "`prior.clamp(min=floor).log()` never is −∞.",
    ),
)
