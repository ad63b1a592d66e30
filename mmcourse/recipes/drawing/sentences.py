"""Drawing what a reader's own sentences say, with what an independent reader of drawings sees in the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.datasets import BACKGROUNDS, POSITIONS, SIZES, Scene, caption_is_true, lexicon
from mmcourse.datasets.scenes import UnparseableError, parse
from mmcourse.models.text2image import Text2Image
from mmcourse.recipes.drawing import scene_reader, text2image
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import RecipeError
from mmcourse.recipes.one_picture import open_model
from mmcourse.runtime import progress

MOST = 100  # drawings at once


class Drawing(NamedTuple):
    """A drawing uint8 (3, 32, 32), what the reader sees in it, and whether the sentence is true of that.

    `seen` is None where it sees nothing, or more than scenes hold; `true` is None where the sentence is none of the
    world's, so that nobody can say.
    """

    text: str
    image: Tensor
    seen: Scene | None
    true: bool | None


def draw_texts(
    texts: Sequence[str],
    *,
    count: int = 1,
    seed: int = 0,
    model: str | Path | None = None,
    guidance: float = text2image.SAMPLED["guidance"],
    steps: int = text2image.SAMPLED["steps"],
) -> list[Drawing]:
    """Draws each sentence `count` times.

    Args:
        seed: of the noise that the drawings begin with; the same one draws the same again.
        model: a file that `mmcourse train text2image` wrote, or a folder of `Text2Image.save`; by default the one of
            the course.
        guidance, steps: see `Text2Image.drawing`.
    Raises:
        RecipeError: a sentence is empty, too long or has words that the model has never read, a number is out of range,
            or the model cannot be read; one sentence.
    """
    if not 1 <= count * len(texts) <= MOST:
        raise RecipeError(f"want 1 to {MOST} drawings, got {count * len(texts)}; give another number of them")
    if steps < 1 or guidance < 0:
        raise RecipeError(f"want at least 1 step and a guidance of at least 0, got {steps} and {guidance:g}")
    drawer = open_model(model, text2image.RECIPE, Text2Image)
    texts = [text.strip().rstrip(".!").lower() for text in texts]
    every = [text for text in texts for _ in range(count)]
    try:
        for text in texts:
            _known(drawer, text)
        way = drawer.drawing(every, steps=steps, guidance=guidance, generator=torch.Generator().manual_seed(seed))
        *_, images = progress(way, "drawing", total=steps + 1)
    except ValueError as error:
        raise RecipeError(str(error)) from None
    seen = bundled.load(scene_reader.RECIPE).model.read(images)
    return [Drawing(text, *pair, _true(text, pair[1])) for text, *pair in zip(every, images, seen, strict=True)]


def vocabulary() -> str:
    """What can be drawn, in four lines."""
    nouns = ", ".join(noun.name for noun in lexicon())
    rows = {
        "things": nouns,
        "sizes": ", ".join(SIZES),
        "places": ", ".join(POSITIONS),
        "colors": ", ".join(BACKGROUNDS),
    }
    return "\n".join(f"{name}: {words}" for name, words in rows.items())


def describe(scene: Scene | None) -> str:
    """A scene in words: "a large cat (left), a small dog (right), on pink"."""
    if scene is None:
        return "nothing that it knows"
    things = [f"a {thing.size} {thing.noun} ({thing.position})" for thing in scene.objects]
    return ", ".join([*things, f"on {scene.background}"])


def stood_in_training(text: str) -> bool:
    """Whether a sentence says size, thing, place and background of one thing, as those in training did."""
    try:
        said = parse(text)
    except UnparseableError:
        return False
    return len(said.phrases) == 1 and None not in (said.phrases[0].size, said.position, said.background)


def _known(drawer: Text2Image, text: str) -> None:
    """Raises RecipeError for a sentence that the drawer cannot read."""
    if not text.strip():
        raise RecipeError('a sentence is empty; ask for example "a large cat at the left on a pink background"')
    if unknown := drawer.unknown_words(text):
        raise RecipeError(
            f"the drawer has never read {', '.join(map(repr, unknown))}; `mmcourse draw --words` lists what it can draw"
        )
    drawer.tokenize([text])


def _true(text: str, scene: Scene | None) -> bool | None:
    try:
        parts = text2image.clauses(text)
    except UnparseableError:
        return None
    return scene is not None and all(caption_is_true(scene, part) for part in parts)
