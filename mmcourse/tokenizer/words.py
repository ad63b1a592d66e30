"""Tokenizers with one token for each character or each word: the two ends between which byte pairs lie."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from mmcourse.tokenizer.base import SPECIAL_TOKENS, Tokenizer
from mmcourse.tokenizer.texts import several_texts

# Between two of these no language writes a space: Chinese characters and the punctuation that goes with them.
_CHINESE = "、-〿㐀-䶿一-鿿！-／：-＠［-｀｛-･\U00020000-\U0003ffff"
NO_SPACE = f"(?<=[{_CHINESE}]) (?=[{_CHINESE}])"

T = TypeVar("T", bound="_Lookup")

# Classes by number rather than by property (\w, \p{L}): libraries carry different editions of the Unicode tables and
# would cut rare characters differently. White space is Unicode's White_Space, which has not changed for years.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# ASCII, Latin-1, general, Chinese and full-width punctuation, then Chinese characters, then emoji.
_PUNCTUATION = r"!-/:-@\[-`{-~¡-©«-´¶-¹»-¿‐-‧‰-⁞、-〿！-／：-＠［-｀｛-･"
_SINGLE = _PUNCTUATION + "㐀-䶿一-鿿\U00020000-\U0003ffff\u2600-\u27bf\U0001f000-\U0001faff"
WORDS = f"[{_SINGLE}]|[^{_SPACE}{_SINGLE}]+"
CHARACTERS = r"[\s\S]"


def _split_by(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True}


class _Lookup(Tokenizer):
    """A tokenizer that looks each piece up and says `<unk>` to what it does not know."""

    model_type = "WordLevel"
    model_settings = ("unk_token",)
    separator: ClassVar[str]

    def __init__(self, vocabulary: Sequence[str], special_tokens: Sequence[str] = SPECIAL_TOKENS) -> None:
        super().__init__(vocabulary, special_tokens)
        if self.unk_id is None:
            raise ValueError("vocabulary has no '<unk>', which stands for what is not in it; add it to special_tokens")
        self._pattern = re.compile(self.pre_tokenizer["pattern"]["Regex"])

    @classmethod
    def train(
        cls: type[T],
        texts: Iterable[str],
        vocabulary_size: int | None = None,
        special_tokens: Sequence[str] = SPECIAL_TOKENS,
    ) -> T:
        """Learns the vocabulary: the special tokens, then the most frequent pieces, ties in the order of Unicode.

        Args:
            vocabulary_size: how many tokens to keep, the special ones counted; None keeps all.
        """
        texts = several_texts(texts)
        pattern = re.compile(cls.pre_tokenizer["pattern"]["Regex"])
        counts = Counter(piece for text in texts for piece in pattern.findall(text) if piece not in special_tokens)
        if vocabulary_size is not None and vocabulary_size < len(special_tokens):
            raise ValueError(
                f"vocabulary_size {vocabulary_size} leaves no room for the {len(special_tokens)} special tokens"
            )
        frequent = sorted(counts, key=lambda piece: (-counts[piece], piece))
        return cls([*special_tokens, *frequent][:vocabulary_size], special_tokens)

    def _split(self, text: str) -> list[str]:
        return self._pattern.findall(text)

    def _piece_ids(self, piece: str) -> Sequence[int]:
        return (self.ids.get(piece, self.ids["<unk>"]),)

    def _join(self, tokens: list[str]) -> str:
        return self.separator.join(tokens)

    def _model(self) -> dict[str, Any]:
        return {"vocab": self.ids, "unk_token": "<unk>"}


class CharacterTokenizer(_Lookup):
    """One token for each character (Unicode code point): a tiny vocabulary and long sequences.

    >>> tokenizer = CharacterTokenizer.train(["a cat"])
    >>> tokenizer.tokens("tac!")
    ['t', 'a', 'c', '<unk>']
    """

    pre_tokenizer = _split_by(CHARACTERS)
    decoder: ClassVar[dict[str, Any] | None] = {"type": "Fuse"}
    separator = ""


class WordTokenizer(_Lookup):
    """One token for each word, punctuation mark, Chinese character or emoji.

    `decode` puts spaces between them, but not within Chinese.

    >>> tokenizer = WordTokenizer.train(["a cat left of a dog", "a dog"])
    >>> tokenizer.tokens("a cat, a horse")
    ['a', 'cat', '<unk>', 'a', '<unk>']
    >>> tokenizer.decode(tokenizer.encode("a  cat"))
    'a cat'
    """

    pre_tokenizer = _split_by(WORDS)
    # As `tokenizers` writes it: a space before each token but the first (no token begins with a space), one text, and
    # the spaces within Chinese taken out.
    decoder: ClassVar[dict[str, Any] | None] = {
        "type": "Sequence",
        "decoders": [
            {"type": "WordPiece", "prefix": " ", "cleanup": False},
            {"type": "Fuse"},
            {"type": "Replace", "pattern": {"Regex": NO_SPACE}, "content": ""},
        ],
    }
    separator = " "

    def _join(self, tokens: list[str]) -> str:
        return re.sub(NO_SPACE, "", super()._join(tokens))
