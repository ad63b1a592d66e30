"""03-merge: write a new token wherever its two parts stand side by side."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.tokenizer import byte_pair


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


EXERCISE = Exercise(
    id="03-merge",
    title="Apply a merge",
    goal="write a new token wherever its two parts stand side by side",
    stars=2,
    minutes=10,
    points=2,
    reference=merge,
    ready_made=(byte_pair.merge_pair,),
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
