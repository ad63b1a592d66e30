"""Attention: weighted averages whose weights are computed from the data, and everything that goes around them.

Shapes, here and in the whole course: B batch, T tokens that ask, S tokens that are asked, C channels, H heads, D head
size (C = H·D). A mask is always bool and True means "may attend". A token that may attend to nothing gets zeros.
"""

from mmcourse.attention.functions import (
    Attention,
    attention,
    causal_mask,
    fused_attention,
    merge_heads,
    padding_mask,
    split_heads,
)
from mmcourse.attention.layers import KeyValueCache, MultiHeadAttention
from mmcourse.attention.positions import (
    LearnedPositions,
    apply_rotary,
    rotary_angles,
    sinusoidal_positions,
    sinusoidal_positions_2d,
)
from mmcourse.attention.recording import Recording, record
from mmcourse.attention.starting import look_back, look_for_alike

__all__ = [
    "Attention",
    "KeyValueCache",
    "LearnedPositions",
    "MultiHeadAttention",
    "Recording",
    "apply_rotary",
    "attention",
    "causal_mask",
    "fused_attention",
    "look_back",
    "look_for_alike",
    "merge_heads",
    "padding_mask",
    "record",
    "rotary_angles",
    "sinusoidal_positions",
    "sinusoidal_positions_2d",
    "split_heads",
]
