"""04-frozen-features: features from a trained classifier, without changing it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercise.compare import clone


def frozen_features(network, images):
    network.eval()
    with torch.no_grad():
        return network[:-1](images)


def _network_and_images(count):
    """A small trained classifier, as training leaves it: its last layer gives the classes."""

    def inputs(generator):
        network = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
        )  # fmt: skip
        with torch.no_grad():
            for values in network.state_dict().values():
                if values.is_floating_point():
                    values.copy_(torch.rand(values.shape, generator=generator) + 0.1)
        return network.train(), torch.randn(count, 3, 8, 8, generator=generator)

    return inputs


def _look(answer, network, images):
    """The features, whether they drag a graph along, and whether the network is still the same."""
    before = [type(part) for part in network], clone(network.state_dict())
    features = answer(network, images)
    parts, numbers = [type(part) for part in network], network.state_dict()
    same = parts == before[0] and all(torch.equal(numbers[name], value) for name, value in before[1].items())
    return {"features": features, "ready for a backward pass": bool(getattr(features, "requires_grad", False)),
            "statistics of the network untouched": same}  # fmt: skip


def _run(keep, *, evaluation, gradient):
    """Some other use of the network: `keep` computes from (network, images)."""

    def answer(network, images):
        network.train(not evaluation)
        with torch.set_grad_enabled(gradient):
            return keep(network, images)

    return answer


def _body(network, images):
    return network[:-1](images)


_TRAINING = (
    "The network is in training mode: batch normalization uses the mean of this batch (and changes the stored one), "
    "and dropout deletes numbers. Call `network.eval()` first."
)


_HEAD = (
    "The classifier is left on: these are scores of the old classes. Leave the last layer out, "
    "`network[:-1](images)`, to get what it reads."
)


EXERCISE = Exercise(
    id="04-frozen-features",
    title="Take the head off",
    goal="features from a trained classifier, without changing it",
    stars=2,
    minutes=10,
    points=2,
    reference=frozen_features,
    nothing_ready="the library's own takes its pretrained encoders, not a network with a head",
    cases=(
        Case(name="a batch of 5", inputs=_network_and_images(5), probe=_look),
        Case(name="a batch of 2, another network", inputs=_network_and_images(2), probe=_look),
        Case(name="one picture alone", inputs=_network_and_images(1), probe=_look),
    ),
    mistakes=(
        Mistake(
            message="The numbers are right, but they drag along the whole graph for a backward pass: memory for every "
            "layer. Compute them inside `with torch.no_grad():`.",
            answer=_run(_body, evaluation=True, gradient=True),
        ),
        Mistake(message=_TRAINING, answer=_run(_body, evaluation=False, gradient=False)),
        Mistake(message=_TRAINING, answer=_run(_body, evaluation=False, gradient=True)),
        Mistake(message=_HEAD, answer=_run(lambda n, x: n(x), evaluation=True, gradient=False)),
        Mistake(message=_HEAD, answer=_run(lambda n, x: n(x), evaluation=True, gradient=True)),
        Mistake(
            message=f"{_HEAD} And the network is in training mode: call `network.eval()`.",
            answer=_run(lambda n, x: n(x), evaluation=False, gradient=False),
        ),
        Mistake(
            message=f"{_HEAD} And the network is in training mode: call `network.eval()`.",
            answer=_run(lambda n, x: n(x), evaluation=False, gradient=True),
        ),
        Mistake(
            message="These are probabilities of the old classes. Leave the last layer and softmax out.",
            answer=_run(lambda n, x: n(x).softmax(dim=-1), evaluation=True, gradient=False),
        ),
        Mistake(
            message="You stopped before the pooling: it still has a vector for every place. Only the last layer goes.",
            answer=_run(lambda n, x: n[:4](x), evaluation=True, gradient=False),
        ),
        Mistake(
            message="The features are scaled to length 1. That may be useful later; here it throws their size away.",
            answer=_run(lambda n, x: F.normalize(_body(n, x), dim=1), evaluation=True, gradient=False),
        ),
    ),
    hints=(
        "An `nn.Sequential` can be sliced like a list: `network[:-1]` is everything but the last layer.",
        "Before you use a trained network, `network.eval()`; batch normalization and dropout need to know.",
        "`with torch.no_grad():` around the call; otherwise PyTorch keeps every layer's result for a backward pass.",
    ),
)
