"""Exercises of chapter 02, Cross-entropy: what is asked, how an answer is checked, and the mistakes it recognizes."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch02_more import CALIBRATION_ERROR, LABEL_SMOOTHING, PERPLEXITY


def logits_and_targets(samples, classes, *, size=1.0, shift=0.0):
    """Inputs: random logits (N, V) and random targets (N,)."""

    def inputs(generator):
        logits = size * torch.randn(samples, classes, generator=generator) + shift
        return logits, torch.randint(classes, (samples,), generator=generator)

    return inputs


def probabilities_and_targets(samples, classes):
    def inputs(generator):
        logits, targets = logits_and_targets(samples, classes)(generator)
        return logits.softmax(dim=1), targets

    return inputs


def _picked(rows, targets):
    return rows.gather(1, targets[:, None]).squeeze(1)


# --- negative log-likelihood ----------------------------------------------------------------------------------------


def mean_surprise(probabilities, targets):
    return -_picked(probabilities, targets).log().mean()


MEAN_SURPRISE = Exercise(
    id="02-mean-surprise",
    title="Mean surprise",
    goal="negative log-likelihood in one vectorized line",
    stars=1,
    minutes=5,
    points=1,
    reference=mean_surprise,
    cases=(
        Case(name="three samples, four classes", inputs=probabilities_and_targets(3, 4)),
        Case(name="a batch of 32 with ten classes", inputs=probabilities_and_targets(32, 10)),
        Case(name="a single sample", inputs=probabilities_and_targets(1, 5)),
    ),
    mistakes=(
        Mistake(
            message="The sign is missing: the logarithm of a probability is negative, a surprise is positive.",
            answer=lambda p, t: _picked(p, t).log().mean(),
        ),
        Mistake(
            message="This is the sum over the samples. Divide by N, so that the number does not depend on how many "
            "samples there are.",
            answer=lambda p, t: -_picked(p, t).log().sum(),
        ),
        Mistake(
            message="This is the logarithm of the mean probability. Take the logarithm of each probability first and "
            "the mean afterwards: the product of the likelihood becomes a sum of logarithms.",
            answer=lambda p, t: -_picked(p, t).mean().log(),
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
            answer=lambda p, t: -_picked(p, t).log2().mean(),
        ),
        Mistake(
            message="This is 1 − p without a logarithm: it stays below 1, however wrong the model is.",
            answer=lambda p, t: (1 - _picked(p, t)).mean(),
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

# --- log-sum-exp ------------------------------------------------------------------------------------------------------


def stable_log_sum_exp(z):
    top = z.max(dim=-1, keepdim=True).values
    return top.squeeze(-1) + (z - top).exp().sum(dim=-1).log()


def _rows(*levels, shape=(), apart=0.0):
    """Inputs: one row of five numbers for each level, around that level; the last number lies `apart` above them."""

    def inputs(generator):
        around = torch.tensor(levels)[:, None] + torch.randn(*shape, len(levels), 5, generator=generator)
        return (around + apart * torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]),)

    return inputs


def _shifted_by(shift, *, back=True):
    """Log-sum-exp with some other shift than each row's own maximum."""

    def answer(z):
        m = shift(z)
        total = (z - m).exp().sum(dim=-1).log()
        return total + (m.squeeze(-1) if m.dim() == z.dim() else m) if back else total

    return answer


LOG_SUM_EXP = Exercise(
    id="02-log-sum-exp",
    title="Log-sum-exp without overflow",
    goal="a sum of exponentials that survives any finite input",
    stars=2,
    minutes=10,
    points=2,
    reference=stable_log_sum_exp,
    cases=(
        Case(name="numbers of ordinary size", inputs=_rows(0.0, 1.0, -1.0)),
        Case(name="numbers near 1,000, where exp overflows", inputs=_rows(1000.0, 1000.0)),
        Case(name="numbers near −1,000, where exp is 0", inputs=_rows(-1000.0, -1000.0)),
        Case(name="one row near 500 and one near −500", inputs=_rows(500.0, -500.0, apart=300.0)),
        Case(name="more dimensions in front", inputs=_rows(0.0, 60.0, shape=(2, 3))),
    ),
    mistakes=(
        Mistake(
            message="This is the plain formula: exp overflows to ∞ above 88 and is 0 below −104. Subtract the maximum "
            "of each row first, and add it again at the end.",
            answer=lambda z: z.exp().sum(dim=-1).log(),
        ),
        Mistake(
            message="The maximum is subtracted, but never added again at the end.",
            answer=_shifted_by(lambda z: z.max(dim=-1, keepdim=True).values, back=False),
        ),
        Mistake(
            message="One maximum serves the whole tensor. A row far below it still ends at log 0: every row needs its "
            "own maximum, `z.max(dim=-1, keepdim=True)`.",
            answer=_shifted_by(lambda z: z.max()),
        ),
        Mistake(
            message="This is the maximum alone. The logarithm of the sum of exp(z − m) has to be added.",
            answer=lambda z: z.max(dim=-1).values,
        ),
        Mistake(
            message="The summed dimension is still there, with size 1. Sum without `keepdim`, and squeeze the maximum.",
            answer=lambda z: torch.logsumexp(z, dim=-1, keepdim=True),
        ),
        Mistake(
            message="The sum runs over the first dimension. Sum over the last one: dim=-1.",
            answer=lambda z: torch.logsumexp(z, dim=0),
        ),
        Mistake(
            message="This is the mean of the exponentials under the logarithm: log V too small. Sum them.",
            answer=lambda z: torch.logsumexp(z, dim=-1) - torch.tensor(z.shape[-1]).log(),
        ),
        Mistake(
            message="The sign of the shift is turned around: subtract the maximum inside, add it outside.",
            answer=lambda z: (z + z.max(dim=-1, keepdim=True).values).exp().sum(dim=-1).log() - z.max(dim=-1).values,
        ),
        Mistake(
            message="The sum is clipped, so it no longer overflows, but the answer is wrong. Shift the numbers by "
            "their maximum instead: that changes nothing.",
            answer=lambda z: z.clamp(-80, 80).exp().sum(dim=-1).log(),
        ),
    ),
    hints=(
        "A number that is subtracted inside the exp comes out of the logarithm: log Σ exp(z) = m + log Σ exp(z − m).",
        "`z.max(dim=-1, keepdim=True).values` is the maximum of every row, in a shape that can be subtracted from z.",
        "At the end the maximum has one dimension too many for the sum: `.squeeze(-1)` takes it away.",
    ),
)

# --- cross-entropy ----------------------------------------------------------------------------------------------------


def mean_cross_entropy(logits, targets):
    return (torch.logsumexp(logits, dim=1) - _picked(logits, targets)).mean()


def _sure_and_wrong(generator):
    """Every sample is sure of another class than its target: the probability of the target is 0 in float32."""
    targets = torch.randint(4, (5,), generator=generator)
    logits = torch.randn(5, 4, generator=generator) + 300 * F.one_hot((targets + 1) % 4, 4)
    return logits, targets


CROSS_ENTROPY = Exercise(
    id="02-cross-entropy",
    title="Cross-entropy from logits",
    goal="the whole formula, stable, with the right sum and the right mean",
    stars=2,
    minutes=10,
    points=2,
    reference=mean_cross_entropy,
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
            answer=lambda z, t: -_picked(z.softmax(dim=1), t).log().mean(),
        ),
        Mistake(
            message="This is the plain formula, in which exp overflows. Use logits: −log p = logsumexp(z) − z_target, "
            "with a stable log-sum-exp.",
            answer=lambda z, t: -(_picked(z.exp(), t) / z.exp().sum(dim=1)).log().mean(),
        ),
        Mistake(
            message="A small number is added before the logarithm. It hides the −∞ and bends every loss: nothing can "
            "cost more than −log of it. Use logits: −log p = logsumexp(z) − z_target.",
            answer=lambda z, t: -(_picked(z.softmax(dim=1), t) + 1e-9).log().mean(),
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
            answer=lambda z, t: -_picked(z.log_softmax(dim=0), t).mean(),
        ),
        Mistake(
            message="The logit itself is taken as the log-probability: softmax is missing. Subtract the log-sum-exp of "
            "the row.",
            answer=lambda z, t: -_picked(z, t).mean(),
        ),
        Mistake(
            message="The sign is turned around: the loss is logsumexp(z) − z_target, which is never negative.",
            answer=lambda z, t: -F.cross_entropy(z, t),
        ),
        Mistake(
            message="The logarithm is missing: this is minus the probability of the target.",
            answer=lambda z, t: -_picked(z.softmax(dim=1), t).mean(),
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

# --- the gradient -----------------------------------------------------------------------------------------------------


def logit_gradient(logits, targets):
    return (logits.softmax(dim=1) - F.one_hot(targets, logits.shape[1])) / len(targets)


def _gradient(part):
    """Some other gradient of (p, y, N)."""

    def answer(z, t):
        return part(z.softmax(dim=1), F.one_hot(t, z.shape[1]).to(z.dtype), len(t))

    return answer


GRADIENT = Exercise(
    id="02-gradient",
    title="The gradient of a batch",
    goal="p − y for a mean over samples",
    stars=2,
    minutes=10,
    points=2,
    reference=logit_gradient,
    cases=(
        Case(name="agrees with autograd on 6 samples and 5 classes", inputs=logits_and_targets(6, 5)),
        Case(name="agrees with autograd on 3 samples and 9 classes", inputs=logits_and_targets(3, 9, size=3.0)),
        Case(name="stays finite where exp overflows", inputs=logits_and_targets(4, 4, shift=300.0)),
    ),
    mistakes=(
        Mistake(
            message="This is the gradient of the sum. The loss is a mean over samples: every entry is divided by N.",
            answer=_gradient(lambda p, y, n: p - y),
        ),
        Mistake(
            message="The sign is turned around: it is p − y. A step against the gradient must raise the right logit.",
            answer=_gradient(lambda p, y, n: (y - p) / n),
        ),
        Mistake(
            message="The sign is turned around and the mean forgotten: it is (p − y) / N.",
            answer=_gradient(lambda p, y, n: y - p),
        ),
        Mistake(
            message="You divide by N·V. The loss is a sum over classes and a mean over samples: divide by N alone.",
            answer=_gradient(lambda p, y, n: (p - y) / (n * y.shape[1])),
        ),
        Mistake(
            message="You divide by the number of classes. The mean runs over the samples: divide by N.",
            answer=_gradient(lambda p, y, n: (p - y) / y.shape[1]),
        ),
        Mistake(
            message="Only the entry of the right class is there. The wrong classes have a gradient, too: each is "
            "pushed down by its probability p.",
            answer=_gradient(lambda p, y, n: (p - y) * y / n),
        ),
        Mistake(
            message="The target is missing: subtract 1 at the right class of each row.",
            answer=_gradient(lambda p, y, n: p / n),
        ),
        Mistake(
            message="This is −y / p, the gradient for the probabilities. Go on through softmax to the logits: p − y.",
            answer=_gradient(lambda p, y, n: -y / p / n),
        ),
        Mistake(
            message="This is the gradient of the squared error through softmax. With the logarithm of cross-entropy "
            "the Jacobian cancels, and p − y is left.",
            answer=_gradient(lambda p, y, n: 2 * p * ((p - y) - (p * (p - y)).sum(dim=1, keepdim=True)) / n),
        ),
        Mistake(
            message="The softmax runs over the samples (dim=0). The classes of one sample compete: dim=1.",
            answer=lambda z, t: (z.softmax(dim=0) - F.one_hot(t, z.shape[1])) / len(t),
        ),
        Mistake(
            message="Softmax is missing: y is subtracted from the logits. Make probabilities of them first.",
            answer=lambda z, t: (z - F.one_hot(t, z.shape[1])) / len(t),
        ),
    ),
    hints=(
        "Line (5) is the gradient of one sample: softmax of the row, minus the one-hot target.",
        "`torch.nn.functional.one_hot(targets, V)` makes y, shape (N, V).",
        "The loss is a mean, so the chain rule gives a factor 1/N: (p − y) / N.",
    ),
)

EXERCISES = (
    MEAN_SURPRISE,
    LOG_SUM_EXP,
    CROSS_ENTROPY,
    GRADIENT,
    LABEL_SMOOTHING,
    PERPLEXITY,
    CALIBRATION_ERROR,
)
