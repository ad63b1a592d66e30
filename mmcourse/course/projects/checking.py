"""The test of the data: what is wrong with a folder of pictures, one clear sentence for each thing.

Most of what goes wrong in a project went wrong in its data, and no figure shows it later: a picture that stands twice,
once in training and once in the test, makes every figure too good (Kapoor and Narayanan, "Leakage and the
reproducibility crisis in machine-learning-based science", 2023).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from mmcourse.course.projects.project import Kind
from mmcourse.datasets import FolderRecord, ImageFolder, read_image

LEAST_SIDE = 16  # pixels
LEAST_OF_A_LABEL = 6
LEAST_GROUPS = 5
LEAST_PICTURES = 20
NAMED = 3


class _Shown(NamedTuple):
    """What counts of a picture: its sides in pixels, and a digest of all of them."""

    height: int
    width: int
    pixels: str


def check_data(folder: str | Path, *, kind: Kind = "classify") -> list[str]:
    """What is wrong with an `imagefolder`: one sentence each, and none where all is well.

    Where the table itself cannot be read, its first error is the only one, as nothing behind it is certain.

    Args:
        kind: "classify" asks for a column `label` with two labels or more, "find" for texts that differ.
    Raises:
        ValueError: `kind` is neither.
    """
    if kind not in ("classify", "find"):
        raise ValueError(f"kind must be 'classify' or 'find', got {kind!r}")
    try:
        data = ImageFolder(folder, quiet=True)
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    names = [record.path.relative_to(data.path).as_posix() for record in data.records]
    problems = [f"{name} cannot be read: {reason}" for name, reason in data.skipped]
    problems += _strangers(data)
    shown = {name: _look(data.path / name) for name in dict.fromkeys(names)}
    problems += _small(shown)
    problems += _twice(names, data.records, shown)
    problems += _labels(names, data.records) if kind == "classify" else _texts(data.records)
    if data.records and len(set(names)) < LEAST_PICTURES:
        problems.append(f"{data.path.name} holds {len(set(names))} pictures, needed are {LEAST_PICTURES}")
    groups = {group_of(record) for record in data.records} - {None}
    if groups and len(groups) < LEAST_GROUPS:
        problems.append(f"the column 'group' has {len(groups)} groups, needed are {LEAST_GROUPS} to split them")
    return problems


def label_of(record: FolderRecord) -> str | None:
    """The label of a row as text; None where there is none."""
    return _cell(record, "label")


def group_of(record: FolderRecord) -> str | None:
    """The group of a row, such as a patient, as text; None where there is none."""
    return _cell(record, "group")


def pixels_of(image: Tensor) -> str:
    """A digest of what a picture (3, H, W) shows: equal for two files that show the same."""
    return hashlib.sha256(repr(tuple(image.shape)).encode() + image.contiguous().numpy().tobytes()).hexdigest()


def _cell(record: FolderRecord, column: str) -> str | None:
    value = record.extra.get(column)
    return None if value is None or not str(value).strip() else str(value).strip()


def _strangers(data: ImageFolder) -> Iterator[str]:
    """Pictures that no line of the table names."""
    endings = Image.registered_extensions()
    known = {record.path for record in data.records} | {data.path / name for name, _ in data.skipped}
    for path in sorted(data.path.rglob("*")):
        if path.suffix.lower() in endings and path.is_file() and path not in known:
            yield f"{path.relative_to(data.path).as_posix()} has no line in the table; add one or remove the picture"


def _look(path: Path) -> _Shown:
    image = read_image(path)
    return _Shown(*image.shape[1:], pixels_of(image))


def _small(shown: Mapping[str, _Shown]) -> Iterator[str]:
    for name, picture in shown.items():
        if min(picture.height, picture.width) < LEAST_SIDE:
            yield f"{name} is {picture.width} × {picture.height} pixels; the least is {LEAST_SIDE} on each side"


def _twice(names: Sequence[str], records: Sequence[FolderRecord], shown: Mapping[str, _Shown]) -> Iterator[str]:
    """Lines, labels and pictures that are there twice."""
    first: dict[str, FolderRecord] = {}
    known: dict[str, str] = {}
    for name, record in zip(names, records, strict=True):
        if name in first:
            before = first[name]
            if record.text == before.text:
                yield f"{name} has two lines with the same text; remove one"
            if label_of(record) != label_of(before):
                yield f"{name} has two labels, {label_of(before)!r} and {label_of(record)!r}; keep the right one"
            continue
        first[name] = record
        other = known.setdefault(shown[name].pixels, name)
        if other != name:
            apart = group_of(record) != group_of(first[other])
            why = ", and may stand in training and in the test, as their groups differ" if apart else ""
            yield f"{name} shows the same picture as {other}{why}; keep one of them"
            if label_of(record) != label_of(first[other]):
                labels = f"{label_of(record)!r} and {label_of(first[other])!r}"
                yield f"{name} and {other} show the same under the labels {labels}; keep the right one"


def _labels(names: Sequence[str], records: Sequence[FolderRecord]) -> Iterator[str]:
    labels = {name: label_of(record) for name, record in zip(names, records, strict=True)}
    missing = [name for name, label in labels.items() if label is None]
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        yield f"{', '.join(missing[:NAMED])}{more} need a label in the column 'label'"
    counts = Counter(label for label in labels.values() if label is not None)
    if len(counts) == 1:
        only = next(iter(counts))
        yield f"all pictures have the label {only!r}, so there is nothing to tell apart; add a second label"
    for label, count in counts.items():
        if count < LEAST_OF_A_LABEL:
            of = [name for name, each in labels.items() if each == label][:NAMED]
            yield f"the label {label!r} has {count} pictures ({', '.join(of)}), needed are {LEAST_OF_A_LABEL}"


def _texts(records: Sequence[FolderRecord]) -> Iterator[str]:
    texts = {record.text for record in records}
    if len(texts) == 1:
        yield f"all texts are {next(iter(texts))[:40]!r}, which tells no picture from another; give each its own"
