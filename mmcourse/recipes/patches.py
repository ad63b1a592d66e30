"""patches: a `PatchEncoder` that names the object in each of the 8 × 8 cells of a scene.

Its 64 numbers a cell are what later chapters call patches.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from mmcourse.datasets import SceneBatch, lexicon, make_scenes, noun_numbers
from mmcourse.encoders.patches import PatchEncoder
from mmcourse.losses import cross_entropy
from mmcourse.pictures import covered
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.runtime import seed_everything
from mmcourse.train import Checkpointing, fit

GRID = 8, 8  # rows and columns of cells
COVERED = 0.25  # an object counts in a cell if it covers so much of it
BATCH = 64
SCENES = 2_000  # that the finished network is measured on


def cell_labels(batch: SceneBatch) -> Tensor:
    """Which noun covers most of each cell, or `len(lexicon())` where none covers a quarter: (B, P)."""
    share, which = covered(batch.masks, GRID).flatten(2).max(dim=1)  # (B, 3, 64, 64) -> (B, P)
    numbers = [[noun_numbers()[thing.noun] for thing in scene.objects] for scene in batch.scenes]
    nouns = torch.tensor([row + [0] * (3 - len(row)) for row in numbers])  # (B, 3)
    return torch.where(share >= COVERED, nouns.gather(1, which), len(lexicon()))


def batches(step: int) -> tuple[Tensor, Tensor]:
    """Scenes that no other step sees, and their labels."""
    batch = make_scenes(BATCH, start=step * BATCH, masks=True)
    return batch.images, cell_labels(batch)


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Empty cells are many and easy: they count a fifth."""
    weight = torch.ones(len(lexicon()) + 1, device=batch[1].device)
    weight[-1] = 0.2
    return cross_entropy(model(batch[0]), batch[1], weight=weight)


def train(*, steps: int, checkpoint: Path) -> Made:
    config = {"widths": [64, 128], "width": 64}
    seed_everything(0)
    model = build(config)[0]
    history = fit(
        model, loss, batches, steps=steps, learning_rate=3e-3, checkpoint=Checkpointing(checkpoint, 25),
        description="patches",
    )  # fmt: skip
    return Made(model, config, history.seconds)


def build(config: Facts) -> tuple[PatchEncoder, None]:
    classes = len(lexicon()) + 1  # the nouns, and nothing
    return PatchEncoder(classes, widths=tuple(config["widths"]), width=config["width"]), None


@torch.no_grad()
def evaluate(trained: Trained) -> Quality:
    """How many cells with an object in them are named wrong, on scenes of the validation split."""
    errors, labels = [], []
    for start in range(0, SCENES, 250):
        batch = make_scenes(250, split="val", start=start, masks=True)
        labels.append(cell_labels(batch))
        errors.append(trained.model(batch.images).argmax(dim=-1) != labels[-1])
    wrong, empty = torch.cat(errors), torch.cat(labels) == len(lexicon())
    more = {"empty cells named wrong": wrong[empty].float().mean().item(), "scenes": SCENES}
    return Quality("cells with an object that are named wrong", wrong[~empty].float().mean().item(), 0.06, more)


RECIPE = Recipe(
    name="patches",
    about="a small network that names the object in each cell of a scene",
    steps=900,
    train=train,
    build=build,
    evaluate=evaluate,
    processes=False,  # batch normalisation
)


def load_patches() -> PatchEncoder:
    """The patch encoder that comes with the course, through which the recipes `captioner` and `matcher` look."""
    return bundled.load(RECIPE).model
