"""Scenes as pictures: integer compositing only, so that every machine makes the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from mmcourse.datasets.scenes.captions import captions
from mmcourse.datasets.scenes.grammar import Scene, mix, sample_scenes
from mmcourse.datasets.scenes.lexicon import BACKGROUNDS, SIDE, noun_numbers
from mmcourse.datasets.scenes.sprites import sprite

_TEXTURES, _TEXTURE_SIDE, _GRID = 16, 96, 16
# Brightness noise of the background: (of each pixel, of blotches), at most so many steps of 255 up or down.
_NOISE = {"easy": (0, 0), "standard": (8, 4), "hard": (14, 16)}


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneBatch:
    """Pictures and what they show: `images` uint8 (n, 3, 64, 64), `scenes`, and `masks` bool (n, 3, 64, 64) or None.

    `masks[i, k]` marks the visible pixels of object k of scene i; rows of objects that are not there are empty.
    """

    images: torch.Tensor
    scenes: tuple[Scene, ...]
    masks: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.scenes)

    def captions(self, i: int) -> list[str]:
        """The five captions of scene i."""
        return captions(self.scenes[i])


def make_scenes(
    n: int, *, split: str = "train", difficulty: str = "standard", start: int = 0, masks: bool = False
) -> SceneBatch:
    """Scenes `start` to `start + n - 1` of a split, drawn.

    Args:
        split: `train`, `val` or `test` (disjoint ranges of seeds, one distribution), or `compositional`, where each
            scene breaks once the rule that the other three keep: two different nouns with the same place (0 to 7) in
            their groups never share a picture, and a noun with place p never stands on background number p.
        difficulty: `easy` (drawings upright in the middle of their cells, plain background), `standard` (scale, flip,
            small rotation, free placement, slight overlap, noise) or `hard` (more of each). It changes how scene i
            looks, never what it shows.
        masks: also return which pixels of each object are visible.
    Raises:
        ValueError: an unknown split or difficulty, or a negative number.
    """
    scenes = sample_scenes(n, split=split, difficulty=difficulty, start=start)
    images, visible = render(scenes, masks=masks)
    return SceneBatch(images=images, scenes=scenes, masks=visible)


def render(scenes: Sequence[Scene], *, masks: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Draws scenes: images uint8 (n, 3, 64, 64) and, if asked for, masks bool alike; later objects lie on top.

    What hangs over a side of the picture is cut off there.
    """
    images = np.empty((len(scenes), 3, SIDE, SIDE), dtype=np.uint8)
    visible = np.zeros((len(scenes), 3, SIDE, SIDE), dtype=bool) if masks else None
    number = noun_numbers()
    for i, scene in enumerate(scenes):
        picture = images[i]
        picture[:] = _background(scene)
        for k, thing in enumerate(scene.objects):
            left, top, right, bottom = thing.box
            (rows, drawn_rows), (columns, drawn_columns) = _inside(top, bottom), _inside(left, right)
            drawing = sprite(number[thing.noun], thing.side, thing.rotation, thing.flip)
            region = picture[:, rows, columns]
            keep, paint = drawing.keep[drawn_rows, drawn_columns], drawing.paint[:, drawn_rows, drawn_columns]
            region[:] = (region * keep + paint) // 255
            if visible is not None:
                solid = drawing.solid[drawn_rows, drawn_columns]
                visible[i, :k, rows, columns] &= ~solid
                visible[i, k, rows, columns] = solid
    return torch.from_numpy(images), None if visible is None else torch.from_numpy(visible)


def _inside(start: int, end: int) -> tuple[slice, slice]:
    """What of a box from `start` to `end` lies in the picture: as a part of the picture, and of the box."""
    low, high = (min(max(edge, 0), SIDE) for edge in (start, end))
    return slice(low, high), slice(low - start, high - start)


@lru_cache(maxsize=8)
def _color(name: str) -> np.ndarray:
    return np.array(BACKGROUNDS[name].rgb, dtype=np.int16)[:, None, None]


def _background(scene: Scene) -> np.ndarray:
    """The color, (3, 1, 1), or the color with a window of one of the noise textures, (3, 64, 64)."""
    color = _color(scene.background)
    if scene.difficulty == "easy":
        return color
    code = int(mix(np.array([scene.seed], dtype=np.uint64) + np.uint64(0xD1B54A32D192ED03))[0])
    room = _TEXTURE_SIDE - SIDE
    top, left = (code >> 8) % room, (code >> 24) % room
    texture = _textures(scene.difficulty)[code % _TEXTURES]
    return np.clip(color + texture[top : top + SIDE, left : left + SIDE], 0, 255)


@lru_cache(maxsize=3)
def _textures(difficulty: str) -> np.ndarray:
    """Noise, int16 (textures, 96, 96): fine grain plus blotches, a coarse grid blended in integers."""
    grain, blotch = _NOISE[difficulty]
    fine = _hash_noise(1, (_TEXTURES, _TEXTURE_SIDE, _TEXTURE_SIDE), grain)
    points = _TEXTURE_SIDE // _GRID + 1
    coarse = _hash_noise(2, (_TEXTURES, points, points), blotch)
    for axis in (1, 2):
        before = np.repeat(np.take(coarse, range(points - 1), axis), _GRID, axis)
        after = np.repeat(np.take(coarse, range(1, points), axis), _GRID, axis)
        shape = [1, 1, 1]
        shape[axis] = _TEXTURE_SIDE
        step = (np.arange(_TEXTURE_SIDE) % _GRID).reshape(shape)
        coarse = before * (_GRID - step) + after * step
    return (fine + coarse // _GRID**2).astype(np.int16)


def _hash_noise(stream: int, shape: tuple[int, ...], amplitude: int) -> np.ndarray:
    """Whole numbers from -amplitude to amplitude."""
    counter = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64(stream << 32)
    return (mix(mix(counter)) % np.uint64(2 * amplitude + 1)).astype(np.int64).reshape(shape) - amplitude
