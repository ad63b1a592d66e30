"""Exercises of chapter 03, A tiny language model: what is asked, how it is checked, which mistakes are recognized."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch03_more import CACHED_STEP, GPT_LOGITS, MASK_TOKENS, TOP_P

# --- counting pairs ---------------------------------------------------------------------------------------------------


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


COUNT_PAIRS = Exercise(
    id="03-count-pairs",
    title="Count the pairs",
    goal="find what byte-pair encoding merges next",
    stars=1,
    minutes=5,
    points=1,
    reference=count_pairs,
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

# --- merging a pair ---------------------------------------------------------------------------------------------------


def merge(tokens, pair):
    merged, place = [], 0
    while place < len(tokens):
        if tuple(tokens[place : place + 2]) == pair:
            merged.append(pair[0] + pair[1])
            place += 2
        else:
            merged.append(tokens[place])
            place += 1
    return merged


def _merging(*spelled):
    """Inputs: tokens, and the last two of the words as the pair; a few random tokens come before."""

    def inputs(generator):
        *tokens, first, second = " ".join(spelled).split()
        before = ["xyz"[i] for i in torch.randint(3, (3,), generator=generator).tolist()]
        return [*before, *tokens], (first, second)

    return inputs


def _overlapping(tokens, pair):
    merged = []
    for place, token in enumerate(tokens):
        if tuple(tokens[place : place + 2]) == pair:
            merged.append(pair[0] + pair[1])
        elif not (place and tuple(tokens[place - 1 : place + 1]) == pair):
            merged.append(token)
    return merged


def _keeps_second(tokens, pair):
    return [
        pair[0] + pair[1] if tuple(tokens[place : place + 2]) == pair else token for place, token in enumerate(tokens)
    ]


def _first_only(tokens, pair):
    for place in range(len(tokens) - 1):
        if tuple(tokens[place : place + 2]) == pair:
            return [*tokens[:place], pair[0] + pair[1], *tokens[place + 2 :]]
    return list(tokens)


def _by_spelling(tokens, pair):
    """Merges whatever neighbors spell the same text."""
    merged, place = [], 0
    while place < len(tokens):
        if place + 1 < len(tokens) and tokens[place] + tokens[place + 1] == pair[0] + pair[1]:
            merged.append(pair[0] + pair[1])
            place += 2
        else:
            merged.append(tokens[place])
            place += 1
    return merged


def _from_the_right(tokens, pair):
    return [token[::-1] for token in merge([token[::-1] for token in tokens[::-1]], (pair[1][::-1], pair[0][::-1]))][
        ::-1
    ]


def _until_nothing_is_left(tokens, pair):
    """Stops at the last place, so that a token at the end that merges with nothing is lost."""
    merged, place = [], 0
    while place < len(tokens) - 1:
        joined = tuple(tokens[place : place + 2]) == pair
        merged.append(pair[0] + pair[1] if joined else tokens[place])
        place += 1 + joined
    return merged


MERGE = Exercise(
    id="03-merge",
    title="Apply a merge",
    goal="write a new token wherever its two parts stand side by side",
    stars=2,
    minutes=10,
    points=2,
    reference=merge,
    cases=(
        Case(name="the pair comes twice", inputs=_merging("c a t _ r a t s", "a t")),
        Case(name="from left to right, nothing used twice", inputs=_merging("a a a b a a", "a a")),
        Case(name="the pair stands at the very end", inputs=_merging("b a n a n", "a n")),
        Case(name="the same letters cut elsewhere stay as they are", inputs=_merging("ca t c at c a t", "ca t")),
        Case(name="longer tokens that end like the pair", inputs=_merging("aa b a b a bb", "a b")),
        Case(name="a pair that is not there", inputs=_merging("d o g", "a t")),
    ),
    mistakes=(
        Mistake(
            message="A token is used twice: in a a a the middle one goes into one merge only. After a merge go on two "
            "places further.",
            answer=_overlapping,
        ),
        Mistake(
            message="The second token of the pair is still there behind the new one. After a merge go on two places "
            "further.",
            answer=_keeps_second,
        ),
        Mistake(
            message="Only the first place is merged. Every place where the pair stands is.",
            answer=_first_only,
        ),
        Mistake(
            message="Whatever spells the same letters is merged. Compare the two tokens with the pair, one by one: "
            "c + at is another pair than ca + t.",
            answer=_by_spelling,
        ),
        Mistake(
            message="The text is merged from right to left. With an odd run such as a a a that gives another answer: "
            "go from left to right.",
            answer=_from_the_right,
        ),
        Mistake(
            message="The pair is replaced inside a text with spaces, so that a token which ends like the pair is "
            "torn: aa b became aab. Compare whole tokens.",
            answer=lambda tokens, pair: " ".join(tokens).replace(" ".join(pair), "".join(pair)).split(),
        ),
        Mistake(
            message="The last token is lost when it merges with nothing. The loop must reach the end of the list.",
            answer=_until_nothing_is_left,
        ),
        Mistake(
            message="The tokens come back unchanged.",
            answer=lambda tokens, pair: list(tokens),
        ),
    ),
    hints=(
        "Walk along with an index of your own, so that you can step by one or by two.",
        "`tuple(tokens[place : place + 2]) == pair` is True where the pair stands, and safe at the end.",
        "If it stands there, append pair[0] + pair[1] and add 2 to the place; otherwise append the token and add 1.",
    ),
)

# --- the bigram -------------------------------------------------------------------------------------------------------


def bigram_probabilities(counts, k):
    weights = counts + k
    return weights / weights.sum(dim=1, keepdim=True)


def _counts(size, k):
    """Inputs: a table of counts with many zeros, and k."""
    return lambda generator: (torch.randint(0, 6, (size, size), generator=generator).sub(2).clamp(min=0).float(), k)


BIGRAM = Exercise(
    id="03-bigram",
    title="From counts to a bigram model",
    goal="turn counts into probabilities, with no zero among them",
    stars=1,
    minutes=5,
    points=1,
    reference=bigram_probabilities,
    cases=(
        Case(name="five words, k = 1", inputs=_counts(5, 1.0)),
        Case(name="eight words, k = 0.1", inputs=_counts(8, 0.1)),
        Case(name="a word that was never seen", inputs=lambda generator: (torch.tensor([[2.0, 1.0], [0.0, 0.0]]), 0.5)),
    ),
    mistakes=(
        Mistake(
            message="The columns sum to 1. Each *row* is a distribution over what follows: sum over dim=1.",
            answer=lambda c, k: (c + k) / (c + k).sum(dim=0, keepdim=True),
        ),
        Mistake(
            message="k is not used, so pairs never seen have probability 0 and an infinite loss.",
            answer=lambda c, k: c / c.sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="The rows sum to more than 1: k is added to every count, so V·k is added to the sum of a row.",
            answer=lambda c, k: (c + k) / c.sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="k is added to the sum of the row once. It is added to V counts: the sum grows by V·k.",
            answer=lambda c, k: (c + k) / (c.sum(dim=1, keepdim=True) + k),
        ),
        Mistake(
            message="k is added to the probabilities. Add it to the counts, before you divide.",
            answer=lambda c, k: c / c.sum(dim=1, keepdim=True) + k,
        ),
        Mistake(
            message="The whole table sums to 1: that is the probability of a pair. Given the first word, each row "
            "sums to 1.",
            answer=lambda c, k: (c + k) / (c + k).sum(),
        ),
        Mistake(
            message="Each row is divided by the sum of another one: without `keepdim=True`, broadcasting lays the sums "
            "along the columns.",
            answer=lambda c, k: (c + k) / (c + k).sum(dim=1),
        ),
        Mistake(
            message="This is a softmax of the counts. Counts are weights already: add k and divide by the sum.",
            answer=lambda c, k: (c + k).softmax(dim=1),
        ),
    ),
    hints=(
        "Add k to every count first.",
        "The sum of a row is `.sum(dim=1, keepdim=True)`, shape (V, 1).",
        "(counts + k) divided by the sums of its rows; check that every row sums to 1.",
    ),
)

# --- inputs and targets -----------------------------------------------------------------------------------------------


def inputs_and_targets(tokens, pad_id):
    targets = tokens[:, 1:]
    return tokens[:, :-1], targets.masked_fill(targets == pad_id, -100)


def _padded(rows, length, pad_id):
    """Inputs: rows of different length that begin with 2 and end with 3, then padding."""

    def inputs(generator):
        tokens = torch.randint(4, 20, (rows, length), generator=generator)
        ends = torch.randint(2, length - 1, (rows,), generator=generator)
        place = torch.arange(length)
        tokens[:, 0] = 2
        tokens[place == ends[:, None]] = 3
        tokens[place > ends[:, None]] = pad_id
        return tokens, pad_id

    return inputs


def _other(inputs, targets):
    """Another pair of (inputs, targets), as functions of (tokens, targets without ignored ones, pad_id)."""
    return lambda t, pad_id: (inputs(t), targets(t, pad_id))


def _ignored(targets, pad_id):
    return targets.masked_fill(targets == pad_id, -100)


INPUTS_AND_TARGETS = Exercise(
    id="03-shift",
    title="Inputs and targets",
    goal="line up each token with the one that comes after it",
    stars=1,
    minutes=5,
    points=1,
    reference=inputs_and_targets,
    cases=(
        Case(name="four captions of different length", inputs=_padded(4, 9, 0)),
        Case(name="one caption", inputs=_padded(1, 6, 0)),
        Case(name="another id for padding", inputs=_padded(3, 7, 1)),
    ),
    mistakes=(
        Mistake(
            message="Inputs and targets are the same tokens: the model is asked for what it has been given. Cut the "
            "first token off the targets and the last off the inputs.",
            answer=_other(lambda t: t[:, :-1], lambda t, pad_id: _ignored(t[:, :-1], pad_id)),
        ),
        Mistake(
            message="Inputs and targets are the same tokens, uncut. The target of a place is the token *after* it.",
            answer=_other(lambda t: t, _ignored),
        ),
        Mistake(
            message="The shift goes the wrong way: each target is the token before. Swap the two cuts.",
            answer=_other(lambda t: t[:, 1:], lambda t, pad_id: _ignored(t[:, :-1], pad_id)),
        ),
        Mistake(
            message="Padding is still among the targets: the model would be paid for predicting it. Set those targets "
            "to −100.",
            answer=_other(lambda t: t[:, :-1], lambda t, pad_id: t[:, 1:]),
        ),
        Mistake(
            message="The −100 stands in the inputs, where no embedding has that number. Only targets are ignored.",
            answer=_other(lambda t: _ignored(t[:, :-1], 0), lambda t, pad_id: t[:, 1:]),
        ),
        Mistake(
            message="−100 stands where the *input* is padding. The first padding after the end is then still a target: "
            "look at the targets themselves.",
            answer=_other(lambda t: t[:, :-1], lambda t, pad_id: t[:, 1:].masked_fill(t[:, :-1] == pad_id, -100)),
        ),
        Mistake(
            message="The rows are rolled, so the first token comes back as the last target. Cut instead.",
            answer=_other(lambda t: t, lambda t, pad_id: _ignored(t.roll(-1, 1), pad_id)),
        ),
        Mistake(
            message="The shift is two places: the model would have to guess the token after the next.",
            answer=_other(lambda t: t[:, :-2], lambda t, pad_id: _ignored(t[:, 2:], pad_id)),
        ),
        Mistake(
            message="The ends are ignored as well, so the model never learns to stop. Ignore padding alone.",
            answer=_other(
                lambda t: t[:, :-1], lambda t, pad_id: _ignored(t[:, 1:], pad_id).masked_fill(t[:, 1:] == 3, -100)
            ),
        ),
    ),
    hints=(
        "At each place the input is the token there and the target the one after it.",
        "`tokens[:, :-1]` and `tokens[:, 1:]` line them up.",
        "`targets.masked_fill(targets == pad_id, -100)` leaves the padding out of the loss.",
    ),
)

EXERCISES = (
    COUNT_PAIRS,
    MERGE,
    BIGRAM,
    INPUTS_AND_TARGETS,
    GPT_LOGITS,
    TOP_P,
    CACHED_STEP,
    MASK_TOKENS,
)
