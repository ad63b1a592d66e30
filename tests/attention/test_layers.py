import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmcourse.attention import KeyValueCache, MultiHeadAttention, padding_mask

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
quick = settings(max_examples=60, deadline=None)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(ours, theirs, tolerance=None):
    tolerance = TOLERANCE[ours.dtype] if tolerance is None else tolerance
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@st.composite
def modules(draw):
    """A PyTorch module, inputs for it and a mask in our convention."""
    heads, size = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    width, dtype = heads * size, draw(st.sampled_from([torch.float32, torch.float64]))
    context_width = draw(st.sampled_from([None, width + 3]))
    batch, asking, asked = draw(st.integers(1, 3)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    torch.manual_seed(draw(st.integers(0, 2**31 - 1)))
    sizes = {"kdim": context_width, "vdim": context_width}
    theirs = nn.MultiheadAttention(width, heads, bias=draw(st.booleans()), batch_first=True, dtype=dtype, **sizes)
    if theirs.in_proj_bias is not None:
        nn.init.normal_(theirs.in_proj_bias)
    x = torch.randn(batch, asking, width, dtype=dtype)
    cross = context_width is not None or draw(st.booleans())
    context = torch.randn(batch, asked, context_width or width, dtype=dtype) if cross else None
    source = x if context is None else context
    mask = torch.rand(batch, heads, asking, source.shape[1]) < draw(st.sampled_from([0.5, 1.0]))
    mask[..., 0] = True  # PyTorch's module gives NaN for a row without any True
    return theirs, x, context, mask


@quick
@given(modules())
def test_module_equals_pytorch_forward_and_backward(drawn):
    theirs, x, context, mask = drawn
    ours = MultiHeadAttention.from_torch(theirs)
    x2 = x.clone().requires_grad_()
    x = x.requires_grad_()
    source = x if context is None else context
    expected, weights = theirs(x, source, source, attn_mask=~mask.flatten(0, 1), average_attn_weights=False)
    output = ours(x2, context, mask=mask)
    close(output, expected)
    inside = ours.attend(x2, context, mask=mask)
    close(inside.output, output)
    close(inside.weights, weights)
    direction = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    (expected * direction).sum().backward()
    (output * direction).sum().backward()
    close(x2.grad, x.grad)
    separate = (theirs.q_proj_weight, theirs.k_proj_weight, theirs.v_proj_weight)
    packed = theirs.in_proj_weight
    gradients = [weight.grad for weight in separate] if packed is None else packed.grad.chunk(3)
    for linear, gradient in zip((ours.query, ours.key, ours.value), gradients, strict=True):
        close(linear.weight.grad, gradient)


@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_cached_equals_uncached(rotary, step):
    layer = MultiHeadAttention(12, 2, rotary=rotary).double()
    x, cache = normal(3, 8, 12, dtype=torch.float64), KeyValueCache()
    parts = [layer(part, causal=True, cache=cache) for part in x.split(step, dim=1)]
    assert len(cache) == 8
    close(torch.cat(parts, dim=1), layer(x, causal=True))


def test_cached_equals_uncached_with_padding_on_the_left():
    layer, x = MultiHeadAttention(8, 2).double(), normal(2, 5, 8, dtype=torch.float64)
    seen = torch.tensor([[True] * 5, [False, False, True, True, True]])[:, None, None, :]
    cache = KeyValueCache()
    parts = [layer(x[:, t : t + 1], mask=seen[..., : t + 1], causal=True, cache=cache) for t in range(5)]
    close(torch.cat(parts, dim=1), layer(x, mask=seen, causal=True))


def test_cross_attention_projects_its_context_once():
    layer, cache = MultiHeadAttention(8, 2, context_width=6).double(), KeyValueCache()
    x, context = normal(2, 3, 8, dtype=torch.float64), normal(2, 4, 6, seed=1, dtype=torch.float64)
    calls = []
    layer.key.register_forward_hook(lambda *_: calls.append(1))
    parts = [layer(part, context, cache=cache) for part in x.split(1, dim=1)]
    assert len(calls) == 1
    close(torch.cat(parts, dim=1), layer(x, context))


def test_cache_follows_the_beams():
    layer, cache, x = MultiHeadAttention(8, 2), KeyValueCache(), normal(3, 4, 8)
    index = torch.tensor([2, 2, 0])
    layer(x[:, :3], causal=True, cache=cache)
    cache.reorder(index)
    last = layer(x[index, 3:], causal=True, cache=cache)
    close(last, layer(x[index], causal=True)[:, 3:])
    with pytest.raises(ValueError, match=r"k has shape \(2, 2, 1, 4\), the cache \(3, 2, 4, 4\)"):
        layer(x[:2, :1], causal=True, cache=cache)
    empty = KeyValueCache()
    empty.reorder(index)
    assert len(empty) == 0


@pytest.mark.parametrize("rotary", [False, True])
def test_the_future_does_not_matter(rotary):
    layer, x = MultiHeadAttention(8, 2, rotary=rotary), normal(2, 6, 8)
    other = x.clone()
    other[:, 4:] = normal(2, 2, 8, seed=1)
    close(layer(other, causal=True)[:, :4], layer(x, causal=True)[:, :4])
    assert not torch.allclose(layer(other)[:, :4], layer(x)[:, :4])
    close(layer.attend(x, causal=True).output, layer(x, causal=True))
    seen = padding_mask([6, 3])[:, None, None, :]
    close(layer.attend(x, mask=seen, causal=True).output, layer(x, mask=seen, causal=True))


def test_without_positions_a_permutation_passes_through_and_with_rotary_it_does_not():
    order, x = torch.tensor([3, 0, 4, 1, 2]), normal(2, 5, 8)
    plain = MultiHeadAttention(8, 2)
    close(plain(x[:, order]), plain(x)[:, order])
    turned = MultiHeadAttention(8, 2, rotary=True)
    assert not torch.allclose(turned(x[:, order]), turned(x)[:, order], atol=1e-3)


def test_rotary_knows_distances_not_places():
    layer, x = MultiHeadAttention(8, 2, rotary=True).double(), normal(2, 5, 8, dtype=torch.float64)
    moved = torch.cat((normal(2, 3, 8, seed=1, dtype=torch.float64), x), dim=1)
    hidden = torch.tensor([False] * 3 + [True] * 5)[None, None, None]
    close(layer(moved, mask=hidden)[:, 3:], layer(x))


def test_dropout_acts_in_training_only():
    theirs, x = nn.MultiheadAttention(8, 2, dropout=0.5), normal(2, 5, 8)
    torch.manual_seed(0)
    layer = MultiHeadAttention.from_torch(theirs)
    assert not torch.equal(layer(x), layer(x))
    assert not torch.equal(layer.attend(x).output, layer.attend(x).output)
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(layer.attend(x).output, layer.attend(x).output)
    assert not MultiHeadAttention.from_torch(theirs.eval()).training


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MultiHeadAttention(10, 4), "width 10 must be a multiple of heads, got 4"),
        (lambda: MultiHeadAttention(8, 2, dropout=1.0), "dropout must be at least 0 and below 1, got 1.0"),
        (lambda: MultiHeadAttention(6, 2, rotary=True), "even head size, got 6 / 2 = 3"),
        (lambda: MultiHeadAttention(8, 2)(torch.zeros(3, 8)), r"x must have shape \(batch, tokens, 8\), got \(3, 8\)"),
        (lambda: MultiHeadAttention(8, 2, context_width=6)(torch.zeros(1, 3, 8)), "context is missing"),
        (lambda: MultiHeadAttention(8, 2)(torch.zeros(1, 3, 8), torch.zeros(1, 3, 6)), r"\(1, tokens, 8\), got"),
        (
            lambda: MultiHeadAttention(8, 2, rotary=True)(torch.zeros(1, 3, 8), torch.zeros(1, 3, 8)),
            "context must be None with rotary=True",
        ),
        (
            lambda: MultiHeadAttention(8, 2)(torch.zeros(2, 3, 8), mask=torch.ones(2, 3, 3).bool()),
            r"a mask \(B, T, S\) is written mask\[:, None\]",
        ),
        (lambda: MultiHeadAttention.from_torch(nn.MultiheadAttention(8, 2, add_bias_kv=True)), "no counterpart"),
    ],
)
def test_module_names_what_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
