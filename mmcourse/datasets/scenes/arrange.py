"""Scenes that are arranged by hand instead of drawn by chance, and scenes from which a thing is taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from mmcourse.datasets.scenes.grammar import CELL_CENTERS, Scene, SceneObject
from mmcourse.datasets.scenes.lexicon import BACKGROUNDS, POSITIONS, SIDE, SIZES, lexicon, noun_numbers
from mmcourse.datasets.scenes.render import render
from mmcourse.datasets.scenes.sprites import SIDES, sheet


def arrange(things: Sequence[tuple[str, str, str]], background: str = "white") -> Scene:
    """A scene with up to three things, each (noun, size, place), in the middle of their cells on a noisy background.

    >>> print(arrange([("dog", "small", "right"), ("cat", "large", "left")], "pink"))
    test[0] on pink: large cat (left), small dog (right)

    Raises:
        ValueError: more than three things, two at one place, or a word that the world does not know.
    """
    nouns = noun_numbers()
    if not 1 <= len(things) <= 3:
        raise ValueError(f"a scene has one to three things, got {len(things)}")
    places = [place for _, _, place in things]
    columns = [*zip(*things, strict=True), [background]]
    for words, known in zip(columns, (nouns, SIZES, POSITIONS, BACKGROUNDS), strict=True):
        for word in words:
            if word not in known:
                raise ValueError(f"the scenes know no {word!r} here; they know: {', '.join(known)}")
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise ValueError(f"two things cannot stand at one place, {twice}; move one of them")
    objects = []
    for noun, size, place in sorted(things, key=lambda thing: POSITIONS.index(thing[2])):
        cell, side = POSITIONS.index(place), SIZES[size].side
        height, width = sheet()[1][nouns[noun], SIDES.index(side), 0].tolist()
        left, top = (
            int(np.clip(CELL_CENTERS[line] - long // 2, 0, SIDE - long))
            for line, long in ((cell % 3, width), (cell // 3, height))
        )
        objects.append(
            SceneObject(
                noun=noun,
                group=lexicon()[nouns[noun]].group,
                size=size,
                cell=cell,
                box=(left, top, left + width, top + height),
                side=side,
                rotation=0,
                flip=False,
            )
        )
    return Scene(split="test", index=0, difficulty="standard", background=background, objects=tuple(objects))


def without(scene: Scene, index: int) -> Scene:
    """The same scene without one of its objects: all else looks as before, to the pixel, and what it hid is seen.

    A scene without its only object can be drawn, but there is nothing to say about it.

    >>> print(without(arrange([("dog", "small", "right"), ("cat", "large", "left")], "pink"), 0))
    test[0] on pink: small dog (right)

    Raises:
        ValueError: there is no such object.
    """
    if not 0 <= index < len(scene.objects):
        raise ValueError(f"index must be that of one of the scene's {len(scene.objects)} objects, got {index}")
    return replace(scene, objects=scene.objects[:index] + scene.objects[index + 1 :])


def removals(scenes: Sequence[Scene]) -> Tensor:
    """Each scene without each of its objects: uint8 (n, 3, 3, 64, 64), the object before the colors.

    In the order of the masks of `render`. Where a scene has no such object, it is drawn as it is.
    """
    changed = [without(scene, k) if k < len(scene.objects) else scene for scene in scenes for k in range(3)]
    return render(changed)[0].unflatten(0, (len(scenes), 3))
