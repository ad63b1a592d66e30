"""The stand-in pictures of a project, drawn from the course's own world: OpenMoji drawings (CC BY-SA 4.0) on a ground.

Pictures of one unit (a patient, a camera) share the color of their ground, as real ones share light and device. That
is why they must never be split: a model would know the unit again instead of the thing (Zech et al., "Variable
generalization performance of a deep learning model to detect pneumonia in chest radiographs", 2018).
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from PIL import ImageColor
from torch import Tensor

from mmcourse.course.projects.project import Look, Project
from mmcourse.datasets.glyphs import glyph_table
from mmcourse.datasets.openmoji import rasterize

SIDE = 96  # pixels
EACH = {"classify": 4, "find": 3}  # pictures of a unit
JITTER = 14  # how far a unit's ground is from its color, of 255
GRAIN = 5  # standard deviation of the noise


class Drawn(NamedTuple):
    """One picture, uint8 (3, SIDE, SIDE), with its row of the table."""

    image: Tensor
    text: str
    label: str
    group: str


def draw_project(project: Project, count: int) -> Iterator[Drawn]:
    """The pictures of a project, the same every time; units are whole, so there may be a few less than `count`.

    Raises:
        ValueError: `count` is too small for two units.
    """
    each = EACH[project.kind]
    if count < 2 * each:
        raise ValueError(f"count must be at least {2 * each}, got {count}")
    units = count // each
    names = _units(project, units)
    labels = [number % len(project.looks) for number in range(units * each)]
    random.Random(project.name).shuffle(labels)
    for unit, name in enumerate(names):
        chance = random.Random(f"{project.name} {unit}")
        own = [chance.randint(-JITTER, JITTER) for _ in range(3)]
        colors = chance.sample(project.backgrounds, min(each, len(project.backgrounds)))
        for number in range(each):
            if project.kind == "find":
                look, color = project.looks[0]._replace(things=(name,)), colors[number % len(colors)]
            else:
                look, color = project.looks[labels[unit * each + number]], colors[0]
            image, thing = _picture(
                project, look, [part + more for part, more in zip(_rgb(color), own, strict=True)], chance
            )
            text = look.text.format(thing=thing, a_thing=with_article(thing), color=color.replace("light", "light "))
            yield Drawn(image, text, look.label, f"{project.unit} {unit + 1}" if project.kind == "classify" else name)


def _units(project: Project, units: int) -> list[str]:
    """What each unit is called; where things are searched, a unit is a thing."""
    if project.kind == "classify":
        return [""] * units
    things = list(project.looks[0].things)
    if units > len(things):
        raise ValueError(f"{project.name} has {len(things)} things to draw, {units} were asked for")
    return random.Random(project.name).sample(things, units)


def _rgb(color: str) -> tuple[int, ...]:
    return ImageColor.getrgb(color)[:3]


def _picture(project: Project, look: Look, color: Sequence[int], chance: random.Random) -> tuple[Tensor, str]:
    """A picture and the name of its (first) thing."""
    kind = chance.choice(look.things) if look.things else ""
    most = max(each.count[1] for each in project.looks)
    things = [(kind, look.ink)] * (chance.randint(*look.count) if look.things else 0)
    if project.around:  # as many in all whatever the label, so that their number gives nothing away
        more = chance.randint(*project.crowd) + most - len(things)
        things += [(chance.choice(project.around), (1.0, 1.0)) for _ in range(more)]
    noise = torch.Generator().manual_seed(chance.getrandbits(40))
    ground = torch.tensor(color, dtype=torch.float32)[:, None, None]
    canvas = ground + GRAIN * torch.randn(1, SIDE, SIDE, generator=noise)  # the same in all channels, as light is
    cells = math.ceil(math.sqrt(project.crowd[1] + most))  # rows and columns of a grid, one thing in a cell
    room = SIDE // cells
    for place, (name, ink) in zip(chance.sample(range(cells**2), len(things)), things, strict=True):
        side = int(room * chance.uniform(0.7, 0.98))
        corner = [room * at + chance.randint(0, room - side) for at in divmod(place, cells)]
        _lay(canvas, rasterize(_code(name), side, rotation=chance.uniform(-20, 20)), corner, chance.uniform(*ink))
    return canvas.round().clamp(0, 255).to(torch.uint8), kind


def _lay(canvas: Tensor, drawing: Tensor, corner: Sequence[int], ink: float) -> None:
    """Lays a drawing uint8 (4, S, S) on the canvas, in place."""
    top, left = corner
    side = drawing.shape[-1]
    part = canvas[:, top : top + side, left : left + side]
    alpha = drawing[3:].float() * (ink / 255)
    part.copy_(drawing[:3].float() * alpha + part * (1 - alpha))


def with_article(name: str) -> str:
    """A noun with its article, or as it is where it has the ending of many.

    >>> with_article("owl"), with_article("bus"), with_article("jeans")
    ('an owl', 'a bus', 'jeans')
    """
    if name.endswith("s") and not name.endswith(("ss", "us")):
        return name
    return f"{'an' if name[:1].lower() in {*'aeiou'} else 'a'} {name}"


@lru_cache(maxsize=512)
def _code(name: str) -> str:
    return next(row["code"] for row in glyph_table() if row["name"] == name)
