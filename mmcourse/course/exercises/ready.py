"""Functions that are ready-made for several exercises."""

from __future__ import annotations

from torch.nn import functional as F

from mmcourse import attention

ATTENTION = (
    F.scaled_dot_product_attention,
    F.multi_head_attention_forward,
    attention.attention,
    attention.fused_attention,
)
