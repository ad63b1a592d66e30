"""The later exercises of chapter 01: masks, heads and the block; listed in `ch01`."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def normal(*shapes):
    """Fresh standard normal tensors of these shapes."""
    return lambda generator: tuple(torch.randn(shape, generator=generator) for shape in shapes)


# --- masks --------------------------------------------------------------------------------------------------------


def causal_mask(length):
    return torch.ones(length, length, dtype=torch.bool).tril()


def _length(generator):
    return (int(torch.randint(9, 40, (), generator=generator)),)


CAUSAL_MASK = Exercise(
    id="01-causal-mask",
    title="Nobody sees the future",
    goal="say with a mask which token may look at which",
    stars=1,
    minutes=5,
    points=1,
    reference=causal_mask,
    cases=(
        Case(name="4 tokens", inputs=lambda generator: (4,)),
        Case(name="7 tokens", inputs=lambda generator: (7,)),
        Case(name="a single token sees itself", inputs=lambda generator: (1,)),
    ),
    fresh=(Case(name="a length of chance", inputs=_length),),
    mistakes=(
        Mistake(
            message="The mask is inverted: it is True for the future. Here True means “may attend”.",
            answer=lambda length: ~causal_mask(length),
        ),
        Mistake(
            message="The mask is turned over: each token sees itself and the future. Row i is the token that looks, "
            "column j the one looked at; keep j ≤ i.",
            answer=lambda length: causal_mask(length).mT.clone(),
        ),
        Mistake(
            message="The diagonal is missing: a token may look at itself. Else the first one could look at nothing.",
            answer=lambda length: causal_mask(length).tril(-1),
        ),
        Mistake(
            message="Everything is allowed. Set the places where the column lies after the row to False.",
            answer=lambda length: torch.ones(length, length, dtype=torch.bool),
        ),
        Mistake(
            message="The right pattern, but as numbers. A mask is bool in this course: True and False.",
            answer=lambda length: causal_mask(length).float(),
        ),
        Mistake(
            message="The right pattern, but as numbers. A mask is bool in this course: True and False.",
            answer=lambda length: causal_mask(length).long(),
        ),
        Mistake(
            message="This is the mask that is added to scores, 0 and −inf. The course uses bool: True may attend.",
            answer=lambda length: torch.zeros(length, length).masked_fill(~causal_mask(length), float("-inf")),
        ),
    ),
    hints=(
        "Write the 3 × 3 mask on paper: row i looks, column j is looked at, True when j ≤ i.",
        "`torch.arange(length)` compared with itself, once as a column and once as a row, gives the whole matrix.",
        "`torch.ones(length, length, dtype=torch.bool)` and `.tril()` do it in one line.",
    ),
)


def masked_attention(q, k, v, mask):
    scores = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(~mask, -1e9)
    return (torch.softmax(scores, dim=-1) * mask) @ v


def _masked(prepare, after=None):
    """Attention whose scores and weights are treated by two functions of (scores or weights, mask)."""

    def answer(q, k, v, mask):
        weights = torch.softmax(prepare(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, mask), dim=-1)
        return (weights if after is None else after(weights, mask)) @ v

    return answer


def _padded(generator):
    q, k, v = torch.randn((3, 2, 6, 8), generator=generator)
    return q, k, v, (torch.arange(6) < torch.tensor([[4], [6]]))[:, None]


def _alone(generator):
    """The first token may attend to nothing at all."""
    q, k, v = torch.randn((3, 4, 8), generator=generator)
    return q, k, v, causal_mask(4).tril(-1)


def _unlike(generator):
    """A causal mask on tokens that score themselves lowest, far below zero: only −∞ or close to it blocks the rest."""
    q, k, v = torch.randn((3, 5, 8), generator=generator)
    return q - 8 * k, k, v, causal_mask(5)


MASKED_ATTENTION = Exercise(
    id="01-masked-attention",
    title="Attention with a mask",
    goal="put the mask where it belongs, and survive a row that may attend to nothing",
    stars=3,
    minutes=15,
    points=3,
    reference=masked_attention,
    cases=(
        Case(
            name="a causal mask on 5 tokens",
            inputs=_unlike,
        ),
        Case(name="padding in a batch of 2", inputs=_padded),
        Case(name="a token that may attend to nothing gets zeros", inputs=_alone),
    ),
    mistakes=(
        Mistake(
            message="The mask is inverted: it blocks what is allowed and allows the rest. True means “may attend”.",
            answer=_masked(lambda scores, mask: scores.masked_fill(mask, -1e9)),
        ),
        Mistake(
            message="The mask comes after the softmax. The weights that stay then add up to less than 1: block the "
            "scores before the softmax.",
            answer=_masked(lambda scores, mask: scores, lambda weights, mask: weights * mask),
        ),
        Mistake(
            message="Blocked scores are set to 0, but exp(0) = 1 is a weight too. Use a large negative number.",
            answer=_masked(lambda scores, mask: scores * mask),
        ),
        Mistake(
            message="The mask is added to the scores as 0 and 1. That favors allowed places a little and blocks none.",
            answer=_masked(lambda scores, mask: scores + mask),
        ),
        Mistake(
            message="The mask is not used.",
            answer=_masked(lambda scores, mask: scores),
        ),
        Mistake(
            message="A row that may attend to nothing becomes NaN: with −inf everywhere, softmax divides 0 by 0. Use "
            "a large negative number and set blocked weights to 0 afterwards.",
            answer=_masked(lambda scores, mask: scores.masked_fill(~mask, float("-inf"))),
        ),
        Mistake(
            message="A row that may attend to nothing averages all values: when every score is −1e9, softmax shares "
            "evenly. Set the blocked weights to 0 after the softmax as well.",
            answer=_masked(lambda scores, mask: scores.masked_fill(~mask, -1e9)),
        ),
        Mistake(
            message="The scores are not divided by √d.",
            answer=lambda q, k, v, mask: masked_attention(q * q.shape[-1] ** 0.5, k, v, mask),
        ),
    ),
    hints=(
        "Start from your scaled attention and change the scores before the softmax.",
        "`scores.masked_fill(~mask, -1e9)` makes the weight of a blocked place exactly 0, as exp(−1e9) is 0.",
        "If a whole row is blocked, all its scores are equal and softmax gives 1/S each. Multiply the weights by the "
        "mask once more to make that row 0.",
    ),
)

# --- heads --------------------------------------------------------------------------------------------------------


def merge_heads(x):
    batch, heads, tokens, size = x.shape
    return x.transpose(1, 2).reshape(batch, tokens, heads * size)


MERGE_HEADS = Exercise(
    id="01-merge-heads",
    title="Merge the heads",
    goal="bring the heads of one token back side by side",
    stars=2,
    minutes=10,
    points=2,
    reference=merge_heads,
    cases=(
        Case(name="2 sequences, 3 heads, 4 tokens, head size 5", inputs=normal((2, 3, 4, 5))),
        Case(name="as many tokens as heads", inputs=normal((1, 4, 4, 2))),
        Case(name="undoes splitting", inputs=normal((2, 2, 6, 3))),
    ),
    mistakes=(
        Mistake(
            message="The heads are merged without transposing: the numbers are read in memory order, so channels of "
            "different tokens get mixed. Swap heads and tokens first.",
            answer=lambda x: x.reshape(x.shape[0], x.shape[2], -1),
        ),
        Mistake(
            message="The channels are interleaved: the first channel of every head, then the second. Head 0 should "
            "come whole, then head 1: transpose to (B, T, H, D).",
            answer=lambda x: x.permute(0, 2, 3, 1).flatten(2),
        ),
        Mistake(
            message="The heads are averaged. They are put side by side, so that each keeps what it found.",
            answer=lambda x: x.mean(dim=1),
        ),
        Mistake(
            message="The heads are added up. They are put side by side, so that each keeps what it found.",
            answer=lambda x: x.sum(dim=1),
        ),
        Mistake(
            message="The heads are joined along the tokens. The number of tokens stays T; the channels become H·D.",
            answer=lambda x: x.flatten(1, 2),
        ),
        Mistake(
            message="Heads and tokens are swapped, but not merged: the last two dimensions (H, D) must become one.",
            answer=lambda x: x.transpose(1, 2),
        ),
    ),
    hints=(
        "Which two dimensions have to be neighbors before they can become one?",
        "`x.transpose(1, 2)` turns (B, H, T, D) into (B, T, H, D).",
        "Follow it with `.flatten(2)` or `.reshape(batch, tokens, heads * size)`.",
    ),
)

# --- the block ----------------------------------------------------------------------------------------------------


def block(x, attend, feed_forward, norm_1, norm_2):
    x = x + attend(norm_1(x))
    return x + feed_forward(norm_2(x))


def _post_norm(x, attend, feed_forward, norm_1, norm_2):
    x = norm_1(x + attend(x))
    return norm_2(x + feed_forward(x))


def _no_residual(x, attend, feed_forward, norm_1, norm_2):
    return feed_forward(norm_2(attend(norm_1(x))))


def _normalized_stream(x, attend, feed_forward, norm_1, norm_2):
    x = norm_1(x)
    x = norm_2(x + attend(x))
    return x + feed_forward(x)


def _run_block(answer, x, mix, expand, shrink, gain_1, gain_2):
    """Gives the block simple parts of the right shape, made of tensors."""
    width = x.shape[-1]
    return answer(
        x,
        lambda tokens: mix @ tokens,
        lambda tokens: torch.relu(tokens @ expand) @ shrink,
        lambda tokens: torch.layer_norm(tokens, (width,)) * gain_1,
        lambda tokens: torch.layer_norm(tokens, (width,)) * gain_2,
    )


BLOCK = Exercise(
    id="01-block",
    title="Put the block together",
    goal="order residual paths and normalization as modern transformers do",
    stars=2,
    minutes=10,
    points=2,
    reference=block,
    cases=(
        Case(
            name="one sequence of 4 tokens, width 6",
            inputs=normal((1, 4, 6), (4, 4), (6, 12), (12, 6), (6,), (6,)),
            probe=_run_block,
        ),
        Case(
            name="a batch of 3",
            inputs=normal((3, 5, 8), (5, 5), (8, 16), (16, 8), (8,), (8,)),
            probe=_run_block,
        ),
    ),
    mistakes=(
        Mistake(
            message="This is the post-norm order of 2017: normalize after adding. Here each part reads a normalized "
            "copy, and the sum itself is left alone.",
            answer=_post_norm,
        ),
        Mistake(
            message="The residual paths are missing: add x to what each part returns.",
            answer=_no_residual,
        ),
        Mistake(
            message="The second residual path is missing: add the tokens to what the feed-forward part returns.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: feed_forward(norm_2(x + attend(norm_1(x)))),
        ),
        Mistake(
            message="The normalized tokens replaced the residual path. Keep x as it is and normalize only the copy "
            "that goes into each part.",
            answer=_normalized_stream,
        ),
        Mistake(
            message="norm_1 is used twice. Each part has its own: norm_2 belongs to the feed-forward part.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: block(x, attend, feed_forward, norm_1, norm_1),
        ),
        Mistake(
            message="The feed-forward part reads the tokens from before the attention, not the updated ones.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: x + attend(norm_1(x)) + feed_forward(norm_2(x)),
        ),
        Mistake(
            message="The result of the attention is lost: the second sum must start from the updated x.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: x + feed_forward(norm_2(x + attend(norm_1(x)))),
        ),
        Mistake(
            message="The normalization is missing: each part reads a normalized copy of x.",
            answer=lambda x, attend, feed_forward, norm_1, norm_2: block(
                x, attend, feed_forward, lambda t: t, lambda t: t
            ),
        ),
    ),
    hints=(
        "There are two steps of the same form: x = x + part(norm(x)).",
        "The first part is `attend` with `norm_1`, the second `feed_forward` with `norm_2`.",
        "x = x + attend(norm_1(x)), then return x + feed_forward(norm_2(x)).",
    ),
)
