"""14-rollout: follow attention through all layers, from the last token back to the first ones.

Abnar and Zuidema, "Quantifying attention flow in transformers" (2020).
"""

from __future__ import annotations

import torch

from mmcourse import interpret
from mmcourse.course.exercise import Case, Exercise, Mistake


def rollout(maps):
    keep = torch.eye(maps.shape[-1])
    arrived = keep
    for weights in maps.mean(dim=1):
        arrived = (weights + keep) / 2 @ arrived
    return arrived


def _inputs(layers, heads, tokens):
    """Sharp weights, so that heads and layers differ."""

    def inputs(generator):
        logits = torch.randn(layers, heads, tokens, tokens, generator=generator)
        return ((2 * logits).softmax(dim=-1),)

    return inputs


def _flow(*, heads=None, mixed=None, joined=None):
    """The same with other weights of a layer (H, T, T), another mix with the identity, or another product."""

    def answer(maps):
        keep = arrived = torch.eye(maps.shape[-1])
        for layer in maps:
            weights = layer.mean(dim=0) if heads is None else heads(layer)
            step = (weights + keep) / 2 if mixed is None else mixed(weights, keep)
            arrived = step @ arrived if joined is None else joined(step, arrived)
        return arrived

    return answer


def _normalized(weights):
    return weights / weights.sum(dim=-1, keepdim=True)


def _each_head(maps):
    return torch.stack([rollout(maps[:, head : head + 1]) for head in range(maps.shape[1])]).mean(dim=0)


def _mean_of_layers(maps):
    return (maps.mean(dim=(0, 1)) + torch.eye(maps.shape[-1])) / 2


def _identity_once(maps):
    return (_flow(mixed=lambda weights, keep: weights)(maps) + torch.eye(maps.shape[-1])) / 2


EXERCISE = Exercise(
    id="14-rollout",
    title="Where attention came from",
    goal="follow attention through all layers, from the last token back to the first ones",
    stars=2,
    minutes=8,
    points=2,
    reference=rollout,
    ready_made=(interpret.rollout, interpret.rollout_map),
    cases=(
        Case(name="three layers, two heads, five tokens", inputs=_inputs(3, 2, 5)),
        Case(name="two layers, four heads, seven tokens", inputs=_inputs(2, 4, 7)),
        Case(name="four layers of one head", inputs=_inputs(4, 1, 4)),
        Case(name="one layer", inputs=_inputs(1, 3, 6)),
    ),
    mistakes=(
        Mistake(
            message="The layers are multiplied the wrong way round. What comes later is on the left: `step @ arrived`.",
            answer=_flow(joined=lambda step, arrived: arrived @ step),
        ),
        Mistake(
            message="A token only takes and keeps nothing of its own. Mix in the identity: the way around attention, "
            "the residual connection, is half of it.",
            answer=_flow(mixed=lambda weights, keep: weights),
        ),
        Mistake(
            message="The identity is added and nothing is halved: the rows sum to 2 after one layer, to 4 after two.",
            answer=_flow(mixed=lambda weights, keep: weights + keep),
        ),
        Mistake(
            message="Only the attention is halved. The identity is the other half.",
            answer=_flow(mixed=lambda weights, keep: weights / 2 + keep),
        ),
        Mistake(
            message="The identity is mixed in once, at the end. Every layer has its own way around.",
            answer=_identity_once,
        ),
        Mistake(
            message="The numbers are multiplied place by place. The sum over all ways through a layer is a matrix "
            "product: `@`.",
            answer=_flow(joined=lambda step, arrived: step if arrived.equal(torch.eye(len(step))) else step * arrived),
        ),
        Mistake(
            message="This is the mean of the layers. What a layer reads has been mixed by those before it: multiply.",
            answer=_mean_of_layers,
        ),
        Mistake(
            message="Only the last layer counts here. What it reads has been mixed by those before it: multiply.",
            answer=_flow(joined=lambda step, arrived: step),
        ),
        Mistake(
            message="The heads are added up. Take their mean, so that the rows still sum to 1.",
            answer=_flow(heads=lambda layer: layer.sum(dim=0)),
        ),
        Mistake(
            message="Of the heads the largest weight counts, so the rows sum to more than 1. Take the mean.",
            answer=_flow(heads=lambda layer: layer.amax(dim=0)),
        ),
        Mistake(
            message="Of the heads the largest weight counts, with the rows made to sum to 1 again. Take the mean.",
            answer=_flow(heads=lambda layer: _normalized(layer.amax(dim=0))),
        ),
        Mistake(
            message="Only the first head counts here. Take the mean of all.",
            answer=_flow(heads=lambda layer: layer[0]),
        ),
        Mistake(
            message="Each head is followed alone, and then the mean is taken. A layer mixes its heads before the next "
            "one reads: take the mean in each layer.",
            answer=_each_head,
        ),
        Mistake(
            message="Rows and columns are exchanged: row i is what arrived in token i.",
            answer=lambda maps: rollout(maps).T,
        ),
    ),
    hints=(
        "`maps.mean(dim=1)` is one map (T, T) for each layer, whose rows sum to 1.",
        "A layer passes on half of what it reads and half of what was there: `(weights + torch.eye(T)) / 2`.",
        "Begin with the identity and, for each layer from the first to the last, take `arrived = step @ arrived`.",
    ),
)
