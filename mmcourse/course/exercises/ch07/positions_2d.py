"""07-positions-2d: tell every patch its row and its column."""

from __future__ import annotations

import torch

from mmcourse import attention
from mmcourse.attention import sinusoidal_positions
from mmcourse.course.exercise import Case, Exercise, Mistake


def positions_2d(rows, columns, width):
    down = sinusoidal_positions(rows, width // 2)[:, None].expand(-1, columns, -1)
    across = sinusoidal_positions(columns, width // 2)[None].expand(rows, -1, -1)
    return torch.cat((down, across), dim=-1).flatten(0, 1)


def _halves(rows, columns, width):
    down = sinusoidal_positions(rows, width // 2)[:, None].expand(-1, columns, -1)
    return down, sinusoidal_positions(columns, width // 2)[None].expand(rows, -1, -1)


def _columns_first(rows, columns, width):
    down, across = _halves(rows, columns, width)
    return torch.cat((across, down), dim=-1).flatten(0, 1)


def _column_order(rows, columns, width):
    down, across = _halves(rows, columns, width)
    return torch.cat((down, across), dim=-1).transpose(0, 1).flatten(0, 1)


def _one_half(which):
    def answer(rows, columns, width):
        half = _halves(rows, columns, width)[which]
        return torch.cat((half, half), dim=-1).flatten(0, 1)

    return answer


def _added(rows, columns, width):
    down, across = _halves(rows, columns, 2 * width)
    return (down + across).flatten(0, 1)


def _twice_as_wide(rows, columns, width):
    return positions_2d(rows, columns, 2 * width)


def _grid_kept(rows, columns, width):
    return positions_2d(rows, columns, width).view(rows, columns, width)


def _grid(generator):
    """More rows than above and more columns than rows; the width is a multiple of four."""
    rows, more, quarter = (int(torch.randint(low, low + 6, (), generator=generator)) for low in (5, 2, 2))
    return rows, rows + more, 4 * quarter


EXERCISE = Exercise(
    id="07-positions-2d",
    title="Where a patch is",
    goal="tell every patch its row and its column",
    stars=2,
    minutes=10,
    points=2,
    reference=positions_2d,
    ready_made=(attention.sinusoidal_positions_2d,),
    cases=(
        Case(name="two rows of three patches", inputs=lambda generator: (2, 3, 8)),
        Case(name="a square of sixteen patches", inputs=lambda generator: (4, 4, 12)),
        Case(name="a single row", inputs=lambda generator: (1, 5, 4)),
    ),
    fresh=(Case(name="a grid of chance", inputs=_grid),),
    mistakes=(
        Mistake(
            message="The patches are numbered in one line. Then the patch below is as far away as a whole row; give "
            "half of the channels to the row and half to the column.",
            answer=lambda rows, columns, width: sinusoidal_positions(rows * columns, width),
        ),
        Mistake(
            message="The column comes first. The first half of the channels is for the row.",
            answer=_columns_first,
        ),
        Mistake(
            message="The patches come column by column. Reading order goes along a row first: the column changes "
            "fastest.",
            answer=_column_order,
        ),
        Mistake(message="Only the row is told: two patches side by side look alike.", answer=_one_half(0)),
        Mistake(message="Only the column is told: two patches one above the other look alike.", answer=_one_half(1)),
        Mistake(
            message="Row and column are added: patch (1, 2) then looks like patch (2, 1). Put them side by side.",
            answer=_added,
        ),
        Mistake(
            message="The result is twice as wide as asked. Each half gets width // 2 channels.",
            answer=_twice_as_wide,
        ),
        Mistake(
            message="Right numbers, but as a grid. Tokens come in one line: flatten rows and columns to (P, width).",
            answer=_grid_kept,
        ),
        Mistake(
            message="Rows and columns are swapped: there are `rows` rows of `columns` patches each.",
            answer=lambda rows, columns, width: positions_2d(columns, rows, width),
        ),
    ),
    hints=(
        "`sinusoidal_positions(rows, width // 2)` has one line for each row; every patch of that row gets it.",
        "In reading order the row is 0, 0, 0, 1, 1, 1 and the column 0, 1, 2, 0, 1, 2: `repeat_interleave` and "
        "`repeat`.",
        "`torch.cat((down.repeat_interleave(columns, dim=0), across.repeat(rows, 1)), dim=-1)`.",
    ),
)
