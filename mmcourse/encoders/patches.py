"""A small network that sees a picture as patches: a token for each of them, and what each one shows.

The vectors of its classes live in the space of its tokens, so a word can begin its life as the vector of the thing
that it names. `mmcourse.recipes.patches` trains one.
"""

from __future__ import annotations

from torch import Tensor, nn

from mmcourse.encoders.cnn import CNN
from mmcourse.pictures import centered

__all__ = ["PatchEncoder"]


class PatchEncoder(nn.Module):
    """Pictures as tokens, one for each patch, and which of the classes each one shows.

    Args:
        classes: how many; the last of them stands for nothing.
        widths: channels of the stages of its `CNN`; with n stages a patch is 4 · 2ⁿ⁻¹ pixels wide.
        width: channels C of a token.

    >>> import torch
    >>> encoder = PatchEncoder(5, widths=(8, 16), width=12)
    >>> encoder.tokens(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).shape
    torch.Size([2, 64, 12])
    """

    def __init__(self, classes: int, *, widths: tuple[int, ...] = (64, 128), width: int = 64) -> None:
        super().__init__()
        self.cnn = CNN(widths, stem=4)
        self.narrow = nn.Linear(self.cnn.width, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.classes = nn.Linear(width, classes)

    def tokens(self, images: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> (B, P, C), each token with mean 0 and variance 1."""
        features = self.cnn.feature_map(centered(images))
        return self.norm(self.narrow(features.flatten(2).mT))  # (B, C, h, w) -> (B, C, P) -> (B, P, C)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the classes for each patch: (B, P, classes)."""
        return self.classes(self.tokens(images))

    def noun_vectors(self) -> Tensor:
        """The vectors of the classes without the last, in order, scaled as tokens are: (classes − 1, C)."""
        return self.norm(self.classes.weight[:-1].detach())
