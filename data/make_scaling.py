"""Makes data/scaling.csv: the loss of tiny language models of six sizes above the exact entropy, for chapter 15.

    python data/make_scaling.py

Captions that no other step sees, as in the recipe tiny-lm; two lengths of training and three seeds each. Chapter 15
fits its scaling law to this table. Half an hour on one thread; each row is written at once.
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import torch
from torch import nn

from mmcourse.datasets import caption_entropy
from mmcourse.deploy import count_parameters
from mmcourse.lm import GPT, GPTConfig
from mmcourse.recipes import Trained
from mmcourse.recipes.data.worlds import CONTEXT, scene_tokenizer
from mmcourse.recipes.tiny_lm import BATCH, FreshCaptions, gap, loss
from mmcourse.runtime import by_budget, seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import fit

WIDTHS = (8, 12, 16, 24, 48, 96)
LENGTHS = by_budget(smoke=(2, 4), standard=(500, 2_000))  # steps
SEEDS = (0, 1, 2)
CAPTIONS = by_budget(smoke=200, standard=20_000)  # of the validation split that each model is measured on
FIELDS = ("width", "parameters", "steps", "captions", "seed", "seconds", "excess", "error", "entropy")


def tiny(width: int, vocabulary_size: int, *, seed: int) -> GPT:
    """A GPT of two blocks that starts as that of the recipe tiny-lm does."""
    seed_everything(seed)
    heads = max(1, width // 16)
    model = GPT(GPTConfig(vocabulary_size=vocabulary_size, context=CONTEXT, width=width, heads=heads, depth=2))
    nn.init.normal_(model.embedding.weight, std=0.1)
    return model


def row(width: int, steps: int, seed: int, tokenizer: WordTokenizer) -> dict[str, object]:
    """Trains one model and measures it."""
    model, begin = tiny(width, len(tokenizer), seed=seed), time.perf_counter()
    fresh = FreshCaptions(tokenizer)
    fit(
        model, loss, lambda step: fresh(100_000 * seed + step), steps=steps, learning_rate=2e-3, seed=seed,
        description=f"width {width}, {steps} steps, seed {seed}",
    )  # fmt: skip
    seconds = round(time.perf_counter() - begin)
    found = gap(Trained(model.eval(), tokenizer, {}), split="val", count=CAPTIONS)
    facts = {"width": width, "parameters": count_parameters(model), "steps": steps, "captions": steps * BATCH}
    measured = {"excess": f"{found.excess:.5f}", "error": f"{found.error:.5f}"}
    return facts | {"seed": seed, "seconds": seconds} | measured | {"entropy": f"{caption_entropy().per_token:.5f}"}


def main(path: Path) -> None:
    torch.set_num_threads(1)
    tokenizer = scene_tokenizer()
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for steps in LENGTHS:
            for width in WIDTHS:
                for seed in SEEDS:
                    writer.writerow(row(width, steps, seed, tokenizer))
                    file.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "scaling.csv")
