"""13-positions: say at which place of its text each token stands, on whichever side the padding is."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.models import vlm


def positions(mask):
    return (mask.cumsum(dim=1) - 1) * mask


def _inputs(texts, length, *sides):
    """Padding on these sides in turn; the last text fills its row, the others do not."""

    def inputs(generator):
        sizes = torch.randint(2, length, (texts,), generator=generator)
        sizes[-1] = length
        mask = torch.arange(length) < sizes[:, None]
        left = torch.tensor([sides[row % len(sides)] == "left" for row in range(texts)])
        return (torch.where(left[:, None], mask.flip(1), mask),)

    return inputs


def _row(mask):
    return torch.arange(mask.shape[1]).expand(mask.shape)


def _from_the_end(mask):
    return positions(mask.flip(1)).flip(1)


EXERCISE = Exercise(
    id="13-positions",
    title="Padding has no place",
    goal="say at which place of its text each token stands, on whichever side the padding is",
    stars=2,
    minutes=8,
    points=2,
    reference=positions,
    ready_made=(vlm.positions_of,),
    cases=(
        Case(name="padding on the left", inputs=_inputs(4, 7, "left")),
        Case(name="padding on the right", inputs=_inputs(3, 6, "right")),
        Case(name="both in one table", inputs=_inputs(7, 9, "right", "left")),
        Case(
            name="one text without padding",
            inputs=lambda g: (torch.ones(1, int(torch.randint(3, 9, (1,), generator=g)), dtype=torch.bool),),
        ),
    ),
    mistakes=(
        Mistake(
            message="These are the numbers of the columns. Padding must not count.",
            answer=_row,
        ),
        Mistake(
            message="Padding gets 0, and yet it is counted: these are the numbers of the columns. With padding on the "
            "left the first token must still get 0.",
            answer=lambda mask: _row(mask) * mask,
        ),
        Mistake(
            message="This holds where padding stands on the left alone. Count the tokens so far: then the side does "
            "not matter.",
            answer=lambda mask: (_row(mask) - (~mask).sum(dim=1, keepdim=True)).clamp(min=0) * mask,
        ),
        Mistake(
            message="The places begin at 1. The first token stands at 0.",
            answer=lambda mask: mask.cumsum(dim=1) * mask,
        ),
        Mistake(
            message="Padding is not set to 0: before a text it has −1 now, and an embedding table knows no place −1.",
            answer=lambda mask: mask.cumsum(dim=1) - 1,
        ),
        Mistake(
            message="Padding behind a text has the place of the last token. Set it to 0.",
            answer=lambda mask: (mask.cumsum(dim=1) - 1).clamp(min=0),
        ),
        Mistake(
            message="Padding gets −1. An embedding table knows no such place: give padding 0.",
            answer=lambda mask: (mask.cumsum(dim=1) - 1).masked_fill(~mask, -1),
        ),
        Mistake(
            message="Padding gets 1, as some libraries have it. Here it gets 0.",
            answer=lambda mask: (mask.cumsum(dim=1) - 1).masked_fill(~mask, 1),
        ),
        Mistake(
            message="The tokens are counted down the columns, across the texts. Count along each text: `dim=1`.",
            answer=lambda mask: (mask.cumsum(dim=0) - 1) * mask,
        ),
        Mistake(
            message="The tokens are counted from the end. The first one stands at 0.",
            answer=_from_the_end,
        ),
        Mistake(
            message="Padding is counted and tokens are not. True is a token.",
            answer=lambda mask: positions(~mask),
        ),
        Mistake(
            message="All texts get the places of the first text. Each has padding of its own.",
            answer=lambda mask: positions(mask)[:1].expand(mask.shape),
        ),
        Mistake(
            message="The places are floating-point numbers. An embedding table wants whole ones: torch.int64.",
            answer=lambda mask: positions(mask).float(),
        ),
    ),
    hints=(
        "The place of a token is the number of tokens before it.",
        "`mask.cumsum(dim=1)` counts the tokens up to and including each column; as whole numbers, though the mask is "
        "bool.",
        "Take 1 away, and multiply by the mask: that makes 0 of padding and leaves tokens alone.",
    ),
)
