"""07-identity-start: start queries and keys so that their scores are plain dot products of the tokens."""

from __future__ import annotations

import torch
from torch import nn

from mmcourse.course.exercise import Case, Exercise, Mistake


def identity_start(width):
    query, key = nn.Linear(width, width), nn.Linear(width, width)
    with torch.no_grad():
        for linear in (query, key):
            linear.weight.copy_(torch.eye(width))
            linear.bias.zero_()
    return query, key


def _filled(query_weight, key_weight=None, *, bias=0.0):
    """Two maps with these weights, functions of the width."""

    def answer(width):
        made = []
        for weight in (query_weight, key_weight or query_weight):
            linear = nn.Linear(width, width, bias=bias is not None)
            with torch.no_grad():
                linear.weight.copy_(weight(width))
                if bias is not None:
                    linear.bias.fill_(bias)
            made.append(linear)
        return tuple(made)

    return answer


def _untouched_bias(width):
    query, key = nn.Linear(width, width), nn.Linear(width, width)
    for linear in (query, key):
        nn.init.eye_(linear.weight)
    return query, key


def _frozen(width):
    query, key = identity_start(width)
    return query.requires_grad_(False), key.requires_grad_(False)


def _shared(width):
    query, _ = identity_start(width)
    return query, query


def _random_key(width):
    _, key = nn.Linear(width, width), nn.Linear(width, width)
    return identity_start(width)[0], key


def _both_maps(answer, tokens):
    """What the two maps do to tokens, and whether they can learn apart from each other; chance is fixed."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    made = answer(tokens.shape[-1])
    torch.set_rng_state(state)
    query, key = made
    learns = [all(parameter.requires_grad for parameter in linear.parameters()) for linear in (query, key)]
    return {
        "queries": query(tokens).detach(),
        "keys": key(tokens).detach(),
        "biases": [linear.bias is not None for linear in (query, key)],
        "both learn": learns,
        "they are two": query is not key,
    }


def _some(width):
    return lambda generator: (torch.randn(5, width, generator=generator),)


EXERCISE = Exercise(
    id="07-identity-start",
    title="Like attends to like",
    goal="start queries and keys so that their scores are plain dot products of the tokens",
    stars=1,
    minutes=5,
    points=1,
    reference=identity_start,
    nothing_ready="the library does it while it builds a whole layer",
    cases=(
        Case(name="width 4", inputs=_some(4), probe=_both_maps),
        Case(name="width 7", inputs=_some(7), probe=_both_maps),
    ),
    mistakes=(
        Mistake(
            message="The weights are all 1: every query is then the sum of all channels, the same for each. The "
            "identity has ones on its diagonal alone.",
            answer=_filled(lambda width: torch.ones(width, width)),
        ),
        Mistake(
            message="The weights are all 0: every score is 0, and no gradient reaches either map, as each waits for "
            "the other.",
            answer=_filled(lambda width: torch.zeros(width, width)),
        ),
        Mistake(
            message="The biases start at random. Set them to 0, or the queries are not the tokens.",
            answer=_untouched_bias,
        ),
        Mistake(
            message="The biases are 1. Set them to 0.",
            answer=_filled(torch.eye, bias=1.0),
        ),
        Mistake(
            message="The maps have no bias. Keep it, it may learn; only its start is 0.",
            answer=_filled(torch.eye, bias=None),
        ),
        Mistake(
            message="Only the queries start at the identity. The keys must speak the same language.",
            answer=_random_key,
        ),
        Mistake(
            message="Queries and keys are one and the same layer. They start alike and then learn apart: make two.",
            answer=_shared,
        ),
        Mistake(
            message="The maps are frozen. The identity is where they start, not where they must stay.",
            answer=_frozen,
        ),
        Mistake(
            message="The keys are minus the tokens: like would avoid like.",
            answer=_filled(torch.eye, lambda width: -torch.eye(width)),
        ),
        Mistake(
            message="The identity is divided by √width. Attention divides the scores by √D already.",
            answer=_filled(lambda width: torch.eye(width) / width**0.5),
        ),
        Mistake(
            message="The maps are left as they are made, at random.",
            answer=lambda width: (nn.Linear(width, width), nn.Linear(width, width)),
        ),
    ),
    hints=(
        "A linear map computes x Wᵀ + b. For which W and b is that x?",
        "`nn.init.eye_(linear.weight)` and `nn.init.zeros_(linear.bias)` fill parameters in place.",
        "Make two layers `nn.Linear(width, width)`, fill both, return them as a pair.",
    ),
)
