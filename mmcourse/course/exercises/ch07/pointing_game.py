"""07-pointing-game: score an attention map by whether its peak lies on the object."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import maps_and_masks
from mmcourse.course.exercises.variants import covered


def pointing_game(maps, masks):
    best = maps.flatten(1).argmax(dim=1)
    inside = covered(masks, maps.shape[1:]).flatten(1).gather(1, best[:, None])[:, 0]
    return (inside >= 0.25).float().mean()


def _pointing(*, maps=None, hit=None, end=None):
    """The pointing game with other maps, another test of (share of the best cell), or another summary."""

    def answer(weights, masks):
        shares = covered(masks, weights.shape[1:]).flatten(1)
        best = (weights if maps is None else maps(weights, shares.view_as(weights))).flatten(1).argmax(dim=1)
        inside = shares.gather(1, best[:, None])[:, 0]
        hits = (inside >= 0.25).float() if hit is None else hit(inside)
        return hits.mean() if end is None else end(hits)

    return answer


def _best_row_then_column(maps, masks):
    """Looks for the best row and the best column apart from each other."""
    row, column = maps.sum(dim=2).argmax(dim=1), maps.sum(dim=1).argmax(dim=1)
    shares = covered(masks, maps.shape[1:])
    return (shares[torch.arange(len(maps)), row, column] >= 0.25).float().mean()


def _same_cell(maps, masks):
    shares = covered(masks, maps.shape[1:]).flatten(1)
    return (maps.flatten(1).argmax(dim=1) == shares.argmax(dim=1)).float().mean()


def _rows_for_columns(maps, masks):
    """Turns the number of a cell into row and column by the number of rows."""
    rows, columns = maps.shape[1:]
    best = maps.flatten(1).argmax(dim=1)
    shares = covered(masks, (rows, columns))
    row, column = (best // rows).clamp(max=rows - 1), (best % rows).clamp(max=columns - 1)
    return (shares[torch.arange(len(maps)), row, column] >= 0.25).float().mean()


def _one_best_of_all(maps, masks):
    best = maps.mean(dim=0).argmax().expand(len(maps))
    shares = covered(masks, maps.shape[1:]).flatten(1)
    return (shares.gather(1, best[:, None]) >= 0.25).float().mean()


EXERCISE = Exercise(
    id="07-pointing-game",
    title="The pointing game",
    goal="score an attention map by whether its peak lies on the object",
    stars=2,
    minutes=10,
    points=2,
    reference=pointing_game,
    nothing_ready="no function of the library scores maps",
    cases=(
        Case(name="40 maps of 4 × 4 cells, pictures of 16 × 16 pixels", inputs=maps_and_masks(40, 4, 4, 4)),
        Case(name="60 maps of 3 × 5 cells of 6 pixels", inputs=maps_and_masks(60, 3, 5, 6)),
        Case(name="a single map of 8 × 8 cells of 8 pixels", inputs=maps_and_masks(1, 8, 8, 8)),
    ),
    mistakes=(
        Mistake(
            message="One touching pixel counts as a hit. At least a quarter of the cell must belong to the object.",
            answer=_pointing(hit=lambda inside: (inside > 0).float()),
        ),
        Mistake(
            message="The cell must be covered by half or more here. A quarter is enough.",
            answer=_pointing(hit=lambda inside: (inside >= 0.5).float()),
        ),
        Mistake(
            message="The cell must lie on the object as a whole here. A quarter is enough.",
            answer=_pointing(hit=lambda inside: (inside >= 1.0).float()),
        ),
        Mistake(
            message="These are shares of covered pixels. A picture is a hit or a miss, 1 or 0.",
            answer=_pointing(hit=lambda inside: inside),
        ),
        Mistake(
            message="The hits are counted. Return their share, the mean over the pictures.",
            answer=_pointing(end=torch.sum),
        ),
        Mistake(
            message="This is one answer for each picture. Return their share, the mean over the pictures.",
            answer=_pointing(end=lambda hits: hits),
        ),
        Mistake(
            message="The misses are counted: return the share of hits.",
            answer=_pointing(hit=lambda inside: (inside < 0.25).float()),
        ),
        Mistake(
            message="This takes the least attended cell. Take the largest weight.",
            answer=_pointing(maps=lambda weights, shares: -weights),
        ),
        Mistake(
            message="The peak is searched inside the object only, so it cannot miss. Search the whole map.",
            answer=_pointing(maps=lambda weights, shares: weights * (shares > 0)),
        ),
        Mistake(
            message="The peak must be the very cell that the object covers most. Any cell of the object is a hit.",
            answer=_same_cell,
        ),
        Mistake(
            message="Best row and best column are searched apart. Their crossing need not be the peak: take the "
            "argmax over all cells.",
            answer=_best_row_then_column,
        ),
        Mistake(
            message="One cell is chosen for all pictures. Every map has a peak of its own.",
            answer=_one_best_of_all,
        ),
        Mistake(
            message="The number of the cell is turned into row and column by the number of rows. Divide by the number "
            "of columns.",
            answer=_rows_for_columns,
        ),
    ),
    hints=(
        "`F.adaptive_avg_pool2d(masks.float(), (rows, columns))` tells how much of each cell belongs to the object.",
        "Flatten maps and shares to (N, P); `maps.flatten(1).argmax(dim=1)` is the number of the peak of each.",
        "`shares.flatten(1).gather(1, best[:, None])` looks the share up; compare with 0.25 and take the mean.",
    ),
)
