"""Makes data/readers.csv: how far readers with and without attention come in chapter 07, three seeds each.

    python data/make_readers.py

The world, the questions and the readers are those of the chapter: its own cells are run up to the experiment. The
learning rate and the numbers of hidden units and steps of the readers without attention were chosen on the validation
split. A quarter of an hour on one thread; each row is written at once.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import matplotlib as mpl

from mmcourse.content import content_dir
from mmcourse.course.author.source import chapter_sources, read_chapter

SEEDS = (0, 1, 2)
FIELDS = ("reader", "weights", "questions", "seed", "seconds", "exists", "where", "side", "relation", "new pairs")
LAST = "Train the three"  # the text cell of the chapter before which the world is made

mpl.use("Agg")
chapter = read_chapter(chapter_sources(content_dir("chapters"), "07")[0])
end = next(place for place, cell in enumerate(chapter.cells) if cell.source.startswith(LAST))
world: dict = {"__name__": "chapter_07"}
for cell in chapter.cells[:end]:
    if cell.kind == "code" and cell.role != "check":
        exec(compile(cell.source, f"cell {cell.id}", "exec"), world)

READERS = {
    "attention": (lambda seed: world["make_reader"](seed=seed), world["STEPS"], 64, 3e-3),
    "pooled": (lambda seed: world["Plain"](pooled=True, hidden=512, seed=seed), 3000, 64, 1e-3),
    "flat, equal size": (lambda seed: world["Plain"](pooled=False, hidden=32, seed=seed), 10_000, 128, 2e-3),
    "flat, eight times": (lambda seed: world["Plain"](pooled=False, hidden=256, seed=seed), 10_000, 128, 1e-3),
}


def row(name: str, seed: int) -> dict[str, object]:
    """Trains one reader and measures it on the test scenes and on pairs of nouns that never met in training."""
    make, steps, size, rate = READERS[name]
    model, begin = make(seed), time.perf_counter()
    world["fit"](
        model, world["question_loss"], world["Mixture"]("train", size=size), steps=steps, learning_rate=rate, seed=seed,
        description=f"{name}, seed {seed}",
    )  # fmt: skip
    seconds = round(time.perf_counter() - begin)
    measured = {kind: world["accuracy"](model, world["tests"], kind) for kind in world["KINDS"]}
    measured["new pairs"] = world["accuracy"](model, world["new_pairs"], "relation")
    facts = {"reader": name, "weights": sum(p.numel() for p in model.parameters()), "questions": steps * size}
    return facts | {"seed": seed, "seconds": seconds} | {key: f"{value:.3f}" for key, value in measured.items()}


def main(path: Path, names: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for name in names:
            for seed in SEEDS:
                writer.writerow(row(name, seed))
                file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "readers.csv", sys.argv[2:] or [*READERS])
