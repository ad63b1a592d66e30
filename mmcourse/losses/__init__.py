"""Losses: what training makes smaller. Pure functions of logits or features; all logarithms are natural."""

from mmcourse.losses.classification import (
    IGNORED,
    REDUCTIONS,
    cross_entropy,
    cross_entropy_gradient,
    entropy,
    kl_divergence,
    log_softmax,
    log_sum_exp,
    softmax,
)
from mmcourse.losses.contrastive import contrastive_logits, info_nce, sigmoid_loss

__all__ = [
    "IGNORED",
    "REDUCTIONS",
    "contrastive_logits",
    "cross_entropy",
    "cross_entropy_gradient",
    "entropy",
    "info_nce",
    "kl_divergence",
    "log_softmax",
    "log_sum_exp",
    "sigmoid_loss",
    "softmax",
]
