"""The scene graph and how it is drawn by chance.

Scene i of a split is a function of (split, i) alone for what it shows, and of the difficulty besides for how it looks.
Chance is a counter-based hash in 64-bit integers (SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014), so that a scene can be made alone, in a batch and on any machine with the same bytes.

What a scene shows has three independent parts, which is why the entropy of its captions is known exactly:

* a pattern, which says how many objects there are and which of them are alike: `AAB` is two of one noun, then another;
* a layout: different cells of a 3 × 3 grid, in reading order, and a size for each; two drawings too big to stand side
  by side do not;
* the nouns and the background, uniform over all choices that keep the hold-out rule of `lexicon`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmcourse.datasets.scenes.lexicon import BACKGROUNDS, GROUP_SIZE, POSITIONS, SIDE, SIZES, lexicon
from mmcourse.datasets.scenes.sprites import ROTATIONS, SIDES, sheet

SPLITS = ("train", "val", "test", "compositional")
DIFFICULTIES = ("easy", "standard", "hard")
SCENES_PER_SPLIT = 1 << 40  # each split owns its own range of seeds
# How often each pattern comes, out of 24. Objects are named in reading order.
PATTERNS = {"A": 6, "AA": 2, "AB": 7, "AAA": 1, "AAB": 1, "ABA": 1, "ABB": 1, "ABC": 5}
CELL_CENTERS = (13, 32, 51)
_COLUMN_SHIFT = (2, 4, 2)  # how far a whole column or row may move; objects move 2 more on their own
_TRIES = 8
_SLOTS = 16 + 12 * _TRIES
_OVERLAP_PERCENT = {"easy": 15, "standard": 15, "hard": 30}  # of the smaller box
_ROTATION_CHOICES = {"easy": 1, "standard": 3, "hard": 5}


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One object; `box` is (left, top, right, bottom) of its whole drawing in pixels, ends exclusive, seen or not."""

    noun: str
    group: str
    size: str
    cell: int
    box: tuple[int, int, int, int]
    side: int
    rotation: int
    flip: bool

    @property
    def position(self) -> str:
        """The words for its cell, such as `top left`."""
        return POSITIONS[self.cell]

    @property
    def row(self) -> int:
        return self.cell // 3

    @property
    def column(self) -> int:
        return self.cell % 3

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        left, top, right, bottom = self.box
        return (left + right) / 2, (top + bottom) / 2


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What one picture shows; the objects come in reading order: rows from the top, each from the left."""

    split: str
    index: int
    difficulty: str
    background: str
    objects: tuple[SceneObject, ...]

    @property
    def seed(self) -> int:
        return SPLITS.index(self.split) * SCENES_PER_SPLIT + self.index

    def count(self, noun: str) -> int:
        return sum(thing.noun == noun for thing in self.objects)

    def __str__(self) -> str:
        things = ", ".join(f"{thing.size} {thing.noun} ({thing.position})" for thing in self.objects)
        return f"{self.split}[{self.index}] on {self.background}: {things}"


def related(first: SceneObject, relation: str, second: SceneObject) -> bool:
    """Whether `first` is left of, right of, above or below `second`: its column or row comes before or after."""
    across, down = second.column - first.column, second.row - first.row
    return {"left of": across > 0, "right of": across < 0, "above": down > 0, "below": down < 0}[relation]


def size_order(first: SceneObject, second: SceneObject) -> str:
    """`larger than`, `smaller than` or `as large as`."""
    rank = list(SIZES).index
    difference = rank(first.size) - rank(second.size)
    return "as large as" if difference == 0 else "larger than" if difference > 0 else "smaller than"


def sample_scene(index: int, *, split: str = "train", difficulty: str = "standard") -> Scene:
    """Scene number `index` of a split.

    >>> print(sample_scene(3))
    train[3] on pink: small door (top right)
    """
    return sample_scenes(1, split=split, difficulty=difficulty, start=index)[0]


def sample_scenes(n: int, *, split: str = "train", difficulty: str = "standard", start: int = 0) -> tuple[Scene, ...]:
    """Scenes `start` to `start + n - 1` of a split.

    Raises:
        ValueError: an unknown split or difficulty, or numbers outside the split.
    """
    _check(n, split, difficulty, start)
    if n == 0:
        return ()
    dice = rolls(SPLITS.index(split) * SCENES_PER_SPLIT + start, n, _SLOTS)
    background, nouns, cells, sizes, lengths = _graphs(dice, held_out=split == "compositional")
    boxes, sides, rotations, flips = _place(dice, nouns, cells, sizes, lengths, difficulty)
    names, size_names, colors = lexicon(), tuple(SIZES), tuple(BACKGROUNDS)
    columns = (background, nouns, cells, sizes, lengths, boxes, sides, rotations, flips)
    scenes = []
    for i, (b, noun, cell, size, length, box, side, turn, flip) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        objects = tuple(
            SceneObject(
                noun=names[noun[k]].name,
                group=names[noun[k]].group,
                size=size_names[size[k]],
                cell=cell[k],
                box=tuple(box[k]),
                side=side[k],
                rotation=turn[k],
                flip=flip[k],
            )
            for k in range(length)
        )
        scenes.append(Scene(split=split, index=start + i, difficulty=difficulty, background=colors[b], objects=objects))
    return tuple(scenes)


@lru_cache(maxsize=3)
def layouts(objects: int) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """Every layout of so many objects: (cells in reading order, size ranks)."""
    sides = [size.side for size in SIZES.values()]
    step = CELL_CENTERS[1] - CELL_CENTERS[0]

    def fits(cells: tuple[int, ...], sizes: tuple[int, ...]) -> bool:
        for (a, p), (b, q) in itertools.combinations(zip(cells, sizes, strict=True), 2):
            straight = abs(a // 3 - b // 3) + abs(a % 3 - b % 3) == 1
            if straight and sides[p] + sides[q] > 2 * (step + 1):
                return False
        return True

    every = itertools.product(
        itertools.combinations(range(9), objects), itertools.product(range(len(sides)), repeat=objects)
    )
    return tuple((cells, sizes) for cells, sizes in every if fits(cells, sizes))


def mix(value: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 on an array of uint64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def rolls(first: int, n: int, slots: int, *, stream: int = 0x632BE59BD9B4E019) -> np.ndarray:
    """Random uint64 (n, slots) for the seeds `first` to `first + n - 1`, each from its seed, slot and stream alone."""
    seeds = np.arange(n, dtype=np.uint64) + np.uint64(first)
    steps = np.arange(1, slots + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mix(mix(seeds + np.uint64(stream))[:, None] + steps[None])


def _roll(dice: np.ndarray, sides: int | np.ndarray) -> np.ndarray:
    """Whole numbers below `sides`; the bias of the remainder is below 2**-48 for every use here."""
    return (dice % np.asarray(sides, dtype=np.uint64)).astype(np.int64)


@lru_cache(maxsize=8)
def _places(nouns: int, held_out: bool) -> np.ndarray:
    """Rows (background, place of each noun), (rows, 1 + nouns), that break the hold-out rule never, or exactly once."""

    def broken(row: tuple[int, ...]) -> int:
        return sum(a == b for a, b in itertools.combinations(row, 2))

    rows = itertools.product(range(len(BACKGROUNDS)), *[range(GROUP_SIZE)] * nouns)
    return np.array([row for row in rows if broken(row) == int(held_out)])


@lru_cache(maxsize=1)
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Patterns repeated by their weight as letters (24, 3), their lengths and nouns, and the layouts as arrays."""
    repeated = [pattern for pattern, weight in PATTERNS.items() for _ in range(weight)]
    letters = np.array([["ABC".index(letter) for letter in pattern.ljust(3, "A")] for pattern in repeated])
    lengths = np.array([len(pattern) for pattern in repeated])
    different = np.array([len(set(pattern)) for pattern in repeated])
    arrays = {}
    for length in (1, 2, 3):
        cells, sizes = zip(*layouts(length), strict=True)
        pad = [(0, 0), (0, 3 - length)]
        arrays[length] = np.pad(np.array(cells), pad), np.pad(np.array(sizes), pad)
    return letters, lengths, different, arrays


def _graphs(dice: np.ndarray, *, held_out: bool) -> tuple[np.ndarray, ...]:
    """Background (n,), nouns, cells and size ranks (n, 3), number of objects (n,)."""
    letters, lengths, different, tables = _tables()
    pattern = _roll(dice[:, 0], len(letters))
    length, distinct = lengths[pattern], different[pattern]
    background = np.zeros(len(dice), dtype=np.int64)
    place = np.zeros((len(dice), 3), dtype=np.int64)
    cells, sizes = np.zeros_like(place), np.zeros_like(place)
    for count in (1, 2, 3):
        chosen = distinct == count
        rows = _places(count, held_out)
        row = rows[_roll(dice[chosen, 1], len(rows))]
        background[chosen], place[chosen, :count] = row[:, 0], row[:, 1:]
        chosen = length == count
        pick = _roll(dice[chosen, 2], len(tables[count][0]))
        cells[chosen], sizes[chosen] = tables[count][0][pick], tables[count][1][pick]
    group = _roll(dice[:, 3:6], GROUP_SIZE)
    for first, second in itertools.combinations(range(3), 2):  # two nouns with one place need two groups
        same = (place[:, first] == place[:, second]) & (second < distinct)
        other = (group[:, first] + 1 + _roll(dice[:, 6], GROUP_SIZE - 1)) % GROUP_SIZE
        group[:, second] = np.where(same, other, group[:, second])
    nouns = np.take_along_axis(group * GROUP_SIZE + place, letters[pattern], axis=1)
    return background, nouns, cells, sizes, length


def _place(
    dice: np.ndarray, nouns: np.ndarray, cells: np.ndarray, sizes: np.ndarray, lengths: np.ndarray, difficulty: str
) -> tuple[np.ndarray, ...]:
    """Boxes (n, 3, 4), sides, rotations and flips (n, 3): the first of some tries in which little is hidden."""
    side = np.array([size.side for size in SIZES.values()])[sizes]
    rotation = _roll(dice[:, 7:10], _ROTATION_CHOICES[difficulty])
    flip = np.zeros(nouns.shape, dtype=bool)
    if difficulty != "easy":
        side = side + _roll(dice[:, 10:13], 3) - 1
        flip = _roll(dice[:, 13:16], 2) == 1
    extent = sheet()[1][nouns, np.searchsorted(np.array(SIDES), side), rotation]  # (n, 3, (height, width))
    moves = dice[:, 16:].reshape(len(dice), _TRIES, 4, 3)  # each try: whole columns, whole rows, each x, each y
    shift = np.array(_COLUMN_SHIFT)
    low, high = [], []
    for axis, line in ((0, cells % 3), (1, cells // 3)):
        whole = _roll(moves[:, :, axis], 2 * shift + 1) - shift  # (n, tries, 3 lines)
        moved = np.take_along_axis(whole, line[:, None].repeat(_TRIES, 1), axis=2) + _roll(moves[:, :, 2 + axis], 5) - 2
        moved[:, -1] = 0  # the last try stands in the middle of the cells, where everything fits
        if difficulty == "easy":
            moved[:] = 0
        long = extent[:, None, :, 1 - axis]
        start = np.clip(np.array(CELL_CENTERS)[line][:, None] + moved - long // 2, 0, SIDE - long)
        low.append(start)
        high.append(start + long)
    fits = np.ones((len(dice), _TRIES), dtype=bool)
    area = extent.prod(-1)
    for a, b in itertools.combinations(range(3), 2):
        shared = np.ones(fits.shape, dtype=np.int64)
        for start, end in zip(low, high, strict=True):
            length = np.minimum(end[..., a], end[..., b]) - np.maximum(start[..., a], start[..., b])
            shared *= np.maximum(length, 0)
        allowed = np.minimum(area[:, a], area[:, b]) * _OVERLAP_PERCENT[difficulty]
        fits &= (shared * 100 <= allowed[:, None]) | (b >= lengths)[:, None]
    fits[:, -1] = True
    best = fits.argmax(1)[:, None, None]
    edges = [np.take_along_axis(edge, best, axis=1)[:, 0] for edge in (*low, *high)]
    return np.stack(edges, axis=-1), side, np.array(ROTATIONS)[rotation], flip


def _check(n: int, split: str, difficulty: str, start: int) -> None:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    if difficulty not in DIFFICULTIES:
        raise ValueError(f"difficulty must be one of {', '.join(DIFFICULTIES)}; got {difficulty!r}")
    if n < 0 or start < 0 or start + n > SCENES_PER_SPLIT:
        raise ValueError(f"scenes are numbered from 0 to 2**40 - 1; got n={n} scenes from start={start}")
