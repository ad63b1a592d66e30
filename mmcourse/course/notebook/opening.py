"""The first line of a chapter: its look, its chance and what it runs on."""

from __future__ import annotations

import os

import torch

from mmcourse import viz
from mmcourse.runtime import budget, device, seed_everything, set_threads
from mmcourse.train.trial import try_device


def open_chapter(chapter: int) -> torch.Generator:
    """Prepares a chapter and says what it runs on; returns a CPU generator seeded with the chapter's number.

    The models of the course are so small that several threads mostly wait for each other, so there is one. An
    accelerator is tried out first; where it computes otherwise than the CPU, the CPU is used.
    """
    viz.use_style()
    set_threads(1)
    place = device()
    if place.type != "cpu" and (problem := try_device(place)):
        print(f"This chapter runs on the CPU, because {problem}.")
        os.environ["MMCOURSE_DEVICE"] = "cpu"
    else:
        print(f"This chapter runs on {_name(place)}.")
    if budget() == "gpu" and device().type == "cpu":
        print("MMCOURSE_BUDGET is gpu, and there is none: training takes several times as long as with standard.")
    return seed_everything(chapter)


def _name(place: torch.device) -> str:
    if place.type == "cuda":
        return f"the GPU {torch.cuda.get_device_name(place)}"
    return {"mps": "the GPU of this Mac (mps)", "cpu": "the CPU, in one thread"}.get(place.type, str(place))
