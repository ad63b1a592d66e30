"""What happens in a clip and how it is drawn by chance, so that no single frame tells which way a thing moves.

Clip i of a split shows the background and the nouns of scene i, which settles the splits and what is held out. All
that moves in a clip does so along one axis, each thing in a lane of its own, so that nothing ever hides anything.

Take a thing that is seen in the first and in the last frame: if it starts where there is room to go right, the first
frame tells the way; if it starts anywhere, the last one must. The sides of the picture solve this. A path starts
anywhere on a line that is longer than the picture, and what lies outside is not seen: such a thing enters or leaves.
Each place then is as often the first, and as often the last, of a path to the left as of one to the right. Played
backward, the paths to the right are the paths to the left, so that the frames without their order do not tell the way
either. Along which axis things move, the frames do tell, and how things stand may hint at it. That one frame is enough
for many questions about videos was shown by Buch et al., "Revisiting the 'video' in video-language understanding"
(2022).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from mmcourse.datasets.scenes.grammar import SCENES_PER_SPLIT, SPLITS, Scene, SceneObject, rolls, sample_scenes
from mmcourse.datasets.scenes.lexicon import SIDE, SIZES, noun_numbers
from mmcourse.datasets.scenes.sprites import ROTATIONS, SIDES, sheet

LENGTHS = (8, 16)  # fewest and most frames
DIRECTIONS = ("left", "right", "up", "down")
TRAVELS = ("moves", "enters", "leaves")
MOTIONS = ("stands still", *TRAVELS, "grows", "shrinks", "turns")
ROOM = 21  # pixels, side of a square that holds a thing at any size and turn
PLACES = SIDE - ROOM + 1
DISTANCES = (16, 28)  # pixels, least and most that a path is long
# How often a thing does what, out of 12. Back is left or up, forth is right or down.
_ACTS = ("stands still", *["back"] * 4, *["forth"] * 4, "grows", "shrinks", "turns")
_SIDES = tuple(side for side in SIDES if side < ROOM)  # small and medium; some drawings are a pixel longer than that
_TURNS = tuple(sorted(ROTATIONS))
_BACKWARD = {"enters": "leaves", "leaves": "enters"}
_SLOTS = 32
_STREAM = 0xA0761D6478BD642F

Choice = TypeVar("Choice")
Roll = Callable[[int], int]  # a whole number below that


class Thing(NamedTuple):
    """One thing of a clip, what it does, and its drawing in each frame, whose box may lie outside the picture.

    motion: one of `MOTIONS`.
    direction: one of `DIRECTIONS` if it moves, enters or leaves, else None.
    start, end: the frames between which it happens; the whole clip for what stands still.
    """

    noun: str
    motion: str
    direction: str | None
    start: int
    end: int
    path: tuple[SceneObject, ...]

    def __str__(self) -> str:
        way = "" if self.direction is None else f"{self.direction}, "
        return f"{self.noun} {self.motion} ({way}{self.start}-{self.end})"


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What one clip shows: the things that act in it, and the scene whose background and nouns it takes over."""

    cast: Scene
    things: tuple[Thing, ...]

    @property
    def background(self) -> str:
        return self.cast.background

    @property
    def length(self) -> int:
        """The number of frames."""
        return len(self.things[0].path)

    def count(self, noun: str) -> int:
        return self.cast.count(noun)

    def __str__(self) -> str:
        things = ", ".join(map(str, self.things))
        return f"{self.cast.split}[{self.cast.index}] on {self.background}: {things}"


def sample_clips(count: int, *, split: str = "train", start: int = 0, frames: int = 8) -> tuple[Clip, ...]:
    """Clips `start` to `start + count - 1` of a split; the number of frames changes how fast things are, nothing else.

    Raises:
        ValueError: an unknown split, numbers outside the split, or not 8 to 16 frames.

    >>> print(sample_clips(1, start=3)[0])
    train[3] on pink: door turns (0-3)
    """
    if not LENGTHS[0] <= frames <= LENGTHS[1]:
        raise ValueError(f"frames must be from {LENGTHS[0]} to {LENGTHS[1]}, got {frames}")
    casts = sample_scenes(count, split=split, start=start)
    first = SPLITS.index(split) * SCENES_PER_SPLIT + start
    rows = rolls(first, count, _SLOTS, stream=_STREAM).tolist()
    return tuple(_play(cast, frames, _roll(row)) for cast, row in zip(casts, rows, strict=True))


def way(distance: int, start: int) -> tuple[int, int, str]:
    """Path number `start` of so many pixels forth: where the room of a thing begins and ends on it, and what it does.

    `start` goes from −distance to PLACES − 1. A room that is not whole inside the picture is wholly outside.

    >>> way(20, 3), way(20, -5), way(20, 40)
    ((3, 23, 'moves'), (-21, 15, 'enters'), (40, 64, 'leaves'))
    """
    end = start + distance
    if start < 0:
        return -ROOM, end, "enters"
    return (start, end, "moves") if end < PLACES else (start, SIDE, "leaves")


def times(parts: int, frames: int) -> list[tuple[int, int]]:
    """The first and the last frame of each of `parts` events, one after the other; the same if played backward.

    >>> times(1, 8), times(2, 8), times(3, 8)
    ([(0, 7)], [(0, 3), (4, 7)], [(0, 2), (2, 5), (5, 7)])
    """
    last = frames - 1
    starts = [(2 * part * last + parts) // (2 * parts) for part in range(parts)]
    return [(start, last - other) for start, other in zip(starts, reversed(starts), strict=True)]


def _roll(row: Sequence[int]) -> Roll:
    """Takes the numbers of a row one by one; the bias of the remainder is below 2**-56."""
    numbers = iter(row)
    return lambda sides: next(numbers) % sides


def _one(choices: Sequence[Choice], roll: Roll) -> Choice:
    return choices[roll(len(choices))]


def _play(cast: Scene, frames: int, roll: Roll) -> Clip:
    count, vertical = len(cast.objects), roll(2) == 1
    gaps = sorted(roll(SIDE - ROOM * count + 1) for _ in range(count))
    lanes = _one(list(itertools.permutations(gap + ROOM * k for k, gap in enumerate(gaps))), roll)
    acts = [_one(_ACTS, roll) for _ in range(count)]
    movers = sum(act != "stands still" for act in acts)
    spans = times(1 if roll(3) == 0 else max(2, movers), frames)  # all at once, or one after the other
    turns = iter(_one(list(itertools.permutations(spans)), roll) if len(spans) > 1 else spans * movers)
    things = []
    for actor, act, lane in zip(cast.objects, acts, lanes, strict=True):
        span = (0, frames - 1) if act == "stands still" else next(turns)
        things.append(_act(actor, act, span, frames, lane, vertical, roll))
    return Clip(cast=cast, things=tuple(things))


def _act(
    actor: SceneObject, act: str, span: tuple[int, int], frames: int, lane: int, vertical: bool, roll: Roll
) -> Thing:
    """One thing doing what it does."""
    distance = DISTANCES[0] + roll(DISTANCES[1] - DISTANCES[0] + 1)
    place, size, turn = roll(PLACES), roll(len(_SIDES)), _TURNS.index(actor.rotation)
    places, sizes, turns, motion, direction = (place, place), (size, size), (turn, turn), act, None
    if act in ("back", "forth"):
        *places, motion = way(distance, roll(PLACES + distance) - distance)
        direction = DIRECTIONS[2 * vertical + (act == "forth")]
        if act == "back":
            places, motion = places[::-1], _BACKWARD.get(motion, motion)
    elif act in ("grows", "shrinks"):
        sizes = (0, len(_SIDES) - 1)[:: 1 if act == "grows" else -1]
    elif act == "turns":
        turns = (0, len(_TURNS) - 1)[:: 1 if roll(2) else -1]
    path = []
    for frame in range(frames):
        place, size, turn = (between(*ends, span, frame) for ends in (places, sizes, turns))
        corner = (lane, place) if vertical else (place, lane)
        path.append(_drawn(actor, corner, _SIDES[size], _TURNS[turn]))
    return Thing(actor.noun, motion, direction, *span, tuple(path))


def between(begin: int, end: int, span: tuple[int, int], frame: int) -> int:
    """From `begin` to `end` in equal steps: rounded once, so that the way back has the same numbers.

    >>> [between(0, 10, (1, 4), frame) for frame in range(6)], [between(10, 0, (1, 4), frame) for frame in range(6)]
    ([0, 0, 3, 6, 10, 10], [10, 10, 6, 3, 0, 0])
    """
    done, whole = min(max(frame, span[0]), span[1]) - span[0], span[1] - span[0]
    return (begin * (whole - done) + end * done) // whole


def _drawn(actor: SceneObject, corner: tuple[int, int], side: int, rotation: int) -> SceneObject:
    """A drawing in the middle of its room, whose top left corner is given as (x, y)."""
    extent = sheet()[1][noun_numbers()[actor.noun], SIDES.index(side), ROTATIONS.index(rotation)]
    height, width = extent.tolist()
    left, top = corner[0] + (ROOM - width) // 2, corner[1] + (ROOM - height) // 2
    column, row = (min(max(3 * (edge + ROOM // 2) // SIDE, 0), 2) for edge in corner)
    return replace(
        actor,
        size=next(name for name, size in SIZES.items() if abs(size.side - side) <= 1),
        cell=3 * row + column,
        box=(left, top, left + width, top + height),
        side=side,
        rotation=rotation,
    )
