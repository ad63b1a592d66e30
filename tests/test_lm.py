"""Language models: counts by hand, a GPT equal to GPT-2 of transformers, and the key–value cache."""

import math

import pytest
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from mmcourse import decoding
from mmcourse.attention import record
from mmcourse.lm import GPT, Bigram, GPTConfig, Unigram, from_hf_gpt2, mean_loss, shift

SMALL = {"vocabulary_size": 37, "context": 24, "width": 16, "heads": 4, "depth": 3}


def tokens(*shape, seed=0, vocabulary=37):
    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(seed))


def gpt(seed=0, spread=0.3, **changes):
    """A GPT in evaluation mode whose every parameter has a value that a mix-up would show."""
    model = GPT(GPTConfig(**{**SMALL, **changes})).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data.normal_(std=spread, generator=generator)
    return model


def hugging_face(seed=0, spread=0.3, **changes):
    torch.manual_seed(seed)
    sizes = {"vocab_size": 61, "n_positions": 80, "n_embd": 24, "n_layer": 3, "n_head": 4}
    theirs = GPT2LMHeadModel(GPT2Config(**{**sizes, "bos_token_id": 0, "eos_token_id": 0, **changes})).eval()
    for parameter in theirs.parameters():
        parameter.data.normal_(std=spread)
    return theirs


def talkative(seed=0):
    """A GPT-2 that does not repeat one token for ever: strong positions, and no favorite in the last bias."""
    theirs = hugging_face(seed)
    theirs.transformer.wpe.weight.data.mul_(15)
    theirs.transformer.ln_f.bias.data.mul_(0.03)
    return theirs


def greedy(step, prompt, length):
    """The likeliest token again and again: written here, so that nothing but the step function is tested."""
    for _ in range(length):
        prompt = torch.cat((prompt, step(prompt).argmax(dim=-1, keepdim=True)), dim=1)
    return prompt


@pytest.mark.parametrize("changes", [{}, {"activation_function": "relu", "n_inner": 40, "layer_norm_epsilon": 1e-3}])
def test_logits_equal_hugging_face(changes):
    theirs = hugging_face(**changes)
    ours = from_hf_gpt2(theirs)
    prompt = tokens(3, 20, vocabulary=61)
    with torch.no_grad():
        torch.testing.assert_close(ours(prompt), theirs(prompt).logits, rtol=1e-5, atol=1e-5)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_gradients_equal_hugging_face():
    theirs = hugging_face(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0).double()
    ours = from_hf_gpt2(theirs)
    prompt = tokens(2, 9, vocabulary=61)
    x, y = shift(prompt)
    F.cross_entropy(ours(x).flatten(0, 1), y.flatten()).backward()
    theirs(prompt, labels=prompt).loss.backward()
    torch.testing.assert_close(ours.embedding.weight.grad, theirs.transformer.wte.weight.grad)
    first, layer = ours.decoder.blocks[0], theirs.transformer.h[0]
    packed = torch.cat([part.weight.grad.T for part in (first.attention.query, first.attention.key)], dim=1)
    torch.testing.assert_close(packed, layer.attn.c_attn.weight.grad[:, :48])


@pytest.mark.parametrize("seed", range(3))
def test_fifty_greedy_tokens_equal_hugging_face(seed):
    theirs = talkative(seed)
    prompt = tokens(2, 6, seed=seed, vocabulary=60) + 1
    expected = theirs.generate(
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=50, min_new_tokens=50, do_sample=False,
        eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    ours = from_hf_gpt2(theirs)
    assert expected.shape == (2, 56)
    assert len(set(expected[:, 6:].flatten().tolist())) > 5, "a text of one word would prove little"
    assert greedy(ours.stepper(), prompt, 50).tolist() == expected.tolist()
    assert greedy(ours.stepper(cached=False), prompt, 50).tolist() == expected.tolist()
    assert decoding.greedy(ours.stepper(), prompt, max_length=56).tokens.tolist() == expected.tolist()


def test_beams_equal_hugging_face_with_and_without_a_cache():
    theirs = talkative()
    prompt = tokens(3, 5, vocabulary=60) + 1
    options = {"max_new_tokens": 15, "num_beams": 4, "do_sample": False, "eos_token_id": 7, "pad_token_id": 0}
    expected = theirs.generate(prompt, attention_mask=torch.ones_like(prompt), **options)
    assert len(set(expected[:, 5:].flatten().tolist())) > 5
    ours = from_hf_gpt2(theirs)
    for cached in (True, False):
        step = ours.stepper(cached=cached)
        found = decoding.beam_search(step, prompt, beam_size=4, max_length=20, stop_id=7, pad_id=0)
        assert found.tokens[:, : expected.shape[1]].tolist() == expected.tolist()


@pytest.mark.parametrize(
    "changes", [{"activation_function": "tanh"}, {"tie_word_embeddings": False}, {"scale_attn_weights": False}]
)
def test_another_kind_of_gpt2_is_refused(changes):
    with pytest.raises(ValueError, match="give a plain GPT-2"):
        from_hf_gpt2(hugging_face(**changes))


def test_cached_logits_equal_uncached_ones():
    model, prompt = gpt().double(), tokens(3, 12)
    whole, cache = model(prompt), model.new_cache()
    parts = [model(part, cache=cache) for part in (prompt[:, :5], prompt[:, 5:6], prompt[:, 6:])]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    assert len(cache[0]) == 12


def test_the_stepper_follows_the_beams():
    model = gpt().double()
    step, first = model.stepper(), tokens(2, 5)
    torch.testing.assert_close(step(first), model(first)[:, -1])
    index = torch.tensor([1, 1, 0])  # a batch of two grows to three beams
    step.reorder(index)
    longer = torch.cat((first[index], tokens(3, 1, seed=1)), dim=1)
    torch.testing.assert_close(step(longer), model(longer)[:, -1])
    plain = model.stepper(cached=False)
    plain.reorder(index)
    torch.testing.assert_close(plain(longer), model(longer)[:, -1])


def test_nobody_sees_the_future():
    model, prompt = gpt(), tokens(1, 9)
    changed = prompt.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 37
    with torch.no_grad():
        before, after = model(prompt), model(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_the_recorded_model_is_the_same_model():
    model, prompt = gpt(), tokens(2, 7)
    seen = record(model, prompt)
    torch.testing.assert_close(seen.output, model(prompt))
    assert [tuple(weights.shape) for weights in seen.maps.values()] == [(2, 4, 7, 7)] * 3
    torch.testing.assert_close(model.score(model.features(prompt)), model(prompt))


def test_a_new_model_is_as_unsure_as_chance_and_as_big_as_it_says():
    torch.manual_seed(0)
    model = GPT(GPTConfig(**{**SMALL, "hidden": 40}))
    assert model.config.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert mean_loss(model, *shift(tokens(64, 12))) == pytest.approx(math.log(37), abs=0.01)
    assert model.training, "mean_loss leaves the mode as it was"


def test_with_rotary_positions_distances_count_and_places_do_not():
    """Padding in front moves nothing, order does, a cache changes nothing, and there is no table to learn."""
    model = gpt(rotary=True)
    assert model.positions is None
    assert sum(part.numel() for part in model.parameters()) == model.config.parameters
    assert gpt().config.parameters - model.config.parameters == SMALL["context"] * SMALL["width"]
    prompt = tokens(2, 9)
    mask = torch.ones(2, 14, dtype=torch.bool)
    mask[:, :5] = False
    padded = torch.cat((torch.zeros(2, 5, dtype=torch.int64), prompt), dim=1)
    with torch.no_grad():
        plain = model(prompt)
        moved = model.score(model.read(model.embedding(padded), mask=mask))[:, 5:]
        torch.testing.assert_close(moved, plain, rtol=1e-4, atol=1e-4)
        assert (model(prompt[:, [1, 0, *range(2, 9)]])[:, -1] - plain[:, -1]).abs().max() > 1e-3
        cache = model.new_cache()
        parts = [
            model(prompt[:, :4], cache=cache),
            model(prompt[:, 4:5], cache=cache),
            model(prompt[:, 5:], cache=cache),
        ]
    torch.testing.assert_close(torch.cat(parts, dim=1), plain, rtol=1e-4, atol=1e-4)


def test_errors_say_what_to_do():
    model = gpt(dropout=0.5)
    with pytest.raises(ValueError, match="reach length 25, the model reads at most 24"):
        model(tokens(1, 25))
    step = model.stepper()
    step(tokens(1, 24))
    with pytest.raises(ValueError, match="reach length 25"):
        step(tokens(1, 25))
    with pytest.raises(ValueError, match="begin with a new stepper"):
        step(tokens(1, 3))
    with pytest.raises(ValueError, match="integers"):
        model(torch.rand(1, 3))
    with pytest.raises(ValueError, match=r"call model\.eval"):
        model.train().stepper()
    with pytest.raises(ValueError, match="at least 2 tokens"):
        shift(tokens(3, 1))
    with pytest.raises(ValueError, match="k must not be negative"):
        Bigram(3, k=-1.0)
    with pytest.raises(ValueError, match="between 0 and 2, got 1 to 3"):
        Unigram(3).count(*shift(torch.tensor([[0, 1, 3]])))


TEXT = torch.tensor([[0, 1, 2, 1, 3, 3], [0, 2, 1, 2, 1, 3]])  # 3 is padding and ends nothing


def test_shift_leaves_padding_out():
    inputs, targets = shift(TEXT, pad_id=3)
    assert inputs.tolist() == [[0, 1, 2, 1, 3], [0, 2, 1, 2, 1]]
    assert targets.tolist() == [[1, 2, 1, -100, -100], [2, 1, 2, 1, -100]]
    assert shift(TEXT).targets.tolist() == TEXT[:, 1:].tolist()


@pytest.mark.parametrize("k", [0.0, 0.5, 1.0])
def test_counts_by_hand(k):
    pairs = shift(TEXT, pad_id=3)
    unigram, bigram = Unigram(4, k=k).count(*pairs), Bigram(4, k=k).count(*pairs)
    assert unigram.counts.tolist() == [0, 4, 3, 0]
    assert bigram.counts.tolist() == [[0, 1, 1, 0], [0, 0, 2, 0], [0, 3, 0, 0], [0, 0, 0, 0]]
    after_1 = [k / (2 + 4 * k), k / (2 + 4 * k), (2 + k) / (2 + 4 * k), k / (2 + 4 * k)]
    assert bigram(torch.tensor([[1]])).exp()[0, 0].tolist() == pytest.approx(after_1, abs=1e-6)
    assert bigram(torch.tensor([[3]])).exp()[0, 0].tolist() == pytest.approx([0.25] * 4), "nothing is known after 3"
    assert unigram(torch.tensor([[0, 3]])).exp()[0, 1].tolist() == pytest.approx(
        [k / (7 + 4 * k), (4 + k) / (7 + 4 * k), (3 + k) / (7 + 4 * k), k / (7 + 4 * k)], abs=1e-6
    )


def test_counting_twice_is_counting_all():
    first, second = tokens(5, 9), tokens(4, 9, seed=1)
    for kind in (Unigram, Bigram):
        parts = kind(37).count(*shift(first)).count(*shift(second))
        assert torch.equal(parts.counts, kind(37).count(*shift(torch.cat((first, second)))).counts)


def test_the_loss_of_a_bigram_is_the_mean_surprise():
    pairs = shift(TEXT, pad_id=3)
    bigram = Bigram(4, k=0.0).count(*pairs)
    by_hand = -(2 * math.log(1 / 2) + 5 * math.log(1)) / 7  # two starts with two ways each, then no choice
    assert mean_loss(bigram, *pairs, batch_size=1) == pytest.approx(by_hand, abs=1e-6)
    with torch.no_grad():
        smooth = Bigram(4, k=0.3).count(*pairs)
        expected = F.cross_entropy(smooth(pairs.inputs).flatten(0, 1), pairs.targets.flatten())
    assert mean_loss(smooth, *pairs) == pytest.approx(expected.item(), abs=1e-6)


def test_mean_loss_weighs_tokens_and_needs_no_pairs():
    model, (inputs, targets) = gpt(), shift(tokens(7, 9))
    targets = targets.masked_fill(tokens(7, 8, seed=1) < 20, -100)
    expected = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).item()
    assert mean_loss(model, inputs, targets, batch_size=2) == pytest.approx(expected, abs=1e-5)
    assert mean_loss(model, inputs, torch.full_like(targets, -100)) == 0.0


def test_counts_write_text_too():
    bigram = Bigram(4, k=0.0).count(*shift(TEXT, pad_id=3))
    assert greedy(bigram.stepper(), torch.tensor([[0, 2]]), 3).tolist() == [[0, 2, 1, 2, 1]]
    assert Unigram(4).count(*shift(TEXT, pad_id=3)).stepper()(TEXT).argmax(dim=-1).tolist() == [1, 1]


def test_counts_are_saved_like_weights():
    bigram = Bigram(4).count(*shift(TEXT))
    other = Bigram(4)
    other.load_state_dict(bigram.state_dict())
    assert torch.equal(other.counts, bigram.counts)
