"""Metrics: how good a model is, in numbers that other people's tools agree with."""

from mmcourse.metrics.classification import (
    AVERAGES,
    PrecisionRecallF1,
    Reliability,
    accuracy,
    confusion_matrix,
    expected_calibration_error,
    perplexity,
    precision_recall_f1,
    reliability,
    top_k_accuracy,
)

__all__ = [
    "AVERAGES",
    "PrecisionRecallF1",
    "Reliability",
    "accuracy",
    "confusion_matrix",
    "expected_calibration_error",
    "perplexity",
    "precision_recall_f1",
    "reliability",
    "top_k_accuracy",
]
