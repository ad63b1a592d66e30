"""The drawings of the nouns at every side length and rotation that scenes use, made once and kept in the data cache."""

from __future__ import annotations

import hashlib
from functools import lru_cache, partial
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import torch

from mmcourse.cache import load_or_build
from mmcourse.datasets.openmoji import VERSION, rasterize
from mmcourse.datasets.scenes.lexicon import SIZES, lexicon
from mmcourse.runtime import progress

SIDES = tuple(size.side + change for size in SIZES.values() for change in (-1, 0, 1))
ROTATIONS = (0, -8, 8, -16, 16)
CANVAS = 28
SOLID = 128  # alpha from which a pixel belongs to the drawing
_PROBE = 144


class Sprite(NamedTuple):
    """One drawing, ready to compose in integers: `picture = (picture * keep + paint) // 255`."""

    paint: np.ndarray  # uint16 (3, h, w): color times alpha, plus 127 to round
    keep: np.ndarray  # uint16 (h, w): 255 - alpha
    solid: np.ndarray  # bool (h, w)


@lru_cache(maxsize=1)
def sheet(*, quiet: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """All drawings: pixels uint8 (nouns, sides, rotations, 4, 28, 28) and extents int64 (nouns, sides, rotations, 2).

    A drawing lies in the top left corner of its canvas; its extent is (height, width). `quiet` shows no bar while
    drawing.
    """
    codes = " ".join(noun.code for noun in lexicon())
    facts = f"{codes} {SIDES} {ROTATIONS} {CANVAS} openmoji {VERSION} resvg {version('resvg-py')}"
    tensors = load_or_build("scene-sprites", hashlib.sha256(facts.encode()).hexdigest(), partial(_build, quiet))
    return tensors["pixels"].numpy(), tensors["extents"].numpy().astype(np.int64)


@lru_cache(maxsize=8192)
def sprite(noun: int, side: int, rotation: int, flip: bool) -> Sprite:
    """One drawing by noun index, longest side in pixels, rotation in degrees and mirroring."""
    pixels, extents = sheet()
    at = noun, SIDES.index(side), ROTATIONS.index(rotation)
    height, width = extents[at]
    rgba = pixels[at][:, :height, :width].astype(np.uint16)
    if flip:
        rgba = rgba[:, :, ::-1]
    alpha = rgba[3]
    paint = rgba[:3] * alpha + 127  # at most 255 * 255 + 127, which a uint16 holds
    return Sprite(np.ascontiguousarray(paint), np.ascontiguousarray(255 - alpha), np.ascontiguousarray(alpha >= SOLID))


def _build(quiet: bool) -> dict[str, torch.Tensor]:
    nouns = lexicon()
    pixels = torch.zeros(len(nouns), len(SIDES), len(ROTATIONS), 4, CANVAS, CANVAS, dtype=torch.uint8)
    extents = torch.zeros(len(nouns), len(SIDES), len(ROTATIONS), 2, dtype=torch.int32)
    for i, noun in enumerate(nouns if quiet else progress(nouns, "Drawing scene sprites")):
        for r, rotation in enumerate(ROTATIONS):
            fraction = max(_crop(rasterize(noun.code, _PROBE, rotation=rotation)).shape[1:]) / _PROBE
            for s, side in enumerate(SIDES):
                drawing = _fit(noun.code, side, rotation, fraction)
                height, width = drawing.shape[1:]
                pixels[i, s, r, :, :height, :width] = drawing
                extents[i, s, r] = torch.tensor([height, width])
    return {"pixels": pixels, "extents": extents}


def _fit(code: str, side: int, rotation: int, fraction: float) -> torch.Tensor:
    """The cropped drawing whose longest side is `side`, or as near as whole pixels come."""
    guess = round(side / fraction)
    best = None
    for size in (guess, guess + 1, guess - 1, guess + 2, guess - 2):
        drawing = _crop(rasterize(code, size, rotation=rotation))
        error = abs(max(drawing.shape[1:]) - side)
        if best is None or error < best[0]:
            best = error, drawing
        if error == 0:
            break
    return best[1]


def _crop(rgba: torch.Tensor) -> torch.Tensor:
    """The rectangle of solid pixels: (4, S, S) -> (4, h, w)."""
    solid = rgba[3] >= SOLID
    rows, columns = solid.any(1).nonzero(), solid.any(0).nonzero()
    return rgba[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
