"""`SceneReader`: what a small picture of a scene shows, place by place, read without being told what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.datasets import BACKGROUNDS, POSITIONS, SIZES, Scene, lexicon
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.encoders.cnn import CNN
from mmcourse.pictures import centered

WINDOW, STEP = 4, 2  # of the 8 × 8 map: windows of 4 × 4, two apart, are three in a row


class SceneScores(NamedTuple):
    """Logits for B pictures, the nine places in reading order."""

    nouns: Tensor  # (B, 9, 65): number 0 is nothing, number i + 1 noun i of the lexicon
    sizes: Tensor  # (B, 9, 3)
    background: Tensor  # (B, 8)


class SceneReader(nn.Module):
    """Which thing of which size stands at each of nine places, and on which background.

    Every place is read by the same weights from a window of its own, so that nothing is learned about which things go
    together: a reader that expects what it saw in training would find it where it is not.

    Args:
        widths: channels of the network's stages; pictures of 32 × 32 pixels become maps of 8 × 8 in three of them.
        hidden: channels between a window and its logits.
    """

    def __init__(self, widths: Sequence[int] = (48, 96, 128), hidden: int = 128) -> None:
        super().__init__()
        self.cnn = CNN(widths, stem=1)
        self.narrow = nn.Conv2d(self.cnn.width, 32, 1)
        self.window = nn.Linear(32 * WINDOW**2, hidden)
        self.nouns = nn.Linear(hidden, 1 + len(lexicon()))
        self.sizes = nn.Linear(hidden, len(SIZES))
        self.background = nn.Linear(self.cnn.width, len(BACKGROUNDS))

    def forward(self, images: Tensor) -> SceneScores:
        """uint8 (B, 3, 32, 32), or floats from −1 to 1."""
        x = images if images.is_floating_point() else centered(images)
        found = self.cnn.feature_map(x.contiguous(memory_format=torch.channels_last))  # (B, C, 8, 8)
        windows = F.unfold(self.narrow(found), WINDOW, stride=STEP).mT  # (B, 9, 32·16)
        seen = F.relu(self.window(windows))
        return SceneScores(self.nouns(seen), self.sizes(seen), self.background(found.mean(dim=(2, 3))))

    @torch.no_grad()
    def read(self, images: Tensor) -> list[Scene | None]:
        """The scene that each picture uint8 (B, 3, 32, 32) shows, or None where it shows nothing or more than three."""
        scores = [part.argmax(dim=-1).tolist() for part in self(images)]
        return [_scene(*found) for found in zip(*scores, strict=True)]


def _scene(nouns: list[int], sizes: list[int], background: int) -> Scene | None:
    names = [noun.name for noun in lexicon()]
    things = [
        (names[noun - 1], list(SIZES)[size], place)
        for noun, size, place in zip(nouns, sizes, POSITIONS, strict=True)
        if noun
    ]
    return arrange(things, list(BACKGROUNDS)[background]) if 1 <= len(things) <= 3 else None
