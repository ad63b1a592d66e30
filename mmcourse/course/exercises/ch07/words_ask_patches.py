"""07-words-ask-patches: give queries, keys and values to the right modality."""

from __future__ import annotations

import torch

from mmcourse import attention
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ready import ATTENTION


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


EXERCISE = Exercise(
    id="07-words-ask-patches",
    title="Words ask patches",
    goal="give queries, keys and values to the right modality",
    stars=1,
    minutes=8,
    points=2,
    reference=words_ask_patches,
    ready_made=(
        *ATTENTION,
        attention.MultiHeadAttention.forward,
    ),
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
