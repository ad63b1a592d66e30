"""Batches of pictures with texts, for captioners: scenes that are made on the way, glyphs, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.datasets import BACKGROUNDS, SceneBatch, load_glyphs, make_scenes, on_background
from mmcourse.distributed import is_main
from mmcourse.lm import shift
from mmcourse.recipes.data.folder import FolderPart, open_folder
from mmcourse.tokenizer import Tokenizer

SIDE = 64  # pixels: pictures become squares of this side
LONGEST = 64  # tokens of a text that are read


class CaptionBatch(NamedTuple):
    """Pictures uint8 (B, 3, H, W) with n texts each: rows b·n to b·n + n − 1 of inputs and targets are about b.

    For a `VideoCaptioner`, clips uint8 (B, T, 3, H, W) stand where the pictures are.
    """

    images: Tensor
    inputs: Tensor
    targets: Tensor


class FreshScenes:
    """`batches(step)`: scenes that no other step sees, with some of their captions drawn at random.

    Args:
        tokenizer: of the captions.
        each: how many different captions of a scene.
        captions: the sentences to draw from for one scene of a batch: `captions(batch, i)`.
        whole: the first of them, which names everything, is always among those drawn. It is then the likeliest way to
            go on, and so what greedy decoding writes.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        size: int = 64,
        each: int = 2,
        captions: Callable[[SceneBatch, int], list[str]] = SceneBatch.captions,
        whole: bool = True,
    ) -> None:
        self.tokenizer, self.size, self.each, self.captions, self.whole = tokenizer, size, each, captions, whole

    def __call__(self, step: int) -> CaptionBatch:
        batch, generator = make_scenes(self.size, start=step * self.size), torch.Generator().manual_seed(step)
        texts = []
        for i in range(self.size):
            choices = self.captions(batch, i)
            drawn = torch.randperm(len(choices), generator=generator).tolist()
            if self.whole:
                drawn.sort(key=bool)  # 0 comes first, the others stay in their order
            texts += [choices[index] for index in drawn[: self.each]]
        return CaptionBatch(batch.images, *pairs(self.tokenizer, texts))


class Drawn:
    """`batches(step)`: texts of a fixed collection, drawn at random, each with its picture.

    Args:
        images: uint8 (N, 3, H, W), or RGBA drawings that get another color behind them each time.
        texts, owners: the texts, and of each the place of its picture: int64 (texts,).
        longest: tokens of a text that are read.
    """

    def __init__(
        self, tokenizer: Tokenizer, images: Tensor, texts: Sequence[str], owners: Tensor, *, size: int, longest: int
    ) -> None:
        self.tokenizer, self.images, self.texts, self.owners = tokenizer, images, texts, owners
        self.size, self.longest = size, longest

    def __call__(self, step: int) -> CaptionBatch:
        generator = torch.Generator().manual_seed(step)
        return self.rows(torch.randint(len(self.texts), (self.size,), generator=generator), generator)

    def rows(self, rows: Tensor, generator: torch.Generator) -> CaptionBatch:
        """Some of the texts, with their pictures."""
        texts = [self.texts[row] for row in rows.tolist()]
        images = on_colors(self.images[self.owners[rows]], generator)
        return CaptionBatch(images, *pairs(self.tokenizer, texts, longest=self.longest))


def on_colors(images: Tensor, generator: torch.Generator) -> Tensor:
    """RGBA drawings (B, 4, H, W) laid each on a background of the scenes; pictures (B, 3, H, W) stay as they are."""
    if images.shape[1] == 3:
        return images
    colors = torch.tensor([color.rgb for color in BACKGROUNDS.values()])
    return on_background(images, colors[torch.randint(len(colors), (len(images),), generator=generator)])


def pairs(tokenizer: Tokenizer, texts: Sequence[str], *, longest: int | None = None) -> tuple[Tensor, Tensor]:
    """What is read and what is to be written: two tables (rows, T), filled up with padding and with `IGNORED`."""
    ids = tokenizer.encode_batch(texts, add_special=True, spelled=False).ids  # a stranger's <eos> is text
    return tuple(shift(ids[:, :longest], pad_id=tokenizer.pad_id))


class Texts(NamedTuple):
    """Pictures uint8 (N, 3 or 4, H, W), texts, and of each text the place of its picture."""

    images: Tensor
    texts: Sequence[str]
    owners: Tensor


class Collection(NamedTuple):
    """A fixed collection of pictures with texts: two halves that are read when they are needed, notes, and facts."""

    train: Callable[[], Texts]
    held_out: Callable[[], Texts]
    notes: tuple[str, ...]  # lines for the report
    facts: dict[str, str]  # what a checkpoint must agree with


def collect(data: str | Path) -> Collection | None:
    """The pictures of a folder or the glyphs with their names; None for scenes, which are made when they are needed."""
    if data == "scenes":
        return None
    if data == "glyphs":
        return Collection(partial(_glyphs, "train"), partial(_glyphs, "val"), (), {})
    folder = open_folder(Path(data), quiet=not is_main())
    parts = (partial(_pictures, part) for part in (folder.train, folder.held_out))
    return Collection(*parts, folder.notes, folder.facts())


def _glyphs(split: str) -> Texts:
    glyphs = load_glyphs(SIDE, quiet=not is_main())
    glyphs = glyphs.select(getattr(glyphs.split(), split))
    return Texts(glyphs.images, glyphs.names, torch.arange(len(glyphs)))


def _pictures(part: FolderPart) -> Texts:
    images = part.images(SIDE, description="Reading pictures" if is_main() else None)
    return Texts(images, part.texts, part.owners)
