"""A clip as one vector: a network reads each frame, then attention over time puts what it saw in order.

Space first and time after it is the factorised encoder of Arnab et al., "ViViT: a video vision transformer" (2021),
here with a CNN for the frames. Its two rivals see less, with as many weights: the mean of the frames, which knows no
order, and the first frame alone, as a probe like that of Buch et al., "Revisiting the 'video' in video-language
understanding" (2022), asks how much one frame is enough for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from mmcourse.attention import sinusoidal_positions
from mmcourse.encoders.cnn import CNN
from mmcourse.pictures import centered
from mmcourse.transformer import Encoder

OverTime = Literal["attention", "mean", "first"]


class VideoEncoder(nn.Module):
    """A CNN for each frame and a transformer over time, in one of three ways that have equally many weights.

    Where the transformer sees one token only, its queries and keys change nothing.

    Args:
        widths: channels of the stages of the CNN; the last is C.
        over_time: what the transformer sees: "attention" = every frame and when it comes, "mean" = the mean of the
            frames' features as one token, "first" = the first frame as one token.
        depth: blocks of the transformer.
        heads: of its attention.
    Raises:
        ValueError: `over_time` is none of the three.

    >>> import torch
    >>> VideoEncoder((8, 16)).eval()(torch.zeros(2, 8, 3, 64, 64, dtype=torch.uint8)).shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        *,
        over_time: OverTime = "attention",
        depth: int = 1,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if over_time not in get_args(OverTime):
            raise ValueError(f"over_time must be one of {', '.join(get_args(OverTime))}, got {over_time!r}")
        self.over_time = over_time
        self.cnn = CNN(widths)
        # Features of size 1, so that they do not drown the signal of time.
        self.frame_norm = nn.LayerNorm(self.cnn.width, elementwise_affine=False)
        self.time = Encoder(depth, self.cnn.width, heads)

    @property
    def width(self) -> int:
        """Numbers that describe one clip."""
        return self.cnn.width

    def forward(self, clips: Tensor) -> Tensor:
        """One vector for each clip, the mean of its tokens: colors from 0 to 255, (B, T, 3, H, W) -> (B, C)."""
        return self.tokens(clips).mean(dim=1)

    def tokens(self, clips: Tensor) -> Tensor:
        """A token for each frame, or the only one: (B, T, 3, H, W) -> (B, T, C) or (B, 1, C).

        Raises:
            ValueError: `clips` has another shape.
        """
        if clips.dim() != 5 or clips.shape[1] == 0 or clips.shape[2] != 3:
            raise ValueError(f"clips must be (B, T, 3, H, W) with a frame at least, got {tuple(clips.shape)}")
        frames = clips[:, :1] if self.over_time == "first" else clips
        features = self.cnn(centered(frames).flatten(0, 1))  # (B, T, 3, H, W) -> (B·T, 3, H, W) -> (B·T, C)
        seen = self.frame_norm(features).unflatten(0, frames.shape[:2])  # (B·T, C) -> (B, T, C)
        if self.over_time == "mean":
            seen = seen.mean(dim=1, keepdim=True)
        return self.time(seen + sinusoidal_positions(seen.shape[1], self.width).to(seen))
