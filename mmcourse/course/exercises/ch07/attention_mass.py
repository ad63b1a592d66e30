"""07-attention-mass: measure how much of the attention falls on the object's own pixels."""

from __future__ import annotations

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import maps_and_masks
from mmcourse.course.exercises.variants import covered


def attention_mass(maps, masks):
    return (maps * covered(masks, maps.shape[1:])).sum(dim=(1, 2)).mean()


def _enlarged(maps, masks):
    """Every pixel gets the whole weight of its cell."""
    cell = masks.shape[1] // maps.shape[1]
    large = maps.repeat_interleave(cell, dim=1).repeat_interleave(cell, dim=2)
    return (large * masks).sum(dim=(1, 2)).mean()


def _mass(combine):
    return lambda maps, masks: combine(maps, covered(masks, maps.shape[1:]))


EXERCISE = Exercise(
    id="07-attention-mass",
    title="Attention mass on the object",
    goal="measure how much of the attention falls on the object's own pixels",
    stars=2,
    minutes=8,
    points=2,
    reference=attention_mass,
    nothing_ready="no function of the library scores maps",
    cases=(
        Case(name="30 maps of 4 × 4 cells, pictures of 16 × 16 pixels", inputs=maps_and_masks(30, 4, 4, 4)),
        Case(name="20 maps of 3 × 5 cells of 6 pixels", inputs=maps_and_masks(20, 3, 5, 6)),
        Case(name="a single map of 8 × 8 cells of 8 pixels", inputs=maps_and_masks(1, 8, 8, 8)),
    ),
    mistakes=(
        Mistake(
            message="Every cell that the object touches counts in full. A cell that is covered by a third gives a "
            "third of its weight.",
            answer=_mass(lambda maps, shares: (maps * (shares > 0)).sum(dim=(1, 2)).mean()),
        ),
        Mistake(
            message="Cells count in full from a quarter on: that is the rule of the pointing game. Here a cell counts "
            "by the share that is covered.",
            answer=_mass(lambda maps, shares: (maps * (shares >= 0.25)).sum(dim=(1, 2)).mean()),
        ),
        Mistake(
            message="Each pixel gets the whole weight of its cell, so the map sums to more than 1. The pixels of a "
            "cell share its weight.",
            answer=_enlarged,
        ),
        Mistake(
            message="This is divided by the size of the object. The mass is a sum: a large object may hold more.",
            answer=_mass(lambda maps, shares: ((maps * shares).sum(dim=(1, 2)) / shares.sum(dim=(1, 2))).mean()),
        ),
        Mistake(
            message="This is the mean over the cells. The weights of a map add up to 1: take the sum over cells, then "
            "the mean over pictures.",
            answer=_mass(lambda maps, shares: (maps * shares).mean()),
        ),
        Mistake(
            message="This is the sum over the pictures. Take their mean.",
            answer=_mass(lambda maps, shares: (maps * shares).sum()),
        ),
        Mistake(
            message="This is one number for each picture. Take their mean.",
            answer=_mass(lambda maps, shares: (maps * shares).sum(dim=(1, 2))),
        ),
        Mistake(
            message="Only the largest product counts here. Add up all cells.",
            answer=_mass(lambda maps, shares: (maps * shares).amax(dim=(1, 2)).mean()),
        ),
        Mistake(
            message="This is the mass outside the object.",
            answer=_mass(lambda maps, shares: (maps * (1 - shares)).sum(dim=(1, 2)).mean()),
        ),
        Mistake(
            message="The maps are averaged over the pictures first. Each map belongs to its own mask.",
            answer=_mass(lambda maps, shares: (maps.mean(dim=0) * shares).sum(dim=(1, 2)).mean()),
        ),
    ),
    hints=(
        "As in the pointing game, `F.adaptive_avg_pool2d(masks.float(), (rows, columns))` gives the covered shares.",
        "Weight times share, cell by cell: that is how much of the attention of a cell falls on the object.",
        "`(maps * shares).sum(dim=(1, 2)).mean()`.",
    ),
)
