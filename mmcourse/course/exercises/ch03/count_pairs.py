"""03-count-pairs: find what byte-pair encoding merges next."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def count_pairs(words):
    counts = {}
    for tokens, times in words.items():
        for pair in pairwise(tokens):
            counts[pair] = counts.get(pair, 0) + times
    return counts


def _words(*spelled):
    """Inputs: a dict from words, cut into tokens at the spaces, to how often they come (2 to 9 times)."""

    def inputs(generator):
        times = torch.randint(2, 10, (len(spelled),), generator=generator).tolist()
        return ({tuple(word.split()): n for word, n in zip(spelled, times, strict=True)},)

    return inputs


def _counted(pairs_of, weight=lambda times: times):
    """Counts other pairs of a word than its neighbors, or counts words otherwise."""

    def answer(words):
        counts = Counter()
        for tokens, times in words.items():
            for pair in pairs_of(tokens):
                counts[pair] += weight(times)
        return dict(counts)

    return answer


def _across_words(words):
    text = [token for tokens, times in words.items() for _ in range(times) for token in tokens]
    return dict(Counter(pairwise(text)))


EXERCISE = Exercise(
    id="03-count-pairs",
    title="Count the pairs",
    goal="find what byte-pair encoding merges next",
    stars=1,
    minutes=5,
    points=1,
    reference=count_pairs,
    nothing_ready="learn_merges counts inside and returns merges, no counts",
    cases=(
        Case(name="three words", inputs=_words("c a t", "c a r t", "a t")),
        Case(name="a pair that comes twice in one word", inputs=_words("b a n a n a", "a n t")),
        Case(name="words that are partly merged already", inputs=_words("_ ca t s", "ca t", "r a t", "dog")),
    ),
    mistakes=(
        Mistake(
            message="Each word is counted once, however often it comes. Add `times` for every pair, not 1.",
            answer=_counted(pairwise, lambda times: 1),
        ),
        Mistake(
            message="Pairs reach across the end of a word: the last token of one word is counted with the first of the "
            "next. Count inside each word alone.",
            answer=_across_words,
        ),
        Mistake(
            message="A pair that comes twice in one word is counted once. It would be merged in both places, so both "
            "count.",
            answer=_counted(lambda tokens: dict.fromkeys(pairwise(tokens))),
        ),
        Mistake(
            message="Pairs of tokens that are not neighbors are counted, too. Only a token and the next one can merge.",
            answer=_counted(lambda tokens: combinations(tokens, 2)),
        ),
        Mistake(
            message="The order inside the pair is lost: (a, t) and (t, a) are two pairs, with two different tokens.",
            answer=_counted(lambda tokens: (tuple(sorted(pair)) for pair in pairwise(tokens))),
        ),
        Mistake(
            message="Only every second pair is looked at. Each token but the last begins a pair: places 0, 1, 2, …",
            answer=_counted(lambda tokens: zip(tokens[::2], tokens[1::2], strict=False)),
        ),
        Mistake(
            message="Later words overwrite earlier ones: add to the count that is there, starting from 0.",
            answer=lambda words: {pair: times for tokens, times in words.items() for pair in pairwise(tokens)},
        ),
        Mistake(
            message="The last pair of each word is missing. A word of n tokens has n − 1 pairs.",
            answer=_counted(lambda tokens: pairwise(tokens[:-1])),
        ),
    ),
    hints=(
        "Two loops: over the words with their times, and over the pairs of neighbors in a word.",
        "`zip(tokens, tokens[1:])` gives the pairs; so does `itertools.pairwise(tokens)`.",
        "`counts[pair] = counts.get(pair, 0) + times` adds to what is there already.",
    ),
)
