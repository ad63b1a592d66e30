"""HubTokenizer: ids and texts are those of the library that it runs; files, special tokens, mistakes."""

import copy
import doctest
import json
import pickle
import random
import sys

import pytest
import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from mmcourse.tokenizer import SPECIAL_TOKENS, BytePairTokenizer, HubTokenizer, Tokenizer

CORPUS = [
    "What is the capital of France?",
    "two cats, 12 dogs and 2024 birds",
    "  spaces   before 7 and\n\n3",
    "猫和狗 é",
] * 5
ENDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PARTS = [
    "a",
    " ",
    "  ",
    "\n",
    "7",
    "12",
    "cat",
    " cat",
    "é",
    "e\u0301",
    "猫",
    "🙂",
    "'s",
    "<|im_end|>",
    "<image>",
    "<",
    "\x00",
    "½",
]


def byte_pairs():
    """As SmolLM2: digits stand alone, the rest is cut as GPT-2 does."""
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    theirs.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=ENDS, initial_alphabet=alphabet, show_progress=False)
    theirs.train_from_iterator(CORPUS, trainer)
    return theirs


def unigram():
    """As T5: another model, a normalizer, an unknown token, and a special token that swallows the space before it."""
    theirs = tokenizers.Tokenizer(models.Unigram())
    theirs.normalizer = normalizers.NFKC()
    theirs.pre_tokenizer, theirs.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=80, special_tokens=["<unk>", *ENDS], unk_token="<unk>", show_progress=False
    )
    theirs.train_from_iterator(CORPUS, trainer)
    theirs.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    return theirs


def ours_of(theirs):
    return HubTokenizer(
        theirs.to_str(), pad="<|im_end|>", bos="<|im_start|>", eos="<|im_end|>", special_tokens=["<image>"]
    )


def texts(count=300):
    draws = random.Random(0)
    return [
        *CORPUS[:4],
        "",
        "a <mask> b",
        *("".join(draws.choices(PARTS, k=draws.randint(1, 9))) for _ in range(count)),
    ]


@pytest.fixture(scope="module")
def plain():
    return ours_of(byte_pairs())


def test_examples_run():
    module = sys.modules[HubTokenizer.__module__]
    failed, tried = doctest.testmod(module)
    assert (failed, tried > 0) == (0, True)


@pytest.mark.parametrize("kind", [byte_pairs, unigram])
def test_ids_and_texts_are_those_of_transformers(kind):
    theirs = kind()
    ours = ours_of(theirs)
    theirs.add_special_tokens(["<image>"])
    hub = PreTrainedTokenizerFast(tokenizer_object=theirs, clean_up_tokenization_spaces=False)
    assert ours.ids == hub.get_vocab()
    for text in texts():
        ids = hub.encode(text, add_special_tokens=False)
        assert ours.encode(text) == ids
        assert ours.decode(ids) == hub.decode(ids)
        assert ours.decode(ids, skip_special=True) == hub.decode(ids, skip_special_tokens=True)
        strict = hub(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert ours.encode(text, spelled=False) == strict


def test_digits_stand_alone_as_the_file_says(plain):
    assert plain.tokens("  12") == ["ĠĠ", "1", "2"]


def test_roles_are_those_that_were_named(plain):
    assert (plain.pad_id, plain.bos_id, plain.eos_id, plain.unk_id) == (2, 1, 2, None)
    assert plain.ids["<image>"] == len(plain) - 1 == byte_pairs().get_vocab_size()
    assert plain.special_tokens == (*ENDS, "<image>")
    inside = plain.encode("two cats")
    assert plain.encode("two cats", add_special=True) == [1, *inside, 2]
    ids, mask = plain.encode_batch(["two cats", "a"])
    assert ids[1, 1:].eq(2).all()
    assert mask.sum(dim=1).tolist() == [len(inside), 1]


def test_what_strangers_write_is_text(plain):
    text = "<|im_start|>system <image>"
    assert not {plain.ids[token] for token in plain.special_tokens} & set(plain.encode(text, spelled=False))
    assert plain.decode(plain.encode(text, spelled=False), skip_special=True) == text
    assert plain.decode(plain.encode(text), skip_special=True) == "system "


@pytest.mark.parametrize("kind", [byte_pairs, unigram])
def test_a_file_gives_the_tokenizer_back(kind, tmp_path):
    ours = ours_of(kind())
    ours.save(tmp_path / "tokenizer.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    copies = [HubTokenizer.load(tmp_path / "tokenizer.json"), Tokenizer.load(tmp_path / "tokenizer.json")]
    for again in (*copies, pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert type(again) is HubTokenizer
        assert (again.vocabulary, again.special_tokens) == (ours.vocabulary, ours.special_tokens)
        assert again.special_names == ours.special_names
        for text in texts(40):
            ids = ours.encode(text, add_special=True)
            assert again.encode(text, add_special=True) == theirs.encode(text).ids == ids
            assert again.encode(text, spelled=False) == ours.encode(text, spelled=False)


def test_files_of_our_other_kinds_stay_theirs(tmp_path):
    BytePairTokenizer.train(CORPUS, 280).save(tmp_path / "pairs.json")
    assert type(Tokenizer.load(tmp_path / "pairs.json")) is BytePairTokenizer
    with pytest.raises(ValueError, match="BPE tokenizer whose parts are not those of HubTokenizer"):
        HubTokenizer.load(tmp_path / "pairs.json")
    ours_of(byte_pairs()).save(tmp_path / "hub.json")
    with pytest.raises(ValueError, match="BPE tokenizer whose parts are not those of BytePairTokenizer"):
        BytePairTokenizer.load(tmp_path / "hub.json")


def test_a_file_that_pads_and_cuts_does_neither_here(plain):
    theirs = byte_pairs()
    theirs.enable_padding(length=32, pad_id=0, pad_token="<|endoftext|>")
    theirs.enable_truncation(2)
    theirs.post_processor = processors.TemplateProcessing("<|im_start|> $0", special_tokens=[("<|im_start|>", 1)])
    ours = HubTokenizer(theirs.to_str())
    assert (ours.pad_id, ours.bos_id, ours.eos_id) == (0, 1, None)
    assert ours.encode(CORPUS[0]) == plain.encode(CORPUS[0])


def test_mistakes_are_named(plain, tmp_path):
    rules = byte_pairs().to_str()
    with pytest.raises(ValueError, match="pad is missing"):
        HubTokenizer(rules)
    with pytest.raises(ValueError, match="eos is '</s>', which is not a token of the vocabulary"):
        HubTokenizer(rules, pad="<|im_end|>", eos="</s>")
    with pytest.raises(ValueError, match="rules holds no tokenizer"):
        HubTokenizer("{}", pad="<|im_end|>")
    with pytest.raises(TypeError, match="text must be a str"):
        plain.encode(["a"])
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        plain.encode("\ud800")
    with pytest.raises(ValueError, match="ids holds"):
        plain.decode([len(plain)])
    data = json.loads(rules) | {"padding": {"pad_token": SPECIAL_TOKENS[0]}}
    (tmp_path / "odd.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ValueError, match=r"odd\.json cannot be read: rules holds no tokenizer"):
        Tokenizer.load(tmp_path / "odd.json")
