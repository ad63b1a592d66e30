"""Heads that begin by looking back."""

import pytest
import torch

from mmcourse.attention import MultiHeadAttention, look_back, record


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
