"""14-deletion-curve: take the most important patches away, one after another, and see how fast the score falls.

The measure "deletion" of Petsiuk et al., "RISE: randomized input sampling for explanation of black-box models" (2018).
"""

from __future__ import annotations

import torch

from mmcourse import interpret
from mmcourse.course.exercise import Case, Exercise, Mistake


def deletion_curve(score, patches, importance):
    left = patches.clone()
    scores = [score(left)]
    for place in importance.argsort(descending=True):
        left[place] = 0
        scores.append(score(left))
    scores = torch.stack(scores)
    return scores, torch.trapezoid(scores) / len(importance)


def _score(weights):
    """A score that every patch has a part in, and no patch for itself alone."""

    def score(patches):
        if not torch.is_tensor(patches) or patches.shape != weights.shape:
            came = f"shape {tuple(patches.shape)}" if torch.is_tensor(patches) else type(patches).__name__
            raise ValueError(f"score wants all patches, a tensor of shape {tuple(weights.shape)}, got {came}")
        parts = (weights * patches).sum(dim=1)
        return parts.sum().tanh() + (parts.square() + parts).mean() + 0.5

    return score


def _remove(answer, weights, patches, importance):
    """Gives the answer a score to ask."""
    return answer(_score(weights), patches, importance)


def _inputs(patches, width, *, signed=True, twisted=False):
    """Importances all differ; `signed`: half of them are below 0; `twisted`: their order is not its own inverse."""

    def inputs(generator):
        weights, given = torch.randn(2, patches, width, generator=generator)
        weights = weights / (patches * width) ** 0.5
        order = torch.randperm(patches, generator=generator)
        if twisted:  # a circle of all places, so that places and ranks are never the same
            ranks = torch.empty_like(order)
            ranks[order] = order.roll(1)
            order = ranks
        middle = patches / 2 if signed else -1
        return weights, given, (order - middle + 0.3) / patches

    return inputs


def _case(name, *sizes, **options):
    return Case(name=name, inputs=_inputs(*sizes, **options), probe=_remove)


def _removed(*, order=None, turns=None, picture=None, area=None):
    """Another order, other numbers of patches gone, other pictures of (patches, gone), or another area of scores."""

    def answer(score, patches, importance):
        places = importance.argsort(descending=True) if order is None else order(importance)
        counts = range(len(patches) + 1) if turns is None else turns(len(patches))
        scores = []
        for count in counts:
            gone = torch.zeros(len(patches), dtype=torch.bool)
            gone[places[:count]] = True
            show = patches.masked_fill(gone[:, None], 0) if picture is None else picture(patches, gone)
            scores.append(score(show))
        scores = torch.stack(scores)
        return scores, torch.trapezoid(scores) / len(patches) if area is None else area(scores)

    return answer


def _one_at_a_time(score, patches, importance):
    """Puts every patch back before it takes the next one."""
    scores = [score(patches)]
    for place in importance.argsort(descending=True).tolist():
        left = patches.clone()
        left[place] = 0
        scores.append(score(left))
    scores = torch.stack(scores)
    return scores, torch.trapezoid(scores) / len(importance)


def _mean_of_patches(patches, gone):
    return torch.where(gone[:, None], patches.mean(dim=0), patches)


def _in_place(score, patches, importance):
    scores = [score(patches)]
    for place in importance.argsort(descending=True).tolist():
        patches[place] = 0
        scores.append(score(patches))
    scores = torch.stack(scores)
    return scores, torch.trapezoid(scores) / len(importance)


EXERCISE = Exercise(
    id="14-deletion-curve",
    title="What is missed first",
    goal="take the most important patches away, one after another, and see how fast the score falls",
    stars=2,
    minutes=10,
    points=2,
    reference=deletion_curve,
    ready_made=(interpret.deletion, interpret.insertion),
    cases=(
        _case("nine patches", 9, 4, signed=False, twisted=True),
        _case("twelve patches, some count against it", 12, 3, twisted=True),
        _case("five patches of one number", 5, 1, twisted=True),
        _case("one patch", 1, 4),
    ),
    mistakes=(
        Mistake(
            message="The least important patches go first. Sort with `descending=True`.",
            answer=_removed(order=lambda importance: importance.argsort()),
        ),
        Mistake(
            message="The patches go in the order in which they stand. The most important one goes first.",
            answer=_removed(order=lambda importance: torch.arange(len(importance))),
        ),
        Mistake(
            message="A patch that speaks strongly against it goes early, too. Sort by importance with its sign.",
            answer=_removed(order=lambda importance: importance.abs().argsort(descending=True)),
        ),
        Mistake(
            message="Ranks are taken for places: `argsort` says which patch comes first, and its `argsort` when each "
            "patch has its turn.",
            answer=_removed(order=lambda importance: importance.argsort(descending=True).argsort()),
        ),
        Mistake(
            message="A patch is put back before the next one goes. What is gone stays away.",
            answer=_one_at_a_time,
        ),
        Mistake(
            message="Patches come back to an empty picture, which is insertion. Begin with all of them, and take away.",
            answer=_removed(picture=lambda patches, gone: patches.masked_fill(~gone[:, None], 0)),
        ),
        Mistake(
            message="The score of the whole picture is missing. Ask once before anything is taken away.",
            answer=_removed(
                turns=lambda count: range(1, count + 1), area=lambda scores: torch.trapezoid(scores) / len(scores)
            ),
        ),
        Mistake(
            message="The last score is missing, that of a picture of which nothing is left.",
            answer=_removed(turns=range, area=lambda scores: torch.trapezoid(scores) / len(scores)),
        ),
        Mistake(
            message="A patch that goes leaves the mean of all patches behind. Here it leaves zeros.",
            answer=_removed(picture=_mean_of_patches),
        ),
        Mistake(
            message="The area counts in patches. Let the way from the whole picture to none be 1: divide by the number "
            "of patches.",
            answer=_removed(area=torch.trapezoid),
        ),
        Mistake(
            message="The area is divided by the number of scores. Between P + 1 scores there are P steps.",
            answer=_removed(area=lambda scores: torch.trapezoid(scores) / len(scores)),
        ),
        Mistake(
            message="This is the mean of all scores. Under a line from point to point the first and the last count "
            "half: `torch.trapezoid`.",
            answer=_removed(area=torch.mean),
        ),
        Mistake(
            message="Each step counts with the score at its beginning. Under a line from point to point it is the mean "
            "of both ends: `torch.trapezoid`.",
            answer=_removed(area=lambda scores: scores[:-1].mean()),
        ),
        Mistake(
            message="Each step counts with the score at its end. Under a line from point to point it is the mean of "
            "both ends: `torch.trapezoid`.",
            answer=_removed(area=lambda scores: scores[1:].mean()),
        ),
        Mistake(
            message="The given patches are changed, and nothing is left of the picture. Change a `clone()`.",
            answer=_in_place,
        ),
    ),
    hints=(
        "`importance.argsort(descending=True)` are the places of the patches, the most important first.",
        "Work on a `patches.clone()`: ask for its score, set one patch to 0, ask again; that makes P + 1 scores.",
        "`torch.trapezoid(scores)` is the area with steps of 1; divided by P it is the area over shares from 0 to 1.",
    ),
)
