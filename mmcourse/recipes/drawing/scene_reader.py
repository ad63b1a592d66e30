"""scene-reader: the independent judge of drawings, a `SceneReader` that learns from scenes of the world alone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mmcourse.datasets import BACKGROUNDS, POSITIONS, SIZES, Scene, make_scenes, noun_numbers
from mmcourse.encoders.scene_reader import SceneReader
from mmcourse.losses import IGNORED, cross_entropy
from mmcourse.models.text2image import from_pixels, to_pixels
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.runtime import seed_everything
from mmcourse.train import Checkpointing, fit

SIDE = 32  # pixels
BATCH = 64
NOISE = 0.1  # standard deviation, at most, of what is laid over pictures: drawings are not as clean as scenes
SCENES = 2_000  # of each split that the finished network is measured on


def small_pictures(images: Tensor) -> Tensor:
    """Scenes uint8 (B, 3, 64, 64) at half their size."""
    return to_pixels(from_pixels(images, SIDE))


def labels(scenes: tuple[Scene, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """What `SceneReader` should say: nouns and sizes (B, 9), where there is nothing 0 and ignored; backgrounds (B,)."""
    nouns = torch.zeros(len(scenes), len(POSITIONS), dtype=torch.int64)
    sizes = torch.full_like(nouns, IGNORED)
    for row, scene in enumerate(scenes):
        for thing in scene.objects:
            nouns[row, thing.cell] = 1 + noun_numbers()[thing.noun]
            sizes[row, thing.cell] = list(SIZES).index(thing.size)
    return nouns, sizes, torch.tensor([list(BACKGROUNDS).index(scene.background) for scene in scenes])


def batches(step: int) -> tuple[Tensor, ...]:
    """Pictures from −1 to 1 of scenes that no other step sees, with some noise, and their labels."""
    batch, generator = make_scenes(BATCH, start=step * BATCH), torch.Generator().manual_seed(step)
    clean = from_pixels(batch.images, SIDE)
    strength = NOISE * torch.rand(BATCH, 1, 1, 1, generator=generator)
    return clean + strength * torch.randn(clean.shape, generator=generator), *labels(batch.scenes)


def loss(model: SceneReader, batch: tuple[Tensor, ...]) -> Tensor:
    """How surprised the reader is by the nouns, three times as much as by sizes and background."""
    images, *wanted = batch
    nouns, sizes, background = (
        cross_entropy(scores.flatten(0, -2), target.flatten(), ignore_index=IGNORED)
        for scores, target in zip(model(images), wanted, strict=True)
    )
    return 3 * nouns + sizes + background


def train(*, steps: int, checkpoint: Path) -> Made:
    config = {"widths": [48, 96, 128], "hidden": 128}
    seed_everything(0)
    model = build(config)[0]
    history = fit(
        model, loss, batches, steps=steps, learning_rate=3e-3, checkpoint=Checkpointing(checkpoint, 25),
        description="scene-reader",
    )  # fmt: skip
    return Made(model, config, history.seconds)


def build(config: Facts) -> tuple[SceneReader, None]:
    return SceneReader(**config), None


def evaluate(trained: Trained) -> Quality:
    """How many things are not found at their place under their name, on validation scenes, and what else is misread."""
    more = {}
    for split in ("val", "compositional"):
        wrong = dict.fromkeys(("thing", "size", "background", "empty place"), 0.0)
        counts = dict.fromkeys(wrong, 0)
        for start in range(0, SCENES, 250):
            batch = make_scenes(250, split=split, start=start)
            with torch.no_grad():
                found = [part.argmax(dim=-1) for part in trained.model(small_pictures(batch.images))]
            nouns, sizes, background = labels(batch.scenes)
            there, right = nouns > 0, found[0] == nouns
            for name, errors in (
                ("thing", ~right[there]), ("size", (found[1] != sizes)[there]),
                ("background", found[2] != background), ("empty place", ~right[~there]),
            ):  # fmt: skip
                wrong[name] += errors.sum().item()
                counts[name] += len(errors)
        more |= {f"{name} misread in {split}": wrong[name] / counts[name] for name in wrong}
    value = more.pop("thing misread in val")
    return Quality("things misread at their place", value, 0.02, more | {"scenes": SCENES})


RECIPE = Recipe(
    name="scene-reader",
    about="reads a small picture of a scene, place by place; the judge of drawings",
    steps=1_500,
    train=train,
    build=build,
    evaluate=evaluate,
    processes=False,  # batch normalisation
)
