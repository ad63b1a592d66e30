"""05-longest-match: WordPiece's greedy longest match."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.tokenizer import wordpiece

UNKNOWN = "[UNK]"


def _longest_first(start, end):
    return range(end, start, -1)


def _cut(word, known, *, ends=_longest_first, inside="##"):
    """Pieces from the left and whether they reach the end of the word; `known(piece)` says which there are."""
    pieces, start = [], 0
    while start < len(word):
        before = inside if start else ""
        end = next((end for end in ends(start, len(word)) if known(before + word[start:end])), None)
        if end is None:
            return pieces, False
        pieces.append(before + word[start:end])
        start = end
    return pieces, True


def longest_match(word, vocabulary):
    pieces, whole = _cut(word, vocabulary.__contains__)
    return pieces if whole else [UNKNOWN]


def _shortest_match(word, known):
    pieces, whole = _cut(word, known, ends=lambda start, end: range(start + 1, end + 1))
    return pieces if whole else [UNKNOWN]


def _any_cut(word, vocabulary, before=""):
    """The first cut that works, trying shorter pieces where a longer one leads nowhere."""
    if not word:
        return []
    for end in range(len(word), 0, -1):
        rest = _any_cut(word[end:], vocabulary, "##") if before + word[:end] in vocabulary else None
        if rest is not None:
            return [before + word[:end], *rest]
    return None


def _from_the_right(word, vocabulary):
    pieces, end = [], len(word)
    while end:
        marked = (("##" if start else "") + word[start:end] for start in range(end))
        piece = next((piece for piece in marked if piece in vocabulary), None)
        if piece is None:
            return [UNKNOWN]
        pieces.insert(0, piece)
        end -= len(piece.removeprefix("##"))
    return pieces


def _letters(word, vocabulary):
    pieces = [("##" if place else "") + letter for place, letter in enumerate(word)]
    return [piece if piece in vocabulary else UNKNOWN for piece in pieces]


def _word(word, *vocabulary):
    return lambda generator: (word, set(vocabulary))


def _random_word(generator):
    """Eight letters a or b; every letter is known, and some longer pieces."""

    def text(length):
        return "".join("ab"[letter] for letter in torch.randint(2, (length,), generator=generator))

    pieces = {text(length) for length in (2, 2, 3)} | {"##" + text(length) for length in (2, 2, 3, 3)}
    return text(8), {"a", "b", "##a", "##b"} | pieces


EXERCISE = Exercise(
    id="05-longest-match",
    title="Cut a word into pieces",
    goal="WordPiece's greedy longest match",
    stars=2,
    minutes=10,
    points=2,
    reference=longest_match,
    ready_made=(wordpiece.longest_pieces,),
    cases=(
        Case(name="a word that is known as a whole", inputs=_word("cat", "cat", "c", "##a", "##at", "##t")),
        Case(name="cats = cat + ##s", inputs=_word("cats", "c", "ca", "cat", "##a", "##at", "##t", "##s", "##ts")),
        Case(name="a random word of eight letters", inputs=_random_word),
        Case(name="another random word", inputs=_random_word),
        Case(
            name="one word that nothing fits is unknown as a whole",
            inputs=_word("catz", "c", "cat", "##at", "##a", "##t", "s"),
        ),
        Case(
            name="greed leads to a dead end: no second try",
            inputs=_word("catsup", "cat", "cats", "c", "##sup", "##at", "##s"),
        ),
    ),
    mistakes=(
        Mistake(
            message="The shortest piece is taken first. Greedy means the longest that fits: try the whole rest of the "
            "word, then one letter less, and so on.",
            answer=lambda w, v: _shortest_match(w, v.__contains__),
        ),
        Mistake(
            message="The pieces inside the word have lost their ##: `cat ##s` and `cat s` are not the same.",
            answer=lambda w, v: [piece.removeprefix("##") for piece in longest_match(w, v)],
        ),
        Mistake(
            message="Inside the word, too, pieces are looked up without ##. A piece that continues a word is another "
            "token than one that begins it.",
            answer=lambda w, v: (lambda cut: cut[0] if cut[1] else [UNKNOWN])(_cut(w, v.__contains__, inside="")),
        ),
        Mistake(
            message="The pieces found before the dead end are returned. If some part of a word cannot be cut, the "
            "whole word is one [UNK].",
            answer=lambda w, v: _cut(w, v.__contains__)[0],
        ),
        Mistake(
            message="The pieces found before the dead end stand in front of [UNK]. If some part of a word cannot be "
            "cut, the whole word is one [UNK] and nothing else.",
            answer=lambda w, v: (lambda cut: cut[0] + [UNKNOWN] * (not cut[1]))(_cut(w, v.__contains__)),
        ),
        Mistake(
            message="Where the longest piece leads nowhere you try shorter ones. That finds more cuts than WordPiece, "
            "which never goes back: the word is [UNK].",
            answer=lambda w, v: _any_cut(w, v) or [UNKNOWN],
        ),
        Mistake(
            message="The word is cut from its end. WordPiece starts at the first letter.",
            answer=_from_the_right,
        ),
        Mistake(
            message="The word is cut into letters. Try longer pieces first.",
            answer=_letters,
        ),
        Mistake(
            message="Only whole words are looked up. Try the word without its last letter, without the last two, …",
            answer=lambda w, v: [w] if w in v else [UNKNOWN],
        ),
    ),
    hints=(
        "Two loops: the outer one goes on while letters are left, the inner one tries ends from the far one down.",
        'The piece from `start` to `end` is `word[start:end]`, with "##" in front if start > 0.',
        "If the inner loop finds no piece in the vocabulary, return ['[UNK]'] at once.",
    ),
)
