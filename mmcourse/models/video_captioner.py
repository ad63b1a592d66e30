"""`VideoCaptioner`: a clip in, a sentence about what happens out; a `Captioner` whose patches know time.

Two streams see each frame (Simonyan and Zisserman, "Two-stream convolutional networks for action recognition in
videos", 2014). One sees what is there, as a captioner sees a picture, and stays frozen. The other sees what changes: a
small convolutional network reads the frame beside the step to the next one. Both come together in squares of patches.
Each square is told when it is and attends to all others, of all frames: joint attention to space and time, the first
model of Arnab et al., "ViViT: a video vision transformer" (2021). The decoder looks at the result as at the patches of
one picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import sinusoidal_positions
from mmcourse.decoding import Decoded
from mmcourse.models.captioner import Captioner, CaptionerConfig
from mmcourse.models.picture_decoder import EYES
from mmcourse.models.vlm import merged
from mmcourse.pictures import centered
from mmcourse.tokenizer import Tokenizer
from mmcourse.transformer import Encoder

AT_ONCE = 32  # clips that `watch` looks at together: many clips are very many frames


@dataclass(frozen=True, kw_only=True)
class VideoCaptionerConfig(CaptionerConfig):
    """The size of a `VideoCaptioner`: that of a captioner, and

    Args:
        frames: how many of a clip are looked at, evenly spread over it.
        merge: side of the squares of patches that become one.
        motion: channels of the network that sees what changes.
        time_depth, time_hidden: blocks in which squares of all frames see each other, and channels inside them.
    """

    frames: int = 8
    merge: int = 2
    motion: int = 64
    time_depth: int = 2
    time_hidden: int = 256


class VideoCaptioner(Captioner):
    """Clips in, sentences out. Wherever a captioner takes pictures, it takes clips uint8 (B, T, 3, H, W).

    The eyes, which are those of a captioner, are frozen: `hand_on` of its recipe brings trained ones.

    >>> from mmcourse.tokenizer import WordTokenizer
    >>> tokenizer = WordTokenizer.train(["a cat moves left"])
    >>> config = VideoCaptionerConfig(width=16, seen=8, heads=2, decoder_depth=1, widths=(8, 16), motion=8)
    >>> model = VideoCaptioner(config, tokenizer).eval()
    >>> clips = torch.zeros(2, 8, 3, 64, 64, dtype=torch.uint8)
    >>> model(clips, torch.tensor([[2, 4, 5], [2, 4, 5]])).shape, model.over_time(clips).shape
    (torch.Size([2, 3, 8]), torch.Size([2, 128, 16]))
    """

    Config: ClassVar[type] = VideoCaptionerConfig

    def __init__(self, config: VideoCaptionerConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        if config.frames < 2 or config.merge < 1:
            raise ValueError(f"frames must be at least 2 and merge at least 1, got {config.frames} and {config.merge}")
        width, square = config.width, config.merge**2
        self.motion = _motion(config)
        self.joined = nn.Linear(square * (width + config.motion), width)
        self.time = Encoder(config.time_depth, width, config.heads, hidden=config.time_hidden, dropout=config.dropout)
        with torch.no_grad():  # what the decoder has read until now, the mean over a square, goes through unchanged
            known = torch.cat((torch.eye(width), torch.zeros(width, config.motion)), dim=1).repeat(1, square)
            self.joined.weight += known / square
            self.joined.bias.zero_()
        for name in EYES:
            getattr(self, name).requires_grad_(False)

    def train(self, mode: bool = True) -> VideoCaptioner:
        """As of every module, but the eyes go on to normalize by what they have learned."""
        super().train(mode)
        for name in EYES:
            getattr(self, name).eval()
        return self

    def over_time(self, clips: Tensor) -> Tensor:
        """What the decoder reads about each clip: uint8 (B, T, 3, H, W) -> (B, frames·squares, C).

        Of a clip with more frames than the model looks at, some are left out; of one with fewer, some are seen twice.
        """
        chosen = torch.linspace(0, clips.shape[1] - 1, self.config.frames).round().long()
        clips = clips[:, chosen.to(clips.device)]
        colors = centered(clips)
        steps = F.pad(colors[:, 1:] - colors[:, :-1], (0, 0, 0, 0, 0, 0, 0, 1))  # none follows the last frame
        with torch.no_grad():
            shown = self.memory(clips.flatten(0, 1))  # (B·T, P, C)
        moved = self.motion(torch.cat((colors, steps), dim=2).flatten(0, 1)).flatten(2).mT  # (B·T, P, motion)
        squares = self.joined(merged(torch.cat((shown, moved), dim=-1), self.config.merge))  # (B·T, S, C)
        x = squares.unflatten(0, clips.shape[:2])  # (B·T, S, C) -> (B, T, S, C)
        when = sinusoidal_positions(x.shape[1], x.shape[-1]).to(x)[:, None]
        return self.time(self.dropout((x + when).flatten(1, 2)))

    def _memory(self, clips: Tensor) -> Tensor:
        if clips.dim() == 3 and clips.is_floating_point():
            return clips
        if clips.dim() != 5 or clips.shape[1] == 0 or clips.shape[2] != 3 or clips.dtype != torch.uint8:
            wanted = "uint8 (B, T, 3, H, W), or their memory, float (B, P, C)"
            raise ValueError(f"clips must be {wanted}; got {clips.dtype} {tuple(clips.shape)}")
        return self.over_time(clips)

    def watch(self, clips: Tensor) -> Tensor:
        """The memory of many clips uint8 (N, T, 3, H, W) -> (N, P, C), on the CPU, to be used again and again.

        As `remember` for pictures: in evaluation mode, without gradients, and a few clips at a time.
        """
        return self._in_parts(self._memory, clips, AT_ONCE)

    def _write(self, clips: Tensor, *options: Any) -> Decoded:
        return super()._write(self.watch(clips).to(self.device), *options)

    def _grid(self, images: Tensor) -> tuple[int, ...]:
        """Squares of a clip: frames, rows and columns."""
        rows, columns = super()._grid(images)
        return self.config.frames, rows // self.config.merge, columns // self.config.merge


def _motion(config: VideoCaptionerConfig) -> nn.Sequential:
    """Colors and their steps (N, 6, H, W) -> (N, motion, h, w), with as many places as there are patches."""
    layers = [nn.Conv2d(6, config.motion // 2, 2 * config.stem - 1, stride=config.stem, padding=config.stem - 1)]
    for channels in [config.motion // 2] + [config.motion] * (len(config.widths) - 2):
        layers += [nn.ReLU(), nn.Conv2d(channels, config.motion, 3, stride=2, padding=1)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Conv2d(config.motion, config.motion, 3, padding=1), nn.ReLU())
