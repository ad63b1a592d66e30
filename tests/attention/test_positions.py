import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcourse.attention import (
    LearnedPositions,
    apply_rotary,
    rotary_angles,
    sinusoidal_positions,
    sinusoidal_positions_2d,
)

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
quick = settings(max_examples=60, deadline=None)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(ours, theirs, tolerance=None):
    tolerance = TOLERANCE[ours.dtype] if tolerance is None else tolerance
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def test_sinusoids_by_the_formula():
    table = sinusoidal_positions(7, 6)
    for position, channel in [(0, 0), (3, 0), (3, 1), (6, 4), (5, 5)]:
        angle = position / 10_000 ** (channel // 2 * 2 / 6)
        assert table[position, channel].item() == pytest.approx(
            (math.cos if channel % 2 else math.sin)(angle), abs=1e-6
        )
    assert table.dtype == torch.float32
    with pytest.raises(ValueError, match="width must be even and positive, got 5"):
        sinusoidal_positions(3, 5)


def test_sinusoids_in_two_dimensions():
    table = sinusoidal_positions_2d(3, 4, 8).view(3, 4, 8)
    close(table[2, 1], torch.cat((sinusoidal_positions(3, 4)[2], sinusoidal_positions(4, 4)[1])))
    with pytest.raises(ValueError, match="multiple of 4, got 6"):
        sinusoidal_positions_2d(2, 2, 6)


def test_learned_positions():
    layer, x = LearnedPositions(6, 4), normal(2, 3, 4)
    close(layer(x, start=2) - x, layer.table[2:5].expand(2, 3, 4))
    with pytest.raises(ValueError, match="x reaches position 7, but max_length is 6"):
        layer(x, start=4)


@quick
@given(st.integers(0, 5000), st.integers(0, 50), st.integers(0, 2**31 - 1))
def test_rotary_sees_distances_only(shift, distance, seed):
    q, k = normal(2, 1, 8, seed=seed, dtype=torch.float64)

    def product(at):
        return apply_rotary(q, torch.tensor([at])) @ apply_rotary(k, torch.tensor([at + distance])).T

    close(product(shift), product(0), 1e-8)
    close(apply_rotary(q, torch.tensor([shift])).norm(), q.norm())


def test_rotary_turns_pairs_by_the_formula():
    x, positions = normal(3, 6, dtype=torch.float64), torch.tensor([0, 2, 7])
    turned = apply_rotary(x, positions)
    for t in range(3):
        for pair in range(3):
            number = complex(x[t, pair], x[t, pair + 3])
            angle = positions[t].item() * 10_000 ** (-2 * pair / 6)
            expected = number * complex(math.cos(angle), math.sin(angle))
            assert complex(turned[t, pair], turned[t, pair + 3]) == pytest.approx(expected, abs=1e-12)
    assert rotary_angles(positions, 6).shape == (3, 3)
    with pytest.raises(ValueError, match=r"positions must have shape \(3,\), one a token, got \(2,\)"):
        apply_rotary(x, torch.arange(2))


def test_rotary_equals_transformers():
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    config = llama.LlamaConfig(hidden_size=16, num_attention_heads=2, max_position_embeddings=64)
    q, k = normal(2, 1, 2, 9, 8)
    positions = torch.arange(5, 14)
    cos, sin = llama.LlamaRotaryEmbedding(config)(q, positions[None])
    theirs = llama.apply_rotary_pos_emb(q, k, cos, sin)
    close(apply_rotary(q, positions), theirs[0])
    close(apply_rotary(k, positions), theirs[1])
