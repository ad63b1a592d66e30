"""Tokenizers: text becomes numbers and back, by characters, by words or by byte pairs learned from a text.

All of them are saved in the JSON form of the Hugging Face `tokenizers` library, which reads the files and encodes
alike.
"""

from mmcourse.tokenizer.base import SPECIAL_TOKENS, EncodedBatch, Tokenizer
from mmcourse.tokenizer.byte_pair import BytePairTokenizer, byte_characters, learn_merges, merge_pair
from mmcourse.tokenizer.words import CharacterTokenizer, WordTokenizer

__all__ = [
    "SPECIAL_TOKENS",
    "BytePairTokenizer",
    "CharacterTokenizer",
    "EncodedBatch",
    "Tokenizer",
    "WordTokenizer",
    "byte_characters",
    "learn_merges",
    "merge_pair",
]
