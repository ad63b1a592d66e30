"""A folder of pictures that is searched by a sentence or by a picture, with the two towers that come with the course.

The index lies in a folder of its own, never among the pictures. It is made in parts, so that a stopped run goes on, and
what did not change since the last time is not looked at again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmcourse.encoders.pretrained import load_image_encoder, load_text_encoder
from mmcourse.files import draft_of, expanded
from mmcourse.pictures import read_image, unreadable
from mmcourse.recipes import clip
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import RecipeError
from mmcourse.recipes.one_picture import open_picture
from mmcourse.retrieval import Index, IndexConfig, IndexFileError, load_index, save_index
from mmcourse.runtime import on_best_device, progress

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
PART = 64  # pictures of one file of the unfinished index
UNFINISHED = "unfinished"
HONEST = (
    "The towers learned from 1,290 drawings with one name each. Photographs, sentences, people, places, writing and "
    "numbers they have never seen: take the order as a hint, and a score as nothing more than an order."
)


class Indexed(NamedTuple):
    """What `make_album` did."""

    folder: Path  # of the index
    pictures: int
    new: int  # of them, looked at in this run
    skipped: tuple[str, ...]  # files that cannot be read, each with the reason


class Find(NamedTuple):
    """One picture that a search found."""

    path: Path
    score: float  # cosine, -1 to 1


def album_folder(pictures: Path, home: Path) -> Path:
    """Where the index of a folder of pictures lies below `home`: every folder has a name of its own there."""
    where = pictures.resolve()
    return home / f"{where.name or 'pictures'}-{hashlib.sha256(str(where).encode()).hexdigest()[:8]}"


def make_album(pictures: str | Path, folder: str | Path, *, description: str | None = "Looking") -> Indexed:
    """Makes the index of all pictures below a folder, or brings it up to date.

    Args:
        folder: of the index.
        description: of the progress bar; None shows none.
    Raises:
        RecipeError: there is no such folder, or no picture in it.
    """
    pictures, folder = _source(pictures), expanded(folder)
    names = _names(pictures, leave_out=folder)
    if not names:
        raise RecipeError(f"there is no picture below {pictures}; an index needs {', '.join(sorted(SUFFIXES))} files")
    known, listed = _known(folder)
    wanted = {name: _mark(pictures, name) for name in names}
    missing = [name for name in names if wanted[name] not in known]
    skipped = {name: reason for name in missing if (reason := unreadable(pictures / name)) is not None}
    todo = [name for name in missing if name not in skipped]
    parts = [todo[start : start + PART] for start in range(0, len(todo), PART)]
    towers = _Towers() if parts else None
    for part in parts if description is None else progress(parts, description):
        features = towers.pictures([read_image(pictures / name) for name in part])
        marks = [wanted[name] for name in part]
        _keep(folder, marks, features)
        known |= dict(zip(marks, features, strict=True))
    kept = [name for name in names if wanted[name] in known]
    if not kept:
        raise RecipeError(f"none of the {len(names)} pictures below {pictures} can be read; the first: {names[0]}")
    marked = [f"{wanted[name]} {name}" for name in kept]
    if marked != listed:
        table = torch.stack([known[wanted[name]] for name in kept])
        index = Index(IndexConfig(width=table.shape[1]))
        index.add(table)
        save_index(index, folder, names=marked)
    if (folder / UNFINISHED).is_dir():
        shutil.rmtree(folder / UNFINISHED)
    return Indexed(folder, len(kept), len(todo), tuple(f"{name} ({reason})" for name, reason in skipped.items()))


def search_album(
    pictures: str | Path,
    folder: str | Path,
    *,
    text: str | None = None,
    image: str | Path | None = None,
    k: int = 12,
) -> list[Find]:
    """The k pictures that fit a sentence, or another picture, best.

    Raises:
        RecipeError: there is no index, it is damaged, the picture cannot be read, or neither or both of text and image
            are given.
    """
    if (text is None) == (image is None):
        raise RecipeError("give a sentence or --image FILE, one of the two")
    if text is not None and not text.strip():
        raise RecipeError("the sentence is empty; say what to look for")
    pictures = _source(pictures)
    try:
        index, names = load_index(folder)
    except IndexFileError as error:
        raise RecipeError(f"{error}; `mmcourse index {pictures}` makes it") from None
    example = None if image is None else open_picture(image)
    towers = _Towers()
    asked = towers.texts([text]) if example is None else towers.pictures([example])
    found = index.search(asked, min(k, len(index))).neighbors
    paths = [pictures / names[number].split(" ", 1)[1] for number in found.ids[0].tolist()]
    return [Find(*pair) for pair in zip(paths, found.scores[0].tolist(), strict=True)]


class _Towers:
    """The pretrained towers and, behind them, the projections that come with the course."""

    def __init__(self) -> None:
        self.model = bundled.load(clip.RECIPE).model

    def pictures(self, images: list[Tensor]) -> Tensor:
        encoder = load_image_encoder(clip.TOWERS["image"])
        with on_best_device(encoder):
            return self.model.embed_images(encoder.encode(images).float().cpu())

    def texts(self, texts: list[str]) -> Tensor:
        encoder = load_text_encoder(clip.TOWERS["text"])
        with on_best_device(encoder):
            return self.model.embed_texts(encoder.encode(texts, normalize=False).float().cpu())


def _source(pictures: str | Path) -> Path:
    pictures = expanded(pictures)
    if not os.path.isdir(pictures):
        raise RecipeError(f"there is no folder {str(pictures)!r}; give one with pictures")
    return pictures


def _names(pictures: Path, *, leave_out: Path) -> list[str]:
    """Every picture below the folder by its path from there, in order; hidden files and the index itself left out."""
    found = []
    for where, folders, files in os.walk(pictures):
        here = Path(where)
        folders[:] = [name for name in folders if not name.startswith(".") and here / name != leave_out]
        found += [here / name for name in files if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")]
    return sorted(path.relative_to(pictures).as_posix() for path in found)


def _mark(pictures: Path, name: str) -> str:
    """Tells a picture from another and from itself after a change, without reading it."""
    facts = (pictures / name).stat()
    text = f"{name}\n{facts.st_size}\n{facts.st_mtime_ns}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]


def _known(folder: Path) -> tuple[dict[str, Tensor], list[str] | None]:
    """The features of what was looked at before, by the marks of the files: of the index, and of a stopped run; and
    the names in the index, if there is one."""
    known: dict[str, Tensor] = {}
    try:
        index, names = load_index(folder)
        known |= {name.split(" ", 1)[0]: index.vectors[row].clone() for row, name in enumerate(names or ())}
    except IndexFileError:
        names = None  # none yet, or a damaged one: it is made anew
    for file in sorted((folder / UNFINISHED).glob("*.safetensors")):
        known |= load_file(file)
    return known, names


def _keep(folder: Path, marks: Sequence[str], features: Tensor) -> None:
    """Writes one part in one step: after a stop it is there as a whole or not at all."""
    place = folder / UNFINISHED
    place.mkdir(parents=True, exist_ok=True)
    table = {mark: row.clone() for mark, row in zip(marks, features, strict=True)}
    with draft_of(place / f"{marks[0]}.safetensors") as draft:
        save_file(table, draft)
