"""text2image: a network that draws, at 32 × 32 pixels, scenes of one thing from a sentence about them.

Its scenes are the easy ones, an upright thing in the middle of its cell on a plain background. It learns from new
scenes with the sentence that says everything about them, and now and then without one, so that guidance has something
to lead away from. What it drew is judged by `scene-reader`, which never saw a drawing of it.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.datasets import Scene, caption_is_true, render, sample_scenes
from mmcourse.datasets.scenes import UnparseableError, full_phrase, parse
from mmcourse.encoders.scene_reader import SceneReader
from mmcourse.flow import on_line
from mmcourse.models.text2image import Text2Image, Text2ImageConfig, from_pixels
from mmcourse.recipes.data.worlds import scene_tokenizer
from mmcourse.recipes.drawing import scene_reader
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Checkpointing, fit

LOOKS = "easy"  # of the scenes: see `mmcourse.datasets.make_scenes`
BATCH = 32
DROPPED = 0.1  # share of the scenes that are shown without their sentence
DRAWN = 250  # scenes of a step, of which more than BATCH have one thing alone
LEARNING_RATE = 2e-3
STEPS = 6_000
SAMPLED = {"steps": 20, "guidance": 2.0}
SCENES = 500  # of each split that the finished model is measured on


class DrawingBatch(NamedTuple):
    """Pictures (B, 3, S, S) from −1 to 1, noise alike, times (B,), and sentences as ids and mask (B, L)."""

    images: Tensor
    noise: Tensor
    times: Tensor
    tokens: Tensor
    mask: Tensor


def simple_scenes(count: int, *, split: str = "train", start: int = 0) -> list[Scene]:
    """Those among scenes `start` to `start + count − 1` that show one thing."""
    scenes = sample_scenes(count, split=split, difficulty=LOOKS, start=start)
    return [scene for scene in scenes if len(scene.objects) == 1]


def in_full(scene: Scene) -> str:
    """The sentence that says everything about a scene of one thing.

    >>> in_full(simple_scenes(9)[0])
    'a small door at the top right on a pink background'
    """
    (thing,) = scene.objects
    return f"{full_phrase(thing)} on a {scene.background} background"


def clauses(text: str) -> list[str]:
    """The parts of a sentence that the grammar of scenes can parse: itself, or what "and" joins.

    >>> clauses("a large cat at the left and a small dog at the right on a pink background")
    ['a large cat at the left', 'a small dog at the right on a pink background']

    Raises:
        UnparseableError: a part is none of that grammar.
    """
    try:
        parse(text)
    except UnparseableError:
        parts = text.split(" and ")
        for part in parts:
            parse(part)
        return parts
    return [text]


class Drawings:
    """`batches(step)`: scenes that no other step sees, each with the sentence that says everything or without one.

    Args:
        model: whose tokenizer and size are used.
        scenes: to draw from again and again, instead of new ones; at least `size` of them.
        size: scenes in a batch.
        dropped: share of the scenes that are shown without a sentence.
    """

    def __init__(
        self,
        model: Text2Image,
        *,
        scenes: Sequence[Scene] | None = None,
        size: int = BATCH,
        dropped: float = DROPPED,
    ) -> None:
        self.model, self.scenes, self.size, self.dropped = model, scenes, size, dropped

    def __call__(self, step: int) -> DrawingBatch:
        chance, generator = random.Random(step), torch.Generator().manual_seed(step)
        if self.scenes is None:
            scenes = simple_scenes(DRAWN, start=step * DRAWN)[: self.size]
        else:
            scenes = chance.sample(self.scenes, self.size)
        images = from_pixels(render(scenes)[0], self.model.config.size)
        said = ["" if chance.random() < self.dropped else in_full(scene) for scene in scenes]
        noise = torch.randn(images.shape, generator=generator)
        times = torch.rand(len(images), generator=generator)
        return DrawingBatch(images, noise, times, *self.model.tokenize(said))


def loss(model: Text2Image, batch: DrawingBatch) -> Tensor:
    """The squared distance from where the velocity leads to where it should.

    That of the velocity itself, times (1 − t)²: where little noise is left, the picture is easy, and an error must not
    count more there than at the beginning, when words are all there is to go by.
    """
    line = on_line(batch.noise, batch.images, batch.times)
    error = model(line.place, batch.times, batch.tokens, batch.mask) - line.velocity
    return (error.square().mean(dim=(1, 2, 3)) * (1 - batch.times).square()).mean()


def train(*, steps: int, checkpoint: Path) -> Made:
    tokenizer = scene_tokenizer()
    config = {
        "model": asdict(Text2ImageConfig(size=scene_reader.SIDE, channels=64, width=96)),
        "vocabulary": tokenizer.vocabulary,
    }
    seed_everything(0)
    model = build(config)[0]
    history = fit(
        model, loss, Drawings(model), steps=steps, learning_rate=LEARNING_RATE,
        checkpoint=Checkpointing(checkpoint, 50), description="text2image",
    )  # fmt: skip
    return Made(model, config, history.seconds)


def build(config: Facts) -> tuple[Text2Image, WordTokenizer]:
    tokenizer = WordTokenizer(config["vocabulary"])
    return Text2Image(Text2ImageConfig(**config["model"]), tokenizer), tokenizer


class Judged(NamedTuple):
    """How drawings are judged: shares of the asked things that were found anywhere, of those that stand at the place
    that was asked for, of the asked backgrounds, and of sentences that are true of what was drawn; nan where nothing
    was asked."""

    found: float
    placed: float
    background: float
    true: float


def judge(reader: SceneReader, images: Tensor, texts: Sequence[str]) -> Judged:
    """What a reader finds in drawings uint8 (N, 3, 32, 32) of what their sentences asked for.

    Raises:
        ValueError: the numbers of images and texts differ.
    """
    if len(images) != len(texts):
        raise ValueError(f"want a text for each picture, got {len(images)} pictures and {len(texts)} texts")
    found, placed, colors, true = [], [], [], []
    for text, scene in zip(texts, reader.read(images), strict=True):
        parts, wanted = clauses(text), Counter()
        for asked in map(parse, parts):
            for phrase in (*asked.phrases, *filter(None, [asked.other])):
                wanted[phrase.noun] += phrase.count
            if asked.position is not None:
                there = f"a {asked.phrases[0].noun} at the {asked.position}"
                placed.append(scene is not None and bool(caption_is_true(scene, there)))
            if asked.background is not None:
                colors.append(scene is not None and scene.background == asked.background)
        found += [scene is not None and scene.count(noun) >= count for noun, count in wanted.items()]
        true.append(scene is not None and all(caption_is_true(scene, part) for part in parts))
    return Judged(*(sum(part) / len(part) if part else math.nan for part in (found, placed, colors, true)))


def evaluate(trained: Trained) -> Quality:
    """How many things that full sentences ask for the reader does not find in the drawings, on validation scenes."""
    reader, more = bundled.load(scene_reader.RECIPE).model, {"scenes": SCENES}
    for split in ("val", "compositional"):
        texts = [in_full(scene) for scene in simple_scenes(6 * SCENES, split=split)[:SCENES]]
        drawn = trained.model.draw(texts, generator=torch.Generator().manual_seed(0), **SAMPLED)
        for name, share in judge(reader, drawn, texts)._asdict().items():
            more[f"{name} in {split}"] = share
    return Quality("asked things that are not drawn", 1 - more.pop("found in val"), 0.08, more)


RECIPE = Recipe(
    name="text2image",
    about="draws a scene from a sentence",
    steps=STEPS,
    train=train,
    build=build,
    evaluate=evaluate,
)
