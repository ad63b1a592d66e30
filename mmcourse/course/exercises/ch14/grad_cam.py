"""14-grad-cam: show where a layer found what raises the score.

Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization" (2017).
"""

from __future__ import annotations

import torch

from mmcourse import interpret
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import normal


def grad_cam(features, gradients):
    weights = gradients.mean(dim=(1, 2))
    return (weights[:, None, None] * features).sum(dim=0).relu()


def _against(channels, rows, columns):
    """After a ReLU no feature is below 0; here each of them speaks against the class."""

    def inputs(generator):
        features, gradients = torch.rand(2, channels, rows, columns, generator=generator)
        return features, -gradients

    return inputs


def _weighted(*, weights=None, parts=None, end=None):
    """The same with other weights, another use of (weights, features), or another end than the ReLU."""

    def answer(features, gradients):
        found = gradients.mean(dim=(1, 2)) if weights is None else weights(features, gradients)
        factors = found[:, None, None] if found.dim() == 1 else found
        total = (factors * features).sum(dim=0) if parts is None else parts(factors, features)
        return total.relu() if end is None else end(total)

    return answer


def _spread(gradients):
    return gradients.mean(dim=(1, 2))


def _in_place(factors, features):
    features *= factors
    return features.sum(dim=0)


EXERCISE = Exercise(
    id="14-grad-cam",
    title="A heat map from a layer",
    goal="show where a layer found what raises the score",
    stars=1,
    minutes=8,
    points=1,
    reference=grad_cam,
    ready_made=(interpret.grad_cam,),
    cases=(
        Case(name="six channels of 4 by 5 cells", inputs=normal((6, 4, 5), (6, 4, 5)), atol=1e-5),
        Case(name="three channels of 7 by 3 cells", inputs=normal((3, 7, 3), (3, 7, 3)), atol=1e-5),
        Case(name="five channels of 5 by 5 cells", inputs=normal((5, 5, 5), (5, 5, 5)), atol=1e-5),
        Case(name="everything speaks against it", inputs=_against(4, 3, 3), atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="What speaks against the class is still there, as negative numbers. A ReLU at the end leaves what "
            "speaks for it.",
            answer=_weighted(end=lambda total: total),
        ),
        Mistake(
            message="What speaks against the class counts like what speaks for it. Take the ReLU, not the size.",
            answer=_weighted(end=lambda total: total.abs()),
        ),
        Mistake(
            message="Negative weights are set to 0. Let them count: the ReLU comes once, after the sum.",
            answer=_weighted(weights=lambda features, gradients: _spread(gradients).relu()),
        ),
        Mistake(
            message="Each channel has a ReLU of its own. Add up the channels first: one takes away what another gives.",
            answer=_weighted(parts=lambda factors, features: (factors * features).relu().sum(dim=0)),
        ),
        Mistake(
            message="Each place has its own gradient here, which is HiResCAM. In Grad-CAM a channel has one weight, "
            "the mean of its gradients.",
            answer=_weighted(weights=lambda features, gradients: gradients),
        ),
        Mistake(
            message="The gradients of a channel are added up. Its weight is their mean.",
            answer=_weighted(weights=lambda features, gradients: gradients.sum(dim=(1, 2))),
        ),
        Mistake(
            message="The mean of the gradients is taken over channels, at each place. Take it over places, for each "
            "channel: `dim=(1, 2)`.",
            answer=_weighted(weights=lambda features, gradients: gradients.mean(dim=0, keepdim=True)),
        ),
        Mistake(
            message="All gradients have one mean here. Each channel has its own weight: `dim=(1, 2)`.",
            answer=_weighted(weights=lambda features, gradients: gradients.mean().expand(len(gradients))),
        ),
        Mistake(
            message="Features and gradients are exchanged: the gradients give the weights, the features the map.",
            answer=lambda features, gradients: grad_cam(gradients, features),
        ),
        Mistake(
            message="The mean over channels is taken. Add them up.",
            answer=_weighted(parts=lambda factors, features: (factors * features).mean(dim=0)),
        ),
        Mistake(
            message="The features are added up without weights, so the map is the same for every class.",
            answer=_weighted(parts=lambda factors, features: features.sum(dim=0)),
        ),
        Mistake(
            message="The weights go through a softmax, which knows no negative weight. Take the means as they are.",
            answer=_weighted(weights=lambda features, gradients: _spread(gradients).softmax(dim=0)),
        ),
        Mistake(
            message="The map is divided by its largest number, which may be 0, and how much it is worth is lost. "
            "Return it as it is.",
            answer=_weighted(end=lambda total: total.relu() / total.relu().max()),
        ),
        Mistake(
            message="The given features are changed. Make new numbers: `weights[:, None, None] * features`.",
            answer=_weighted(parts=_in_place),
        ),
    ),
    hints=(
        "How much the score cares for a channel is one number: the mean of its gradients over all places.",
        "`gradients.mean(dim=(1, 2))` has the shape (C,); with `[:, None, None]` it multiplies the features (C, H, W).",
        "Add up the channels, `….sum(dim=0)`, and then take `.relu()`.",
    ),
)
