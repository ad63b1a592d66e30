"""The captions of scenes, which several recipes read: sentences as a pure function of a range, and their words."""

from __future__ import annotations

import torch

from mmcourse.datasets import captions, sample_scenes
from mmcourse.tokenizer import WordTokenizer

CONTEXT = 16  # tokens: <bos>, at most 12 words and <eos> are 14
READ = 20_000  # captions in which every word of the grammar comes


def scene_texts(start: int, count: int, *, split: str = "train") -> list[str]:
    """One caption of each of the scenes `start` to `start + count - 1`, drawn by a chance of its own for this range."""
    which = torch.randint(5, (count,), generator=torch.Generator().manual_seed(start)).tolist()
    scenes = sample_scenes(count, split=split, start=start)
    return [captions(scene)[index] for scene, index in zip(scenes, which, strict=True)]


def scene_tokenizer() -> WordTokenizer:
    """A tokenizer that knows every word of the captions of scenes."""
    return WordTokenizer.train(scene_texts(0, READ))
