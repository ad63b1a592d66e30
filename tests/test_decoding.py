"""Decoding against transformers' `generate`, against counting out every row, and against slow naive versions."""

import functools
import inspect
import itertools
import math

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from mmcourse.decoding import beam_candidates, beam_search, filter_logits, greedy, sample

VOCABULARY, STOP, PAD = 13, 1, 2  # beam search in transformers takes a pad id of 0 for none
quick = settings(max_examples=60, deadline=None)


@functools.cache
def gpt2(seed):
    """A small GPT-2 with large random weights, so that its choices are clear-cut and differ from place to place."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": VOCABULARY, "n_positions": 32, "n_embd": 16, "n_layer": 2, "n_head": 2}
    config = GPT2Config(**sizes, initializer_range=0.5, bos_token_id=0, eos_token_id=STOP, pad_token_id=PAD)
    return GPT2LMHeadModel(config).eval()


def prompts(seed, rows=2, length=3):
    return torch.randint(3, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


def stepper(model):
    return lambda tokens: model(tokens).logits[:, -1]


class CachedStep:
    """The same with keys and values kept between steps: only new tokens go through the model."""

    def __init__(self, model):
        self.model, self.cache, self.computed = model, transformers.DynamicCache(config=model.config), 0
        names = inspect.signature(model.forward).parameters
        self.name = "cache" if "cache" in names else "past_key_values"  # renamed in transformers 5.24

    def __call__(self, tokens):
        new = tokens[:, self.cache.get_seq_length() :]
        self.computed += new.numel()
        return self.model(new, **{self.name: self.cache}).logits[:, -1]

    def reorder(self, index):
        self.cache.reorder_cache(index)


def table(logits):
    """A step whose logits depend on the last token alone."""
    return lambda tokens: logits[tokens[:, -1]]


def their_rows(model, tokens, **options):
    output = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        return_dict_in_generate=True,
        output_scores=True,
        renormalize_logits=False,
        **{"do_sample": False, **options},
    )
    return output.sequences, getattr(output, "sequences_scores", None)


def score_of(model, row, prompt):
    """The log-probability of the tokens after the prompt, from a single pass."""
    log_p = model(row[None]).logits[0].log_softmax(dim=-1)
    return sum(log_p[i - 1, row[i]].item() for i in range(prompt, len(row)))


@pytest.mark.parametrize("seed", range(20))
def test_greedy_equals_transformers(seed):
    model, tokens = gpt2(seed), prompts(seed, rows=4)
    ours = greedy(stepper(model), tokens, max_length=24, stop_id=STOP, pad_id=PAD)
    theirs, _ = their_rows(model, tokens, max_length=24)
    assert torch.equal(ours.tokens, theirs)
    for row, score, length in zip(*ours, strict=True):
        assert score.item() == pytest.approx(score_of(model, row[:length], 3), abs=1e-4)
        assert (row[length:] == PAD).all()
        assert row[length - 1] == STOP or length == 24


def test_some_rows_stop_early_and_others_do_not():
    lengths = torch.cat(
        [greedy(stepper(gpt2(seed)), prompts(seed, 4), max_length=24, stop_id=STOP).lengths for seed in range(20)]
    )
    assert (lengths < 24).sum() > 10
    assert (lengths == 24).sum() > 10


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.7}, {"top_k": 4}, {"top_p": 0.8}, {"top_k": 6, "top_p": 0.6}]
)
@pytest.mark.parametrize("seed", range(4))
def test_sampling_equals_transformers_from_the_same_seed(seed, options):
    model, tokens = gpt2(seed), prompts(seed, rows=4)
    torch.manual_seed(seed)
    ours = sample(stepper(model), tokens, max_length=20, stop_id=STOP, pad_id=PAD, **options)
    torch.manual_seed(seed)
    theirs, _ = their_rows(model, tokens, max_length=20, do_sample=True, **{"top_k": 0, **options})
    assert torch.equal(ours.tokens, theirs)
    for row, score, length in zip(*ours, strict=True):
        assert score.item() == pytest.approx(score_of(model, row[:length], 3), abs=1e-4)


def test_a_generator_decides_alone():
    step, tokens = stepper(gpt2(0)), prompts(0, rows=8)
    first, second = (
        sample(step, tokens, max_length=12, generator=torch.Generator().manual_seed(seed)).tokens for seed in (5, 6)
    )
    torch.manual_seed(123)
    again = sample(step, tokens, max_length=12, generator=torch.Generator().manual_seed(5)).tokens
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_sampling_follows_the_probabilities():
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    rows = torch.zeros(20_000, 1, dtype=torch.int64)
    drawn = sample(table(logits), rows, max_length=2, temperature=2.0, generator=torch.Generator().manual_seed(0))
    shares = drawn.tokens[:, 1].bincount(minlength=4) / len(rows)
    torch.testing.assert_close(shares, (logits[0] / 2).softmax(dim=-1), rtol=0, atol=0.015)


def naive_filter(logits, top_k, top_p):
    """One row, in words: sort, cut to k, renormalize, add up until p is reached."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    kept = order if top_k is None else order[:top_k]
    if top_p is not None:
        weights = [math.exp(logits[i]) for i in kept]
        total, reached, count = sum(weights), 0.0, 0
        while count < len(kept) and reached < top_p:
            reached += weights[count] / total
            count += 1
        kept = kept[:count]
    return {i: logits[i] for i in kept}


@quick
@given(
    st.integers(0, 2**31 - 1),
    st.integers(1, 12),
    st.none() | st.integers(1, 14),
    st.none() | st.floats(0.01, 0.99),
)
def test_filters_equal_the_naive_version(seed, size, top_k, top_p):
    logits = torch.randn(2, 3, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2
    kept = filter_logits(logits, top_k=top_k, top_p=top_p)
    for before, after in zip(logits.flatten(0, 1).tolist(), kept.flatten(0, 1).tolist(), strict=True):
        assert {i: x for i, x in enumerate(after) if x > -math.inf} == naive_filter(before, top_k, top_p)


def test_filters_at_their_limits():
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0]])
    assert filter_logits(logits, top_k=1).isfinite().tolist() == [[False, True, False, False]]
    assert filter_logits(logits, top_k=9).equal(logits)
    assert filter_logits(logits, top_p=1.0).equal(logits)
    assert filter_logits(logits, top_p=1e-6).isfinite().sum() == 1
    assert filter_logits(torch.zeros(500), top_k=3).isfinite().nonzero().flatten().tolist() == [0, 1, 2]
    wide = torch.tensor([0.0, -60.0])
    assert filter_logits(wide, top_p=1.0).equal(wide), "rounding must not drop the least likely"


@pytest.mark.parametrize("early_stopping", [False, True, "never"])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -0.5])
def test_beam_search_equals_transformers(early_stopping, length_penalty):
    # 12 × 10 = 120 pairs of a random model and prompts
    for seed in range(10):
        model, tokens = gpt2(seed), prompts(seed)
        options = {"early_stopping": early_stopping, "length_penalty": length_penalty, "max_length": 16}
        beams = 2 + seed % 4
        ours = beam_search(stepper(model), tokens, beam_size=beams, stop_id=STOP, pad_id=PAD, **options)
        theirs, scores = their_rows(model, tokens, num_beams=beams, **options)
        assert torch.equal(ours.tokens, theirs), seed
        torch.testing.assert_close(ours.scores, scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(100))
def test_beam_search_with_its_defaults_equals_transformers(seed):
    model, tokens = gpt2(100 + seed), prompts(seed, rows=1 + seed % 3, length=1 + seed % 4)
    ours = beam_candidates(stepper(model), tokens, beam_size=4, max_length=14, stop_id=STOP, pad_id=PAD)
    theirs, scores = their_rows(model, tokens, max_length=14, num_beams=4, num_return_sequences=4)
    assert torch.equal(ours.tokens.flatten(0, 1), theirs)
    torch.testing.assert_close(ours.scores.flatten(), scores, rtol=1e-5, atol=1e-5)


def every_row(logits, first, max_length, penalty, stop):
    """All rows that can follow `first`, with their scores: the definition, counted out."""
    log_p = logits.log_softmax(dim=-1)  # [position, token, next token]
    for count in range(1, max_length):
        for row in itertools.product(range(logits.shape[-1]), repeat=count):
            if stop in row[:-1] or (row[-1] != stop and count < max_length - 1):
                continue
            total = sum(log_p[i, a, b].item() for i, (a, b) in enumerate(itertools.pairwise((first, *row))))
            yield total / count**penalty, [first, *row]


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(8))
def test_wide_beams_equal_counting_out_every_row(seed, penalty):
    logits = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 1.5
    tokens = torch.tensor([[2], [3]])
    found = beam_candidates(
        lambda tokens: logits[tokens.shape[1] - 1, tokens[:, -1]],
        tokens,
        beam_size=4**4,
        max_length=5,
        stop_id=0,
        pad_id=0,
        length_penalty=penalty,
        early_stopping="never",
    )
    for i, first in enumerate((2, 3)):
        expected = sorted(every_row(logits, first, 5, penalty, stop=0), reverse=True)
        finished = found.lengths[i] > 0
        assert finished.sum() == len(expected) == 1 + 3 + 9 + 27 * 4
        scores = torch.tensor([score for score, _ in expected], dtype=torch.float64)
        torch.testing.assert_close(found.scores[i, : len(expected)], scores)
        rows = [row[:length].tolist() for row, length in zip(found.tokens[i], found.lengths[i], strict=True) if length]
        assert rows == [row for _, row in expected]
        assert (found.tokens[i, ~finished] == 0).all()
        assert (found.scores[i, ~finished] == -math.inf).all()


def test_beams_find_what_greedy_misses():
    # From 0, token 1 is likelier than 2, but what follows 2 is certain and what follows 1 is not.
    probabilities = torch.tensor([[0, 0.6, 0.4, 0], [0.35, 0.35, 0.3, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    step, tokens = table(probabilities.log()), torch.tensor([[0]])
    assert greedy(step, tokens, max_length=3).tokens.tolist()[0][1] == 1
    best = beam_search(step, tokens, beam_size=2, max_length=3)
    assert best.tokens.tolist() == [[0, 2, 3]]
    assert best.scores.item() == pytest.approx(math.log(0.4) / 2)


@pytest.mark.parametrize("beam_size", [1, 2, 5])
@pytest.mark.parametrize("seed", range(6))
def test_a_cache_that_follows_the_beams_changes_nothing(seed, beam_size):
    model, tokens = gpt2(seed), prompts(seed, rows=3)
    options = {"max_length": 15, "stop_id": STOP, "pad_id": PAD}
    cached = CachedStep(model)
    ours = beam_candidates(cached, tokens, beam_size=beam_size, **options)
    plain = beam_candidates(stepper(model), tokens, beam_size=beam_size, **options)
    assert torch.equal(ours.tokens, plain.tokens)
    torch.testing.assert_close(ours.scores, plain.scores, rtol=1e-4, atol=1e-4)
    assert cached.computed <= 3 * 3 + 3 * beam_size * 12, "only new tokens go through the model"
    once = CachedStep(model)
    assert torch.equal(greedy(once, tokens, **options).tokens, greedy(stepper(model), tokens, **options).tokens)


def test_without_reorder_the_beams_would_read_foreign_caches():
    class Forgetful(CachedStep):
        def reorder(self, index):
            """Grows with the beams, but never moves a row."""
            rows = torch.arange(3).repeat_interleave(len(index) // 3)
            if len(index) != self.cache.layers[0].keys.shape[0]:
                self.cache.reorder_cache(rows)

    differs = 0
    for seed in range(6):
        model, tokens = gpt2(seed), prompts(seed, rows=3)
        right, wrong = (
            beam_search(kind(model), tokens, beam_size=3, max_length=12).tokens for kind in (CachedStep, Forgetful)
        )
        differs += not torch.equal(right, wrong)
    assert differs > 0


def test_other_rows_do_not_matter():
    model, tokens = gpt2(3), prompts(3, rows=5)
    options = {"beam_size": 3, "max_length": 14, "stop_id": STOP, "pad_id": PAD}
    together = beam_search(stepper(model), tokens, **options)
    for i in range(5):
        alone = beam_search(stepper(model), tokens[i : i + 1], **options)
        assert torch.equal(alone.tokens[0], together.tokens[i, : alone.tokens.shape[1]])
        assert alone.lengths[0] == together.lengths[i]


def test_precision_and_gradients():
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    tokens = torch.tensor([[1]])
    for dtype, expected in [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)]:
        assert greedy(table(logits.to(dtype)), tokens, max_length=4).scores.dtype == expected
        assert beam_search(table(logits.to(dtype)), tokens, beam_size=2, max_length=4).scores.dtype == expected
    assert not greedy(table(logits), tokens, max_length=4).scores.requires_grad


def test_the_stop_token_pads_where_nothing_else_is_given():
    # 0 -> 3 stops at once; 1 -> 2 -> 1 -> … never does.
    step = table(torch.eye(4)[[3, 2, 1, 0]] * 9)
    tokens = torch.tensor([[0], [1]])
    assert greedy(step, tokens, max_length=4, stop_id=3).tokens.tolist() == [[0, 3, 3, 3], [1, 2, 1, 2]]
    found = beam_search(step, tokens, beam_size=2, max_length=4, stop_id=3)
    assert found.tokens.tolist() == [[0, 3, 3, 3], [1, 2, 1, 2]]
    assert found.lengths.tolist() == [2, 4]


def test_no_prompts_give_no_rows():
    none = torch.zeros(0, 2, dtype=torch.int64)
    step = table(torch.zeros(3, 3))
    assert len(greedy(step, none, max_length=4).scores) == 0
    assert len(sample(step, none, max_length=4).scores) == 0
    assert beam_candidates(step, none, beam_size=2, max_length=4).scores.shape == (0, 2)
    assert len(beam_search(step, none, beam_size=2, max_length=4).scores) == 0


FLAT = table(torch.zeros(3, 3))
ONE = torch.zeros(1, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (lambda: greedy(FLAT, [[0, 1]], max_length=4), r"tokens must be a tensor int64 \(B, T\), got list"),
        (lambda: greedy(FLAT, ONE[0], max_length=4), r"tokens must be int64 \(B, T\).*got \(2,\) of torch.int64"),
        (lambda: greedy(FLAT, ONE.float(), max_length=4), "tokens must be int64.*torch.float32"),
        (lambda: greedy(FLAT, ONE[:, :0], max_length=4), "at least one token"),
        (lambda: greedy(FLAT, ONE, max_length=2), "max_length is 2, but the prompt has 2 tokens"),
        (lambda: greedy(lambda t: torch.zeros(1, 2, 3), ONE, max_length=4), r"\(1, 2, 3\).*expected \(1, V\)"),
        (lambda: greedy(lambda t: torch.full((1, 3), math.nan), ONE, max_length=4), "step gave NaN"),
        (lambda: sample(FLAT, ONE, max_length=4, temperature=0), r"temperature must be above 0, got 0; greedy\(\)"),
        (lambda: sample(FLAT, ONE, max_length=4, temperature=math.nan), "temperature must be above 0, got nan"),
        (lambda: sample(FLAT, ONE, max_length=4, top_k=0), "top_k must be at least 1, got 0"),
        (lambda: sample(FLAT, ONE, max_length=4, top_p=0.0), "top_p must be above 0 and at most 1, got 0.0"),
        (lambda: filter_logits(torch.zeros(3), top_p=1.5), "top_p must be above 0 and at most 1, got 1.5"),
        (lambda: beam_search(FLAT, ONE, beam_size=0, max_length=4), "beam_size must be at least 1, got 0"),
        (lambda: beam_search(FLAT, ONE, beam_size=1, max_length=4, early_stopping="no"), "early_stopping .* 'no'"),
    ],
)
def test_bad_input_is_told_in_one_sentence(run, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence) as caught:
        run()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("temperature", [1e-3, 1e-38, 5e-324])
def test_a_tiny_temperature_is_greedy(temperature):
    logits = torch.tensor([[1.0, 300.0, -5.0, -math.inf]]).expand(4, -1)
    drawn = sample(table(logits), torch.zeros(4, 1, dtype=torch.int64), max_length=5, temperature=temperature)
    assert (drawn.tokens[:, 1:] == 1).all()
