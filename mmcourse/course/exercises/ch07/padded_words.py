"""07-padded-words: give padded words exactly no influence on the patches."""

from __future__ import annotations

import torch

from mmcourse import attention
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ready import ATTENTION


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


EXERCISE = Exercise(
    id="07-padded-words",
    title="Nobody asks the padding",
    goal="give padded words exactly no influence on the patches",
    stars=2,
    minutes=10,
    points=2,
    reference=patches_ask_words,
    ready_made=(
        *ATTENTION,
        attention.MultiHeadAttention.forward,
    ),
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
