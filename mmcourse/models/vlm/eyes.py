"""How a VLM sees, and how what it sees becomes words: the picture side of an earlier model, and a projector."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

from mmcourse.encoders.cnn import CNN
from mmcourse.models.picture_decoder import PictureDecoder, PictureDecoderConfig
from mmcourse.transformer import Encoder

Projector = Literal["linear", "mlp", "words"]
PROJECTORS = ("linear", "mlp", "words")


class Eyes(nn.Module):
    """The picture side of a `PictureDecoder` (a captioner, a VQA), without the words it has learned.

    Args:
        config: of that model; what it says about the text side does not matter.

    >>> import torch
    >>> eyes = Eyes(PictureDecoderConfig(width=16, seen=8, heads=2, widths=(8, 16))).eval()
    >>> eyes(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).shape
    torch.Size([1, 64, 16])
    """

    def __init__(self, config: PictureDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.cnn = CNN(tuple(config.widths), stem=config.stem)
        self.narrow = nn.Linear(self.cnn.width, config.width)
        self.encoder = Encoder(config.encoder_depth, config.width, config.heads, hidden=config.encoder_hidden)
        self.dropout = nn.Identity()  # eyes are frozen

    # One concept, one home: these read nothing but the parts above.
    patches = PictureDecoder.patches
    memory = PictureDecoder.memory

    @classmethod
    def of(cls, model: PictureDecoder) -> Eyes:
        """The eyes of a trained model, with copies of its weights."""
        eyes = cls(PictureDecoderConfig(**{name: getattr(model.config, name) for name in _fields()}))
        wanted = eyes.state_dict().keys()
        eyes.load_state_dict({name: value for name, value in model.state_dict().items() if name in wanted})
        return eyes.to(model.device).eval()

    def forward(self, images: Tensor) -> Tensor:
        """What stands where: uint8 (B, 3, H, W) -> (B, P, F)."""
        return self.memory(images)


def _fields() -> list[str]:
    return list(PictureDecoderConfig.__dataclass_fields__)


def merged(features: Tensor, side: int) -> Tensor:
    """Squares of side × side patches laid side by side, so that fewer words say the same.

    (B, P, F) -> (B, P / side², F · side²).

    Modern models do it to keep their texts short: Wang et al., "Qwen2-VL" (2024), section 2.1, merge 2 × 2.

    Args:
        features: of a square grid of patches, row by row; with side = 1 of any patches, which stay as they are.

    >>> import torch
    >>> merged(torch.arange(16.0).reshape(1, 16, 1), 2)[0]
    tensor([[ 0.,  1.,  4.,  5.],
            [ 2.,  3.,  6.,  7.],
            [ 8.,  9., 12., 13.],
            [10., 11., 14., 15.]])
    """
    if side == 1:
        return features
    rows, channels = math.isqrt(features.shape[1]) // side, features.shape[2]
    grid = features.reshape(-1, rows, side, rows, side, channels).transpose(2, 3)
    return grid.reshape(features.shape[0], rows * rows, side * side * channels)  # no len(): see PictureDecoder.features


def make_projector(kind: Projector, features: int, width: int, *, spread: int = 1) -> nn.Module:
    """From a patch to words, (B, P, F) -> (B, P, spread · C): one linear map as in LLaVA, or the two of LLaVA-1.5.

    "words" is one linear map, behind which a model puts `mixed_words`.

    Liu et al., "Visual instruction tuning" (2023), section 4.1, and "Improved baselines with visual instruction tuning"
    (2023).
    """
    if kind not in PROJECTORS:
        raise ValueError(f"projector must be one of {', '.join(PROJECTORS)}, got {kind!r}")
    if kind != "mlp":
        return nn.Linear(features, spread * width)
    return nn.Sequential(nn.Linear(features, width), nn.GELU(), nn.Linear(width, spread * width))


def mixed_words(vectors: Tensor, table: Tensor) -> Tensor:
    """What a language model can read most easily in place of vectors: means of its own words, (…, C) -> (…, C).

    The weights are the softmax of the dot products with all words, so that a vector near one word becomes that word.
    Masry et al., "AlignVLM" (2025): a projector whose outputs stay where the language model was trained.

    Args:
        table: the embeddings of all words (V, C).

    >>> import torch
    >>> mixed_words(torch.tensor([[9.0, 1.0]]), 3 * torch.eye(2)).round()
    tensor([[3., 0.]])
    """
    return (vectors @ table.T).softmax(dim=-1) @ table
