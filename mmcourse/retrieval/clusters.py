"""k-means: centers such that every vector is close to one (Lloyd, "Least squares quantization in PCM", 1982)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcourse.retrieval.neighbors import nearest

SAMPLE = 256  # vectors for each center are plenty to place it
ROWS = 4096  # vectors at once: their scores with a thousand centers stay in a processor's cache


def kmeans(vectors: Tensor, count: int, *, rounds: int = 20, generator: torch.Generator | None = None) -> Tensor:
    """Centers (count, D) of vectors (N, D): vectors go to their nearest center, then centers to the mean of their own.

    A center that nobody is nearest to takes half of the largest group. Of more than 256 vectors a center, a random
    sample is used.

    Raises:
        ValueError: there are fewer vectors than centers.
    """
    if not 1 <= count <= len(vectors):
        raise ValueError(f"count must be between 1 and the number of vectors, {len(vectors)}, got {count}")
    order = torch.randperm(len(vectors), generator=generator)[: SAMPLE * count].to(vectors.device)
    vectors = vectors[order]
    centers = vectors[:count].clone()
    for _ in range(rounds):
        owner = assign(vectors, centers)
        sizes = owner.bincount(minlength=count)
        centers = torch.zeros_like(centers).index_add_(0, owner, vectors) / sizes.clamp(min=1)[:, None]
        _split(centers, sizes)
    return centers


def assign(vectors: Tensor, centers: Tensor) -> Tensor:
    """The number of the nearest center of each vector, int64 (N,)."""
    return torch.cat([nearest(part, centers, 1, metric="euclidean").ids[:, 0] for part in vectors.split(ROWS)])


def _split(centers: Tensor, sizes: Tensor) -> None:
    """Moves each empty center beside that of a large group, which the next round then shares between them."""
    for empty in (sizes == 0).nonzero()[:, 0].tolist():
        large = int(sizes.argmax())
        step = 1e-3 * centers[large].abs().mean().clamp(min=1e-6)
        centers[empty] = centers[large] + step
        centers[large] -= step
        sizes[empty] = sizes[large] // 2
        sizes[large] -= sizes[empty]
