"""01-masked-attention: put the mask where it belongs, and survive a row that may attend to nothing."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch01.causal_mask import causal_mask
from mmcourse.course.exercises.ready import ATTENTION


def masked_attention(q, k, v, mask):
    scores = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(~mask, -1e9)
    return (torch.softmax(scores, dim=-1) * mask) @ v


def _masked(prepare, after=None):
    """Attention whose scores and weights are treated by two functions of (scores or weights, mask)."""

    def answer(q, k, v, mask):
        weights = torch.softmax(prepare(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, mask), dim=-1)
        return (weights if after is None else after(weights, mask)) @ v

    return answer


def _padded(generator):
    q, k, v = torch.randn((3, 2, 6, 8), generator=generator)
    return q, k, v, (torch.arange(6) < torch.tensor([[4], [6]]))[:, None]


def _alone(generator):
    """The first token may attend to nothing at all."""
    q, k, v = torch.randn((3, 4, 8), generator=generator)
    return q, k, v, causal_mask(4).tril(-1)


def _unlike(generator):
    """A causal mask on tokens that score themselves lowest, far below zero: only −∞ or close to it blocks the rest."""
    q, k, v = torch.randn((3, 5, 8), generator=generator)
    return q - 8 * k, k, v, causal_mask(5)


EXERCISE = Exercise(
    id="01-masked-attention",
    title="Attention with a mask",
    goal="put the mask where it belongs, and survive a row that may attend to nothing",
    stars=3,
    minutes=15,
    points=3,
    reference=masked_attention,
    ready_made=ATTENTION,
    cases=(
        Case(
            name="a causal mask on 5 tokens",
            inputs=_unlike,
        ),
        Case(name="padding in a batch of 2", inputs=_padded),
        Case(name="a token that may attend to nothing gets zeros", inputs=_alone),
    ),
    mistakes=(
        Mistake(
            message="The mask is inverted: it blocks what is allowed and allows the rest. True means “may attend”.",
            answer=_masked(lambda scores, mask: scores.masked_fill(mask, -1e9)),
        ),
        Mistake(
            message="The mask comes after the softmax. The weights that stay then add up to less than 1: block the "
            "scores before the softmax.",
            answer=_masked(lambda scores, mask: scores, lambda weights, mask: weights * mask),
        ),
        Mistake(
            message="Blocked scores are set to 0, but exp(0) = 1 is a weight too. Use a large negative number.",
            answer=_masked(lambda scores, mask: scores * mask),
        ),
        Mistake(
            message="The mask is added to the scores as 0 and 1. That favors allowed places a little and blocks none.",
            answer=_masked(lambda scores, mask: scores + mask),
        ),
        Mistake(
            message="The mask is not used.",
            answer=_masked(lambda scores, mask: scores),
        ),
        Mistake(
            message="A row that may attend to nothing becomes NaN: with −inf everywhere, softmax divides 0 by 0. Use "
            "a large negative number and set blocked weights to 0 afterwards.",
            answer=_masked(lambda scores, mask: scores.masked_fill(~mask, float("-inf"))),
        ),
        Mistake(
            message="A row that may attend to nothing averages all values: when every score is −1e9, softmax shares "
            "evenly. Set the blocked weights to 0 after the softmax as well.",
            answer=_masked(lambda scores, mask: scores.masked_fill(~mask, -1e9)),
        ),
        Mistake(
            message="The scores are not divided by √d.",
            answer=lambda q, k, v, mask: masked_attention(q * q.shape[-1] ** 0.5, k, v, mask),
        ),
    ),
    hints=(
        "Start from your scaled attention and change the scores before the softmax.",
        "`scores.masked_fill(~mask, -1e9)` makes the weight of a blocked place exactly 0, as exp(−1e9) is 0.",
        "If a whole row is blocked, all its scores are equal and softmax gives 1/S each. Multiply the weights by the "
        "mask once more to make that row 0.",
    ),
)
