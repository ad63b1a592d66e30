"""Features of a whole dataset, computed once and kept: what a frozen network says does not change.

The cache knows a stored table by everything it was made of: weights, layers, preprocessing, options, and every pixel
or letter of the data. Change any of them and the features are computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mmcourse.cache import load_or_build
from mmcourse.datasets.folder import ImageFolder
from mmcourse.encoders.pretrained import ImageEncoder, TextEncoder
from mmcourse.runtime import on_best_device, progress

VERSION = 1  # to be raised when this file computes something else from the same weights and data
Data = Tensor | Sequence[Tensor] | Sequence[str] | ImageFolder


def extract_features(
    encoder: ImageEncoder | TextEncoder,
    data: Data,
    *,
    name: str,
    batch_size: int = 16,
    description: str | None = "Features",
    **options: Any,
) -> Tensor:
    """The features of every picture or text, (N, width), float32 on the CPU; from the cache where they are known.

    What occurs twice is computed once. Texts are read in order of length, so that little is spent on padding.

    Args:
        encoder: an image encoder for pictures, a text encoder for text.
        data: pictures uint8 (N, 3, H, W); a list of them, each (3, H, W) of its own size; an `ImageFolder`; or texts.
        name: what the cache calls the file; two tables in turn under one name push each other out.
        batch_size: how many at a time; more is slower on a CPU, and changes the features by no more than rounding.
        description: of the progress bar, which shows only where something is computed; None shows none.
        **options: handed on to `encoder.encode`, such as `pooling="cls"` for text.
    Raises:
        TypeError: an image encoder is given texts, or a text encoder pictures.
        ValueError: batch_size is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    texts = not isinstance(data, (Tensor, ImageFolder)) and any(isinstance(item, str) for item in data)
    if isinstance(encoder, TextEncoder) != texts and len(data) > 0:
        want, got = ("texts", "pictures") if isinstance(encoder, TextEncoder) else ("pictures", "texts")
        raise TypeError(f"data must hold {want} for the encoder {encoder.name}, got {got}")
    marks = _marks(data)
    facts = [f"version {VERSION}", encoder.fingerprint, repr(sorted(options.items())), *marks]
    key = hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def build() -> dict[str, Tensor]:
        first = {mark: i for i, mark in reversed(list(enumerate(marks)))}  # where each datum occurs for the first time
        rows = sorted(first.values(), key=lambda i: len(data[i])) if texts else sorted(first.values())
        table = _encode(encoder, data, rows, batch_size, description, options)
        place = {marks[row]: i for i, row in enumerate(rows)}
        return {"features": table[[place[mark] for mark in marks]]}

    return load_or_build(f"features/{name}", key, build)["features"]


def _encode(
    encoder: ImageEncoder | TextEncoder,
    data: Data,
    rows: list[int],
    batch_size: int,
    description: str | None,
    options: dict[str, Any],
) -> Tensor:
    """The features of these rows, (len(rows), width)."""
    if not rows:
        return encoder.encode([], **options).float().cpu()
    batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    bar = batches if description is None else progress(batches, description)
    with on_best_device(encoder):
        return torch.cat([encoder.encode(_take(data, part), **options).float().cpu() for part in bar])


def _take(data: Data, rows: list[int]) -> Tensor | list[Any]:
    if isinstance(data, Tensor):
        return data[rows]
    return [data[row][0] if isinstance(data, ImageFolder) else data[row] for row in rows]


def _marks(data: Data) -> list[str]:
    """A digest of each datum: equal marks, equal features."""
    if isinstance(data, ImageFolder):
        known = {path: _digest("file", path.read_bytes()) for path in {record.path for record in data.records}}
        return [known[record.path] for record in data.records]
    if isinstance(data, (list, tuple)) and all(isinstance(item, str) for item in data):
        return [_digest("text", item.encode()) for item in data]
    return [_digest(f"{item.dtype} {tuple(item.shape)}", item.contiguous().cpu().numpy()) for item in data]


def _digest(kind: str, content: Any) -> str:
    digest = hashlib.sha256(kind.encode())
    digest.update(content)
    return digest.hexdigest()
