"""How well objects are found: boxes that overlap enough with those that are there, each claimed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Detection(NamedTuple):
    """Something that was found: how sure that is, what it is, and its box (left, top, right, bottom) in pixels."""

    confidence: float
    label: str | int
    box: Tensor


class Detections(NamedTuple):
    """How good the detections of many pictures are.

    mean_iou: of each object with the best detection of its label, 0 where there is none.
    average_precision: over all labels together.
    """

    mean_iou: float
    average_precision: float


def detection(
    found: Sequence[Sequence[Detection]], there: Sequence[Sequence[tuple[str | int, Tensor]]], *, limit: float = 0.5
) -> Detections:
    """Mean overlap and average precision; with the limit of one half the second is called AP50.

    All detections are ranked by how sure they are, equals as they come. One is right if an object of its label overlaps
    with it by `limit` or more and no surer one has claimed that; of several it takes the one that overlaps most. The
    sum of the precisions at the right ones, divided by the number of objects there are, is the average precision. Some
    benchmarks smooth the curve first, and average labels one by one (Everingham et al., "The Pascal Visual Object
    Classes (VOC) challenge", 2010); here neither is done.

    Args:
        found: of each picture, what was found.
        there: of each picture, the label and the box of each object.
    Raises:
        ValueError: not one list of each kind a picture, no objects at all, or a limit that is no share above 0.

    >>> box = torch.tensor([0.0, 0.0, 10.0, 10.0])
    >>> detection([[Detection(0.9, "cat", box), Detection(0.5, "dog", box)]], [[("cat", box), ("dog", 2 * box)]])
    Detections(mean_iou=0.625, average_precision=0.5)
    """
    if len(found) != len(there) or not any(there):
        raise ValueError(f"found and there must be lists of pictures with objects, got {len(found)} and {len(there)}")
    if not 0 < limit <= 1:
        raise ValueError(f"limit must be above 0 and at most 1, got {limit:g}")
    overlaps, best = [], []
    for detections, objects in zip(found, there, strict=True):
        shared = torch.zeros(len(detections), len(objects))
        if detections and objects:
            boxes = torch.stack([box for _, box in objects])
            alike = torch.tensor([[label == each.label for label, _ in objects] for each in detections])
            shared = box_iou(torch.stack([each.box for each in detections])[:, None], boxes) * alike
        overlaps.append(shared)
        best += [column.max().item() if len(column) else 0.0 for column in shared.T]
    ranked = sorted(
        ((each.confidence, picture, row) for picture, rows in enumerate(found) for row, each in enumerate(rows)),
        key=lambda each: -each[0],
    )
    right = []
    for _, picture, row in ranked:
        shared = overlaps[picture]
        overlap, column = shared[row].max(dim=0) if shared.shape[1] else (torch.tensor(0.0), None)
        right.append(overlap.item() >= limit)
        if right[-1]:
            shared[:, column] = 0.0
    hits = torch.tensor(right, dtype=torch.float64)
    precision = hits.cumsum(dim=0) / torch.arange(1, len(hits) + 1)
    return Detections(sum(best) / len(best), (precision * hits).sum().item() / len(best))


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes (…, 4), left, top, right, bottom: (…); 0 where both are empty.

    >>> box_iou(torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 3.0, 2.0])).item()
    0.3333333432674408
    """
    left_top, right_bottom = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = (right_bottom - left_top).clamp(min=0).prod(dim=-1)
    whole = sum((box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (one, other)) - shared
    return torch.where(whole > 0, shared / whole.where(whole > 0, 1), 0.0)


def blobs(labels: Tensor, *, empty: int) -> list[tuple[int, Tensor]]:
    """Neighboring cells of one label, side by side, as objects: labels int64 (H, W) -> [(label, cells (N, 2))].

    Objects come in the order of their first cells, and cells as (row, column) in reading order.

    Args:
        empty: the label of cells with nothing in them.

    >>> blobs(torch.tensor([[1, 1, 0], [0, 0, 2]]), empty=0)
    [(1, tensor([[0, 0],
            [0, 1]])), (2, tensor([[1, 2]]))]
    """
    if labels.dim() != 2:
        raise ValueError(f"labels must be a grid (rows, columns), got {tuple(labels.shape)}")
    grid, found = labels.tolist(), []
    waiting = {(row, column): label for row, line in enumerate(grid) for column, label in enumerate(line)}
    while waiting:
        start = next(iter(waiting))
        label = waiting.pop(start)
        if label == empty:
            continue
        cells = [start]
        for row, column in cells:  # grows while it is walked along
            for near in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if waiting.get(near) == label:
                    del waiting[near]
                    cells.append(near)
        found.append((label, torch.tensor(sorted(cells))))
    return found
