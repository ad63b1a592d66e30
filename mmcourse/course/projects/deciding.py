"""From probabilities to decisions: the label that costs least, and when to ask a person.

A wrong answer costs what its row of the table says, so the best answer is the one of least expected cost (Elkan, "The
foundations of cost-sensitive learning", 2001). Where even that costs more than asking, a person is asked (Chow, "On
optimum recognition error and reject tradeoff", 1970).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ASK = -1


class Decisions(NamedTuple):
    """What is said of each picture, int64 (N,), ASK = "ask a person"; and the cost expected of it, (N,)."""

    said: Tensor
    expected: Tensor


def cost_matrix(labels: Sequence[str], prices: Mapping[tuple[str, str], float]) -> Tensor:
    """What saying column j costs where row i is the truth, (classes, classes): 0 if right, 1 unless a price is given.

    Prices of labels that are not there are left out, so that the table fits other data.

    Raises:
        ValueError: a price is negative, or one is asked for being right.

    >>> cost_matrix(["ill", "well"], {("ill", "well"): 20.0})
    tensor([[ 0., 20.],
            [ 1.,  0.]])
    """
    costs = 1.0 - torch.eye(len(labels))
    for (truth, said), price in prices.items():
        if price < 0 or truth == said:
            raise ValueError(f"prices must be of errors and at least 0, got {price} for {truth!r} called {said!r}")
        if truth in labels and said in labels:
            costs[labels.index(truth), labels.index(said)] = price
    return costs


def decide(probabilities: Tensor, costs: Tensor, *, ask: float | None = None) -> Decisions:
    """The cheapest label of each picture, or ASK where that is expected to cost more than `ask`.

    Args:
        probabilities: (N, classes), rows that sum to 1.
        costs: (classes, classes), row = the truth.
        ask: what asking a person costs; None = there is nobody to ask.
    Raises:
        ValueError: shapes do not fit.

    >>> decide(torch.tensor([[0.1, 0.9], [0.5, 0.5]]), torch.tensor([[0.0, 20.0], [1.0, 0.0]]), ask=0.7).said
    tensor([-1,  0])
    """
    if probabilities.dim() != 2 or costs.shape != (probabilities.shape[1],) * 2:
        shapes = f"{tuple(probabilities.shape)} and {tuple(costs.shape)}"
        raise ValueError(f"probabilities and costs must be (N, classes) and (classes, classes), got {shapes}")
    expected, said = (probabilities @ costs.to(probabilities)).min(dim=1)  # (N, C) @ (C, C) -> (N, C)
    if ask is not None:
        said = said.masked_fill(expected > ask, ASK)
        expected = expected.clamp(max=ask)
    return Decisions(said, expected)


def mean_cost(said: Tensor, targets: Tensor, costs: Tensor, *, ask: float | None = None) -> float:
    """What the decisions really cost, a picture.

    Raises:
        ValueError: a person was asked and nobody said what that costs, or there are no decisions.
    """
    asked = said == ASK
    if not len(said) or (ask is None and asked.any()):
        raise ValueError("said must hold at least one decision, and ask be given where some of them are ASK")
    paid = costs[targets, said.clamp(min=0)]
    return (paid if ask is None else paid.masked_fill(asked, ask)).double().mean().item()


def cheapest_threshold(confidence: Tensor, right: Tensor, *, ask: float) -> float:
    """The confidence from which on answering costs least, if a wrong answer costs 1 and asking instead `ask`.

    Chosen where the answers are known, such as on validation. Of equally cheap thresholds the highest, which asks more
    often; infinity = always ask.

    Args:
        confidence: (N,), higher is surer.
        right: bool (N,), whether the answer would be right.
    Raises:
        ValueError: shapes do not fit, or nothing is there.

    >>> cheapest_threshold(torch.tensor([0.9, 0.5, 0.1]), torch.tensor([True, True, False]), ask=0.4)
    0.5
    """
    if confidence.dim() != 1 or confidence.shape != right.shape or not len(right):
        shapes = f"{tuple(confidence.shape)} and {tuple(right.shape)}"
        raise ValueError(f"confidence and right must both be (N,) with at least one answer, got {shapes}")
    levels = torch.cat([confidence.double().unique(), torch.tensor([torch.inf], dtype=torch.float64)])
    answered = confidence.double() >= levels[:, None]  # (levels, N)
    costs = torch.where(answered, (~right).double(), ask).sum(1)
    cheapest = (costs == costs.min()).nonzero().max()
    return levels[cheapest].item()
