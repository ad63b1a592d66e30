"""A folder of the learner's own pictures with texts, as the recipes read it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.datasets import ImageFolder, read_image, square
from mmcourse.recipes.engine.base import RecipeError
from mmcourse.runtime import progress

HELD_OUT = 10  # every tenth picture is kept for measuring
LEAST = 20  # pictures: with fewer there is nothing to measure on
NAMED = 3  # pictures that could not be read are named, the rest counted


class ByPicture(NamedTuple):
    """Texts in the order of their pictures: those of picture p are `order[first[p] : first[p] + counts[p]]`."""

    order: Tensor  # int64 (texts,), places of texts
    first: Tensor  # int64 (pictures,), places in `order`
    counts: Tensor  # int64 (pictures,)


def by_picture(owners: Tensor, pictures: int) -> ByPicture:
    """Sorts texts by their owners, int64 (texts,), of which each is a place among so many pictures."""
    counts = torch.bincount(owners, minlength=pictures)
    return ByPicture(owners.argsort(stable=True), counts.cumsum(0) - counts, counts)


class FolderPart(NamedTuple):
    """Some of the pictures of a folder, each once, and every text with the picture that it belongs to."""

    pictures: tuple[Path, ...]
    texts: tuple[str, ...]
    owners: Tensor  # int64 (texts,), places in `pictures`
    rows: Tensor  # int64 (texts,), places in the `dataset` of the folder

    def first(self) -> Tensor:
        """The place in `texts` of the first text of each picture, int64 (pictures,)."""
        order, first, _ = by_picture(self.owners, len(self.pictures))
        return order[first]

    def images(self, size: int, *, description: str | None = "Reading pictures") -> Tensor:
        """The pictures squeezed into squares, uint8 (pictures, 3, size, size)."""
        todo = self.pictures if description is None else progress(self.pictures, description)
        squares = torch.empty(len(self.pictures), 3, size, size, dtype=torch.uint8)
        for place, path in enumerate(todo):
            squares[place] = square(read_image(path), size)
        return squares


class Folder(NamedTuple):
    """What is trained on, what is measured on, and lines for the report."""

    train: FolderPart
    held_out: FolderPart
    notes: tuple[str, ...]
    digest: str  # of names and texts: another one is another dataset
    dataset: ImageFolder

    def facts(self) -> dict[str, str]:
        """What a run must find again when it goes on: names, texts and every byte of the pictures."""
        pixels = hashlib.sha256()
        for path in (*self.train.pictures, *self.held_out.pictures):
            pixels.update(hashlib.sha256(path.read_bytes()).digest())
        return {"data": self.digest, "pixels": pixels.hexdigest()[:16]}


def open_folder(path: Path, *, quiet: bool = False) -> Folder:
    """Opens an `ImageFolder` and keeps a tenth of its pictures, with all their texts, for measuring.

    Which ones depends on the names of all pictures alone, and so is the same each time. Pictures that cannot be read
    are left out and named in the notes.

    Raises:
        RecipeError: the folder is not as `ImageFolder` asks for, or holds too few pictures; one sentence.
    """
    try:
        folder = ImageFolder(path, quiet=quiet)
    except (FileNotFoundError, ValueError) as error:
        raise RecipeError(str(error)) from None
    pictures = list(dict.fromkeys(record.path for record in folder.records))
    notes = _notes(folder, len(pictures))
    if len(pictures) < LEAST:
        skipped = f"; {notes[0]}" if notes else ""
        raise RecipeError(f"{path} holds {len(pictures)} pictures that can be read, needed are {LEAST}{skipped}")
    mixed = sorted(pictures, key=lambda file: _digest(file.relative_to(folder.path).as_posix()))
    held_out = set(mixed[: len(mixed) // HELD_OUT])
    lines = [f"{record.path.relative_to(folder.path).as_posix()}\0{record.text}" for record in folder.records]
    parts = (_part(folder, lambda file, kept=kept: (file in held_out) == kept) for kept in (False, True))
    return Folder(*parts, notes, _digest("\n".join(lines)), folder)


def _part(folder: ImageFolder, mine: Callable[[Path], bool]) -> FolderPart:
    rows = [row for row, record in enumerate(folder.records) if mine(record.path)]
    records = [folder.records[row] for row in rows]
    places = {path: place for place, path in enumerate(dict.fromkeys(record.path for record in records))}
    owners = torch.tensor([places[record.path] for record in records])
    return FolderPart(tuple(places), tuple(record.text for record in records), owners, torch.tensor(rows))


def _notes(folder: ImageFolder, read: int) -> tuple[str, ...]:
    if not folder.skipped:
        return ()
    named = "; ".join(f"{name} ({reason})" for name, reason in folder.skipped[:NAMED])
    more = f"; and {len(folder.skipped) - NAMED} more" if len(folder.skipped) > NAMED else ""
    were = "was" if len(folder.skipped) == 1 else "were"
    return (f"{len(folder.skipped)} of {len(folder.skipped) + read} pictures {were} skipped: {named}{more}",)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
