"""Exercises of chapter 01, Attention: what is asked, how an answer is checked, and the mistakes it recognizes."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch01_blocks import (
    BLOCK,
    CAUSAL_MASK,
    MASKED_ATTENTION,
    MERGE_HEADS,
    normal,
)

# --- one query ---------------------------------------------------------------------------------------------------


def attend_one(query, keys, values):
    return torch.softmax(keys @ query, dim=0) @ values


def _divided_by_sum(query, keys, values):
    scores = keys @ query
    return (scores / scores.sum()) @ values


ATTEND_ONE = Exercise(
    id="01-attend-one",
    title="One query looks things up",
    goal="compute attention for a single query",
    stars=1,
    minutes=5,
    points=1,
    reference=attend_one,
    cases=(
        Case(name="one query, four keys of size 3, values of size 3", inputs=normal((3,), (4, 3), (4, 3))),
        Case(name="values may have another size than keys", inputs=normal((8,), (5, 8), (5, 2))),
        Case(name="a single key gets all the weight", inputs=normal((4,), (1, 4), (1, 6))),
    ),
    mistakes=(
        Mistake(
            message="The raw scores are used as weights. Weights must be positive and add up to 1: put the scores "
            "through softmax first.",
            answer=lambda query, keys, values: (keys @ query) @ values,
        ),
        Mistake(
            message="The scores are divided by their sum, but never exponentiated. Scores can be negative; softmax "
            "takes exp first and then divides.",
            answer=_divided_by_sum,
        ),
        Mistake(
            message="The scores are exponentiated, but not divided by their sum, so the weights do not add up to 1.",
            answer=lambda query, keys, values: (keys @ query).exp() @ values,
        ),
        Mistake(
            message="This takes the value of the best key alone (argmax). Attention is the soft version: every value "
            "takes part, with its softmax weight.",
            answer=lambda query, keys, values: values[(keys @ query).argmax()],
        ),
        Mistake(
            message="This averages the keys. Keys decide the weights; what is averaged are the values.",
            answer=lambda query, keys, values: torch.softmax(keys @ query, dim=0) @ keys,
        ),
        Mistake(
            message="This is the plain mean of the values: the query has no influence. Weight each value by the "
            "softmax of its key's score.",
            answer=lambda query, keys, values: values.mean(dim=0),
        ),
        Mistake(
            message="You already divide by √d. That comes in section 3; here the score is the plain dot product.",
            answer=lambda query, keys, values: torch.softmax(keys @ query / query.shape[0] ** 0.5, dim=0) @ values,
        ),
    ),
    hints=(
        "There are three steps: a score for each key, weights from the scores, a weighted average of the values.",
        "`keys @ query` gives all scores at once: one dot product for each row of `keys`.",
        "`torch.softmax(scores, dim=0)` makes the weights, and `weights @ values` is the weighted average.",
    ),
)

# --- scaled dot-product attention --------------------------------------------------------------------------------


def scaled_attention(q, k, v):
    return torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v


def _scaled_by(factor, dim=-1):
    """Attention with another factor on the scores, or another softmax axis."""
    return lambda q, k, v: torch.softmax(q @ k.transpose(-2, -1) * factor(q, k), dim=dim) @ v


SCALED_ATTENTION = Exercise(
    id="01-scaled-attention",
    title="Scaled dot-product attention",
    goal="write the formula for any number of leading dimensions",
    stars=2,
    minutes=10,
    points=2,
    reference=scaled_attention,
    cases=(
        Case(name="one sequence of 5 tokens, size 8", inputs=normal((5, 8), (5, 8), (5, 8))),
        Case(name="a batch of 2 with 3 heads", inputs=normal((2, 3, 4, 16), (2, 3, 4, 16), (2, 3, 4, 16))),
        Case(name="3 queries ask 7 keys", inputs=normal((2, 3, 8), (2, 7, 8), (2, 7, 5))),
    ),
    mistakes=(
        Mistake(
            message="The scores are not divided by √d. Without it their variance grows with the head size d.",
            answer=_scaled_by(lambda q, k: 1.0),
        ),
        Mistake(
            message="The softmax runs over the queries (dim=-2). Each query shares out its own attention, so it must "
            "run over the keys: the last dimension.",
            answer=_scaled_by(lambda q, k: q.shape[-1] ** -0.5, dim=-2),
        ),
        Mistake(
            message="The scores are divided by d. The variance of a dot product is d, so its standard deviation is √d: "
            "divide by that.",
            answer=_scaled_by(lambda q, k: 1 / q.shape[-1]),
        ),
        Mistake(
            message="The scores are multiplied by √d. They are too large already: divide.",
            answer=_scaled_by(lambda q, k: q.shape[-1] ** 0.5),
        ),
        Mistake(
            message="You divide by the root of the number of keys. The dot product adds up d products, one for each "
            "feature: take the last dimension of q.",
            answer=_scaled_by(lambda q, k: k.shape[-2] ** -0.5),
        ),
        Mistake(
            message="You divide by √d after the softmax, so the weights no longer add up to 1. Scale the scores first.",
            answer=lambda q, k, v: torch.softmax(q @ k.transpose(-2, -1), dim=-1) / q.shape[-1] ** 0.5 @ v,
        ),
        Mistake(
            message="The softmax is missing: the scaled scores are used as weights.",
            answer=lambda q, k, v: q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 @ v,
        ),
    ),
    hints=(
        "Work on the last two dimensions only: `k.transpose(-2, -1)` swaps them whatever stands before.",
        "The head size is `q.shape[-1]`; the scores have shape (…, T, S).",
        "`torch.softmax(scores / d**0.5, dim=-1) @ v`.",
    ),
)

# --- the gradient of softmax --------------------------------------------------------------------------------------


def softmax_backward(weights, grad):
    return weights * (grad - (weights * grad).sum(dim=-1, keepdim=True))


def _weights_and_grad(*shape):
    def inputs(generator):
        scores, grad = torch.randn((2, *shape), generator=generator, dtype=torch.float64)
        return scores.softmax(dim=-1), grad

    return inputs


SOFTMAX_BACKWARD = Exercise(
    id="01-softmax-backward",
    title="Softmax, backward",
    goal="turn the Jacobian of softmax into one line of code",
    stars=2,
    minutes=10,
    points=2,
    reference=softmax_backward,
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

# --- counting ---------------------------------------------------------------------------------------------------------

PARAMETER_COUNT = Exercise(
    id="01-parameter-count",
    title="How many numbers does it learn?",
    goal="count the parameters of multi-head attention",
    stars=1,
    minutes=5,
    points=1,
    reference=4 * (512 * 512 + 512),
    cases=(Case(name="width 512, 8 heads, with biases", inputs=lambda generator: (), probe=lambda answer: answer),),
    mistakes=(
        Mistake(
            message="The biases are missing: each linear map also has one bias for each output channel.",
            answer=4 * 512 * 512,
        ),
        Mistake(
            message="One map is missing: besides query, key and value there is the output map after merging.",
            answer=3 * (512 * 512 + 512),
        ),
        Mistake(
            message="One map and the biases are missing: there is an output map too, and each map has biases.",
            answer=3 * 512 * 512,
        ),
        Mistake(
            message="You multiplied by the number of heads. The heads share the 512 channels, so their number does "
            "not change the count.",
            answer=8 * 4 * (512 * 512 + 512),
        ),
        Mistake(
            message="Each head reads all 512 channels, not its own 64 alone: a map of one head is 512 × 64.",
            answer=8 * 4 * (64 * 64 + 64),
        ),
        Mistake(
            message="That is a single map. There are four: query, key, value and output.",
            answer=512 * 512 + 512,
        ),
    ),
    hints=(
        "A linear map from 512 to 512 channels has a 512 × 512 matrix and 512 biases.",
        "There are four such maps: query, key, value and output.",
        "The heads only cut the 512 channels into eight pieces; they add nothing.",
    ),
)

EXERCISES = (
    ATTEND_ONE,
    SCALED_ATTENTION,
    SOFTMAX_BACKWARD,
    CAUSAL_MASK,
    MASKED_ATTENTION,
    MERGE_HEADS,
    PARAMETER_COUNT,
    BLOCK,
)
