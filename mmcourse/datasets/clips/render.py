"""Clips as frames: each is drawn as a scene, with the same noise behind all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from mmcourse.datasets.clips.captions import clip_captions
from mmcourse.datasets.clips.grammar import Clip, sample_clips
from mmcourse.datasets.scenes.render import render


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipBatch:
    """Frames and what they show: `frames` uint8 (n, T, 3, 64, 64), `clips`, and `masks` bool (n, T, 3, 64, 64) or None.

    `masks[i, t, k]` marks the pixels of thing k of clip i in frame t; it is empty where the thing is not seen.
    """

    frames: torch.Tensor
    clips: tuple[Clip, ...]
    masks: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.clips)

    def captions(self, i: int) -> list[str]:
        """The captions of clip i."""
        return clip_captions(self.clips[i])


def make_clips(count: int, *, split: str = "train", start: int = 0, frames: int = 8, masks: bool = False) -> ClipBatch:
    """Clips `start` to `start + count - 1` of a split, drawn.

    Args:
        split: `train`, `val`, `test` or `compositional`, as for `make_scenes`.
        frames: of each clip, from 8 to 16.
        masks: also return which pixels of each thing are seen.
    Raises:
        ValueError: an unknown split, a negative number, or not 8 to 16 frames.

    >>> make_clips(2, frames=12).frames.shape
    torch.Size([2, 12, 3, 64, 64])
    """
    clips = sample_clips(count, split=split, start=start, frames=frames)
    pictures, seen = render_clips(clips, masks=masks)
    shape = (count, frames)
    return ClipBatch(
        frames=pictures.unflatten(0, shape), clips=clips, masks=None if seen is None else seen.unflatten(0, shape)
    )


def render_clips(clips: Sequence[Clip], *, masks: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Draws clips: all frames, clip after clip, uint8 (n·T, 3, 64, 64) and, if asked for, masks bool alike."""
    stages = [
        replace(clip.cast, objects=tuple(thing.path[t] for thing in clip.things))
        for clip in clips
        for t in range(clip.length)
    ]
    return render(stages, masks=masks)
