"""Your own pictures, in the `imagefolder` convention of Hugging Face datasets.

A folder holds pictures and one file `metadata.jsonl` (or `.csv`, `.parquet`) with a `file_name` (relative to the
folder) and a `text` for each, or a list of several; every further column is kept. Datasets published in that form work
unchanged.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import torch

from mmcourse.files import expanded
from mmcourse.metadata import METADATA, rows
from mmcourse.pictures import read_image, square, unreadable
from mmcourse.runtime import progress


class FolderRecord(NamedTuple):
    """One line of the metadata: where its picture is, its text, and every other column."""

    path: Path
    text: str
    extra: dict[str, Any]


class Skipped(NamedTuple):
    """A picture that cannot be read, and why."""

    file_name: str
    reason: str


class ImageFolder:
    """Pictures with text, in the order of the metadata file: `dataset[i]` is (image uint8 (3, H, W), text).

    Every picture is opened once at the start. Those that cannot be read are left out and listed in `.skipped`.

    Args:
        path: the folder.
        text: the column that holds the text, if it is not called `text`.
        quiet: show no progress bar while the pictures are checked.
    Raises:
        FileNotFoundError: the folder, its metadata file or a picture that it names is missing.
        ValueError: several metadata files are there, or a line is not as it should be; file and line number are named.
    """

    def __init__(self, path: str | Path, *, text: str = "text", quiet: bool = False):
        self.path = expanded(path)
        records = list(_records(_metadata(self.path), text))
        reasons: dict[Path, str | None] = {}  # a picture may have several texts
        todo = dict.fromkeys(record.path for record in records)
        for file in todo if quiet else progress(todo, "Checking pictures"):
            reasons[file] = unreadable(file)
        self.records = [record for record in records if reasons[record.path] is None]
        names = {record.path: record.path.relative_to(self.path).as_posix() for record in records}
        self.skipped = [Skipped(names[file], reason) for file, reason in reasons.items() if reason is not None]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, str]:
        record = self.records[index]
        return read_image(record.path), record.text

    def __repr__(self) -> str:
        return f"ImageFolder({len(self)} texts with pictures, {len(self.skipped)} pictures skipped)"


def _metadata(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(f"path {str(folder)!r} is no folder; give the one that holds metadata.jsonl")
    there = [folder / name for name in METADATA if (folder / name).is_file()]
    if len(there) > 1:
        both = " and ".join(file.name for file in there)
        raise ValueError(f"folder {str(folder)!r} holds both {both}; keep the one that is right")
    if not there:
        inside = sorted(file.parent.name for name in METADATA for file in folder.glob(f"*/{name}"))
        hint = f"open one of its folders: {', '.join(inside)}" if inside else "write one with file_name and text"
        names = f"neither {', '.join(METADATA[:-1])} nor {METADATA[-1]}"
        raise FileNotFoundError(f"folder {str(folder)!r} holds {names}; {hint}")
    return there[0]


def _records(metadata: Path, text_column: str) -> Iterator[FolderRecord]:
    for number, row in rows(metadata):
        where = f"{metadata.name} line {number}"
        for column in ("file_name", text_column):
            value = row.get(column)
            listed = value if isinstance(value, list) and column == text_column else [value]
            if not listed or not all(isinstance(each, str) and each.strip() for each in listed):
                got = f"got {value!r}" if column in row else f"it has: {', '.join(map(str, row)) or 'nothing'}"
                raise ValueError(f"{where} needs {column!r} with some text, {got}")
            for each in listed:
                _check_characters(f"{where} has in {column!r}", each)
        name, text = row.pop("file_name"), row.pop(text_column)
        slashes = PureWindowsPath(name)  # knows both kinds of slash
        if ".." in slashes.parts or slashes.root or slashes.drive:
            raise ValueError(f"{where} names {name!r}, which lies outside the folder; give a path inside it")
        path = _find(metadata.parent, name, slashes)
        if path is None:
            raise FileNotFoundError(f"{where} names the picture {name!r}, which is missing; add it or remove the line")
        for each in text if isinstance(text, list) else [text]:  # a list is several texts
            yield FolderRecord(path, each, row)


def _check_characters(where: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise ValueError(f"{where} {half!r}, half of a character and no text; write it anew") from None


def _find(folder: Path, name: str, parts: PureWindowsPath) -> Path | None:
    """The file of a name, also where the table has Windows' slashes or composes accents otherwise than the disk."""
    other = parts.as_posix()
    names = dict.fromkeys((name, other, *(unicodedata.normalize(form, other) for form in ("NFC", "NFD"))))
    return next((folder / each for each in names if os.path.isfile(folder / each)), None)  # a name too long is no file


class LabeledPictures(NamedTuple):
    """A folder with a label for each line, in memory and ready for training."""

    images: torch.Tensor  # uint8 (N, 3, size, size)
    texts: list[str]
    targets: torch.Tensor  # int64 (N,), places in `labels`
    labels: tuple[str, ...]


def labeled_folder(
    path: str | Path,
    *,
    label: str = "label",
    text: str = "text",
    size: int = 64,
    labels: Sequence[str] | None = None,
    quiet: bool = False,
) -> LabeledPictures:
    """Pictures with texts and labels: an `ImageFolder` whose metadata has a further column `label`.

    Args:
        label: the column with the label, a word or a whole number.
        size: every picture is resized to a square of this side; nothing is cut off, so longish ones are squeezed.
        labels: all labels, in the order of their numbers. By default those that occur, sorted; give those of the
            training folder for a test folder, so that the numbers mean the same.
    Raises:
        ValueError: a line has no label, or one that is not among `labels`; the picture is named.
    """
    folder = ImageFolder(path, text=text, quiet=quiet)
    found = [_label(record, label) for record in folder.records]
    labels = tuple(sorted(set(found), key=_order)) if labels is None else tuple(labels)
    for record, value in zip(folder.records, found, strict=True):
        if value not in labels:
            raise ValueError(f"{label!r} of {record.path.name!r} must be one of {', '.join(labels)}, got {value!r}")
    images = [square(read_image(record.path), size) for record in folder.records]
    return LabeledPictures(
        torch.stack(images) if images else torch.zeros(0, 3, size, size, dtype=torch.uint8),
        [record.text for record in folder.records],
        torch.tensor([labels.index(value) for value in found], dtype=torch.int64),
        labels,
    )


def _label(record: FolderRecord, column: str) -> str:
    value = record.extra.get(column)
    if not isinstance(value, str | int) or not str(value).strip():
        columns = ", ".join(map(str, record.extra)) or "none"
        raise ValueError(
            f"{record.path.name!r} needs {column!r} with a label, got {value!r}; further columns: {columns}"
        )
    return str(value).strip()


def _order(label: str) -> tuple[bool, int, str]:
    """Numbers before words, and 2 before 10."""
    return (False, int(label), label) if label.isdecimal() else (True, 0, label)
