"""Exercises of chapter 07, second part: co-attention, the pointing game and attention mass; listed in `ch07`."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake

# --- co-attention -------------------------------------------------------------------------------------------------


def co_attend(words, patches, words_ask, patches_ask):
    return words + words_ask(words, patches), patches + patches_ask(patches, words)


def _run_co_attention(answer, words, patches, word_map, patch_map):
    """Gives the answer two different attentions, each a function of (who asks, who is asked)."""

    def make(matrix):
        return lambda x, context: (x @ matrix @ context.mT).softmax(dim=-1) @ context

    return answer(words, patches, make(word_map), make(patch_map))


def _pair(batch, words, patches, width):
    def inputs(generator):
        def draw(*shape):
            return torch.randn(shape, generator=generator)

        return draw(batch, words, width), draw(batch, patches, width), draw(width, width), draw(width, width)

    return inputs


def _words_first(words, patches, words_ask, patches_ask):
    words = words + words_ask(words, patches)
    return words, patches + patches_ask(patches, words)


def _patches_first(words, patches, words_ask, patches_ask):
    patches = patches + patches_ask(patches, words)
    return words + words_ask(words, patches), patches


def _swapped_functions(words, patches, words_ask, patches_ask):
    return words + patches_ask(words, patches), patches + words_ask(patches, words)


CO_ATTENTION = Exercise(
    id="07-co-attention",
    title="Both ask at once",
    goal="update words and patches from what both were before",
    stars=2,
    minutes=8,
    points=2,
    reference=co_attend,
    cases=(
        Case(name="three words and five patches", inputs=_pair(2, 3, 5, 4), probe=_run_co_attention),
        Case(name="as many words as patches", inputs=_pair(1, 4, 4, 6), probe=_run_co_attention),
    ),
    mistakes=(
        Mistake(
            message="The patches ask words that have already been updated. Both sides ask at once: keep the old words "
            "until the patches have asked.",
            answer=_words_first,
        ),
        Mistake(
            message="The words ask patches that have already been updated. Both sides ask at once: keep the old "
            "patches until the words have asked.",
            answer=_patches_first,
        ),
        Mistake(
            message="The residual paths are missing: add what came in to what was found.",
            answer=lambda x, y, f, g: (f(x, y), g(y, x)),
        ),
        Mistake(
            message="Each side asks itself. The second argument is who is asked: the other side.",
            answer=lambda x, y, f, g: (x + f(x, x), y + g(y, y)),
        ),
        Mistake(
            message="The two attentions are swapped: words_ask is for the words.",
            answer=_swapped_functions,
        ),
        Mistake(
            message="One attention is used for both directions. Each direction has its own weights.",
            answer=lambda x, y, f, g: (x + f(x, y), y + f(y, x)),
        ),
        Mistake(
            message="One attention is used for both directions. Each direction has its own weights.",
            answer=lambda x, y, f, g: (x + g(x, y), y + g(y, x)),
        ),
        Mistake(
            message="Only the words are updated. The patches ask as well.",
            answer=lambda x, y, f, g: (x + f(x, y), y),
        ),
        Mistake(
            message="Only the patches are updated. The words ask as well.",
            answer=lambda x, y, f, g: (x, y + g(y, x)),
        ),
        Mistake(
            message="The arguments of the attentions are turned round: first who asks, then who is asked.",
            answer=lambda x, y, f, g: (x + f(y, x), y + g(x, y)),
        ),
        Mistake(
            message="Words and patches come back in the wrong order.",
            answer=lambda *inputs: co_attend(*inputs)[::-1],
        ),
    ),
    hints=(
        "`words_ask(words, patches)` is what the words find; it has the shape of the words.",
        "Compute both findings from the old words and the old patches before you change either.",
        "`return words + words_ask(words, patches), patches + patches_ask(patches, words)`.",
    ),
)

# --- the pointing game --------------------------------------------------------------------------------------------


def covered(masks, grid):
    """How much of each cell belongs to the object: bool (N, H, W) -> (N, rows, columns)."""
    return F.adaptive_avg_pool2d(masks.float(), grid)


def pointing_game(maps, masks):
    best = maps.flatten(1).argmax(dim=1)
    inside = covered(masks, maps.shape[1:]).flatten(1).gather(1, best[:, None])[:, 0]
    return (inside >= 0.25).float().mean()


def _scored(count, rows, columns, cell):
    """Maps that sum to 1 and round masks of many sizes, half of the time under the brightest cell."""

    def inputs(generator):
        maps = torch.rand(count, rows, columns, generator=generator) ** 4
        best = maps.flatten(1).argmax(dim=1)
        away = torch.randint(rows * columns, (count,), generator=generator)
        middle = torch.where(torch.rand(count, generator=generator) < 0.5, best, away)
        shift = cell * (torch.rand(count, 2, generator=generator) - 0.5)
        y = (middle // columns + 0.5) * cell + shift[:, 0]
        x = (middle % columns + 0.5) * cell + shift[:, 1]
        radius = cell * (0.3 + 0.6 * torch.rand(count, generator=generator))
        down = torch.arange(rows * cell)[None, :, None] - y[:, None, None]
        across = torch.arange(columns * cell)[None, None] - x[:, None, None]
        masks = down.square() + across.square() <= radius.square()[:, None, None]
        return maps / maps.sum(dim=(1, 2), keepdim=True), masks

    return inputs


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


POINTING_GAME = Exercise(
    id="07-pointing-game",
    title="The pointing game",
    goal="score an attention map by whether its peak lies on the object",
    stars=2,
    minutes=10,
    points=2,
    reference=pointing_game,
    cases=(
        Case(name="40 maps of 4 × 4 cells, pictures of 16 × 16 pixels", inputs=_scored(40, 4, 4, 4)),
        Case(name="60 maps of 3 × 5 cells of 6 pixels", inputs=_scored(60, 3, 5, 6)),
        Case(name="a single map of 8 × 8 cells of 8 pixels", inputs=_scored(1, 8, 8, 8)),
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

# --- mass inside the mask -----------------------------------------------------------------------------------------


def attention_mass(maps, masks):
    return (maps * covered(masks, maps.shape[1:])).sum(dim=(1, 2)).mean()


def _enlarged(maps, masks):
    """Every pixel gets the whole weight of its cell."""
    cell = masks.shape[1] // maps.shape[1]
    large = maps.repeat_interleave(cell, dim=1).repeat_interleave(cell, dim=2)
    return (large * masks).sum(dim=(1, 2)).mean()


def _mass(combine):
    return lambda maps, masks: combine(maps, covered(masks, maps.shape[1:]))


ATTENTION_MASS = Exercise(
    id="07-attention-mass",
    title="Attention mass on the object",
    goal="measure how much of the attention falls on the object's own pixels",
    stars=2,
    minutes=8,
    points=2,
    reference=attention_mass,
    cases=(
        Case(name="30 maps of 4 × 4 cells, pictures of 16 × 16 pixels", inputs=_scored(30, 4, 4, 4)),
        Case(name="20 maps of 3 × 5 cells of 6 pixels", inputs=_scored(20, 3, 5, 6)),
        Case(name="a single map of 8 × 8 cells of 8 pixels", inputs=_scored(1, 8, 8, 8)),
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
