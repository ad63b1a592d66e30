"""Makes data/answerers.csv: how far answerers with and without attention come in chapter 10, and who learns a prior.

    python data/make_answerers.py

The world, the questions and the models are those of the chapter: its own cells are run up to the table. Three seeds
each. The learning rate of the flat model is the better one of 1e-3 and 2e-3 on validation scenes, after 300 steps.
Twenty minutes on one thread; each row is written at once, and rows that are there already are kept.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import torch

from mmcourse.content import content_dir
from mmcourse.course.author.source import chapter_sources, read_chapter
from mmcourse.datasets import QUESTION_KINDS
from mmcourse.runtime import seed_everything

SEEDS = (0, 1, 2)
STEPS = 1_200
FIELDS = ("model", "weights", "steps", "seed", *QUESTION_KINDS, "new pairs", "usual", "turned")
LAST = "How it ends depends on the seed"  # the text cell of the chapter before which everything is defined


def chapter_world() -> dict:
    """What the chapter has defined before its table; cells that read the table itself are left out."""
    mpl.use("Agg")
    chapter = read_chapter(chapter_sources(content_dir("chapters"), "10")[0])
    end = next(place for place, cell in enumerate(chapter.cells) if cell.source.startswith(LAST))
    world: dict = {"__name__": "chapter_10"}
    for cell in chapter.cells[:end]:
        if cell.kind == "code" and cell.role != "check" and "runs" not in cell.source:
            exec(compile(cell.source, f"cell {cell.id}", "exec"), world)
    return world


def rival(world: dict, name: str, seed: int) -> tuple[torch.nn.Module, Callable]:
    """One of the four models before training, and what it is given of a batch."""
    model, _ = world["untrained"](seed)
    cuts = {"question alone": world["without_picture"], "picture alone": world["without_question"]}
    if name == "flat":
        seed_everything(seed)
        model = world["Flat"](model, world["seen"], 256)
    return model, cuts.get(name, lambda batch: batch)


def compare(world: dict, name: str, seed: int) -> dict[str, object]:
    """Trains one model on all kinds of questions and measures it on the test scenes and on new pairs of nouns."""
    model, cut = rival(world, name, seed)
    drawn = world["DrawnQuestions"](world["answerer"], world["train_scenes"].scenes, world["seen"])
    world["fit"](
        model, lambda m, batch: world["choose_loss"](m, cut(batch)), lambda step: drawn(step + seed * STEPS),
        steps=STEPS, learning_rate=2e-3, seed=seed, description=f"{name}, seed {seed}",
    )  # fmt: skip
    found = {}
    for split, asked in world["exams"].items():
        answers = world["half_answers"](model.eval(), cut, asked, world["memory"][split])
        found[split] = world["by_kind"](answers, asked)
    measured = found["test"] | {"new pairs": sum(found["new pairs"].values()) / len(QUESTION_KINDS)}
    facts = {"model": name, "weights": sum(p.numel() for p in model.parameters()), "steps": STEPS, "seed": seed}
    return facts | {key: f"{value:.3f}" for key, value in measured.items()}


def lean(world: dict, experts: bool, steps: int, seed: int) -> dict[str, object]:
    """Trains one model on questions with favorite answers and measures it with these, and with them turned round."""
    loss = world["experts_loss"] if experts else world["choose_loss"]
    begin = world["untrained"]
    world["untrained"] = lambda: begin(seed)  # the chapter begins with seed 0
    found = world["both_tests"](world["train_leaning"](loss, steps))
    world["untrained"] = begin
    name = f"{'two experts' if experts else 'prior'}, {steps} steps"
    return {"model": name, "steps": steps, "seed": seed} | {key: f"{value:.3f}" for key, value in found.items()}


def main(path: Path) -> None:
    kept = list(csv.DictReader(path.open(encoding="utf-8"))) if path.is_file() else []
    done = {(old["model"], int(old["seed"])) for old in kept}
    world = chapter_world()
    with path.open("a" if kept else "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if not kept:
            writer.writeheader()
        for seed in SEEDS:
            for experts, steps in ((False, 100), (False, 400), (True, 400)):
                if (f"{'two experts' if experts else 'prior'}, {steps} steps", seed) not in done:
                    writer.writerow(lean(world, experts, steps, seed))
                    file.flush()
        for seed in SEEDS:
            for name in ("attends", "flat", "question alone", "picture alone"):
                if (name, seed) not in done:
                    writer.writerow(compare(world, name, seed))
                    file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "answerers.csv")
