"""Makes data/distilled.csv: how far captioners of a quarter of the size come in chapter 15, three seeds each.

    python data/make_distilled.py

The teacher is the captioner that comes with the course. All students have one size, begin alike and see the same
scenes; they differ in what they learn from: captions alone, the teacher's answers as well (Hinton et al., 2015), and
what the teacher knows about each patch beside that (hints: Romero et al., "FitNets", 2015). Weights as int8 are
measured, too. Some hours on one thread; each row is written at once.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.datasets import make_scenes, rate_captions
from mmcourse.deploy import count_bytes, count_parameters, distillation_loss, quantize_model
from mmcourse.lm import IGNORED
from mmcourse.models.captioner import Captioner, CaptionerConfig
from mmcourse.recipes import load_trained
from mmcourse.recipes.captioner import BATCH, EACH, LEARNING_RATE
from mmcourse.recipes.data.captions import CaptionBatch, FreshScenes
from mmcourse.runtime import by_budget, seed_everything
from mmcourse.train import fit

SIZE = {"width": 64, "seen": 32, "encoder_hidden": 128, "widths": (24, 64)}  # 0.245 of the teacher's weights
STEPS = by_budget(smoke=2, standard=4_000)
SEEDS = (0, 1, 2)
SCENES = by_budget(smoke=20, standard=2_000)  # of the test split
FIELDS = ("model", "parameters", "bytes", "steps", "seed", "seconds", "true", "hallucinated", "bytes int8", "true int8")


class Kind(NamedTuple):
    """What a student learns from: the share of the teacher's answers, and the weight of its patches."""

    soft_weight: float
    hints: float


STUDENTS = {
    "captions alone": Kind(0.0, 0.0),
    "distilled": Kind(0.7, 0.0),
    "distilled, with hints": Kind(0.7, 1.0),
}


class Pupil(nn.Module):
    """A student beside the map from its patches to the teacher's, which is thrown away afterwards."""

    def __init__(self, student: Captioner, width: int) -> None:
        super().__init__()
        self.student, self.map = student, nn.Linear(student.config.width, width)


def loss_with(teacher: Captioner, kind: Kind, temperature: float = 2.0):
    """A loss for `fit`: the true captions, the teacher's answers at each token, and its patches."""

    def loss(pupil: Pupil, batch: CaptionBatch) -> Tensor:
        with torch.no_grad():
            known = teacher.to(batch.images.device).memory(batch.images)
            answers = teacher(known, batch.inputs)
        memory = pupil.student.memory(batch.images)
        options = {"temperature": temperature, "soft_weight": kind.soft_weight, "ignore_index": IGNORED}
        total = distillation_loss(pupil.student(memory, batch.inputs), answers, batch.targets, **options).loss
        if kind.hints:
            wanted, said = (F.layer_norm(x, x.shape[-1:]) for x in (known, pupil.map(memory)))
            total = total + kind.hints * F.mse_loss(said, wanted)
        return total

    return loss


def measured(model: Captioner) -> dict[str, object]:
    """How often greedy captions are true, as floats and as int8, and what files of both take."""
    facts: dict[str, object] = {"parameters": count_parameters(model)}
    for name, each in (("", model), (" int8", quantize_model(model))):
        scenes, texts = [], []
        for start in range(0, SCENES, 250):
            batch = make_scenes(min(250, SCENES - start), split="test", start=start)
            texts += [caption.text for caption in each.generate(batch.images)]
            scenes += batch.scenes
        rates = rate_captions(scenes, texts)
        facts |= {f"bytes{name}": count_bytes(each), f"true{name}": f"{rates.true:.4f}"}
        if not name:
            facts["hallucinated"] = f"{rates.hallucinated:.4f}"
    return facts


def row(name: str, seed: int, teacher: Captioner) -> dict[str, object]:
    """Trains one student and measures it."""
    seed_everything(seed)
    student, begin = Captioner(CaptionerConfig(**SIZE), teacher.tokenizer), time.perf_counter()
    scenes = FreshScenes(teacher.tokenizer, size=BATCH, each=EACH)
    fit(
        Pupil(student, teacher.config.width), loss_with(teacher, STUDENTS[name]),
        lambda step: scenes(100_000 * seed + step), steps=STEPS, learning_rate=LEARNING_RATE, seed=seed,
        description=f"{name}, seed {seed}",
    )  # fmt: skip
    seconds = round(time.perf_counter() - begin)
    return {"model": name, "steps": STEPS, "seed": seed, "seconds": seconds} | measured(student.eval())


def main(path: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    trained = load_trained("captioner")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        whole = {"model": "teacher", "steps": trained.facts["steps"], "seed": 0, "seconds": trained.facts["seconds"]}
        writer.writerow(whole | measured(trained.model))
        for name in names:
            for seed in SEEDS:
                writer.writerow(row(name, seed, trained.model))
                file.flush()


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "distilled.csv"
    main(place, sys.argv[2:] or [*STUDENTS])
