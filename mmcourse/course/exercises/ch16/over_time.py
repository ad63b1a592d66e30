"""16-over-time: let one learned query choose among the frames of a clip.

`over_time(frames, query)` of (B, T, C) and (C,) gives (B, C): frames are keys and values at once, scores are divided by
√C as in chapter 01. A query of zeros makes all scores equal, and so gives the mean of the frames: what is learned
begins there, if the query does.
"""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ready import ATTENTION


def over_time(frames, query):
    weights = (frames @ query / len(query) ** 0.5).softmax(dim=1)
    return (weights[:, None] @ frames).squeeze(1)


def _inputs(clips, length, width, *, size=1.0):
    def inputs(generator):
        return torch.randn(clips, length, width, generator=generator), size * torch.randn(width, generator=generator)

    return inputs


def _attended(*, scores=None, weights=None, result=None):
    """The same with other scores of (frames, query), other weights of the scores, or another result of both."""

    def answer(frames, query):
        found = frames @ query / len(query) ** 0.5 if scores is None else scores(frames, query)
        shares = found.softmax(dim=1) if weights is None else weights(found)
        return (shares[..., None] * frames).sum(dim=1) if result is None else result(shares, frames)

    return answer


def _unit(x):
    return x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)


def _by_plain_exponentials(scores):
    return scores.exp() / scores.exp().sum(dim=1, keepdim=True)


def _of_channels(frames, query):
    return ((frames * query / len(query) ** 0.5).softmax(dim=1) * frames).sum(dim=1)


def _of_pairs(frames, query):
    """Every frame asks, and the query is one more."""
    asked = frames + query
    weights = (asked @ frames.mT / len(query) ** 0.5).softmax(dim=-1)
    return (weights @ frames).mean(dim=1)


EXERCISE = Exercise(
    id="16-over-time",
    title="Which frame matters",
    goal="let one learned query choose among the frames of a clip",
    stars=2,
    minutes=9,
    points=2,
    reference=over_time,
    ready_made=ATTENTION,
    cases=(
        Case(name="three clips of five frames", inputs=_inputs(3, 5, 8)),
        Case(name="four clips of four frames, four numbers each", inputs=_inputs(4, 4, 4)),
        Case(name="a query of zeros gives the mean", inputs=_inputs(2, 6, 5, size=0.0)),
        Case(name="a large query picks a frame", inputs=_inputs(3, 7, 16, size=300.0), rtol=1e-3, atol=1e-3),
        Case(name="a single frame", inputs=_inputs(2, 1, 6)),
    ),
    mistakes=(
        Mistake(
            message="This is the mean of the frames, which does not know the query. It is right for a query of zeros "
            "alone.",
            answer=lambda frames, query: frames.mean(dim=1),
        ),
        Mistake(
            message="The scores are not divided by √C, so that they grow with the width.",
            answer=_attended(scores=lambda frames, query: frames @ query),
        ),
        Mistake(
            message="The scores are divided by C. It is √C, as large as a product of C random numbers is.",
            answer=_attended(scores=lambda frames, query: frames @ query / len(query)),
        ),
        Mistake(
            message="Frames and query are brought to length 1 before they are compared. The length of the query is "
            "learned: it says how sharply to choose.",
            answer=_attended(scores=lambda frames, query: _unit(frames) @ _unit(query)),
        ),
        Mistake(
            message="The softmax runs over the clips of the batch. Each clip shares its own weight among its frames: "
            "dim 1.",
            answer=_attended(weights=lambda scores: scores.softmax(dim=0)),
        ),
        Mistake(
            message="The softmax runs over all frames of all clips. Each clip shares its own weight.",
            answer=_attended(weights=lambda scores: scores.flatten().softmax(dim=0).view_as(scores)),
        ),
        Mistake(
            message="Each channel has weights of its own. A frame has one weight: add up the products over C first.",
            answer=_of_channels,
        ),
        Mistake(
            message="The weights are a sigmoid of each score, and do not add up to 1. Frames compete: softmax.",
            answer=_attended(weights=torch.sigmoid),
        ),
        Mistake(
            message="The scores themselves are the weights. They may be negative, and a query of zeros gives zeros: "
            "use softmax.",
            answer=_attended(weights=lambda scores: scores),
        ),
        Mistake(
            message="Only the best frame is taken, which lets no gradient reach the query. Take all, with weights.",
            answer=_attended(weights=lambda scores: torch.eye(scores.shape[1])[scores.argmax(dim=1)]),
        ),
        Mistake(
            message="The weights choose the frames that the query likes least: the sign of the scores is wrong.",
            answer=_attended(scores=lambda frames, query: -(frames @ query) / len(query) ** 0.5),
        ),
        Mistake(
            message="The weighed frames are averaged, and come out T times too small. The weights add up to 1 already: "
            "sum.",
            answer=_attended(result=lambda weights, frames: (weights[..., None] * frames).mean(dim=1)),
        ),
        Mistake(
            message="The weighed frames are not added up: (B, T, C). One vector for each clip is asked.",
            answer=_attended(result=lambda weights, frames: weights[..., None] * frames),
        ),
        Mistake(
            message="These are the weights. They say how much each frame counts; the result is made of the frames.",
            answer=_attended(result=lambda weights, frames: weights),
        ),
        Mistake(
            message="exp of a large score overflows, and infinity divided by infinity is no number. Use `softmax`.",
            answer=_attended(weights=_by_plain_exponentials),
        ),
        Mistake(
            message="Every frame asks every other here. There is one question, the query, and the frames answer it.",
            answer=_of_pairs,
        ),
    ),
    hints=(
        "`frames @ query` is one score for each frame, (B, T).",
        "Divided by √C, a softmax over dim 1 makes weights of them that add up to 1 in each clip.",
        "Each frame times its weight, `weights[..., None] * frames`, summed over dim 1, is (B, C).",
    ),
)
