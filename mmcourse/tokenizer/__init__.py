"""Tokenizers: text becomes numbers and back, by characters, words, byte pairs learned from a text, BERT's pieces, or as
another's `tokenizer.json` says.

All of them are saved in the JSON form of the Hugging Face `tokenizers` library, which reads the files and encodes
alike.
"""

from mmcourse.tokenizer.base import SPECIAL_TOKENS, EncodedBatch, Tokenizer
from mmcourse.tokenizer.byte_pair import BytePairTokenizer, byte_characters, learn_merges, merge_pair
from mmcourse.tokenizer.hub import HubTokenizer
from mmcourse.tokenizer.wordpiece import BERT_SPECIAL_TOKENS, WordPieceTokenizer, longest_pieces, split_words
from mmcourse.tokenizer.words import CharacterTokenizer, WordTokenizer

__all__ = [
    "BERT_SPECIAL_TOKENS",
    "SPECIAL_TOKENS",
    "BytePairTokenizer",
    "CharacterTokenizer",
    "EncodedBatch",
    "HubTokenizer",
    "Tokenizer",
    "WordPieceTokenizer",
    "WordTokenizer",
    "byte_characters",
    "learn_merges",
    "longest_pieces",
    "merge_pair",
    "split_words",
]
