"""01-softmax-backward: turn the Jacobian of softmax into one line of code."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def softmax_backward(weights, grad):
    return weights * (grad - (weights * grad).sum(dim=-1, keepdim=True))


def _weights_and_grad(*shape):
    def inputs(generator):
        scores, grad = torch.randn((2, *shape), generator=generator, dtype=torch.float64)
        return scores.softmax(dim=-1), grad

    return inputs


EXERCISE = Exercise(
    id="01-softmax-backward",
    title="Softmax, backward",
    goal="turn the Jacobian of softmax into one line of code",
    stars=2,
    minutes=10,
    points=2,
    reference=softmax_backward,
    ready_made=(torch._softmax_backward_data,),
    cases=(
        Case(name="agrees with autograd on one row of 5 weights", inputs=_weights_and_grad(5)),
        Case(name="agrees with autograd on a matrix of 3 rows", inputs=_weights_and_grad(3, 4)),
        Case(name="agrees with autograd on a batch with heads", inputs=_weights_and_grad(2, 2, 3, 6)),
    ),
    mistakes=(
        Mistake(
            message="This is the diagonal of the Jacobian alone, p(1 − p). Raising one score also lowers every other "
            "weight: the off-diagonal part −p pᵀ is missing.",
            answer=lambda weights, grad: weights * (1 - weights) * grad,
        ),
        Mistake(
            message="This is p · g alone. Subtract the weighted mean of the gradient first: the sum of p · g.",
            answer=lambda weights, grad: weights * grad,
        ),
        Mistake(
            message="You subtract the plain mean of the gradient. The Jacobian asks for the weighted mean, Σ p · g.",
            answer=lambda weights, grad: weights * (grad - grad.mean(dim=-1, keepdim=True)),
        ),
        Mistake(
            message="You subtract the plain sum of the gradient. The Jacobian asks for the weighted sum, Σ p · g.",
            answer=lambda weights, grad: weights * (grad - grad.sum(dim=-1, keepdim=True)),
        ),
        Mistake(
            message="The factor p in front is missing: the difference has to be multiplied by the weights.",
            answer=lambda weights, grad: grad - (weights * grad).sum(dim=-1, keepdim=True),
        ),
        Mistake(
            message="The sign is turned around: it is g minus the weighted mean.",
            answer=lambda weights, grad: weights * ((weights * grad).sum(dim=-1, keepdim=True) - grad),
        ),
        Mistake(
            message="The sum runs over the whole tensor. Every row has its own softmax: sum over the last dimension "
            "and keep it (`keepdim=True`).",
            answer=lambda weights, grad: weights * (grad - (weights * grad).sum()),
        ),
    ),
    hints=(
        "Multiply the Jacobian out: (diag(p) − p pᵀ) g = p·g − p (pᵀg).",
        "pᵀg is one number for each row: `(weights * grad).sum(dim=-1, keepdim=True)`.",
        "Take `weights` out of the bracket: weights * (grad − that number).",
    ),
)
