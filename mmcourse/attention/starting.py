"""Where heads look before they have learned anything."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmcourse.attention.layers import MultiHeadAttention
from mmcourse.attention.positions import rotary_angles

SHARPNESS = 6.3  # at this size of the biases about nine tenths of a head's attention are at one distance
PAIRS = 3  # of channels that are used: the quickest, which tell neighboring distances apart
CARRIED = 0.6  # size of what looking back adds to a token, beside words of size 0.3
BROUGHT, ITSELF = 1.0, 3.3  # how sharply heads compare, and more where little of a token is its own
QUICK = 0.3  # share of a head's channels that turn too quickly to compare tokens that stand far apart


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


@torch.no_grad()
def look_for_alike(
    first: MultiHeadAttention,
    second: MultiHeadAttention,
    distances: list[int],
    pairs: list[tuple[int | None, int | None]],
    *,
    generator: torch.Generator | None = None,
) -> None:
    """Lets a model begin with induction heads: in its first layer heads look back, in its second they compare.

    Each head of `first` brings what it finds to channels of its own, all through one projection, so that a token a
    step back is comparable with one two steps back. A head of `second` that has the pair (0, None) asks with what
    head 0 brought, and is answered by tokens that are themselves alike: (None, 0) is the induction head of Olsson et
    al. (2022), which finds what came after the same token before.

    Args:
        first, second: two layers of one size with rotary positions, in blocks that follow each other.
        distances: see `look_back`.
        pairs: for each head of `second`, what asks and what answers: the number of a head of `first`, or None for the
            token itself.
    Raises:
        ValueError: the layers differ, or there is not one pair a head.
    """
    width, heads = first.width, first.heads
    if (second.width, second.heads, second.rotary) != (width, heads, True):
        raise ValueError(f"second must be of width {width} with {heads} heads and rotary positions, as first is")
    if len(pairs) != heads:
        raise ValueError(f"pairs must be {heads}, one a head, got {len(pairs)}")
    look_back(first, distances)
    size = width // heads
    projection = nn.init.orthogonal_(torch.empty(size, width), generator=generator)  # (D, C)
    first.value.weight.copy_(projection.repeat(heads, 1))
    first.out.weight.copy_(CARRIED * torch.eye(width))
    second.query.weight.copy_(_comparing([ask for ask, _ in pairs], projection, heads))
    second.key.weight.copy_(_comparing([answer for _, answer in pairs], projection, heads))


def _comparing(sources: list[int | None], projection: Tensor, heads: int) -> Tensor:
    """Rows (C, C) by which each head reads what another brought, or the token itself, in channels that turn slowly."""
    size, width = projection.shape
    brought = torch.eye(width).view(heads, size, width)
    slow = torch.arange(size) % (size // 2) >= QUICK * size / 2
    rows = [ITSELF * projection if source is None else BROUGHT * brought[source] for source in sources]
    return torch.cat([row * slow[:, None] for row in rows])
