"""`Text2Image`: sentences in, pictures out, by following a velocity from noise (see `mmcourse.flow`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import LearnedPositions
from mmcourse.flow import Velocity, guided, trajectory
from mmcourse.models.base import SavedModel
from mmcourse.models.text2image.unet import GROUPS, UNet
from mmcourse.pictures import centered
from mmcourse.runtime import evaluating, on_best_device
from mmcourse.tokenizer import EncodedBatch, Tokenizer
from mmcourse.transformer import Encoder


@dataclass(frozen=True, kw_only=True)
class Text2ImageConfig:
    """The size of a `Text2Image`.

    Args:
        size: side S of the pictures in pixels, a multiple of 4.
        channels, width, heads, depth: of the network, see `UNet`; words have the width C as well.
        text_depth: blocks in which words see each other.
        max_length: most tokens of a sentence, <bos> and <eos> counted.
    """

    size: int = 32
    channels: int = 64
    width: int = 128
    heads: int = 4
    depth: int = 2
    text_depth: int = 1
    max_length: int = 16


class Text2Image(SavedModel):
    """Noisy pictures, times and sentences in, velocities out; `draw` follows them from noise to pictures.

    Args:
        config: its size.
        tokenizer: of the sentences; saved with the model.
    Raises:
        ValueError: the tokenizer has no <pad>, or the sizes do not fit together.
    """

    Config: ClassVar[type] = Text2ImageConfig
    needs_tokenizer: ClassVar[bool] = True

    def __init__(self, config: Text2ImageConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        if tokenizer.pad_id is None:
            raise ValueError("tokenizer has no <pad>; sentences of different lengths need one to stand side by side")
        if config.size % 4 or config.channels % GROUPS or config.width % GROUPS:
            sizes = f"{config.size}, {config.channels} and {config.width}"
            raise ValueError(f"size must be a multiple of 4, channels and width of {GROUPS}; got {sizes}")
        if config.depth < 1:
            raise ValueError(f"depth must be at least 1, got {config.depth}")
        self.embedding = nn.Embedding(len(tokenizer), config.width)
        self.positions = LearnedPositions(config.max_length, config.width)
        self.encoder = Encoder(config.text_depth, config.width, config.heads, hidden=2 * config.width)
        self.unet = UNet(config.channels, config.width, config.heads, config.max_length, config.depth)

    def tokenize(self, texts: Sequence[str]) -> EncodedBatch:
        """Ids and mask (N, L) of sentences; of "" there is no more than its beginning and its end.

        Raises:
            ValueError: a sentence is longer than `max_length`.
        """
        batch = self.tokenizer.encode_batch(texts, add_special=True, spelled=False)
        if batch.ids.shape[1] > self.config.max_length:
            longest = texts[int(batch.mask.sum(dim=1).argmax())]
            raise ValueError(f"a sentence has at most {self.config.max_length - 2} words, got {longest!r}; shorten it")
        return batch

    def unknown_words(self, text: str) -> list[str]:
        """The words of a sentence that the model has never read."""
        return [word for word in text.split() if self.tokenizer.encode(word) == [self.tokenizer.unk_id]]

    def forward(self, x: Tensor, times: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """The velocity of pictures x (B, 3, S, S), from −1 to 1 where there is no noise left, at times (B,).

        Args:
            tokens, mask: of the sentences, (B, L) each; see `tokenize`.
        """
        return self.unet(x, times, self.read(tokens, mask), mask)

    def read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """What the words say, each having seen the others: ids and mask (B, L) -> (B, L, C)."""
        return self.encoder(self.positions(self.embedding(tokens)), mask=mask[:, None, None])

    def velocity(self, texts: Sequence[str], *, guidance: float = 1.0) -> Velocity:
        """The velocity of one picture for each of these sentences, for `mmcourse.flow`.

        Args:
            guidance: see `mmcourse.flow.guided`; anything but 1 doubles the work.
        """
        tokens, mask = (part.to(self.device) for part in self.tokenize([*texts, ""]))
        words = self.read(tokens, mask)
        wanted, anything = (words[:-1], mask[:-1]), (words[-1:], mask[-1:])

        def conditional(x: Tensor, times: Tensor) -> Tensor:
            return self.unet(x, times, *wanted)

        def unconditional(x: Tensor, times: Tensor) -> Tensor:
            return self.unet(x, times, *(part.expand(len(x), *part.shape[1:]) for part in anything))

        return conditional if guidance == 1 else guided(conditional, unconditional, guidance)

    def drawing(
        self,
        texts: Sequence[str],
        *,
        steps: int = 20,
        guidance: float = 3.0,
        method: str = "euler",
        generator: torch.Generator | None = None,
    ) -> Iterator[Tensor]:
        """The way from noise to one picture of each sentence: `steps` + 1 times uint8 (N, 3, S, S).

        Args:
            steps, method: see `mmcourse.flow.trajectory`.
            guidance: how much the sentences are exaggerated, see `mmcourse.flow.guided`.
            generator: of the noise, which decides whatever a sentence leaves open.
        """
        noise = torch.randn(len(texts), 3, self.config.size, self.config.size, generator=generator)
        with on_best_device(self) as place, evaluating(self):
            velocity = self.velocity(texts, guidance=guidance)
            for x in trajectory(velocity, noise.to(place), steps=steps, method=method):
                yield to_pixels(x.cpu())

    def draw(self, texts: Sequence[str], *, batch_size: int = 250, **options: Any) -> Tensor:
        """One picture of each sentence, uint8 (N, 3, S, S); the options are those of `drawing`."""
        finished = [torch.zeros(0, 3, self.config.size, self.config.size, dtype=torch.uint8)]
        for start in range(0, len(texts), batch_size):
            *_, pictures = self.drawing(texts[start : start + batch_size], **options)
            finished.append(pictures)
        return torch.cat(finished)


def to_pixels(x: Tensor) -> Tensor:
    """Pictures from −1 to 1, what lies outside cut off, as uint8."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_pixels(images: Tensor, size: int) -> Tensor:
    """Pictures uint8 (B, 3, H, H), H a multiple of size, made smaller by averaging: (B, 3, size, size) from −1 to 1."""
    return F.avg_pool2d(centered(images), images.shape[-1] // size)
