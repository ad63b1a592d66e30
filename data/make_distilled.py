"""Makes data/distilled.csv: how far a captioner of a quarter of the size comes in chapter 15, with three seeds.

    python data/make_distilled.py

The teacher is the captioner that comes with the course. Its student is itself with every layer cut in two thin ones,
which learns from captions, from the teacher's answers (Hinton et al., 2015) and from what the teacher knows about each
patch (hints: Romero et al., "FitNets", 2015). Weights as int8 are measured, too. Half an hour on one thread; each row
is written at once.
"""

from __future__ import annotations

import copy
import csv
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.datasets import make_scenes, rate_captions
from mmcourse.deploy import count_bytes, count_parameters, distillation_loss, factorize_model, quantize_model
from mmcourse.lm import IGNORED
from mmcourse.models.captioner import Captioner
from mmcourse.recipes import load_trained
from mmcourse.recipes.captioner import EACH, LEARNING_RATE
from mmcourse.recipes.data.captions import CaptionBatch, FreshScenes
from mmcourse.runtime import by_budget, seed_everything
from mmcourse.train import fit

KEEP = 0.22  # of the numbers of the layers that are cut; 0.246 of all
BATCH = 32
STEPS = by_budget(smoke=2, standard=1_500)
SEEDS = (0, 1, 2)
SOFT, HINTS = 0.7, 1.0  # the share of the teacher's answers, and the weight of its patches
SCENES = by_budget(smoke=20, standard=2_000)  # of the test split
AWAY = 50_000_000  # number of the batch that shows what layers get
FIELDS = ("model", "parameters", "bytes", "steps", "seed", "seconds", "true", "hallucinated", "bytes int8", "true int8")


class Pupil(nn.Module):
    """A student beside the map from its patches to the teacher's, which is thrown away afterwards."""

    def __init__(self, student: Captioner) -> None:
        super().__init__()
        self.student, self.map = student, nn.Linear(student.config.width, student.config.width)
        nn.init.eye_(self.map.weight)
        nn.init.zeros_(self.map.bias)


def loss_with(teacher: Captioner):
    """A loss for `fit`: the true captions, the teacher's answers at each token, and its patches."""

    def loss(pupil: Pupil, batch: CaptionBatch) -> Tensor:
        with torch.no_grad():
            known = teacher.to(batch.images.device).memory(batch.images)
            answers = teacher(known, batch.inputs)
        memory = pupil.student.memory(batch.images)
        options = {"temperature": 2.0, "soft_weight": SOFT, "ignore_index": IGNORED}
        total = distillation_loss(pupil.student(memory, batch.inputs), answers, batch.targets, **options).loss
        wanted, said = (F.layer_norm(x, x.shape[-1:]) for x in (known, pupil.map(memory)))
        return total + HINTS * F.mse_loss(said, wanted)

    return loss


def cut(teacher: Captioner) -> Captioner:
    """The teacher with every layer cut in two thin ones."""
    student = copy.deepcopy(teacher)
    shown = FreshScenes(teacher.tokenizer, size=64, each=EACH)(AWAY)
    factorize_model(student, keep=KEEP, inputs=(shown.images, shown.inputs))
    return student


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


def row(seed: int, teacher: Captioner) -> dict[str, object]:
    """Trains one student and measures it."""
    seed_everything(seed)
    student, begin = cut(teacher), time.perf_counter()
    scenes = FreshScenes(teacher.tokenizer, size=BATCH, each=EACH)
    fit(
        Pupil(student.train()), loss_with(teacher),
        lambda step: scenes(100_000 * seed + step), steps=STEPS, learning_rate=LEARNING_RATE, seed=seed,
        description=f"distilled, seed {seed}",
    )  # fmt: skip
    seconds = round(time.perf_counter() - begin)
    return {"model": "distilled", "steps": STEPS, "seed": seed, "seconds": seconds} | measured(student.eval())


def main(path: Path) -> None:
    torch.set_num_threads(1)
    trained = load_trained("captioner")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        whole = {"model": "teacher", "steps": trained.facts["steps"], "seed": 0, "seconds": trained.facts["seconds"]}
        writer.writerow(whole | measured(trained.model))
        writer.writerow({"model": "cut", "steps": 0, "seed": 0, "seconds": 0} | measured(cut(trained.model)))
        for seed in SEEDS:
            writer.writerow(row(seed, trained.model))
            file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "distilled.csv")
