"""03-encode: cut a word that was never seen with merges that were learned from others."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.tokenizer import BytePairTokenizer


def encode(text, merges):
    tokens = list(text)
    for pair in merges:
        tokens = _merged(tokens, pair)
    return tokens


def _merged(tokens, pair):
    """Tokens with one merge applied, from left to right."""
    merged, place = [], 0
    while place < len(tokens):
        joined = tuple(tokens[place : place + 2]) == pair
        merged.append(pair[0] + pair[1] if joined else tokens[place])
        place += 1 + joined
    return merged


def _cutting(text, *merges):
    """Inputs: a text with a few random letters after it, and the merges, each written as `first second`."""

    def inputs(generator):
        after = "".join("xyz"[i] for i in torch.randint(3, (3,), generator=generator).tolist())
        return text + after, [tuple(merge.split()) for merge in merges]

    return inputs


def _in_order(order):
    """Applies the merges in another order, or others of them."""
    return lambda text, merges: encode(text, order(list(merges)))


def _longest_first(text, merges):
    """From left to right the longest token that fits, whatever was learned first."""
    known = sorted((first + second for first, second in merges), key=len, reverse=True)
    tokens, place = [], 0
    while place < len(text):
        token = next((one for one in known if text.startswith(one, place)), text[place])
        tokens.append(token)
        place += len(token)
    return tokens


def _spelled(text, merges):
    """Joins whatever neighbors spell the new token, however they were cut."""
    tokens = list(text)
    for pair in merges:
        merged, place = [], 0
        while place < len(tokens):
            joined = tokens[place : place + 2]
            fits = len(joined) == 2 and "".join(joined) == "".join(pair)
            merged.append("".join(joined) if fits else tokens[place])
            place += 1 + fits
        tokens = merged
    return tokens


def _once_each(text, merges):
    tokens = list(text)
    for first, second in merges:
        for place in range(len(tokens) - 1):
            if tokens[place : place + 2] == [first, second]:
                tokens[place : place + 2] = [first + second]
                break
    return tokens


def _until_one_is_missing(text, merges):
    tokens = list(text)
    for merge in merges:
        after = _merged(tokens, merge)
        if after == tokens:
            break
        tokens = after
    return tokens


def _from_the_right(text, merges):
    turned = [(second[::-1], first[::-1]) for first, second in merges]
    return [token[::-1] for token in encode(text[::-1], turned)[::-1]]


EXERCISE = Exercise(
    id="03-encode",
    title="Cut a new word",
    goal="cut a word that was never seen with merges that were learned from others",
    stars=2,
    minutes=10,
    points=2,
    reference=encode,
    ready_made=(BytePairTokenizer.encode, BytePairTokenizer.tokens),
    cases=(
        Case(name="one merge", inputs=_cutting("Ġcat", "a t")),
        Case(name="merges of merges", inputs=_cutting("Ġcatfish", "a t", "c at", "Ġ cat", "i s", "is h")),
        Case(name="a merge that the word does not need", inputs=_cutting("Ġdog", "a t", "Ġ d", "o g", "Ġd og")),
        Case(name="what was learned first goes first", inputs=_cutting("abcab", "b c", "a b", "ab c", "a bc")),
        Case(name="a merge that fits in two places", inputs=_cutting("banana", "a n", "an an", "b an")),
        Case(name="the same letters, cut otherwise", inputs=_cutting("cat", "c a", "a t", "c at")),
        Case(name="three in a row", inputs=_cutting("aaab", "a a", "aa b")),
        Case(name="no merges", inputs=_cutting("Ġowl")),
    ),
    mistakes=(
        Mistake(
            message="The merges are applied from the last to the first. A later merge needs the tokens that earlier "
            "ones make: begin with the first.",
            answer=_in_order(lambda merges: merges[::-1]),
        ),
        Mistake(
            message="The longest token is taken first. That is another tokenizer (WordPiece, chapter 05): here the "
            "merge that was learned first goes first, even if a longer token would have fitted.",
            answer=_longest_first,
        ),
        Mistake(
            message="Whatever spells the new token is joined. A merge joins its own two tokens: c + at is another pair "
            "than ca + t.",
            answer=_spelled,
        ),
        Mistake(
            message="Each merge is applied in one place only. Apply it wherever its pair stands, then take the "
            "next one.",
            answer=_once_each,
        ),
        Mistake(
            message="It stops at the first merge that fits nowhere. Most merges were learned for other words: go on "
            "with the next.",
            answer=_until_one_is_missing,
        ),
        Mistake(
            message="A merge goes through the word from right to left. With an odd run such as a a a that gives "
            "another answer: go from left to right.",
            answer=_from_the_right,
        ),
        Mistake(
            message="The last merge is not applied.",
            answer=_in_order(lambda merges: merges[:-1]),
        ),
        Mistake(
            message="Only the first merge is applied. Go through all of them.",
            answer=_in_order(lambda merges: merges[:1]),
        ),
        Mistake(
            message="These are single characters still. Apply the merges to them, one after the other.",
            answer=lambda text, merges: list(text),
        ),
        Mistake(
            message="The tokens are joined to a text again. Return the list.",
            answer=lambda text, merges: " ".join(encode(text, merges)),
        ),
    ),
    hints=(
        "`list(text)` gives the characters. They are the first tokens.",
        "One loop over the merges, in the order in which they were learned; inside it, exercise 2.",
        "`for pair in merges: tokens = merge(tokens, pair)`, and return the tokens.",
    ),
)
