import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcourse.attention import (
    attention,
    causal_mask,
    fused_attention,
    merge_heads,
    padding_mask,
    split_heads,
)

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
quick = settings(max_examples=60, deadline=None)
FLOATS = st.sampled_from([torch.float32, torch.float64])
SEEDS = st.integers(0, 2**31 - 1)


@st.composite
def attention_inputs(draw, dtypes=FLOATS):
    """Queries, keys, values and a mask (or None) of any shape, the mask often with rows that see nothing."""
    batch, heads = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    asking, asked = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    size, value_size = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    dtype, generator = draw(dtypes), torch.Generator().manual_seed(draw(SEEDS))

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator).to(dtype)

    q, k = normal(batch, heads, asking, size), normal(batch, heads, asked, size)
    v = normal(batch, heads, asked, draw(st.sampled_from([size, value_size])))
    mask = draw(masks(batch, heads, asking, asked, generator))
    return q, k, v, mask


def masks(batch, heads, asking, asked, generator):
    shapes = [(asking, asked), (batch, 1, 1, asked), (1, heads, asking, asked), (batch, heads, asking, asked)]

    def make(shape, share):
        return torch.rand(shape, generator=generator) < share

    drawn = st.builds(make, st.sampled_from(shapes), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    return st.one_of(st.none(), drawn)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(ours, theirs, tolerance=None):
    tolerance = TOLERANCE[ours.dtype] if tolerance is None else tolerance
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def by_loops(q, k, v, mask):
    """Attention as one would do it on paper, one number at a time."""
    output = torch.zeros(*q.shape[:-1], v.shape[-1], dtype=q.dtype)
    for place in [(b, h, t) for b in range(q.shape[0]) for h in range(q.shape[1]) for t in range(q.shape[2])]:
        b, h, t = place
        seen = [s for s in range(k.shape[2]) if mask is None or mask.expand(*q.shape[:-1], k.shape[2])[b, h, t, s]]
        scores = [math.exp(sum(q[place] * k[b, h, s]) / math.sqrt(q.shape[-1])) for s in seen]
        for s, score in zip(seen, scores, strict=True):
            output[place] += score / sum(scores) * v[b, h, s]
    return output


def with_gradients(function, q, k, v):
    """The output, and the gradients of a number that depends on all of it."""
    leaves = [x.detach().clone().requires_grad_() for x in (q, k, v)]
    output = function(*leaves)
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return (output.detach(), *torch.autograd.grad((output * weight).sum(), leaves))


@settings(quick, max_examples=20)
@given(attention_inputs(st.just(torch.float64)))
def test_agrees_with_loops(inputs):
    q, k, v, mask = inputs
    expected = by_loops(q, k, v, mask)
    close(attention(q, k, v, mask=mask).output, expected)
    close(fused_attention(q, k, v, mask=mask), expected)


@quick
@given(attention_inputs())
def test_agrees_with_pytorch_forward_and_backward(inputs):
    q, k, v, mask = inputs
    theirs = with_gradients(lambda *x: F.scaled_dot_product_attention(*x, attn_mask=mask), q, k, v)
    for ours in (lambda *x: attention(*x, mask=mask).output, lambda *x: fused_attention(*x, mask=mask)):
        for mine, expected in zip(with_gradients(ours, q, k, v), theirs, strict=True):
            close(mine, expected)


@quick
@given(attention_inputs())
def test_a_token_that_may_see_nothing_gets_zeros(inputs):
    q, k, v, mask = inputs
    if mask is None:
        mask = torch.zeros(q.shape[-2], k.shape[-2], dtype=torch.bool)
    full = torch.broadcast_to(mask, (*q.shape[:-1], k.shape[-2]))
    blind = ~full.any(-1)
    for function in (lambda *x: attention(*x, mask=mask).output, lambda *x: fused_attention(*x, mask=mask)):
        output, grad_q, grad_k, grad_v = with_gradients(function, q, k, v)
        assert (output[blind] == 0).all()
        assert (grad_q[blind] == 0).all()
        assert all(x.isfinite().all() for x in (output, grad_q, grad_k, grad_v))
        unseen = ~full.any(-2)
        assert (grad_v[unseen] == 0).all()
    weights = attention(q, k, v, mask=mask).weights
    assert (weights[~full] == 0).all()
    close(weights.sum(-1), (~blind).to(q.dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1.0, 300.0])
def test_half_precision_stays_finite(dtype, size):
    q, k, v = ((normal(2, 2, 6, 8, seed=s) * size).to(dtype) for s in range(3))
    mask = causal_mask(6)
    mask[3] = False
    exact = with_gradients(lambda *x: attention(*x, mask=mask).output, q.double(), k.double(), v.double())
    for function in (lambda *x: attention(*x, mask=mask).output, lambda *x: fused_attention(*x, mask=mask)):
        ours = with_gradients(function, q, k, v)
        assert all(x.dtype == dtype and x.isfinite().all() for x in ours)
        assert (ours[0][:, :, 3] == 0).all()
        error = (ours[0].double() - exact[0]).abs().max() / exact[0].abs().max()
        assert error < {torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]


def test_logits_beyond_half_precision():
    q = torch.full((1, 1, 1, 4), 200.0, dtype=torch.float16)  # 4 · 200 · 200 / 2 = 80,000, above the largest float16
    k = torch.stack((q[0, 0, 0], -q[0, 0, 0]))[None, None]
    weights = attention(q, k, k).weights
    assert weights.flatten().tolist() == [1.0, 0.0]


@quick
@given(attention_inputs(st.just(torch.float64)), SEEDS)
def test_order_of_keys_does_not_matter(inputs, seed):
    q, k, v, mask = inputs
    order = torch.randperm(k.shape[-2], generator=torch.Generator().manual_seed(seed))
    moved = None if mask is None else mask[..., order]
    close(attention(q, k[..., order, :], v[..., order, :], mask=moved).output, attention(q, k, v, mask=mask).output)


@quick
@given(attention_inputs(st.just(torch.float64)), st.integers(1, 4))
def test_padding_changes_nothing(inputs, extra):
    q, k, v, _ = inputs
    length = k.shape[-2]
    longer = padding_mask([length] * len(q), length + extra)[:, None, None, :]
    k2, v2 = (torch.cat((x, 1e3 * torch.ones_like(x[..., :1, :]).expand(-1, -1, extra, -1)), -2) for x in (k, v))
    close(attention(q, k2, v2, mask=longer).output, attention(q, k, v).output)
    close(fused_attention(q, k2, v2, mask=longer), attention(q, k, v).output)


@pytest.mark.parametrize(("length", "past"), [(5, 0), (3, 4), (1, 6)])
@pytest.mark.parametrize("padded", [False, True])
def test_causal_with_a_past(length, past, padded):
    q, (k, v) = normal(2, 2, length, 4), normal(2, 2, 2, past + length, 4, seed=1)
    mask = padding_mask([past + length, past + 1])[:, None, None, :] if padded else None
    earlier = causal_mask(length, past=past)
    together = earlier if mask is None else earlier & mask
    close(fused_attention(q, k, v, mask=mask, causal=True), attention(q, k, v, mask=together).output)


def test_scale_and_dropout():
    q, k, v = normal(3, 1, 1, 6, 4)
    close(attention(q, k, v, scale=0.0).output, v.mean(-2, keepdim=True).expand_as(v))
    close(fused_attention(q, k, v, scale=0.3), attention(q, k, v, scale=0.3).output)
    assert torch.equal(attention(q, k, v, dropout=0.5).output, attention(q, k, v).output)  # not training
    torch.manual_seed(0)
    dropped = attention(q, k, v, dropout=0.5, training=True)
    assert not torch.allclose(dropped.output, attention(q, k, v).output)
    close(dropped.weights.sum(-1), torch.ones(1, 1, 6))
    many = torch.stack([fused_attention(q, k, v, dropout=0.5) for _ in range(4000)])
    close(many.mean(0), attention(q, k, v).output, 0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": torch.zeros(2, 3, 5, 6)}, "q has head size 4, k has 6"),
        ({"v": torch.zeros(2, 3, 7, 4)}, "k has 5 tokens, v has 7"),
        ({"k": torch.zeros(2, 1, 5, 4)}, r"same batch and heads .* k \(2, 1, 5, 4\)"),
        ({"v": torch.zeros(2, 3, 5, 4).double()}, "one floating-point dtype"),
        ({"mask": torch.ones(5, 5)}, "mask must be bool with True = may attend, got torch.float32; write .* mask != 0"),
        ({"mask": torch.zeros(5, 5).fill_diagonal_(-torch.inf)}, "got torch.float32; write mask == 0"),
        ({"mask": torch.ones(5, 4).bool()}, r"mask has shape \(5, 4\), it must broadcast to \(2, 3, 5, 5\)"),
        ({"mask": torch.ones(2, 5).bool()}, r"a padding mask \(B, S\) is written mask\[:, None, None, :\]"),
    ],
)
@pytest.mark.parametrize("function", [attention, fused_attention])
def test_what_does_not_fit_is_named(function, change, words):
    inputs = {name: torch.zeros(2, 3, 5, 4) for name in "qkv"} | change
    mask = inputs.pop("mask", None)
    with pytest.raises(ValueError, match=words):
        function(**inputs, mask=mask)


def test_causal_needs_enough_keys():
    with pytest.raises(ValueError, match="got 3 queries and 2 keys"):
        fused_attention(torch.zeros(1, 3, 2), torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), causal=True)


def test_masks_by_hand():
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert causal_mask(2, past=2).tolist() == [[True, True, True, False], [True] * 4]
    assert padding_mask(torch.tensor([0, 2]), 3).tolist() == [[False] * 3, [True, True, False]]
    with pytest.raises(ValueError, match=r"between 0 and max_length 3, got \[4\]"):
        padding_mask([4], 3)
    with pytest.raises(ValueError, match="must not be negative, got -1 and 0"):
        causal_mask(-1)


def test_heads_are_split_by_channel_and_merged_back():
    x = torch.arange(2 * 3 * 4).view(2, 3, 4)
    heads = split_heads(x, 2)
    assert heads.shape == (2, 2, 3, 2)
    assert heads[1, 1, 2].tolist() == x[1, 2, 2:].tolist()
    assert torch.equal(merge_heads(heads), x)
    with pytest.raises(ValueError, match="4 channels, which 3 heads cannot share equally"):
        split_heads(x, 3)
