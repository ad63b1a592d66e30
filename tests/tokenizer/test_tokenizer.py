"""Tokenizers against the Hugging Face `tokenizers` library, on captions and on any text at all."""

import functools
import itertools
import json
import random
import unicodedata

import pytest
import tokenizers
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import models, pre_tokenizers, processors, trainers

from mmcourse.datasets import captions, chinese_captions, lexicon, sample_scene
from mmcourse.tokenizer import (
    SPECIAL_TOKENS,
    BytePairTokenizer,
    CharacterTokenizer,
    Tokenizer,
    WordTokenizer,
    byte_characters,
)

KINDS = (CharacterTokenizer, WordTokenizer, BytePairTokenizer)
SIZES = {CharacterTokenizer: None, WordTokenizer: None, BytePairTokenizer: 600}
quick = settings(max_examples=300, deadline=None)

# Characters that Python's own Unicode tables know: the classes of newer ones differ between editions of the tables.
known = st.characters(exclude_categories=["Cs", "Cn"])
fragments = st.sampled_from(
    [
        "<pad>",
        "<eos>",
        "<unk",
        "a cat ",
        "'s",
        "don't",
        "  ",
        "\n\n",
        "\x1c",
        "\u200d",
        "猫",
        "。",
        "🐱",
        "👩‍🚀",
        "é",
        "e\u0301",
    ]
)
texts = st.lists(st.text(known, max_size=8) | fragments, max_size=6).map("".join)


@functools.cache
def corpus():
    scenes = [sample_scene(i) for i in range(80)]
    written = [text for scene in scenes for text in (*captions(scene), *chinese_captions(scene))]
    return tuple(written + [noun.name for noun in lexicon()])


@functools.cache
def trained(kind):
    return kind.train(corpus(), SIZES[kind])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Each of ours with what `tokenizers` makes of its file."""
    folder = tmp_path_factory.mktemp("tokenizers")
    found = {}
    for kind in KINDS:
        path = folder / f"{kind.__name__}.json"
        trained(kind).save(path)
        found[kind] = (trained(kind), tokenizers.Tokenizer.from_file(str(path)))
    return found


def alike(ours, theirs, text):
    for add_special in (False, True):
        ids = ours.encode(text, add_special=add_special)
        encoded = theirs.encode(text, add_special_tokens=add_special)
        assert ids == encoded.ids
        assert ours.tokens(text, add_special=add_special) == encoded.tokens
        for skip in (False, True):
            assert ours.decode(ids, skip_special=skip) == theirs.decode(ids, skip_special_tokens=skip)


@pytest.mark.parametrize("kind", KINDS)
def test_tokenizers_reads_ours_and_encodes_captions_alike(pairs, kind):
    ours, theirs = pairs[kind]
    assert theirs.get_vocab() == ours.ids
    for text in corpus():
        alike(ours, theirs, text)


@pytest.mark.parametrize("kind", KINDS)
@quick
@given(text=texts)
@example(text="<pad><bos> a<unk>b <eos")
@example(text=" \t\r\n\x0b\x0c\x85\xa0\u2003x\u3000\u2028")
def test_tokenizers_encodes_any_text_alike(pairs, kind, text):
    alike(*pairs[kind], text)


@pytest.mark.parametrize("kind", KINDS)
def test_every_character_is_cut_alike(pairs, kind):
    ours, theirs = pairs[kind]
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    if kind is BytePairTokenizer:  # its classes of characters come from the Unicode tables, of which there are editions
        characters = [character for character in characters if unicodedata.category(character) != "Cn"]
    for start in range(0, len(characters), 50_000):
        between = "" if kind is CharacterTokenizer else "1 a"
        text = between.join(characters[start : start + 50_000])
        pieces = ours._split(text)
        if kind is BytePairTokenizer:
            pieces = ["".join(byte_characters()[byte] for byte in piece.encode()) for piece in pieces]
        assert pieces == [piece for piece, _ in theirs.pre_tokenizer.pre_tokenize_str(text)]


@quick
@given(ids=st.lists(st.integers(0, 599), max_size=12))
def test_tokenizers_decodes_any_ids_alike(pairs, ids):
    ours, theirs = pairs[BytePairTokenizer]
    for skip in (False, True):
        assert ours.decode(ids, skip_special=skip) == theirs.decode(ids, skip_special_tokens=skip)


@quick
@given(text=st.text(st.characters(exclude_categories=["Cs"])) | texts)
@example(text="<bos>a  cat<eos>\n")
@example(text="一只大猫在狗的左边。👩‍🚀🏳️‍🌈")
def test_byte_pairs_lose_nothing(text):
    tokenizer = trained(BytePairTokenizer)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_characters_lose_nothing_they_have_seen():
    tokenizer = trained(CharacterTokenizer)
    for text in corpus():
        assert tokenizer.unk_id not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def their_byte_pairs(lines, size, special_tokens=SPECIAL_TOKENS):
    """The library's own training with the same settings."""
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    settings_ = {"special_tokens": list(special_tokens), "initial_alphabet": alphabet, "show_progress": False}
    theirs.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=size, **settings_))
    return theirs


def their_merges(theirs):
    return tuple(map(tuple, json.loads(theirs.to_str())["model"]["merges"]))


@pytest.mark.parametrize("size", [260, 261, 400, 1000, 5000])
def test_training_learns_the_same_merges_as_tokenizers(size):
    # Ties are broken alike: of equally frequent pairs the one with the smaller ids (first id, then second) goes first.
    ours, theirs = BytePairTokenizer.train(corpus(), size), their_byte_pairs(corpus(), size)
    assert ours.merges == their_merges(theirs)
    assert ours.ids == theirs.get_vocab()
    assert len(ours) == size or size == 5000  # 5000 are more than these texts have pairs for
    for text in corpus()[:50]:
        assert ours.encode(text) == theirs.encode(text).ids


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.text(st.sampled_from("abc ä猫1!'s"), max_size=25), max_size=6),
    size=st.integers(258, 300),
)
def test_training_is_the_same_on_any_small_corpus(lines, size):
    # Many ties and many runs of one letter.
    special = ("<pad>", "<unk>")
    ours, theirs = BytePairTokenizer.train(lines, size, special), their_byte_pairs(lines, size, special)
    assert ours.merges == their_merges(theirs)
    assert ours.ids == theirs.get_vocab()


def naive_merges(words, count):
    """The definition: count all pairs anew before every merge."""
    parts = [list(word) for word in words]
    merges = []
    for _ in range(count):
        counts = {}
        for part in parts:
            for pair in itertools.pairwise(part):
                counts[pair] = counts.get(pair, 0) + 1
        if not counts:
            break
        best = max(counts.values())
        merges.append(({pair for pair, times in counts.items() if times == best}, best))
        pair = yield merges[-1][0]
        for part in parts:
            i = 0
            while i + 1 < len(part):
                if (part[i], part[i + 1]) == pair:
                    part[i : i + 2] = ["".join(pair)]
                i += 1


def test_every_merge_takes_a_most_frequent_pair():
    lines = ["low lower lowest", "newer wider new", "low low"]
    ours = BytePairTokenizer.train(lines, 290)
    words = [word for line in lines for word in line.replace(" ", "|Ġ").split("|")]
    naive = naive_merges(words, len(ours.merges))
    allowed = next(naive)
    for merge in ours.merges[:-1]:
        assert merge in allowed
        allowed = naive.send(merge)
    assert ours.merges[-1] in allowed
    assert ("l", "o") in ours.merges


@pytest.mark.parametrize("kind", [CharacterTokenizer, WordTokenizer])
@pytest.mark.parametrize("size", [None, 4, 20])
def test_lookups_keep_the_most_frequent_as_tokenizers_does(pairs, kind, size):
    theirs = tokenizers.Tokenizer(models.WordLevel(unk_token="<unk>"))
    theirs.pre_tokenizer = pairs[kind][1].pre_tokenizer
    trainer = trainers.WordLevelTrainer(vocab_size=size or 30_000, special_tokens=list(SPECIAL_TOKENS))
    theirs.train_from_iterator(corpus(), trainer)
    assert kind.train(corpus(), size).ids == theirs.get_vocab()


def test_what_a_word_is():
    tokenizer = trained(WordTokenizer)
    assert "|".join(tokenizer._split("A cat's 2 dogs, left\tof—it!")) == "A|cat|'|s|2|dogs|,|left|of|—|it|!"
    assert tokenizer._split("一只猫，🐱🐶 naïve") == ["一", "只", "猫", "，", "🐱", "🐶", "naïve"]
    for space in filter(str.isspace, map(chr, range(0x110000))):
        split = tokenizer._split(f"a{space}b")
        assert split == (["a", "b"] if space not in "\x1c\x1d\x1e\x1f" else [f"a{space}b"]), unicodedata.name(space, "")


def test_unknown_words_are_those_that_become_unk():
    text = "a dog, a <unk> cat, dog"
    words = WordTokenizer.train(["a cat"])
    assert words.unknown_words(text) == ["dog", ",", "<", "unk", ">", ",", "dog"]
    assert words.unknown_words("a cat a") == []
    assert BytePairTokenizer.train(["a cat"], 300).unknown_words(text) == [], "it spells them"


def test_batches_are_padded_on_the_right():
    tokenizer = WordTokenizer.train(["a cat", "a small dog"])
    ids, mask = tokenizer.encode_batch(["a cat", "", "a small dog"], add_special=True)
    assert ids.dtype == torch.int64
    assert mask.tolist() == [[True] * 4 + [False], [True] * 2 + [False] * 3, [True] * 5]
    assert (ids[~mask] == tokenizer.pad_id).all()
    assert [tokenizer.decode(row, skip_special=True) for row in ids] == ["a cat", "", "a small dog"]
    assert tokenizer.decode(ids[0, 1]) == tokenizer.decode(int(ids[0, 1])) == "a"
    assert tokenizer.decode(ids[0]) == "<bos> a cat <eos> <pad>"
    assert tokenizer.encode_batch([]).ids.shape == (0, 0)
    assert tokenizer.encode_batch([""]).mask.shape == (1, 0)


def test_special_tokens_have_ids_or_none():
    tokenizer = BytePairTokenizer.train([], 257, ("<eos>",))
    assert (tokenizer.eos_id, tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id) == (0, None, None, None)
    assert tokenizer.encode("a", add_special=True)[1:] == [0]
    assert tokenizer.encode_batch(["ab", "cd"]).mask.all()
    standard = trained(WordTokenizer)
    assert (standard.pad_id, standard.unk_id, standard.bos_id, standard.eos_id) == (0, 1, 2, 3)
    longest_first = BytePairTokenizer.train([], 258, ("<e>", "<e>2"))
    assert longest_first.encode("<e>2<e>") == [1, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("special_tokens", [SPECIAL_TOKENS, ("<unk>", "<eos>"), ("<unk>",)])
def test_saved_and_loaded_is_the_same(tmp_path, kind, special_tokens):
    ours = kind.train(corpus()[:40], SIZES[kind], special_tokens)
    ours.save(tmp_path / "it.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "it.json"))
    for loaded in (kind.load(tmp_path / "it.json"), Tokenizer.load(str(tmp_path / "it.json"))):
        assert type(loaded) is kind
        assert loaded.vocabulary == ours.vocabulary
        assert loaded.special_tokens == special_tokens
        for text in ["a cat<eos>", "一只猫!", ""]:
            assert (
                loaded.encode(text, add_special=True) == theirs.encode(text).ids == ours.encode(text, add_special=True)
            )


def test_loads_what_tokenizers_trained_and_saved(tmp_path):
    theirs = their_byte_pairs(corpus(), 500)
    theirs.save(str(tmp_path / "theirs.json"))
    assert Tokenizer.load(tmp_path / "theirs.json").ids == theirs.get_vocab()
    theirs.post_processor = processors.ByteLevel(trim_offsets=False)  # GPT-2's, which changes no id
    data = json.loads(theirs.to_str())
    data["model"]["merges"] = [" ".join(merge) for merge in data["model"]["merges"]]  # the older form
    (tmp_path / "older.json").write_text(json.dumps(data), encoding="utf-8")
    for text in corpus()[:30]:
        assert BytePairTokenizer.load(tmp_path / "older.json").encode(text) == theirs.encode(text).ids


def changed(**changes):
    def change(data):
        for name, value in changes.items():
            *path, last = name.split("__")
            functools.reduce(dict.__getitem__, path, data)[last] = value

    return change


def skip_an_id(data):
    data["model"]["vocab"]["cat"] = 10_000


def not_special(data):
    data["added_tokens"][0]["special"] = False


def strip_left(data):
    data["added_tokens"][0]["lstrip"] = True


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        (WordTokenizer, changed(normalizer={"type": "Lowercase"}), "it.json has settings .* not know: normalizer"),
        (WordTokenizer, changed(model__unk_token="[UNK]"), "model.unk_token"),
        (WordTokenizer, changed(post_processor={"type": "BertProcessing"}), "post_processor"),
        (WordTokenizer, changed(pre_tokenizer=None), "WordLevel tokenizer whose parts are not those of"),
        (WordTokenizer, changed(model__type="Unigram"), "holds a Unigram tokenizer"),
        (WordTokenizer, skip_an_id, "leaves out ids; they must run from 0 to"),
        (WordTokenizer, strip_left, "added token '<pad>'"),
        (WordTokenizer, not_special, "added token '<pad>'"),
        (BytePairTokenizer, changed(pre_tokenizer__add_prefix_space=True), "parts are not those of"),
        (BytePairTokenizer, changed(model__ignore_merges=True), "model.ignore_merges"),
        (BytePairTokenizer, changed(model__merges=[["猫", "a"]]), r"merges holds \('猫', 'a'\), but '猫' is not"),
        (BytePairTokenizer, changed(model__vocab={"a": 4}), "lacks 255 of the 256 byte characters"),
        (BytePairTokenizer, dict.clear, "it.json is no tokenizer file"),
    ],
)
def test_files_that_would_be_read_wrongly_are_refused(tmp_path, kind, change, sentence):
    trained(kind).save(tmp_path / "it.json")
    data = json.loads((tmp_path / "it.json").read_text(encoding="utf-8"))
    change(data)
    (tmp_path / "it.json").write_text(json.dumps(data), encoding="utf-8")
    for load in (kind.load, Tokenizer.load):
        with pytest.raises(ValueError, match=sentence):
            load(tmp_path / "it.json")


def test_a_file_of_another_kind_or_none_is_refused(tmp_path):
    trained(CharacterTokenizer).save(tmp_path / "characters.json")
    with pytest.raises(ValueError, match="WordLevel tokenizer whose parts are not those of WordTokenizer"):
        WordTokenizer.load(tmp_path / "characters.json")
    (tmp_path / "text.json").write_bytes(b"\xff{")
    with pytest.raises(ValueError, match=r"text\.json is no tokenizer file"):
        Tokenizer.load(tmp_path / "text.json")
    with pytest.raises(FileNotFoundError, match="nothing"):
        Tokenizer.load(tmp_path / "nothing.json")


WORDS = WordTokenizer.train(["a cat"])


@pytest.mark.parametrize(
    ("run", "error", "sentence"),
    [
        (lambda: WORDS.encode(["a"]), TypeError, "text must be a str, got list; encode_batch takes several texts"),
        (lambda: WORDS.encode("a\ud83d"), ValueError, r"text holds '\\ud83d' at 1, half of a surrogate pair"),
        (lambda: WORDS.encode_batch("a cat"), TypeError, r"got one str; write \['a cat'\]"),
        (lambda: WORDS.encode_batch(["a", None]), TypeError, "str only, got NoneType"),
        (lambda: WORDS.decode([0, 6]), ValueError, "ids holds 6, the vocabulary has the ids 0 to 5"),
        (lambda: WORDS.decode([-1]), ValueError, "ids holds -1"),
        (lambda: WORDS.decode(torch.zeros(2, 2).long()), TypeError, "ids must be one row of whole numbers, got list"),
        (lambda: WORDS.decode(torch.zeros(2)), TypeError, "ids must be one row of whole numbers, got float"),
        (lambda: WORDS.decode(2.5), TypeError, "ids must be one row of whole numbers, got float"),
        (lambda: WordTokenizer.train("a cat"), TypeError, "texts must be several texts, got one str"),
        (lambda: WordTokenizer.train(["a"], 3), ValueError, "vocabulary_size 3 leaves no room for the 4 special"),
        (lambda: WordTokenizer.train(["a"], None, ()), ValueError, "vocabulary has no '<unk>'"),
        (lambda: BytePairTokenizer.train(["a"], 259), ValueError, "at least 260, for 256 bytes and 4 .*, got 259"),
        (lambda: BytePairTokenizer.train(["a"], 300, ("!",)), ValueError, "vocabulary holds '!' twice"),
        (lambda: BytePairTokenizer.train(["a\udc00"], 300), ValueError, "half of a surrogate pair"),
        (lambda: BytePairTokenizer(["a"], [], []), ValueError, "vocabulary lacks 255 of the 256 byte characters"),
        (
            lambda: WordTokenizer(["<unk>"], ["<unk>", "<pad>"]),
            ValueError,
            "special_tokens holds '<pad>', which is not",
        ),
        (
            lambda: BytePairTokenizer.train([], 256, ()).encode_batch(["a", "ab"]),
            ValueError,
            "texts differ in length, and the vocabulary has no '<pad>'",
        ),
    ],
)
def test_bad_input_is_told_in_one_sentence(run, error, sentence):
    with pytest.raises(error, match=sentence) as caught:
        run()
    assert "\n" not in str(caught.value)


def test_a_long_word_is_no_trap():
    tokenizer = trained(BytePairTokenizer)
    text = "a" * 20_000 + "猫" * 5_000
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_names_itself():
    assert repr(WORDS) == "WordTokenizer(6 tokens)"
    assert len(WORDS) == 6


def test_no_blanks_between_chinese_characters_here_and_in_tokenizers(tmp_path):
    texts = ["一只黑猫，在 three 条狗左边。", "a cat, a dog"]
    ours = WordTokenizer.train(texts)
    ours.save(tmp_path / "words.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "words.json"))
    for text, expected in zip(texts, ["一只黑猫，在 three 条狗左边。", "a cat , a dog"], strict=True):
        ids = ours.encode(text)
        assert ours.decode(ids) == theirs.decode(ids) == expected
    assert WordTokenizer.load(tmp_path / "words.json").decode(ours.encode(texts[0])) == texts[0]


def test_merges_out_of_order_are_applied_as_tokenizers_does(tmp_path):
    alphabet = sorted(byte_characters())
    draws = random.Random(0)
    for _ in range(60):
        merges, known = [], ["a", "b", "c"]
        for _ in range(8):
            first, second = draws.choice(known), draws.choice(known)
            if first + second not in known:
                merges.append((first, second))
                known.append(first + second)
        draws.shuffle(merges)
        ours = BytePairTokenizer([*alphabet, *known[3:]], merges, special_tokens=[])
        ours.save(tmp_path / "pairs.json")
        theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "pairs.json"))
        for _ in range(20):
            text = "".join(draws.choices("abc", k=draws.randrange(1, 14)))
            assert ours.encode(text) == theirs.encode(text).ids, (merges, text)


def test_a_long_word_takes_steps_about_in_proportion_to_its_length():
    tokenizer = BytePairTokenizer.train(["abcdefgh " * 5 + "abcd efgh abef"], 300)

    class Counted(dict):
        looks = 0

        def get(self, *arguments):
            self.looks += 1
            return super().get(*arguments)

        def __contains__(self, key):
            self.looks += 1
            return super().__contains__(key)

    looks = []
    for length in (2_000, 20_000):
        tokenizer._ranks = Counted(tokenizer._ranks)
        draws = random.Random(1)
        word = "".join(draws.choices("abcdefgh", k=length))
        assert tokenizer.decode(tokenizer.encode(word)) == word
        looks.append(tokenizer._ranks.looks)
    assert looks[1] <= 12 * looks[0]
    assert looks[1] <= 5 * 20_000, "each merge looks at two new pairs, not at the whole word"


@pytest.mark.parametrize("kind", [CharacterTokenizer, WordTokenizer, BytePairTokenizer])
def test_what_spells_a_special_token_may_be_text(kind):
    text = "a cat<eos> on <pad>"
    tokenizer = kind.train([text], *([400] if kind is BytePairTokenizer else []))
    special = {tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id, tokenizer.unk_id}
    assert special & set(tokenizer.encode(text)) == {tokenizer.pad_id, tokenizer.eos_id}
    plain = tokenizer.encode(text, spelled=False)
    assert not special & set(plain)
    assert tokenizer.decode(plain, skip_special=True).replace(" ", "") == text.replace(" ", "")
    assert tokenizer.encode_batch([text], add_special=True, spelled=False).ids[0].tolist() == [
        tokenizer.bos_id,
        *plain,
        tokenizer.eos_id,
    ]
