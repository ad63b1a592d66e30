"""Byte-pair encoding: the alphabet is the 256 bytes, and the pairs seen most often become tokens of their own.

Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units" (2016), algorithm 1, on the
bytes of UTF-8 as in Radford et al., "Language models are unsupervised multitask learners" (GPT-2, 2019), section 2.2.
Any text can be written in bytes, so there is no unknown token and nothing is lost.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import regex

from mmcourse.tokenizer.base import SPECIAL_TOKENS, Tokenizer
from mmcourse.tokenizer.texts import several_texts

Pair = tuple[int, int]

# GPT-2 cuts a text into words first, each with the space before it, so that no token reaches across a word's end:
# the English endings, letters, numbers, other signs, and white space (its last space goes to the word after it).
GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_PATTERN = regex.compile(GPT2_WORDS)
_BYTE_LEVEL = {"trim_offsets": True, "use_regex": True}
_REMEMBERED = 50_000  # words whose ids are kept; a language has few frequent ones


@cache
def byte_characters() -> tuple[str, ...]:
    """A visible character for each byte, as GPT-2 writes tokens: a space is Ġ, a line break Ċ.

    >>> "".join(byte_characters()[byte] for byte in "a cat 猫".encode())
    'aĠcatĠçĮ«'
    """
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in visible else next(others)) for byte in range(256))


def merge_pair(ids: Sequence[int], pair: Pair, new: int) -> list[int]:
    """Writes `new` wherever the two ids of `pair` stand side by side, from left to right.

    >>> merge_pair([1, 1, 1, 2], (1, 1), 9)
    [9, 1, 2]
    """
    merged: list[int] = []
    i = 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def learn_merges(words: Mapping[str, int], vocabulary: list[str], vocabulary_size: int) -> list[Pair]:
    """Merges the most frequent pair again and again until `vocabulary`, which grows, has `vocabulary_size` tokens.

    Of equally frequent pairs the one with the smaller ids goes first (first id, then second): the order in which
    `tokenizers` breaks ties. Ends early when no word has two tokens left.

    Args:
        words: each word, in the characters of `byte_characters`, and how often it occurs.
        vocabulary: the tokens to start from, among them every character of `words`.
    """
    ids = {token: index for index, token in enumerate(vocabulary)}
    parts = [[ids[character] for character in word] for word in words]
    times = list(words.values())
    counts: Counter[Pair] = Counter()
    places: defaultdict[Pair, set[int]] = defaultdict(set)  # the words in which a pair occurs, or once did

    def count(index: int, sign: int) -> None:
        for pair in pairwise(parts[index]):
            counts[pair] += sign * times[index]
            places[pair].add(index)
            if not counts[pair]:
                del counts[pair]

    for index in range(len(parts)):
        count(index, 1)
    merges: list[Pair] = []
    while len(vocabulary) < vocabulary_size and counts:
        most = max(counts.values())
        pair = min(pair for pair, times_seen in counts.items() if times_seen == most)
        token = vocabulary[pair[0]] + vocabulary[pair[1]]
        if token not in ids:  # pairs that spell the same token share its id, as in `tokenizers`
            ids[token] = len(vocabulary)
            vocabulary.append(token)
        merges.append(pair)
        for index in places.pop(pair):
            count(index, -1)
            parts[index] = merge_pair(parts[index], pair, ids[token])
            count(index, 1)
    return merges


class BytePairTokenizer(Tokenizer):
    """Byte-level byte-pair encoding: frequent words are one token, rare ones several, and `decode` undoes `encode`.

    >>> tokenizer = BytePairTokenizer.train(["a cat and a cat"] * 3, 264)
    >>> tokenizer.tokens("a cat! 猫")
    ['a', 'Ġcat', '!', 'Ġ', 'ç', 'Į', '«']
    >>> tokenizer.decode(tokenizer.encode("a cat! 猫"))
    'a cat! 猫'
    """

    model_type = "BPE"
    model_settings = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")
    pre_tokenizer: ClassVar[dict[str, Any]] = {"type": "ByteLevel", "add_prefix_space": False, **_BYTE_LEVEL}
    decoder: ClassVar[dict[str, Any] | None] = {"type": "ByteLevel", "add_prefix_space": True, **_BYTE_LEVEL}

    def __init__(
        self,
        vocabulary: Sequence[str],
        merges: Iterable[tuple[str, str]],
        special_tokens: Sequence[str] = SPECIAL_TOKENS,
    ) -> None:
        """
        Args:
            vocabulary: every token, in the characters of `byte_characters`; among them all of those.
            merges: pairs of tokens, the first to be merged first.
        """
        super().__init__(vocabulary, special_tokens)
        self.merges = tuple((first, second) for first, second in merges)
        missing = [character for character in byte_characters() if character not in self.ids]
        if missing:
            raise ValueError(f"vocabulary lacks {len(missing)} of the 256 byte characters, the first is {missing[0]!r}")
        for first, second in self.merges:
            lacking = next((token for token in (first, second, first + second) if token not in self.ids), None)
            if lacking is not None:
                raise ValueError(f"merges holds ({first!r}, {second!r}), but {lacking!r} is not in the vocabulary")
        # pair -> (rank, what it becomes)
        self._ranks: dict[Pair, Pair] = {
            (self.ids[first], self.ids[second]): (rank, self.ids[first + second])
            for rank, (first, second) in enumerate(self.merges)
        }
        self._remembered: dict[str, list[int]] = {}

    @classmethod
    def train(
        cls, texts: Iterable[str], vocabulary_size: int, special_tokens: Sequence[str] = SPECIAL_TOKENS
    ) -> BytePairTokenizer:
        """Learns merges from texts until there are `vocabulary_size` tokens, or fewer if the texts run out of pairs.

        The order of the ids: special tokens, the 256 bytes in the order of their characters, then the merges.
        """
        texts = several_texts(texts)
        least = len(special_tokens) + 256
        if vocabulary_size < least:
            raise ValueError(
                f"vocabulary_size must be at least {least}, for 256 bytes and {len(special_tokens)} special tokens, "
                f"got {vocabulary_size}"
            )
        words = Counter(_visible(word) for text in texts for word in _PATTERN.findall(text))
        vocabulary = [*special_tokens, *sorted(byte_characters())]
        merges = learn_merges(words, vocabulary, vocabulary_size)
        return cls(vocabulary, [(vocabulary[first], vocabulary[second]) for first, second in merges], special_tokens)

    @classmethod
    def _from_model(cls, model: dict[str, Any], vocabulary: list[str], special_tokens: list[str]) -> BytePairTokenizer:
        # Older files write a merge as "a b", newer ones as ["a", "b"].
        merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        return cls(vocabulary, [(first, second) for first, second in merges], special_tokens)

    def _split(self, text: str) -> list[str]:
        return _PATTERN.findall(text)

    def _piece_ids(self, piece: str) -> list[int]:
        if piece not in self._remembered:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[piece] = self._merge([self.ids[character] for character in _visible(piece)])
        return self._remembered[piece]

    def _merge(self, ids: list[int]) -> list[int]:
        """Merges the pair of the lowest rank, the leftmost of equals, again and again.

        A heap holds the pairs side by side and a chain says what is whose neighbour, so that a long word takes time
        about in proportion to its length. As in `tokenizers`, a pair that a merge has made may be next at once.
        """
        ids = list(ids)
        after, before = list(range(1, len(ids) + 1)), list(range(-1, len(ids) - 1))
        alive = [True] * len(ids)
        waiting: list[tuple[int, int, int]] = []  # rank, place of the left half, what the pair becomes

        def look(place: int) -> None:
            if place >= 0 and after[place] < len(ids):
                found = self._ranks.get((ids[place], ids[after[place]]))
                if found is not None:
                    heapq.heappush(waiting, (found[0], place, found[1]))

        for place in range(len(ids)):
            look(place)
        while waiting:
            rank, place, new = heapq.heappop(waiting)
            right = after[place]
            if not alive[place] or right == len(ids) or self._ranks.get((ids[place], ids[right])) != (rank, new):
                continue  # one of the two has been merged since
            ids[place], alive[right], after[place] = new, False, after[right]
            if after[place] < len(ids):
                before[after[place]] = place
            look(before[place])
            look(place)
        return [index for index, here in zip(ids, alive, strict=True) if here]

    def _join(self, tokens: list[str]) -> str:
        codes = {character: byte for byte, character in enumerate(byte_characters())}
        special = set(self.special_tokens)
        written = b"".join(
            token.encode() if token in special else bytes(codes[character] for character in token) for token in tokens
        )
        return written.decode(errors="replace")  # a row may end in the middle of a character

    def _model(self) -> dict[str, Any]:
        return {
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: self.ids[token] for token in self.vocabulary},
            "merges": [list(merge) for merge in self.merges],
        }


def _visible(word: str) -> str:
    """The bytes of a word, each as its visible character."""
    characters = byte_characters()
    return "".join(characters[byte] for byte in word.encode())
