"""WordPiece, BERT's tokenizer: frequent words are one token, others are cut into the longest pieces that it knows.

Schuster and Nakajima, "Japanese and Korean voice search" (2012); as used by Devlin et al., "BERT" (2019).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmcourse.tokenizer.base import Tokenizer

BERT_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LONGEST_WORD = 100  # characters; a longer word is unknown
_NO_SPACE_BEFORE = (".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re")
_REMEMBERED = 50_000  # words whose ids are kept

# `tokenizers` sorts characters by the Unicode tables of 2015. Punctuation, accents and invisible characters that came
# later are letters to it, and four characters have changed sides since.
_LATER = re.compile(
    "[\u05c8-\u05c9\u061d\u07fd\u0890-\u08e2\u09fd-\u09fe\u0a76\u0afa-\u0aff\u0b53-\u0b55\u0c04-\u0c3c\u0c77\u0c84"
    "\u0d00\u0d3b-\u0d3c\u0d81\u0eba\u0ece\u180f-\u1886\u1abf-\u1af0\u1b4e-\u1b4f\u1b7d-\u1b7f\u1df6-\u1dfb\u2e43-\u2e7f"
    "\ua82c\ua8c5\ua8ff\ua9bd\U00010d24-\U00010f89\U00011070-\U00011074\U000110c2-\U000110cd\U000111c9\U000111cf"
    "\U0001123e-\U00011241\U0001133b\U000113bb-\U0001145e\U00011660-\U0001166c\U000116b9\U0001182f-\U00011fff"
    "\U00012ff1-\U0001612f\U00016d6d-\U00016f4f\U00016fe2-\U00016fe4\U0001cf00-\U0001cfff\U0001d127-\U0001d128"
    "\U0001d25b-\U0001d25c\U0001e000-\U0001e6f5\U0001e944-\U0001e95f]"
)
_PUNCTUATION = re.compile("[!-/:-@\\[-`{-~\u166d\U000111c9]")
_CHINESE = re.compile(
    "[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b920-\U0002ceaf"
    "\U0002f800-\U0002fa1f]"
)


class _Table(dict[int, str]):
    """A table for str.translate that asks `change` about each character once."""

    def __init__(self, change: Callable[[str], str]) -> None:
        super().__init__()
        self.change = change

    def __missing__(self, code: int) -> str:
        self[code] = found = self.change(chr(code))
        return found


def _category(character: str) -> str:
    return "Lo" if _LATER.match(character) else unicodedata.category(character)


def _clean(character: str) -> str:
    """No invisible characters, one kind of space, and spaces around each Chinese character."""
    if character in "\t\n\r" or _category(character)[0] == "Z":
        return " "
    if character == "\ufffd" or _category(character) in ("Cc", "Cf", "Co"):
        return ""
    return f" {character} " if _CHINESE.match(character) else character


def _fold(character: str) -> str:
    """Lower case, and nothing for an accent that stands alone."""
    return "" if character in "\u1734\U0001171e" or _category(character) == "Mn" else character.lower()


def _isolate(character: str) -> str:
    """Spaces around punctuation, to which BERT counts every sign of ASCII."""
    lone = _PUNCTUATION.match(character) or _category(character)[0] == "P"
    return f" {character} " if lone else character


_CLEAN, _FOLD, _ISOLATE = _Table(_clean), _Table(_fold), _Table(_isolate)


def split_words(text: str, *, lowercase: bool = True) -> list[str]:
    """The words, punctuation marks and Chinese characters of a text, in lower case and without accents if asked for.

    >>> split_words("Ein Kätzchen,\\t一只猫!")
    ['ein', 'katzchen', ',', '一', '只', '猫', '!']
    """
    text = text.translate(_CLEAN)
    if lowercase:
        text = unicodedata.normalize("NFD", text).translate(_FOLD)  # NFD writes an accent behind its letter
    return text.translate(_ISOLATE).split()


def longest_pieces(word: str, vocabulary: Mapping[str, int]) -> list[str] | None:
    """Cuts a word from left to right into the longest tokens; ## marks those inside. None where no token fits.

    >>> longest_pieces("cats", {"c": 0, "cat": 1, "##a": 2, "##s": 3})
    ['cat', '##s']
    """
    pieces, start = [], 0
    while start < len(word):
        before = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if before + word[start:end] in vocabulary), None)
        if end is None:
            return None
        pieces.append(before + word[start:end])
        start = end
    return pieces


class WordPieceTokenizer(Tokenizer):
    """BERT's tokenizer. `bos_id` and `eos_id` are those of [CLS] and [SEP], which `add_special` puts around a text.

    >>> tokenizer = WordPieceTokenizer([*BERT_SPECIAL_TOKENS, "a", "cat", "##s", "!"])
    >>> tokenizer.tokens("A cats! dog", add_special=True)
    ['[CLS]', 'a', 'cat', '##s', '!', '[UNK]', '[SEP]']
    """

    model_type = "WordPiece"
    model_settings = ("unk_token", "continuing_subword_prefix", "max_input_chars_per_word")
    special_names = BERT_SPECIAL_TOKENS[:4]
    second_segment = 1
    pre_tokenizer: ClassVar[dict[str, Any]] = {"type": "BertPreTokenizer"}
    decoder: ClassVar[dict[str, Any] | None] = {"type": "WordPiece", "prefix": "##", "cleanup": True}

    def __init__(
        self, vocabulary: Sequence[str], special_tokens: Sequence[str] = BERT_SPECIAL_TOKENS, *, lowercase: bool = True
    ) -> None:
        """
        Args:
            vocabulary: every token, in the order of the ids; ## begins those that stand inside a word.
            lowercase: lower case without accents, as for the models that are called uncased.
        """
        super().__init__(vocabulary, special_tokens)
        if self.unk_id is None:
            raise ValueError("vocabulary has no '[UNK]', which stands for words that cannot be written with it; add it")
        self.lowercase = lowercase
        self.normalizer = {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,  # as lowercase
            "lowercase": lowercase,
        }
        self._remembered: dict[str, tuple[int, ...]] = {}

    @classmethod
    def from_file(cls, path: str | Path, *, lowercase: bool = True) -> WordPieceTokenizer:
        """The tokenizer of a BERT's `vocab.txt`, which holds one token a line."""
        vocabulary = Path(path).read_text(encoding="utf-8").split("\n")
        return cls(vocabulary if vocabulary[-1] else vocabulary[:-1], lowercase=lowercase)

    @property
    def mask_id(self) -> int | None:
        """The id of [MASK], which hides a token in training."""
        return self.ids.get("[MASK]")

    @property
    def special_ids(self) -> list[int]:
        return [self.ids[token] for token in self.special_tokens]

    @classmethod
    def _from_model(cls, model: dict[str, Any], vocabulary: list[str], special_tokens: list[str]) -> WordPieceTokenizer:
        normalizer = model["normalizer"] or {}
        return cls(vocabulary, special_tokens, lowercase=bool(normalizer.get("lowercase")))

    def _split(self, text: str) -> list[str]:
        return split_words(text, lowercase=self.lowercase)

    def _piece_ids(self, piece: str) -> Sequence[int]:
        if piece not in self._remembered:
            pieces = longest_pieces(piece, self.ids) if len(piece) <= _LONGEST_WORD else None
            ids = [self.unk_id] if pieces is None else [self.ids[each] for each in pieces]
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[piece] = tuple(ids)
        return self._remembered[piece]

    def _join(self, tokens: list[str]) -> str:
        def piece(first: bool, token: str) -> str:
            if first or token.startswith(_NO_SPACE_BEFORE):
                return token
            return token[2:] if token.startswith("##") else f" {token}"

        return "".join(piece(not i, token) for i, token in enumerate(tokens))

    def _model(self) -> dict[str, Any]:
        return {
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": _LONGEST_WORD,
            "vocab": self.ids,
        }
