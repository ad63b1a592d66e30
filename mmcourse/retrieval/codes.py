"""Product quantization: a vector as a few bytes (Jégou, Douze and Schmid, "Product quantization for nearest neighbor
search", 2011).

A vector is cut into parts, and each part is replaced by the number of its nearest center among 256. A query is not cut
down: its scores with all centers are looked up and added, part by part (asymmetric distances).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmcourse.retrieval.clusters import assign, kmeans

CENTERS = 256  # one byte
ROWS = 8192  # codes at once


class ProductQuantizer:
    """Codes for vectors (N, D), of one byte for each of `parts` parts.

    >>> vectors = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
    >>> quantizer = ProductQuantizer.learn(vectors, parts=4)
    >>> quantizer.encode(vectors).shape, quantizer.encode(vectors).dtype
    (torch.Size([600, 4]), torch.uint8)
    """

    def __init__(self, centers: Tensor) -> None:
        """centers: (parts, 256, D / parts)."""
        if centers.dim() != 3 or centers.shape[1] > CENTERS:
            raise ValueError(f"centers must be (parts, at most {CENTERS}, width), got {tuple(centers.shape)}")
        self.centers = centers

    @classmethod
    def learn(
        cls, vectors: Tensor, parts: int, *, rounds: int = 20, generator: torch.Generator | None = None
    ) -> ProductQuantizer:
        """Places the centers of each part by k-means.

        Raises:
            ValueError: D is no multiple of `parts`, or there are fewer than 256 vectors.
        """
        if parts < 1 or vectors.shape[1] % parts:
            raise ValueError(f"the width {vectors.shape[1]} must be a multiple of parts, got {parts} parts")
        if len(vectors) < CENTERS:
            raise ValueError(f"{CENTERS} centers need at least as many vectors, got {len(vectors)}")
        cut = vectors.unflatten(1, (parts, -1)).unbind(dim=1)  # (N, D) -> parts × (N, D / parts)
        return cls(torch.stack([kmeans(part, CENTERS, rounds=rounds, generator=generator) for part in cut]))

    @property
    def width(self) -> int:
        return self.centers.shape[0] * self.centers.shape[2]

    def encode(self, vectors: Tensor) -> Tensor:
        """(N, D) -> uint8 (N, parts)."""
        cut = vectors.unflatten(1, (len(self.centers), -1)).unbind(dim=1)
        numbers = [assign(part, centers) for part, centers in zip(cut, self.centers, strict=True)]
        return torch.stack(numbers, dim=1).to(torch.uint8)

    def decode(self, codes: Tensor) -> Tensor:
        """uint8 (N, parts) -> the centers that they stand for, (N, D)."""
        return torch.cat([centers[column.long()] for centers, column in zip(self.centers, codes.T, strict=True)], dim=1)

    def tables(self, queries: Tensor) -> Tensor:
        """The dot products of each part of each query with all centers: (Q, D) -> (Q, parts, 256)."""
        return torch.einsum("qpd,pcd->qpc", queries.unflatten(1, (len(self.centers), -1)), self.centers)

    def scores(self, tables: Tensor, codes: Tensor) -> Tensor:
        """The dot products of queries with coded vectors, by looking up: (Q, parts, 256), (N, parts) -> (Q, N)."""
        total = tables.new_zeros(len(tables), len(codes))
        for start in range(0, len(codes), ROWS):
            part = codes[start : start + ROWS].long()
            for place in range(part.shape[1]):
                total[:, start : start + ROWS] += tables[:, place].index_select(1, part[:, place])
        return total

    def distortion(self, vectors: Tensor) -> float:
        """The mean squared distance between vectors and what their codes stand for."""
        return (vectors - self.decode(self.encode(vectors))).square().sum(dim=1).mean().item()
