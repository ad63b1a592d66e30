"""A project's folder in memory, and its parts: what is learned from, what settings are chosen on, what is reported."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.course.projects.checking import group_of, label_of, pixels_of
from mmcourse.datasets import ImageFolder, read_image, square

SIDE = 96  # pixels of a picture in memory
SHARES = (0.6, 0.2, 0.2)


class ProjectData(NamedTuple):
    """Every picture once, with its first text; without labels `labels` is empty and all targets are 0."""

    images: Tensor  # uint8 (N, 3, SIDE, SIDE)
    texts: list[str]
    targets: Tensor  # int64 (N,), places in `labels`
    labels: tuple[str, ...]
    groups: list[str]
    names: list[str]  # of the files


class Parts(NamedTuple):
    """Places of pictures, int64, ascending; no group is in two of them."""

    train: Tensor
    val: Tensor
    test: Tensor


def open_data(folder: str | Path) -> ProjectData:
    """Reads an `imagefolder` with a column `label`, or without one, and perhaps a column `group`.

    Pictures are squeezed into squares. Without a group a picture is its own, together with those that show the same.

    Raises:
        FileNotFoundError, ValueError: the folder is not as `ImageFolder` asks for, or some pictures have no label.
    """
    data = ImageFolder(folder, quiet=True)
    records = list({record.path: record for record in reversed(data.records)}.values())[::-1]  # the first line counts
    found = [label_of(record) for record in records]
    if None in found and any(found):
        name = records[found.index(None)].path.name
        raise ValueError(f"{name} needs a label in the column 'label', as other pictures have one")
    labels = tuple(sorted({label for label in found if label is not None}))
    images, groups = [], []
    for record in records:
        image = read_image(record.path)
        images.append(square(image, SIDE))
        groups.append(group_of(record) or pixels_of(image))
    return ProjectData(
        torch.stack(images) if images else torch.zeros(0, 3, SIDE, SIDE, dtype=torch.uint8),
        [record.text for record in records],
        torch.tensor([labels.index(label) if label is not None else 0 for label in found], dtype=torch.int64),
        labels,
        groups,
        [record.path.relative_to(data.path).as_posix() for record in records],
    )


def split_groups(groups: Sequence[str], targets: Tensor, *, seed: int) -> Parts:
    """Three fifths to learn from, a fifth to choose on and a fifth to report, by groups and with a like mix of labels.

    Groups are taken in an order that depends on their names and the seed alone; each goes where its labels are missed
    most.

    Args:
        targets: int64 (N,), a class number of each picture.
    Raises:
        ValueError: there are fewer than three groups, or lengths do not fit.

    >>> parts = split_groups(["a", "a", "b", "c", "d", "e"], torch.tensor([0, 1, 0, 1, 0, 1]), seed=0)
    >>> [len(part) > 0 for part in parts]
    [True, True, True]
    """
    if len(groups) != len(targets) or targets.dim() != 1:
        raise ValueError(f"targets must be ({len(groups)},), one for each group name, got {tuple(targets.shape)}")
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    if len(members) < len(SHARES):
        raise ValueError(f"groups must be at least {len(SHARES)} different ones, got {len(members)}")
    order = sorted(members, key=lambda group: hashlib.sha256(f"{seed} {group}".encode()).hexdigest())
    totals = Counter(targets.tolist())
    have: list[Counter[int]] = [Counter() for _ in SHARES]
    parts: list[list[int]] = [[] for _ in SHARES]

    def missed(part: int, counts: Counter[int]) -> float:
        lacks = ((SHARES[part] - have[part][label] / totals[label]) / SHARES[part] for label in counts.elements())
        return sum(lacks) / counts.total()

    for number, group in enumerate(order):
        counts = Counter(targets[members[group]].tolist())
        empty = [part for part in range(len(SHARES)) if not parts[part]]
        choices = empty if len(order) - number <= len(empty) else range(len(SHARES))
        part = max(choices, key=lambda each, counts=counts: missed(each, counts))
        have[part] += counts
        parts[part] += members[group]
    return Parts(*(torch.tensor(sorted(part)) for part in parts))
