"""02-mean-surprise: negative log-likelihood in one vectorized line."""

from __future__ import annotations

from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import logits_and_targets
from mmcourse.course.exercises.variants import picked


def probabilities_and_targets(samples, classes):
    def inputs(generator):
        logits, targets = logits_and_targets(samples, classes)(generator)
        return logits.softmax(dim=1), targets

    return inputs


def mean_surprise(probabilities, targets):
    return -picked(probabilities, targets).log().mean()


EXERCISE = Exercise(
    id="02-mean-surprise",
    title="Mean surprise",
    goal="negative log-likelihood in one vectorized line",
    stars=1,
    minutes=5,
    points=1,
    reference=mean_surprise,
    ready_made=(
        F.nll_loss,
        F.cross_entropy,
    ),
    cases=(
        Case(name="three samples, four classes", inputs=probabilities_and_targets(3, 4)),
        Case(name="a batch of 32 with ten classes", inputs=probabilities_and_targets(32, 10)),
        Case(name="a single sample", inputs=probabilities_and_targets(1, 5)),
    ),
    mistakes=(
        Mistake(
            message="The sign is missing: the logarithm of a probability is negative, a surprise is positive.",
            answer=lambda p, t: picked(p, t).log().mean(),
        ),
        Mistake(
            message="This is the sum over the samples. Divide by N, so that the number does not depend on how many "
            "samples there are.",
            answer=lambda p, t: -picked(p, t).log().sum(),
        ),
        Mistake(
            message="This is the logarithm of the mean probability. Take the logarithm of each probability first and "
            "the mean afterwards: the product of the likelihood becomes a sum of logarithms.",
            answer=lambda p, t: -picked(p, t).mean().log(),
        ),
        Mistake(
            message="The logarithms of all classes are averaged. Only the class that really came counts: pick one "
            "probability from each row.",
            answer=lambda p, t: -p.log().mean(),
        ),
        Mistake(
            message="The logarithms of all classes are added up in each row. Only the class that really came counts: "
            "pick one probability from each row.",
            answer=lambda p, t: -p.log().sum(dim=1).mean(),
        ),
        Mistake(
            message="This is a mean over classes, too: the result is V times too small. Sum over classes (one of them "
            "counts), mean over samples.",
            answer=lambda p, t: -(F.one_hot(t, p.shape[1]) * p.log()).mean(),
        ),
        Mistake(
            message="This takes the largest probability of each row. The surprise is about the target, whether the "
            "model favored it or not.",
            answer=lambda p, t: -p.max(dim=1).values.log().mean(),
        ),
        Mistake(
            message="The logarithm is to base 2, which measures in bits. The course measures in nats: use the natural "
            "logarithm.",
            answer=lambda p, t: -picked(p, t).log2().mean(),
        ),
        Mistake(
            message="This is 1 − p without a logarithm: it stays below 1, however wrong the model is.",
            answer=lambda p, t: (1 - picked(p, t)).mean(),
        ),
        Mistake(
            message="The rows have gone through a softmax again. They are probabilities already.",
            answer=lambda p, t: F.cross_entropy(p, t),
        ),
    ),
    hints=(
        "First pick one number from each row: row 0 at place targets[0], row 1 at place targets[1], and so on.",
        "`probabilities[torch.arange(len(targets)), targets]` picks them all, shape (N,).",
        "Take the logarithm of what you picked, then the mean, then turn the sign.",
    ),
)
