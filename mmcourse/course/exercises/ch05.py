"""Exercises of chapter 05, Words to features: what is asked, how an answer is checked, the mistakes it recognizes."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.ch05_more import MEAN_COSINE, PROBE, RENAME, SEARCH

# --- WordPiece --------------------------------------------------------------------------------------------------------

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


LONGEST_MATCH = Exercise(
    id="05-longest-match",
    title="Cut a word into pieces",
    goal="WordPiece's greedy longest match",
    stars=2,
    minutes=10,
    points=2,
    reference=longest_match,
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

# --- embeddings -------------------------------------------------------------------------------------------------------


def add_embeddings(tokens, segments, words, positions, kinds):
    return words[tokens] + positions[: tokens.shape[1]] + kinds[segments]


def _tables(batch, length, vocabulary, width, context):
    def inputs(generator):
        tokens = torch.randint(vocabulary, (batch, length), generator=generator)
        segments = torch.randint(2, (batch, length), generator=generator)
        sizes = (vocabulary, context, 2)
        return tokens, segments, *(torch.randn(size, width, generator=generator) for size in sizes)

    return inputs


EMBED = Exercise(
    id="05-embed",
    title="Three tables, one vector",
    goal="look up and add what BERT reads",
    stars=1,
    minutes=5,
    points=1,
    reference=add_embeddings,
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

# --- masking ----------------------------------------------------------------------------------------------------------


def hide_tokens(tokens, ordinary, lot, fate, others, mask_id):
    chosen = ordinary & (lot < 0.15)
    read = torch.where(chosen & (fate < 0.8), mask_id, tokens)
    read = torch.where(chosen & (fate >= 0.9), others, read)
    return read, torch.where(chosen, tokens, -100)


def _chances(batch, length):
    def inputs(generator):
        tokens = torch.randint(5, 30, (batch, length), generator=generator)
        tokens[:, 0], tokens[:, -1] = 2, 3
        lot, fate = torch.rand(2, batch, length, generator=generator)
        lot[0], lot[1], fate[1, 1:3] = 0.15, 0.1, torch.tensor([0.8, 0.9])  # the text says what becomes of these
        others = torch.randint(5, 30, (batch, length), generator=generator)
        return tokens, tokens > 4, lot, fate, others, 4

    return inputs


def _hide(chosen=None, masked=None, replaced=None, targets=None):
    """`hide_tokens` with one of its steps done otherwise."""

    def answer(tokens, ordinary, lot, fate, others, mask_id):
        at = (ordinary & (lot < 0.15)) if chosen is None else chosen(ordinary, lot)
        hole = (at & (fate < 0.8)) if masked is None else masked(at, fate)
        swap = (at & (fate >= 0.9)) if replaced is None else replaced(at, fate)
        read = torch.where(swap, others, torch.where(hole, mask_id, tokens))
        kept = torch.where(at, tokens, -100) if targets is None else targets(tokens, at, read, mask_id)
        return read, kept

    return answer


def _nothing(at, fate):
    return torch.zeros_like(at)


MASK = Exercise(
    id="05-mask-tokens",
    title="Hide some words",
    goal="the 80/10/10 rule",
    stars=2,
    minutes=10,
    points=2,
    reference=hide_tokens,
    cases=(
        Case(name="what is read, in 50 texts", inputs=_chances(50, 12), probe=lambda answer, *given: answer(*given)[0]),
        Case(name="what is asked, in 50 texts", inputs=_chances(50, 12), probe=lambda answer, *x: answer(*x)[1]),
        Case(name="both together, in 200 texts", inputs=_chances(200, 9)),
    ),
    mistakes=(
        Mistake(
            message="The targets hold what the model reads, [MASK] among it. They must hold what stood there before.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(at, read, -100)),
        ),
        Mistake(
            message="Only where [MASK] stands is something asked. All chosen tokens are asked for, also the replaced "
            "and the kept ones: that is what they are for.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(read == mask_id, tokens, -100)),
        ),
        Mistake(
            message="A target stands only where the text was changed. The chosen tokens that stay are asked for, too.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(read != tokens, tokens, -100)),
        ),
        Mistake(
            message="Every token is a target. Only the chosen ones are asked for, the others get −100: a model that "
            "may copy what it sees learns nothing.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: tokens),
        ),
        Mistake(
            message="Where nothing is asked the target is 0, which is a token. Use −100, which the loss leaves out.",
            answer=_hide(targets=lambda tokens, at, read, mask_id: torch.where(at, tokens, 0)),
        ),
        Mistake(
            message="Special tokens are hidden, too. Choose only where `ordinary` is True.",
            answer=_hide(chosen=lambda ordinary, lot: lot < 0.15),
        ),
        Mistake(
            message="85 percent are chosen instead of 15: choose where `lot` is *below* 0.15.",
            answer=_hide(chosen=lambda ordinary, lot: ordinary & (lot >= 0.15)),
        ),
        Mistake(
            message="All chosen tokens become [MASK]. Only 80 percent do; 10 percent become another token and 10 "
            "percent stay.",
            answer=_hide(masked=lambda at, fate: at, replaced=_nothing),
        ),
        Mistake(
            message="No token is replaced by another one. Where `fate` is 0.9 or more, the token of `others` is read.",
            answer=_hide(replaced=_nothing),
        ),
        Mistake(
            message="20 percent are replaced and none stays. Replace from 0.9 on; between 0.8 and 0.9 the token stays.",
            answer=_hide(replaced=lambda at, fate: at & (fate >= 0.8)),
        ),
        Mistake(
            message="The wrong tenth is replaced. From 0.8 to 0.9 the token stays; from 0.9 on, `others` is read.",
            answer=_hide(replaced=lambda at, fate: at & (fate >= 0.8) & (fate < 0.9)),
        ),
        Mistake(
            message="Tokens that were not chosen are replaced as well. Both steps are for chosen tokens only.",
            answer=_hide(replaced=lambda at, fate: fate >= 0.9),
        ),
        Mistake(
            message="Tokens that were not chosen become [MASK] as well. Both steps are for chosen tokens only.",
            answer=_hide(masked=lambda at, fate: fate < 0.8),
        ),
    ),
    hints=(
        "First a bool table of the chosen tokens: `ordinary & (lot < 0.15)`.",
        "`torch.where(condition, a, b)` takes a where the condition holds and b elsewhere. Use it once for each kind.",
        "The targets are the old tokens where chosen, and −100 elsewhere.",
    ),
)

# --- pooling ----------------------------------------------------------------------------------------------------------


def masked_mean(hidden, mask):
    return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _padded(lengths, width, *, noise=1.0):
    def inputs(generator):
        longest = max(lengths)
        mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
        hidden = torch.randn(len(lengths), longest, width, generator=generator)
        return torch.where(mask[..., None], hidden, noise * hidden), mask

    return inputs


MASKED_MEAN = Exercise(
    id="05-masked-mean",
    title="The mean of what is there",
    goal="mean pooling that does not see padding",
    stars=1,
    minutes=5,
    points=1,
    reference=masked_mean,
    cases=(
        Case(name="two texts of the same length", inputs=_padded((4, 4), 3)),
        Case(name="five, two and three tokens", inputs=_padded((5, 2, 3), 4)),
        Case(name="loud padding", inputs=_padded((2, 6), 5, noise=100.0)),
    ),
    mistakes=(
        Mistake(
            message="This is the mean over all T places: padding is counted as if it were words.",
            answer=lambda h, m: h.mean(dim=1),
        ),
        Mistake(
            message="The padding is set to zero, but you still divide by T. Divide by the number of real tokens.",
            answer=lambda h, m: (h * m[..., None]).mean(dim=1),
        ),
        Mistake(
            message="This is the sum over the tokens. Divide by how many there are.",
            answer=lambda h, m: (h * m[..., None]).sum(dim=1),
        ),
        Mistake(
            message="The padding takes part in the sum, though you divide by the right number. Set it to zero first.",
            answer=lambda h, m: h.sum(dim=1) / m.sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="The mask is turned around: this is the mean of the padding. True = a token.",
            answer=lambda h, m: (h * ~m[..., None]).sum(dim=1) / (~m).sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="You divide by the number of tokens in the whole batch. Each text has its own.",
            answer=lambda h, m: (h * m[..., None]).sum(dim=1) / m.sum(),
        ),
        Mistake(
            message="This is the first token. It is asked for the mean over all tokens.",
            answer=lambda h, m: h[:, 0],
        ),
        Mistake(
            message="This is the maximum over the tokens, not their mean.",
            answer=lambda h, m: h.masked_fill(~m[..., None], -torch.inf).amax(dim=1),
        ),
        Mistake(
            message="The mean runs over the texts of the batch (dim=0). Take it over the tokens of each text: dim=1.",
            answer=lambda h, m: (h * m[..., None]).sum(dim=0) / m.sum(dim=0)[:, None],
        ),
        Mistake(
            message="The result has a dimension too many, of size 1. Sum over the tokens without `keepdim`.",
            answer=lambda h, m: masked_mean(h, m)[:, None],
        ),
        Mistake(
            message="All vectors are scaled to length 1 at the end. That is a good idea for cosines, but the mean "
            "comes without it.",
            answer=lambda h, m: torch.nn.functional.normalize(masked_mean(h, m), dim=-1),
        ),
    ),
    hints=(
        "`mask[..., None]` has shape (B, T, 1), so that hidden (B, T, C) times it is zero at padding.",
        "The sum over the tokens is `.sum(dim=1)`, shape (B, C).",
        "`mask.sum(dim=1, keepdim=True)` counts the tokens of each text, shape (B, 1).",
    ),
)

EXERCISES = (LONGEST_MATCH, EMBED, MASK, RENAME, MASKED_MEAN, SEARCH, MEAN_COSINE, PROBE)
