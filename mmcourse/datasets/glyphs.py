"""Glyphs: about 1,700 small drawings, each with the name a person gave it, in English and mostly in Chinese too.

The drawings are OpenMoji's (CC BY-SA 4.0); which ones, their names and the published split stand in `data/glyphs.csv`.
A drawing and its name are the smallest picture–text pair there is: enough for contrastive pretraining, retrieval and
zero-shot recognition of concepts never seen.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import ImageColor

from mmcourse.cache import load_or_build
from mmcourse.content import content_dir
from mmcourse.datasets import openmoji
from mmcourse.runtime import progress

Color = str | tuple[int, int, int] | torch.Tensor
SPLITS = ("train", "val", "test")


class GlyphSplit(NamedTuple):
    """Disjoint indices, each int64 of shape (n,), ascending."""

    train: torch.Tensor
    val: torch.Tensor
    test: torch.Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Glyphs:
    """Drawings with their names; entry i of every field belongs to drawing i.

    images: uint8 (N, 4, S, S), red, green, blue, alpha (not premultiplied); names: English, all distinct;
    chinese: None where there is no Chinese name; codes: OpenMoji's, such as `1F408`; groups and subgroups: Unicode's;
    parts: the part of the published split, `train`, `val` or `test`.
    """

    images: torch.Tensor
    names: list[str]
    chinese: list[str | None]
    codes: list[str]
    groups: list[str]
    subgroups: list[str]
    parts: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Glyphs({len(self)} drawings of {self.images.shape[-1]} × {self.images.shape[-1]} pixels)"

    def index(self, name: str) -> int:
        """The position of a drawing by its English name, its Chinese name or its code."""
        for column in (self.names, self.chinese, self.codes):
            if name in column:
                return column.index(name)
        raise KeyError(f"no glyph is called {name!r}; names look like {self.names[0]!r}, codes like {self.codes[0]!r}")

    def select(self, indices: torch.Tensor | list[int]) -> Glyphs:
        """The drawings at these positions, in this order."""
        rows = torch.as_tensor(indices).flatten().tolist()
        columns = ("names", "chinese", "codes", "groups", "subgroups", "parts")
        return Glyphs(images=self.images[rows], **{c: [getattr(self, c)[i] for i in rows] for c in columns})

    def on(self, color: Color) -> torch.Tensor:
        """The drawings on a background, uint8 (N, 3, S, S); see `on_background`."""
        return on_background(self.images, color)

    def split(self, seed: int | None = None) -> GlyphSplit:
        """Train, val and test positions: no drawing and no name is in two of them.

        Args:
            seed: None gives the published split (250 test concepts, stored in `data/glyphs.csv`), the one to report
                results on; a number draws another of the same sizes from all drawings, to see how results vary.
        """
        if seed is None:
            return GlyphSplit(*(torch.tensor([i for i, p in enumerate(self.parts) if p == part]) for part in SPLITS))
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))
        sizes = [self.parts.count(part) for part in SPLITS]
        return GlyphSplit(*(piece.sort().values for piece in order.split(sizes)))


def load_glyphs(size: int = 96, *, quiet: bool = False) -> Glyphs:
    """All glyphs at `size` × `size` pixels, drawn once (a few seconds) and read from the cache afterwards.

    Args:
        quiet: show no progress bar while drawing.
    Raises:
        ValueError: size is not between 8 and 512.
    """
    if not 8 <= size <= 512:
        raise ValueError(f"size must be between 8 and 512 pixels, got {size}")
    rows = glyph_table()
    codes = [row["code"] for row in rows]

    def build() -> dict[str, torch.Tensor]:
        todo = codes if quiet else progress(codes, f"Drawing glyphs, {size} px")
        pixels = np.stack([openmoji.rasterize(code, size).numpy() for code in todo])
        return {"images": torch.from_numpy(pixels)}

    key = f"openmoji {openmoji.VERSION}, resvg {openmoji.RENDERER}, {' '.join(codes)}"
    return Glyphs(
        images=load_or_build(f"glyphs-{size}", key, build)["images"],
        names=[row["name"] for row in rows],
        chinese=[row["chinese"] or None for row in rows],
        codes=codes,
        groups=[row["group"] for row in rows],
        subgroups=[row["subgroup"] for row in rows],
        parts=[row["split"] for row in rows],
    )


@lru_cache(maxsize=1)
def glyph_table() -> tuple[dict[str, str], ...]:
    """The rows of `data/glyphs.csv`: code, name, chinese, group, subgroup, split."""
    with (content_dir("data") / "glyphs.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def on_background(images: torch.Tensor, color: Color) -> torch.Tensor:
    """Lays drawings on a plain background, in whole numbers, so that every machine gives the same bytes.

    Args:
        images: uint8 (..., 4, H, W), alpha last, not premultiplied.
        color: a name or hex code that Pillow knows (`"white"`, `"#e0f0ff"`), three numbers 0–255, or a tensor
            (..., 3) of them with one color for each image.
    Returns:
        uint8 (..., 3, H, W).
    Raises:
        ValueError: images are not uint8 with four channels, or the color is none.

    >>> on_background(torch.zeros(4, 1, 1, dtype=torch.uint8), (10, 20, 30)).flatten().tolist()
    [10, 20, 30]
    """
    if images.dtype != torch.uint8 or images.dim() < 3 or images.shape[-3] != 4:
        raise ValueError(f"images must be uint8 (..., 4, H, W), got {images.dtype} of shape {tuple(images.shape)}")
    background = _rgb(color).to(images.device)
    if background.dim() > 1 and background.shape[:-1] != images.shape[:-3]:
        raise ValueError(f"color has shape {tuple(background.shape)}, expected (3,) or {(*images.shape[:-3], 3)}")
    flat = images.reshape(-1, *images.shape[-3:])  # (..., 4, H, W) -> (N, 4, H, W)
    colors = background.expand(*images.shape[:-3], 3).reshape(-1, 3)  # -> (N, 3)
    result = torch.empty(len(flat), 3, *images.shape[-2:], dtype=torch.uint8, device=images.device)
    for part in torch.arange(len(flat)).split(256):  # int32 needs four times the memory: a few hundred at a time
        alpha = flat[part, 3:].int()
        mixed = flat[part, :3].int() * alpha + colors[part, :, None, None] * (255 - alpha) + 128
        result[part] = ((mixed + (mixed >> 8)) >> 8).to(torch.uint8)  # divides by 255, rounded: exact below 2**16
    return result.reshape(*images.shape[:-3], 3, *images.shape[-2:])


def _rgb(color: Color) -> torch.Tensor:
    values = torch.tensor(ImageColor.getrgb(color)[:3]) if isinstance(color, str) else torch.as_tensor(color)
    whole = not (values.is_floating_point() or values.is_complex()) and values.dtype != torch.bool
    if not whole or values.dim() == 0 or values.shape[-1] != 3 or values.min() < 0 or values.max() > 255:
        raise ValueError(f"color must be a color name or three whole numbers from 0 to 255, got {color!r}")
    return values.int()
