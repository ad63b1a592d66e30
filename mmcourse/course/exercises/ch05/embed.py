"""05-embed: look up and add what BERT reads."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import bert


def add_embeddings(tokens, segments, words, positions, kinds):
    return words[tokens] + positions[: tokens.shape[1]] + kinds[segments]


def _tables(batch, length, vocabulary, width, context):
    def inputs(generator):
        tokens = torch.randint(vocabulary, (batch, length), generator=generator)
        segments = torch.randint(2, (batch, length), generator=generator)
        sizes = (vocabulary, context, 2)
        return tokens, segments, *(torch.randn(size, width, generator=generator) for size in sizes)

    return inputs


EXERCISE = Exercise(
    id="05-embed",
    title="Three tables, one vector",
    goal="look up and add what BERT reads",
    stars=1,
    minutes=5,
    points=1,
    reference=add_embeddings,
    ready_made=(
        bert.BERT.layers,
        bert.BERT._embed,
    ),
    cases=(
        Case(name="one text of five tokens", inputs=_tables(1, 5, 20, 4, 12)),
        Case(name="three texts of four tokens", inputs=_tables(3, 4, 15, 6, 16)),
        Case(name="as many texts as tokens", inputs=_tables(6, 6, 15, 4, 16)),
    ),
    mistakes=(
        Mistake(
            message="The positions are missing. Without them, attention cannot tell “dog bites man” from “man bites "
            "dog”.",
            answer=lambda t, s, w, p, k: w[t] + k[s],
        ),
        Mistake(
            message="The segments are missing. Even where all are 0, their row belongs to the sum: the network was "
            "trained with it.",
            answer=lambda t, s, w, p, k: w[t] + p[: t.shape[1]],
        ),
        Mistake(
            message="Every token gets row 0 of the segment table. Look up each token's own segment.",
            answer=lambda t, s, w, p, k: w[t] + p[: t.shape[1]] + k[0],
        ),
        Mistake(
            message="The position table is read at the tokens' ids. A position is a place in the text: rows 0, 1, …, "
            "T − 1, whatever the tokens are.",
            answer=lambda t, s, w, p, k: w[t] + p[t % len(p)] + k[s],
        ),
        Mistake(
            message="The position is that of the text in the batch. It must count the tokens in a text: "
            "`positions[:T]`, the same for all texts.",
            answer=lambda t, s, w, p, k: w[t] + p[: len(t), None] + k[s],
        ),
        Mistake(
            message="Every token got position 0. Token t of a text gets row t of the position table.",
            answer=lambda t, s, w, p, k: w[t] + p[0] + k[s],
        ),
        Mistake(
            message="The positions are counted from 1. The first token has position 0.",
            answer=lambda t, s, w, p, k: w[t] + p[1 : 1 + t.shape[1]] + k[s],
        ),
        Mistake(
            message="This is the mean of the three vectors. BERT adds them.",
            answer=lambda t, s, w, p, k: add_embeddings(t, s, w, p, k) / 3,
        ),
        Mistake(
            message="The vectors stand side by side, which makes the result three times as wide. BERT adds them.",
            answer=lambda t, s, w, p, k: torch.cat([w[t], p[: t.shape[1]].expand(*t.shape, -1), k[s]], dim=-1),
        ),
    ),
    hints=(
        "A table of shape (V, C) indexed with ids of shape (B, T) gives (B, T, C): `words[tokens]`.",
        "The positions are 0, 1, …, T − 1: the first T rows of their table.",
        "(B, T, C) + (T, C) + (B, T, C): the positions are broadcast over the batch by themselves.",
    ),
)
