"""03-gpt-logits: go from tokens to logits through embedding, positions, blocks and a tied head."""

from __future__ import annotations

import torch

from mmcourse import lm
from mmcourse.course.exercise import Case, Exercise, Mistake


def gpt_logits(tokens, embedding, positions, blocks, norm):
    x = embedding[tokens] + positions[: tokens.shape[1]]
    for block in blocks:
        x = block(x)
    return norm(x) @ embedding.T


def _gpt(rows, length, depth):
    """Inputs: tokens, the two tables, and a matrix for each block."""

    def inputs(generator):
        size, width = 11, 8
        tokens = torch.randint(size, (rows, length), generator=generator)
        embedding = torch.randn(size, width, generator=generator)
        positions = torch.randn(length + 3, width, generator=generator)
        return tokens, embedding, positions, torch.randn(depth, width, width, generator=generator) / 3

    return inputs


def _run_gpt(answer, tokens, embedding, positions, matrices):
    """Gives the model simple blocks that look back, and a norm with a scale of its own."""

    def make(matrix):
        return lambda x: x + torch.tanh(x.cumsum(dim=1) @ matrix)

    gain = torch.linspace(0.5, 2.0, embedding.shape[1])
    return answer(
        tokens,
        embedding,
        positions,
        tuple(make(matrix) for matrix in matrices),
        lambda x: torch.layer_norm(x, x.shape[-1:]) * gain,
    )


def _variant(*, start=None, through=None, end=None):
    """A GPT of which one part is done in another way."""

    def usual_start(tokens, embedding, positions):
        return embedding[tokens] + positions[: tokens.shape[1]]

    def usual_through(x, blocks, positions):
        for block in blocks:
            x = block(x)
        return x

    def usual_end(x, embedding, norm):
        return norm(x) @ embedding.T

    def answer(tokens, embedding, positions, blocks, norm):
        x = (start or usual_start)(tokens, embedding, positions)
        return (end or usual_end)((through or usual_through)(x, blocks, positions), embedding, norm)

    return answer


def _positions_in_every_block(x, blocks, positions):
    for number, block in enumerate(blocks):
        x = block(x + positions[: x.shape[1]] if number else x)
    return x


def _reversed(x, blocks, positions):
    for block in reversed(blocks):
        x = block(x)
    return x


def _without_rest(x, blocks, positions):
    """Adds each block to a residual path that the block has inside already."""
    for block in blocks:
        x = x + block(x)
    return x


EXERCISE = Exercise(
    id="03-gpt-logits",
    title="Put the GPT together",
    goal="go from tokens to logits through embedding, positions, blocks and a tied head",
    stars=3,
    minutes=15,
    points=3,
    reference=gpt_logits,
    ready_made=(lm.GPT.forward,),
    cases=(
        Case(name="two sequences of five tokens, two blocks", inputs=_gpt(2, 5, 2), probe=_run_gpt, atol=1e-5),
        Case(name="one sequence of seven tokens, three blocks", inputs=_gpt(1, 7, 3), probe=_run_gpt, atol=1e-5),
        Case(name="a single token", inputs=_gpt(3, 1, 1), probe=_run_gpt, atol=1e-5),
    ),
    mistakes=(
        Mistake(
            message="The positions are missing: add the first T rows of their table to the embeddings.",
            answer=_variant(start=lambda t, e, p: e[t]),
        ),
        Mistake(
            message="The positions are looked up by token. Row 0 of their table belongs to the first place, row 1 to "
            "the second, whatever stands there.",
            answer=_variant(start=lambda t, e, p: e[t] + p[t.clamp(max=len(p) - 1)]),
        ),
        Mistake(
            message="The positions start at 1. The first token stands at place 0.",
            answer=_variant(start=lambda t, e, p: e[t] + p[1 : t.shape[1] + 1]),
        ),
        Mistake(
            message="The last T rows of the positions are used. Take the first T.",
            answer=_variant(start=lambda t, e, p: e[t] + p[-t.shape[1] :]),
        ),
        Mistake(
            message="The positions are added again before every block. They are added once, to the embeddings.",
            answer=_variant(through=_positions_in_every_block),
        ),
        Mistake(
            message="The blocks run in the wrong order: blocks[0] is the first.",
            answer=_variant(through=_reversed),
        ),
        Mistake(
            message="Only one block is used. Each reads what the one before it gave.",
            answer=_variant(through=lambda x, blocks, p: blocks[-1](x)),
        ),
        Mistake(
            message="Every block reads the embeddings, and what they add is summed. Pass x along: x = block(x).",
            answer=_variant(through=lambda x, blocks, p: x + sum(block(x) - x for block in blocks)),
        ),
        Mistake(
            message="x is added to what a block returns. The residual paths are inside the blocks already.",
            answer=_variant(through=_without_rest),
        ),
        Mistake(
            message="The last normalization is missing: pre-norm blocks leave the sum as it grew. Apply `norm` before "
            "the head.",
            answer=_variant(end=lambda x, e, norm: x @ e.T),
        ),
        Mistake(
            message="The norm comes after the head. Normalize the features (B, T, C), then score them.",
            answer=_variant(
                end=lambda x, e, norm: torch.layer_norm(x @ e.T, (e.shape[0],))  # its gain would not fit
            ),
        ),
        Mistake(
            message="These are probabilities. Return the logits: softmax is inside the loss.",
            answer=_variant(end=lambda x, e, norm: (norm(x) @ e.T).softmax(dim=-1)),
        ),
        Mistake(
            message="Only the last place is scored. In training every place predicts its next token: return (B, T, V).",
            answer=_variant(end=lambda x, e, norm: norm(x)[:, -1] @ e.T),
        ),
        Mistake(
            message="The head is missing: these are features (B, T, C). Take their dot products with every row of the "
            "embedding table.",
            answer=_variant(end=lambda x, e, norm: norm(x)),
        ),
        Mistake(
            message="The logits are divided by √C. Attention does that with its scores; the head does not.",
            answer=_variant(end=lambda x, e, norm: norm(x) @ e.T / x.shape[-1] ** 0.5),
        ),
    ),
    hints=(
        "`embedding[tokens]` looks up a row for every token: (B, T) -> (B, T, C).",
        "`positions[: tokens.shape[1]]` has shape (T, C) and is added to every sequence of the batch.",
        "After the loop `x = block(x)`: `norm(x) @ embedding.T` compares the result with every token, (B, T, V).",
    ),
)
