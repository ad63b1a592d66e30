"""Makes data/seers.csv: how far a language model with eyes comes in chapter 13, by what of it may learn.

    python data/make_seers.py          # the table
    python data/make_seers.py rates    # how RATES were chosen: on validation scenes, with a seed of its own

Four rungs, three seeds each, 100 steps on scenes of which none comes twice; seeds differ in their scenes and in
whatever begins at random. What never read is a language model as `answer-lm` begins. Measured are the answers, captions
and probes about 80 test scenes. A quarter of an hour on one thread; each row is written at once, and rows that are
there already are kept.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator

from mmcourse.adapters import add_lora
from mmcourse.content import content_dir
from mmcourse.datasets import make_scenes
from mmcourse.models.vlm import VLM, loss
from mmcourse.recipes import load_trained
from mmcourse.recipes.seeing import answer_lm
from mmcourse.recipes.seeing.exam import RIVALS, exam, mistakes
from mmcourse.recipes.seeing.vlm import Lessons, untrained
from mmcourse.runtime import seed_everything
from mmcourse.train import fit

SEEDS = (0, 1, 2)
STEPS, SCENES = 100, 80
RATES = {"projector": 3e-4, "projector and LoRA": 3e-4, "everything": 3e-4, "everything, never read": 1e-3}
TRIED = (3e-4, 1e-3, 3e-3)
FIELDS = ("learns", "numbers", "steps", "seed", "wrong", "captions", "probes")


def rung(name: str, seed: int) -> VLM:
    """A model of which only what the name says learns."""
    if name == "everything, never read":
        seed_everything(seed)
        read = load_trained("answer-lm")
        language = answer_lm.new(read.facts["config"])
        answer_lm.relate_plurals(language, read.tokenizer)
        return untrained(seed, language=language)[0]
    model, _ = untrained(seed)
    if name == "projector":
        model.language_model.requires_grad_(False)
    elif name == "projector and LoRA":
        add_lora(model.language_model, rank=16, alpha=32)
    return model


def measure(name: str, seed: int, *, rate: float | None = None, split: str = "test") -> dict[str, object]:
    """Trains one model and examines it."""
    model = rung(name, seed)
    lessons, rate = Lessons(model), RATES[name] if rate is None else rate
    fit(
        model, loss, lambda step: lessons(step + seed * STEPS), steps=STEPS, learning_rate=rate, seed=seed,
        description=f"{name}, seed {seed}",
    )  # fmt: skip
    seen = model.eval().see(make_scenes(SCENES, split=split).images)
    found = mistakes(model, seen, exam(SCENES, split=split), split=split)
    probes = sum(found[f"{how} probes wrong in {split}"] for how in RIVALS) / len(RIVALS)
    wrong, captions = found[f"wrong in {split}"], found[f"captions not true in {split}"]
    shares = {"wrong": wrong, "captions": captions, "probes": probes}
    learning = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    facts = {"learns": name, "numbers": learning, "steps": STEPS, "seed": seed}
    return facts | {key: f"{value:.3f}" for key, value in shares.items()}


def missing(rows: list[dict]) -> Iterator[tuple[str, int]]:
    """What is not in the table yet."""
    known = {(row["learns"], int(row["seed"])) for row in rows}
    for seed in SEEDS:
        yield from ((name, seed) for name in RATES if (name, seed) not in known)


def compare_rates() -> None:
    """Prints what each rate comes to, on validation scenes."""
    for name in RATES:
        for rate in TRIED:
            print(name, rate, measure(name, max(SEEDS) + 1, rate=rate, split="val"))


def main() -> None:
    path, rows = content_dir("data") / "seers.csv", []
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    for name, seed in list(missing(rows)):
        rows.append(measure(name, seed))
        ordered = sorted(rows, key=lambda row: (list(RATES).index(row["learns"]), int(row["seed"])))
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(ordered)


if __name__ == "__main__":
    compare_rates() if "rates" in sys.argv else main()
