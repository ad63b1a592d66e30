"""Batches larger than memory: gradient caching."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def in_chunks(encode: Callable[..., Tensor], *inputs: Tensor | None, chunk: int | None) -> Tensor:
    """`encode(*inputs)`, with the memory of `chunk` rows: the same result and the same gradients, more slowly.

    A contrastive loss needs the features of the whole batch at once, and those are small; what fills the memory is
    what lies between input and features. So the features are computed chunk by chunk and all else is forgotten. When
    the loss has said in which direction each feature should move, each chunk is computed a second time, now with what
    its gradients need. Three passes instead of two: a third more time.

    Gao et al., "Scaling deep contrastive learning batch size under memory limited setup" (2021), who call it gradient
    caching. Their bookkeeping is what `torch.utils.checkpoint` does, chunk by chunk; dropout included.

    Args:
        encode: computes each row from that row of the inputs alone. Batch normalization in training mode does not.
        inputs: tensors with the same first dimension; None is handed on.
        chunk: rows at a time; None or at least as many as there are computes all at once.
    Raises:
        ValueError: chunk is below 1.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    rows = next(len(each) for each in inputs if each is not None)
    if chunk is None or chunk >= rows:
        return encode(*inputs)
    found = []
    for start in range(0, rows, chunk):
        part = [None if each is None else each[start : start + chunk] for each in inputs]
        found.append(checkpoint(encode, *part, use_reentrant=False))
    return torch.cat(found)
