"""Heads that begin by looking back, or for what is alike."""

import pytest
import torch

from mmcourse.attention import MultiHeadAttention, look_back, look_for_alike, record


@pytest.mark.parametrize(("width", "heads"), [(128, 4), (32, 2), (24, 3)])
def test_each_head_begins_at_its_own_distance(width, heads):
    torch.manual_seed(0)
    layer = MultiHeadAttention(width, heads, rotary=True)
    for linear in (layer.query, layer.key):
        torch.nn.init.normal_(linear.weight, std=0.02)
    look_back(layer, list(range(1, heads + 1)))
    (weights,) = record(layer, torch.randn(1, 40, width), causal=True).maps.values()
    for head in range(heads):
        found = weights[0, head].argmax(dim=-1)[heads:]
        assert torch.equal(found, torch.arange(40)[heads:] - head - 1)
        assert weights[0, head].max(dim=-1).values[heads:].mean() > 0.6


def test_other_layers_are_refused():
    with pytest.raises(ValueError, match="layer must have rotary positions and biases"):
        look_back(MultiHeadAttention(8, 2), [1, 2])
    with pytest.raises(ValueError, match="layer must have rotary positions and biases"):
        look_back(MultiHeadAttention(8, 2, rotary=True, bias=False), [1, 2])
    with pytest.raises(ValueError, match=r"distances must be 2 numbers of at least 0, one a head, got \[1\]"):
        look_back(MultiHeadAttention(8, 2, rotary=True), [1])


def test_the_second_layer_begins_with_an_induction_head_and_others_that_compare():
    torch.manual_seed(0)
    first, second = (MultiHeadAttention(128, 4, rotary=True) for _ in range(2))
    for linear in (first.query, first.key, first.value, first.out, second.query, second.key):
        torch.nn.init.zeros_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    look_for_alike(first, second, [1, 2, 3, 4], [(0, 0), (0, None), (1, 1), (None, 0)])
    tokens = 0.3 * torch.randn(1, 30, 128)
    tokens[0, 29] = tokens[0, 12]  # what is read last was read before
    tokens[0, 28] = tokens[0, 5]
    norm = torch.nn.LayerNorm(128)
    x = tokens + first(norm(tokens), causal=True)
    (weights,) = record(second, norm(x), causal=True).maps.values()
    assert int(weights[0, 1, 29].argmax()) == 5, "the token before it is asked for, and is found"
    assert int(weights[0, 3, 29].argmax()) == 13, "what came after the same token before"
    assert int(weights[0, 0, 29, :29].argmax()) == 6, "what came after the same token as this one"


def test_layers_that_do_not_fit_together_are_refused():
    layer = MultiHeadAttention(16, 2, rotary=True)
    with pytest.raises(ValueError, match="second must be of width 16 with 2 heads and rotary positions"):
        look_for_alike(layer, MultiHeadAttention(16, 2), [1, 2], [(0, 0), (0, 1)])
    with pytest.raises(ValueError, match="pairs must be 2, one a head, got 1"):
        look_for_alike(layer, MultiHeadAttention(16, 2, rotary=True), [1, 2], [(0, 0)])
