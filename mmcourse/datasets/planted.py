"""Scenes with something planted: a mark that may go with a class, and a group that is as rare as a dial says.

A network that learns the mark, or the ground on which a class mostly stands, is right on new pictures of the same kind
and wrong where that does not hold: a shortcut (Geirhos et al., "Shortcut learning in deep neural networks", 2020).
The second kind of pictures follows Sagawa et al., "Distributionally robust neural networks" (2020), whose birds stand
on land or on water.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.datasets.scenes.grammar import Scene
from mmcourse.datasets.scenes.lexicon import BACKGROUNDS, POSITIONS, SIDE, SIZES, lexicon
from mmcourse.datasets.scenes.render import render

STAMP = 8  # pixels, side of a mark
CORNERS = 4
FAR_APART = 1_000_000  # between the numbers of scenes of two seeds, which settle the noise of a background


class Asked(NamedTuple):
    """Pictures of one thing that is to be named, between bystanders.

    images: uint8 (N, 3, 64, 64).
    masks: bool (N, 3, 64, 64), the visible pixels of each thing of a scene, in the order of its objects.
    labels: int64 (N,), the number of the thing to be named among the kinds.
    asked: int64 (N,), where it stands among the objects of its scene.
    """

    scenes: list[Scene]
    images: Tensor
    masks: Tensor
    labels: Tensor
    asked: Tensor


class Stamped(NamedTuple):
    """Pictures with a mark each, uint8 (N, 3, 64, 64), and where the mark is, bool (N, 64, 64)."""

    images: Tensor
    marks: Tensor


class Grounded(NamedTuple):
    """Pictures of one thing each, uint8 (N, 3, 64, 64), the number of its group and that of its ground, int64 (N,)."""

    images: Tensor
    groups: Tensor
    grounds: Tensor


def scenes_to_name(count: int, kinds: Sequence[str], bystanders: Sequence[str], *, seed: int) -> Asked:
    """Scenes of one thing out of `kinds` and two different `bystanders`, of any size, at any place, on any background.

    Raises:
        ValueError: fewer than one kind or two bystanders, a noun in both, or one that the scenes do not know.
    """
    if not kinds or len({*bystanders}) < 2:
        raise ValueError(f"want at least one kind and two bystanders, got {list(kinds)} and {list(bystanders)}")
    if both := {*kinds} & {*bystanders}:
        raise ValueError(f"a noun must not be a kind and a bystander, as {min(both)!r} is")
    chance, scenes, labels = random.Random(seed), [], []
    for index in range(count):
        labels.append(chance.randrange(len(kinds)))
        nouns = [kinds[labels[-1]], *chance.sample(list(bystanders), 2)]
        places = chance.sample(POSITIONS, 3)
        things = [(noun, chance.choice(list(SIZES)), place) for noun, place in zip(nouns, places, strict=True)]
        scenes.append(_numbered(arrange(things, chance.choice(list(BACKGROUNDS))), seed, index))
    nouns_of = [[thing.noun for thing in scene.objects] for scene in scenes]
    asked = [nouns.index(kinds[label]) for nouns, label in zip(nouns_of, labels, strict=True)]
    images, masks = render(scenes, masks=True)
    return Asked(scenes, images, masks, torch.tensor(labels), torch.tensor(asked))


def stamps() -> Tensor:
    """Six marks that differ in their pattern and not in their color: uint8 (6, 8, 8), black and white."""
    rows, columns = torch.meshgrid(torch.arange(STAMP), torch.arange(STAMP), indexing="ij")
    fine, coarse = (rows // 2, columns // 2), (rows // 4, columns // 4)
    patterns = [pattern for down, across in (fine, coarse) for pattern in (down, across, down + across)]
    return (255 * (torch.stack(patterns) % 2)).to(torch.uint8)


def stamp(images: Tensor, codes: Tensor, corners: Tensor) -> Stamped:
    """Prints a mark into a corner of each picture; the pictures that are given stay as they are.

    Args:
        images: (N, 3, 64, 64), colors from 0 to 255.
        codes: int64 (N,), which of `stamps`.
        corners: int64 (N,), 0 = top left, 1 = top right, 2 = bottom left, 3 = bottom right.
    Raises:
        ValueError: shapes do not fit, or there is no such mark or corner.
    """
    if images.shape[1:] != (3, SIDE, SIDE) or codes.shape != corners.shape or codes.shape != images.shape[:1]:
        shapes = f"{tuple(images.shape)}, {tuple(codes.shape)} and {tuple(corners.shape)}"
        raise ValueError(f"want images (N, 3, {SIDE}, {SIDE}) with a code and a corner each, got {shapes}")
    known = stamps()
    for name, numbers, most in (("codes", codes, len(known)), ("corners", corners, CORNERS)):
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < most:
            raise ValueError(f"{name} must be from 0 to {most - 1}, got {int(numbers.min())} to {int(numbers.max())}")
    marks = torch.zeros(CORNERS, SIDE, SIDE, dtype=torch.bool)
    for corner in range(CORNERS):
        top, left = (SIDE - STAMP) * (corner // 2), (SIDE - STAMP) * (corner % 2)
        marks[corner, top : top + STAMP, left : left + STAMP] = True
    here, printed = marks[corners.cpu()].to(images.device), known[codes.cpu()].to(images)
    filled = images.clone().movedim(1, 0)  # (3, N, 64, 64), so that a mask of pixels fits
    filled[:, here] = printed.flatten()
    return Stamped(filled.movedim(0, 1).contiguous(), here)


def scenes_on_grounds(
    count: int,
    *,
    rare: float,
    seed: int,
    groups: tuple[str, str] = ("animal", "vehicle"),
    grounds: tuple[str, str] = ("green", "gray"),
) -> Grounded:
    """Pictures of one thing of either group, alike often, each on the ground of its group but for some.

    Args:
        rare: the share that stands on the other ground, from 0 to 1: one half = the ground says nothing.
        groups: names of groups of the lexicon, such as "animal".
        grounds: a background of each.
    Raises:
        ValueError: `rare` is no share, or there is no such group or background.
    """
    if not 0 <= rare <= 1:
        raise ValueError(f"rare must be a share from 0 to 1, got {rare:g}")
    names = [[noun.name for noun in lexicon() if noun.group == group] for group in groups]
    if not all(names):
        known = ", ".join(dict.fromkeys(noun.group for noun in lexicon()))
        raise ValueError(f"groups must be two of {known}, got {' and '.join(groups)}")
    chance, scenes, kinds, stands = random.Random(seed), [], [], []
    for index in range(count):
        kinds.append(chance.randrange(2))
        stands.append(1 - kinds[-1] if chance.random() < rare else kinds[-1])
        thing = chance.choice(names[kinds[-1]]), chance.choice(("small", "medium")), chance.choice(POSITIONS)
        scenes.append(_numbered(arrange([thing], grounds[stands[-1]]), seed, index))
    return Grounded(render(scenes)[0], torch.tensor(kinds), torch.tensor(stands))


def _numbered(scene: Scene, seed: int, index: int) -> Scene:
    """The same scene with another noise of its background."""
    return replace(scene, index=FAR_APART * seed + index)
