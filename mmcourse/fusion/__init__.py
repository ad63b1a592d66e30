"""Fusion: what an image encoder and a text encoder found becomes one vector, in seven exchangeable ways.

Each takes `Views` and gives (B, width); `late` gives one logit a class instead. Letters: B batch, P patches, L words.

>>> import torch
>>> views = Views(image=torch.randn(2, 12), text=torch.randn(2, 8))
>>> make_fusion("gated", 12, 8, 16)(views).shape
torch.Size([2, 16])
"""

from __future__ import annotations

import inspect
from typing import Any

from mmcourse.fusion.tokens import (
    CoAttentionFusion,
    CrossAttentionFusion,
    CrossAttentionLayer,
    by_direction,
)
from mmcourse.fusion.vectors import (
    BilinearFusion,
    ConcatFusion,
    FiLMFusion,
    GatedFusion,
    LateFusion,
    average_predictions,
    film,
    low_rank_bilinear,
)
from mmcourse.fusion.views import Fusion, ModalityDropout, Views, mlp

FUSIONS: dict[str, type[Fusion]] = {
    "concat": ConcatFusion,
    "late": LateFusion,
    "gated": GatedFusion,
    "bilinear": BilinearFusion,
    "film": FiLMFusion,
    "cross_attention": CrossAttentionFusion,
    "co_attention": CoAttentionFusion,
}

__all__ = [
    "FUSIONS",
    "BilinearFusion",
    "CoAttentionFusion",
    "ConcatFusion",
    "CrossAttentionFusion",
    "CrossAttentionLayer",
    "FiLMFusion",
    "Fusion",
    "GatedFusion",
    "LateFusion",
    "ModalityDropout",
    "Views",
    "average_predictions",
    "by_direction",
    "film",
    "low_rank_bilinear",
    "make_fusion",
    "mlp",
]


def make_fusion(name: str, image_width: int, text_width: int, width: int, **options: Any) -> Fusion:
    """The fusion of that name with its own options; `width` is the size of the result, for "late" the classes.

    Raises:
        ValueError: there is no such fusion or option; the message lists those that there are.
    """
    if name not in FUSIONS:
        raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {name!r}")
    known = list(inspect.signature(FUSIONS[name]).parameters)[3:]
    for option in options:
        if option not in known:
            raise ValueError(f"fusion {name!r} has the options {', '.join(known)}, got {option!r}")
    return FUSIONS[name](image_width, text_width, width, **options)
