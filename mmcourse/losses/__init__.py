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

__all__ = [
    "IGNORED",
    "REDUCTIONS",
    "cross_entropy",
    "cross_entropy_gradient",
    "entropy",
    "kl_divergence",
    "log_softmax",
    "log_sum_exp",
    "softmax",
]
