"""Makes data/labels.csv: how far one network comes with a growing number of labeled pictures, for chapter 04.

    python data/make_labels.py

The task is the same everywhere: scenes with one thing, 48 × 48 pixels; which of 64 nouns is it? The network is the CNN
that the chapter trains on the drawings, with 64 logits in place of eight; with the fewest scenes the same with twice as
many blocks runs beside it, and with every number a small ViT of about as many weights, in patches of 8 × 8. The CNN's
learning rate is the best of 2e-3, 4e-3 and 8e-3 on validation scenes, after 200 steps with 1,290 scenes; the ViT's the
best of 1e-3, 2e-3, 4e-3 and 8e-3, after 600. On one thread the CNN takes five minutes and the ViT 19 more; each row is
written at once, and rows that are there already are kept.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.datasets import lexicon, render, sample_scenes
from mmcourse.encoders.cnn import CNN
from mmcourse.encoders.vit import ViT, ViTConfig
from mmcourse.runtime import seed_everything
from mmcourse.train import Batches, fit

SEEDS = (0, 1, 2)
SCENES = (1290, 5160, 20_640)  # to learn from: 20, 81 and 322 a noun
FIELDS = ("network", "weights", "scenes", "steps", "seed", "seen", "validation", "test")


class Network(NamedTuple):
    body: Callable[[], nn.Module]
    width: int
    rate: float
    steps: tuple[int, ...]  # of 64 scenes each, for each number of scenes to learn from


VIT = ViTConfig(image_size=48, patch_size=8, width=96, depth=3, heads=4)
NETWORKS = {
    "CNN": Network(lambda: CNN((32, 64, 128)), 128, 8e-3, (300, 500, 800)),
    "CNN, twice as deep": Network(lambda: CNN((32, 64, 128), blocks=2), 128, 8e-3, (300,)),
    "ViT": Network(lambda: ViT(VIT), 96, 4e-3, (600, 1200, 2500)),
}


class Namer(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.body = network.body()
        self.head = nn.Linear(network.width, 64)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images.float() / 127.5 - 1))  # uint8 (B, 3, 48, 48) -> (B, 64)


def make_task(count: int, split: str) -> tuple[Tensor, Tensor]:
    """So many scenes with one thing: pictures uint8 (N, 3, 48, 48), and the number of its noun (N,)."""
    nouns = [noun.name for noun in lexicon()]
    alone = [scene for scene in sample_scenes(5 * count, split=split) if len(scene.objects) == 1][:count]
    assert len(alone) == count
    pictures = render(alone)[0].float()
    small = torch.cat([F.interpolate(part, size=48, mode="bilinear", antialias=True) for part in pictures.split(500)])
    return small.round().to(torch.uint8), torch.tensor([nouns.index(scene.objects[0].noun) for scene in alone])


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, targets: Tensor) -> float:
    answers = torch.cat([model.eval()(part).argmax(dim=1) for part in images.split(500)])
    return (answers == targets).float().mean().item()


def row(name: str, scenes: int, steps: int, seed: int, data: dict[str, tuple[Tensor, Tensor]]) -> dict[str, object]:
    """Trains one network on the first so many scenes and measures it on those, on validation and on test scenes."""
    network = NETWORKS[name]
    seed_everything(seed)
    model = Namer(network)
    images, targets = (tensor[:scenes] for tensor in data["train"])
    fit(
        model,
        lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]),
        Batches(images, targets, size=64, seed=seed),
        steps=steps, learning_rate=network.rate, weight_decay=0.05, seed=seed, description=None,
    )  # fmt: skip
    facts = {"network": name, "weights": sum(p.numel() for p in model.parameters()), "scenes": scenes, "steps": steps}
    measured = {part: accuracy(model, *data[part]) for part in ("val", "test")}
    measured = {"seen": accuracy(model, images, targets), "validation": measured["val"]} | measured
    return facts | {"seed": seed} | {key: f"{measured[key]:.3f}" for key in ("seen", "validation", "test")}


def plan() -> list[tuple[str, int, int, int]]:
    """Every run: (network, scenes, steps, seed)."""
    return [
        (name, scenes, steps, seed)
        for seed in SEEDS
        for name, network in NETWORKS.items()
        for scenes, steps in zip(SCENES, network.steps, strict=False)
    ]


def main(path: Path) -> None:
    data = {part: make_task(count, part) for part, count in {"train": max(SCENES), "val": 2000, "test": 2000}.items()}
    kept = list(csv.DictReader(path.open(encoding="utf-8"))) if path.is_file() else []
    done = {(old["network"], int(old["scenes"]), int(old["steps"]), int(old["seed"])) for old in kept}
    with path.open("a" if kept else "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if not kept:
            writer.writeheader()
        for run in plan():
            if run not in done:
                writer.writerow(row(*run, data))
                file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "labels.csv")
