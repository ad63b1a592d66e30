"""Exercises of chapter 07: fusion by attention; the later ones are in `ch07_more`."""

from __future__ import annotations

import torch
from torch import nn

from mmcourse.attention import sinusoidal_positions
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch07_more import ATTENTION_MASS, CO_ATTENTION, POINTING_GAME

# --- cross-attention ----------------------------------------------------------------------------------------------


def words_ask_patches(words, patches, w_query, w_key, w_value):
    q, k, v = words @ w_query, patches @ w_key, patches @ w_value
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ v, weights


def _tokens(batch, words, patches, width, size):
    """Words and patches of one width, and three maps from it to the size of a head."""

    def inputs(generator):
        def draw(*shape):
            return torch.randn(shape, generator=generator)

        maps = (1.5 * draw(width, size) / width**0.5 for _ in range(3))
        return draw(batch, words, width), draw(batch, patches, width), *maps

    return inputs


def _cross(*, roles=None, weigh=None):
    """Cross-attention with other sources of queries, keys and values, or other weights from q and k."""

    def usual_roles(words, patches, w_query, w_key, w_value):
        return words @ w_query, patches @ w_key, patches @ w_value

    def usual_weights(q, k, width):
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)

    def answer(words, patches, w_query, w_key, w_value):
        q, k, v = (roles or usual_roles)(words, patches, w_query, w_key, w_value)
        weights = (weigh or usual_weights)(q, k, words.shape[-1])
        return weights @ v, weights

    return answer


WORDS_ASK_PATCHES = Exercise(
    id="07-words-ask-patches",
    title="Words ask patches",
    goal="give queries, keys and values to the right modality",
    stars=1,
    minutes=8,
    points=2,
    reference=words_ask_patches,
    cases=(
        Case(name="two pictures of six patches, three words", inputs=_tokens(2, 3, 6, 8, 4)),
        Case(name="as many words as patches, where mixed-up roles fit", inputs=_tokens(2, 5, 5, 6, 6)),
        Case(name="a single word", inputs=_tokens(1, 1, 9, 8, 2)),
    ),
    mistakes=(
        Mistake(
            message="The roles are swapped: here the patches ask the words. Queries come from the words, keys and "
            "values from the patches.",
            answer=_cross(roles=lambda x, y, q, k, v: (y @ q, x @ k, x @ v)),
        ),
        Mistake(
            message="The words ask themselves: this is self-attention. Keys and values come from the patches.",
            answer=_cross(roles=lambda x, y, q, k, v: (x @ q, x @ k, x @ v)),
        ),
        Mistake(
            message="The patches ask themselves: this is self-attention. The queries come from the words.",
            answer=_cross(roles=lambda x, y, q, k, v: (y @ q, y @ k, y @ v)),
        ),
        Mistake(
            message="The values come from the words. A word would get a mixture of words; it wants what the patches "
            "hold.",
            answer=_cross(roles=lambda x, y, q, k, v: (x @ q, y @ k, x @ v)),
        ),
        Mistake(
            message="The keys come from the words. Keys and values belong together: both describe the patches.",
            answer=_cross(roles=lambda x, y, q, k, v: (x @ q, x @ k, y @ v)),
        ),
        Mistake(
            message="w_key and w_value are swapped. Keys are compared with the query, values are mixed.",
            answer=_cross(roles=lambda x, y, q, k, v: (x @ q, y @ v, y @ k)),
        ),
        Mistake(
            message="w_query and w_key are swapped.",
            answer=_cross(roles=lambda x, y, q, k, v: (x @ k, y @ q, y @ v)),
        ),
        Mistake(
            message="The patches themselves are mixed. Map them by w_value first.",
            answer=_cross(roles=lambda x, y, q, k, v: (x @ q, y @ k, y)),
        ),
        Mistake(
            message="The softmax runs over the words. Each word shares out one unit of attention among the patches: "
            "take the softmax over the last dimension.",
            answer=_cross(weigh=lambda q, k, width: (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-2)),
        ),
        Mistake(
            message="The softmax runs over the batch: pictures compete with each other. Take the last dimension.",
            answer=_cross(weigh=lambda q, k, width: (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=0)),
        ),
        Mistake(
            message="The scores are not divided by √D.",
            answer=_cross(weigh=lambda q, k, width: (q @ k.mT).softmax(dim=-1)),
        ),
        Mistake(
            message="The scores are divided by D. Divide by its square root.",
            answer=_cross(weigh=lambda q, k, width: (q @ k.mT / q.shape[-1]).softmax(dim=-1)),
        ),
        Mistake(
            message="The scores are divided by √C, the width of the words. What counts is D, the width of the queries.",
            answer=_cross(weigh=lambda q, k, width: (q @ k.mT / width**0.5).softmax(dim=-1)),
        ),
        Mistake(
            message="The softmax is missing: these are scores, not weights.",
            answer=_cross(weigh=lambda q, k, width: q @ k.mT / q.shape[-1] ** 0.5),
        ),
        Mistake(
            message="Output and weights come in the wrong order: return the output first.",
            answer=lambda *inputs: words_ask_patches(*inputs)[::-1],
        ),
    ),
    hints=(
        "Who asks? The words: `q = words @ w_query`. Who answers? The patches: they give keys and values.",
        "Scores have one row for each word and one column for each patch: `q @ k.mT`, shape (B, T, P).",
        "Divide by `q.shape[-1] ** 0.5`, take the softmax over the last dimension, multiply by `v`; return both.",
    ),
)

# --- padded words -------------------------------------------------------------------------------------------------


def patches_ask_words(q, k, v, lengths):
    real = torch.arange(k.shape[1]) < lengths[:, None]
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~real[:, None], -1e9)
    return (scores.softmax(dim=-1) * real[:, None]) @ v


def _sentences(lengths, patches, words, size=6, width=5, unlike=0):
    """With `unlike`, a patch scores the word at its own place far below zero: only about −∞ blocks the rest."""

    def inputs(generator):
        def draw(tokens, channels):
            return torch.randn(len(lengths), tokens, channels, generator=generator)

        q, k, v = draw(patches, size), draw(words, size), draw(words, width)
        return (q - unlike * k if unlike else q), k, v, torch.tensor(lengths)

    return inputs


def _asking(*, real=None, score=None, weigh=None):
    """Patches asking words with another mask, other masked scores, or another treatment of the weights."""

    def answer(q, k, v, lengths):
        place = torch.arange(k.shape[1])
        usual = place < lengths[:, None]
        mask = (usual if real is None else real(place, lengths[:, None]))[:, None]
        scores = q @ k.mT / q.shape[-1] ** 0.5
        scores = scores.masked_fill(~mask, -1e9) if score is None else score(scores, mask)
        weights = scores.softmax(dim=-1)
        return (weights * mask if weigh is None else weigh(weights, mask)) @ v

    return answer


def _mask_on_patches(q, k, v, lengths):
    real = (torch.arange(q.shape[1]) < lengths[:, None])[:, :, None]
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~real, -1e9)
    return (scores.softmax(dim=-1) * real) @ v


def _longest_only(q, k, v, lengths):
    return patches_ask_words(q, k, v, lengths.max().expand(len(lengths)))


PADDED_WORDS = Exercise(
    id="07-padded-words",
    title="Nobody asks the padding",
    goal="give padded words exactly no influence on the patches",
    stars=2,
    minutes=10,
    points=2,
    reference=patches_ask_words,
    cases=(
        Case(name="sentences of two and five words, padded to five", inputs=_sentences([2, 5], 6, 5)),
        Case(name="as many patches as words", inputs=_sentences([4, 1, 3], 4, 4, unlike=8)),
        Case(name="a sentence without words gives zeros", inputs=_sentences([0, 3], 3, 4)),
    ),
    mistakes=(
        Mistake(
            message="Nothing is masked: the patches read the padding as well. Block the scores from column "
            "lengths[b] on.",
            answer=_asking(score=lambda scores, mask: scores, weigh=lambda weights, mask: weights),
        ),
        Mistake(
            message="The mask is inverted: the patches read the padding alone. True means “may attend”.",
            answer=_asking(real=lambda place, lengths: place >= lengths),
        ),
        Mistake(
            message="One word too many is let through: the places of a sentence of n words are 0 to n − 1.",
            answer=_asking(real=lambda place, lengths: place <= lengths),
        ),
        Mistake(
            message="One word is missing: a sentence of n words has the places 0 to n − 1, so the test is place < n.",
            answer=_asking(real=lambda place, lengths: place < lengths - 1),
        ),
        Mistake(
            message="The mask blocks patches instead of words. Words are the columns of the scores, shape (B, P, T): "
            "the mask must be (B, 1, T).",
            answer=_mask_on_patches,
        ),
        Mistake(
            message="All sentences are cut at the longest one. Each has a length of its own.",
            answer=_longest_only,
        ),
        Mistake(
            message="Blocked scores are set to 0, but exp(0) = 1 is a weight too. Use a large negative number.",
            answer=_asking(score=lambda scores, mask: scores * mask, weigh=lambda weights, mask: weights),
        ),
        Mistake(
            message="The mask comes after the softmax: the weights that stay add up to less than 1. Block the scores.",
            answer=_asking(score=lambda scores, mask: scores),
        ),
        Mistake(
            message="A sentence without words gives NaN: with −inf in every column softmax divides 0 by 0. Use a "
            "finite number such as −1e9, and set blocked weights to 0.",
            answer=_asking(
                score=lambda scores, mask: scores.masked_fill(~mask, -torch.inf), weigh=lambda weights, mask: weights
            ),
        ),
        Mistake(
            message="A sentence without words gives the mean of its padding. Set blocked weights to 0 after the "
            "softmax as well.",
            answer=_asking(weigh=lambda weights, mask: weights),
        ),
        Mistake(
            message="The scores are not divided by √D.",
            answer=lambda q, k, v, lengths: patches_ask_words(q * q.shape[-1] ** 0.5, k, v, lengths),
        ),
    ),
    hints=(
        "`torch.arange(T) < lengths[:, None]` is True where a word is real: (B, T).",
        "Words are the columns of the scores (B, P, T): the mask has to become (B, 1, T), `real[:, None]`.",
        "`scores.masked_fill(~mask, -1e9).softmax(dim=-1)`, then `.masked_fill(~mask, 0)`, then `@ v`.",
    ),
)

# --- positions ----------------------------------------------------------------------------------------------------


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


POSITIONS_2D = Exercise(
    id="07-positions-2d",
    title="Where a patch is",
    goal="tell every patch its row and its column",
    stars=2,
    minutes=10,
    points=2,
    reference=positions_2d,
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

# --- identity start -----------------------------------------------------------------------------------------------


def identity_start(width):
    query, key = nn.Linear(width, width), nn.Linear(width, width)
    with torch.no_grad():
        for linear in (query, key):
            linear.weight.copy_(torch.eye(width))
            linear.bias.zero_()
    return query, key


def _filled(query_weight, key_weight=None, *, bias=0.0):
    """Two maps with these weights, functions of the width."""

    def answer(width):
        made = []
        for weight in (query_weight, key_weight or query_weight):
            linear = nn.Linear(width, width, bias=bias is not None)
            with torch.no_grad():
                linear.weight.copy_(weight(width))
                if bias is not None:
                    linear.bias.fill_(bias)
            made.append(linear)
        return tuple(made)

    return answer


def _untouched_bias(width):
    query, key = nn.Linear(width, width), nn.Linear(width, width)
    for linear in (query, key):
        nn.init.eye_(linear.weight)
    return query, key


def _frozen(width):
    query, key = identity_start(width)
    return query.requires_grad_(False), key.requires_grad_(False)


def _shared(width):
    query, _ = identity_start(width)
    return query, query


def _random_key(width):
    _, key = nn.Linear(width, width), nn.Linear(width, width)
    return identity_start(width)[0], key


def _both_maps(answer, tokens):
    """What the two maps do to tokens, and whether they can learn apart from each other; chance is fixed."""
    state = torch.get_rng_state()
    torch.manual_seed(0)
    made = answer(tokens.shape[-1])
    torch.set_rng_state(state)
    query, key = made
    learns = [all(parameter.requires_grad for parameter in linear.parameters()) for linear in (query, key)]
    return {
        "queries": query(tokens).detach(),
        "keys": key(tokens).detach(),
        "biases": [linear.bias is not None for linear in (query, key)],
        "both learn": learns,
        "they are two": query is not key,
    }


def _some(width):
    return lambda generator: (torch.randn(5, width, generator=generator),)


IDENTITY_START = Exercise(
    id="07-identity-start",
    title="Like attends to like",
    goal="start queries and keys so that their scores are plain dot products of the tokens",
    stars=1,
    minutes=5,
    points=1,
    reference=identity_start,
    cases=(
        Case(name="width 4", inputs=_some(4), probe=_both_maps),
        Case(name="width 7", inputs=_some(7), probe=_both_maps),
    ),
    mistakes=(
        Mistake(
            message="The weights are all 1: every query is then the sum of all channels, the same for each. The "
            "identity has ones on its diagonal alone.",
            answer=_filled(lambda width: torch.ones(width, width)),
        ),
        Mistake(
            message="The weights are all 0: every score is 0, and no gradient reaches either map, as each waits for "
            "the other.",
            answer=_filled(lambda width: torch.zeros(width, width)),
        ),
        Mistake(
            message="The biases start at random. Set them to 0, or the queries are not the tokens.",
            answer=_untouched_bias,
        ),
        Mistake(
            message="The biases are 1. Set them to 0.",
            answer=_filled(torch.eye, bias=1.0),
        ),
        Mistake(
            message="The maps have no bias. Keep it, it may learn; only its start is 0.",
            answer=_filled(torch.eye, bias=None),
        ),
        Mistake(
            message="Only the queries start at the identity. The keys must speak the same language.",
            answer=_random_key,
        ),
        Mistake(
            message="Queries and keys are one and the same layer. They start alike and then learn apart: make two.",
            answer=_shared,
        ),
        Mistake(
            message="The maps are frozen. The identity is where they start, not where they must stay.",
            answer=_frozen,
        ),
        Mistake(
            message="The keys are minus the tokens: like would avoid like.",
            answer=_filled(torch.eye, lambda width: -torch.eye(width)),
        ),
        Mistake(
            message="The identity is divided by √width. Attention divides the scores by √D already.",
            answer=_filled(lambda width: torch.eye(width) / width**0.5),
        ),
        Mistake(
            message="The maps are left as they are made, at random.",
            answer=lambda width: (nn.Linear(width, width), nn.Linear(width, width)),
        ),
    ),
    hints=(
        "A linear map computes x Wᵀ + b. For which W and b is that x?",
        "`nn.init.eye_(linear.weight)` and `nn.init.zeros_(linear.bias)` fill parameters in place.",
        "Make two layers `nn.Linear(width, width)`, fill both, return them as a pair.",
    ),
)

EXERCISES = (
    WORDS_ASK_PATCHES,
    PADDED_WORDS,
    CO_ATTENTION,
    POSITIONS_2D,
    IDENTITY_START,
    POINTING_GAME,
    ATTENTION_MASS,
)
