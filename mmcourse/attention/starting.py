"""Where heads look before they have learned anything."""

from __future__ import annotations

import torch

from mmcourse.attention.layers import MultiHeadAttention
from mmcourse.attention.positions import rotary_angles

SHARPNESS = 6.3  # at this size of the biases about nine tenths of a head's attention are at one distance
PAIRS = 3  # of channels that are used: the quickest, which tell neighboring distances apart


@torch.no_grad()
def look_back(layer: MultiHeadAttention, distances: list[int]) -> None:
    """Lets each head of a new layer with rotary positions begin by looking so many tokens back, in place.

    A query bias a along channel i and the same for keys, turned by `distance` positions, have the dot product
    a² · cos((distance − d) · angle_i) for a token that stands d tokens back: largest at d = distance. Such heads are
    found in trained language models, as half of an induction head (Olsson et al., "In-context learning and induction
    heads", 2022); here they need not be found first. They may become something else.

    Args:
        distances: one for each head, at least 0.
    Raises:
        ValueError: the layer has no rotary positions or no biases, or there is not one distance a head.
    """
    if not layer.rotary or layer.query.bias is None:
        raise ValueError("layer must have rotary positions and biases; only then distance decides where a head looks")
    if len(distances) != layer.heads or min(distances) < 0:
        raise ValueError(f"distances must be {layer.heads} numbers of at least 0, one a head, got {distances}")
    size = layer.width // layer.heads
    pairs = min(PAIRS, size // 2)
    angles = rotary_angles(torch.tensor(distances), size)[:, :pairs].float()  # (H, pairs)
    queries, keys = torch.zeros(2, layer.heads, 2, size // 2)  # the second axis: the two channels of a pair
    queries[:, 0, :pairs] = SHARPNESS
    keys[:, 0, :pairs], keys[:, 1, :pairs] = SHARPNESS * angles.cos(), SHARPNESS * angles.sin()
    layer.query.bias.copy_(queries.flatten())
    layer.key.bias.copy_(keys.flatten())
