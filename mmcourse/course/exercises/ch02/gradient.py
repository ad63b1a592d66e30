"""02-gradient: p − y for a mean over samples."""

from __future__ import annotations

from torch.nn import functional as F

from mmcourse import losses
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import logits_and_targets


def logit_gradient(logits, targets):
    return (logits.softmax(dim=1) - F.one_hot(targets, logits.shape[1])) / len(targets)


def _gradient(part):
    """Some other gradient of (p, y, N)."""

    def answer(z, t):
        return part(z.softmax(dim=1), F.one_hot(t, z.shape[1]).to(z.dtype), len(t))

    return answer


EXERCISE = Exercise(
    id="02-gradient",
    title="The gradient of a batch",
    goal="p − y for a mean over samples",
    stars=2,
    minutes=10,
    points=2,
    reference=logit_gradient,
    ready_made=(losses.cross_entropy_gradient,),
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
