"""05-search: the k nearest vectors by cosine."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def find_nearest(query, table, k):
    return F.cosine_similarity(query[None], table).topk(k).indices


def _by_score(score, *, largest=True):
    return lambda query, table, k: score(query, table).topk(k, largest=largest).indices


def _vectors(entries, width, k):
    """Vectors of very different lengths, so that a dot product finds others than the cosine."""

    def inputs(generator):
        lengths = torch.rand(entries, 1, generator=generator) * 4 + 0.2
        query, table = torch.randn(width, generator=generator), torch.randn(entries, width, generator=generator)
        return 3 * query, lengths * (table + 0.4), k

    return inputs


def _normalized_over_entries(query, table, k):
    return (F.normalize(table, dim=0) @ F.normalize(query, dim=0)).topk(k).indices


EXERCISE = Exercise(
    id="05-search",
    title="Search by meaning",
    goal="the k nearest vectors by cosine",
    stars=2,
    minutes=10,
    points=2,
    reference=find_nearest,
    nothing_ready="cosine_similarity and topk are its parts",
    cases=(
        Case(name="the best of 20", inputs=_vectors(20, 8, 1)),
        Case(name="the best five of 50, in order", inputs=_vectors(50, 16, 5)),
        Case(name="all ten, in order", inputs=_vectors(10, 6, 10)),
    ),
    mistakes=(
        Mistake(
            message="This is the dot product: long vectors win, whatever they mean. Divide by the lengths.",
            answer=_by_score(lambda q, t: t @ q),
        ),
        Mistake(
            message="These are the nearest by Euclidean distance, which depends on lengths. Compare directions.",
            answer=_by_score(lambda q, t: (t - q).norm(dim=1), largest=False),
        ),
        Mistake(
            message="The farthest come first. A large cosine means alike: take the largest.",
            answer=_by_score(lambda q, t: F.cosine_similarity(q[None], t), largest=False),
        ),
        Mistake(
            message="The order is turned around: the best comes first.",
            answer=lambda q, t, k: find_nearest(q, t, k).flip(0),
        ),
        Mistake(
            message="These are the cosines. Return where they stand in the table.",
            answer=lambda q, t, k: F.cosine_similarity(q[None], t).topk(k).values,
        ),
        Mistake(
            message="The right entries, but sorted by their number. The best comes first.",
            answer=lambda q, t, k: find_nearest(q, t, k).sort().values,
        ),
        Mistake(
            message="The table is normalized over its entries (dim=0). Each row gets length 1: dim=1.",
            answer=_normalized_over_entries,
        ),
        Mistake(
            message="Only the best one is returned. k are asked for.",
            answer=lambda q, t, k: find_nearest(q, t, 1),
        ),
        Mistake(
            message="The absolute value is taken, so the very opposite counts as alike.",
            answer=_by_score(lambda q, t: F.cosine_similarity(q[None], t).abs()),
        ),
        Mistake(
            message="You divide by the sum of the absolute values. The length of a vector is the root of the sum of "
            "its squares.",
            answer=_by_score(lambda q, t: F.normalize(t, p=1, dim=1) @ q),
        ),
    ),
    hints=(
        "The cosine of two vectors is the dot product after both were scaled to length 1.",
        "`F.normalize(table, dim=1) @ F.normalize(query, dim=0)` gives all N cosines at once.",
        "`scores.topk(k).indices` gives the places of the k largest, the best first.",
    ),
)
