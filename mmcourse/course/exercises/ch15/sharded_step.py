"""15-sharded-step: take a process's part in the step of all, with the state of its share alone.

W processes hold the same N weights; each has a gradient, the mean over its own `counts[w]` samples, and remembers the
momentum of N / W weights only, the `rank`-th piece of the vector (ZeRO: Rajbhandari et al., 2020, stage 1).
`sharded_step(rank, weights, gradients, counts, momentum, lr, beta)` gives the new weights (N / W,) and the new momentum
(N / W,) of that piece; put side by side the pieces are the step of one process over all samples, m ← βm + g and
w ← w − lr · m.
"""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def sharded_step(rank, weights, gradients, counts, momentum, lr, beta):
    gradient = (counts[:, None] * gradients).sum(dim=0) / counts.sum()
    share = slice(rank * len(momentum), (rank + 1) * len(momentum))
    momentum = beta * momentum + gradient[share]
    return weights[share] - lr * momentum, momentum


def _inputs(processes, share, *, rank):
    """Counts that differ from one process to the next."""

    def inputs(generator):
        weights = torch.randn(processes * share, generator=generator)
        gradients = torch.randn(processes, processes * share, generator=generator)
        counts = 3 * torch.randperm(processes, generator=generator) + torch.randint(2, 5, (1,), generator=generator)
        momentum = torch.randn(share, generator=generator)
        chances = torch.rand(2, generator=generator).tolist()
        return rank, weights, gradients, counts, momentum, 0.1 + 0.2 * chances[0], 0.8 + 0.15 * chances[1]

    return inputs


def _step(*, gradient=None, share=None, momentum=None, result=None):
    """The same with another gradient, share or momentum, or another result of (own weights, momentum, lr)."""

    def answer(rank, weights, gradients, counts, old, lr, beta):
        if gradient is None:
            whole = (counts[:, None] * gradients).sum(dim=0) / counts.sum()
        else:
            whole = gradient(rank, gradients, counts)
        size = len(old)
        own = slice(rank * size, (rank + 1) * size) if share is None else share(rank, size, len(gradients))
        new = beta * old + whole[own] if momentum is None else momentum(old, whole[own], beta)
        return (weights[own] - lr * new, new) if result is None else result(weights[own], new, whole[own], lr, old)

    return answer


def _in_place(old, gradient, beta):
    return old.mul_(beta).add_(gradient)


def _whole(rank, weights, gradients, counts, momentum, lr, beta):
    own, new = sharded_step(rank, weights, gradients, counts, momentum, lr, beta)
    changed = weights.clone()
    changed[rank * len(own) : (rank + 1) * len(own)] = own
    return changed, new


EXERCISE = Exercise(
    id="15-sharded-step",
    title="A step of many",
    goal="take a process's part in the step of all, with the state of its share alone",
    stars=3,
    minutes=13,
    points=3,
    reference=sharded_step,
    nothing_ready="the library averages gradients over processes that run, and each keeps the whole state; none does a "
    "share of a step",
    cases=(
        Case(name="process 2 of 0 to 3, five weights each", inputs=_inputs(4, 5, rank=2), atol=1e-5),
        Case(name="process 1 of 0 to 2, seven weights each", inputs=_inputs(3, 7, rank=1), atol=1e-5),
        Case(name="process 0 of two", inputs=_inputs(2, 4, rank=0), atol=1e-5),
        Case(name="one process alone", inputs=_inputs(1, 6, rank=0), atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="Each process counts the same, whatever it has seen. A gradient that is the mean of more samples "
            "counts more: weigh by `counts`.",
            answer=_step(gradient=lambda rank, gradients, counts: gradients.mean(dim=0)),
        ),
        Mistake(
            message="The gradients are added up. Of W processes that makes the step about W times as long; take the "
            "mean over all samples.",
            answer=_step(gradient=lambda rank, gradients, counts: gradients.sum(dim=0)),
        ),
        Mistake(
            message="The gradients are weighed and added up, but not divided by the number of all samples.",
            answer=_step(gradient=lambda rank, gradients, counts: (counts[:, None] * gradients).sum(dim=0)),
        ),
        Mistake(
            message="The sum of weighed gradients is divided by the number of processes. Divide by that of all "
            "samples, `counts.sum()`.",
            answer=_step(gradient=lambda rank, gradients, counts: (counts[:, None] * gradients).mean(dim=0)),
        ),
        Mistake(
            message="The gradients are divided by their counts. They are means already: multiply, and divide by the "
            "sum of all counts.",
            answer=_step(
                gradient=lambda rank, gradients, counts: (gradients / counts[:, None]).sum(dim=0) / (1 / counts).sum()
            ),
        ),
        Mistake(
            message="A process uses its own gradient alone, so its share learns from its samples only. Those of all "
            "count.",
            answer=_step(gradient=lambda rank, gradients, counts: gradients[rank]),
        ),
        Mistake(
            message="Every process takes the first share. Its own begins at rank · N / W.",
            answer=_step(share=lambda rank, size, count: slice(size)),
        ),
        Mistake(
            message="The shares are dealt out like cards, every W-th weight. They are pieces of the vector, one behind "
            "the other.",
            answer=_step(share=lambda rank, size, count: slice(rank, None, count)),
        ),
        Mistake(
            message="The gradient counts 1 − beta, as in Adam. Here m ← beta · m + g.",
            answer=_step(momentum=lambda old, gradient, beta: beta * old + (1 - beta) * gradient),
        ),
        Mistake(
            message="beta multiplies the gradient, too. It fades the old momentum alone.",
            answer=_step(momentum=lambda old, gradient, beta: beta * (old + gradient)),
        ),
        Mistake(
            message="The old momentum does not fade: beta is missing.",
            answer=_step(momentum=lambda old, gradient, beta: old + gradient),
        ),
        Mistake(
            message="The weights move by the gradient of now, as if there were no momentum. They move by the new "
            "momentum.",
            answer=_step(result=lambda own, new, gradient, lr, old: (own - lr * gradient, new)),
        ),
        Mistake(
            message="The weights move by the old momentum. First bring it up to date, then move.",
            answer=_step(result=lambda own, new, gradient, lr, old: (own - lr * old, new)),
        ),
        Mistake(
            message="The weights go up. A step goes against the momentum.",
            answer=_step(result=lambda own, new, gradient, lr, old: (own + lr * new, new)),
        ),
        Mistake(
            message="The momentum comes back as it was, and the next step would forget this one. Return the new one.",
            answer=_step(result=lambda own, new, gradient, lr, old: (own - lr * new, old.clone())),
        ),
        Mistake(
            message="The given momentum is changed. Make a new one: `beta * momentum + …`.",
            answer=_step(momentum=_in_place),
        ),
    ),
    hints=(
        "A mean over counts[w] samples times counts[w] is their sum. The sums of all, over `counts.sum()`, are the "
        "mean of all samples.",
        "A process's piece is `slice(rank * n, (rank + 1) * n)`, where n is `len(momentum)`; it needs no other part.",
        "`beta * momentum + gradient[share]` is the new momentum, and lr times that is taken off `weights[share]`.",
    ),
)
