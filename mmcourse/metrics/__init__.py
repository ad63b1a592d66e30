"""Metrics: how good a model is, in numbers that other people's tools agree with."""

from mmcourse.metrics.answers import (
    KindAccuracy,
    RiskCoverage,
    VQAAccuracy,
    accuracy_by_kind,
    normalize_answer,
    risk_coverage,
    vqa_accuracy,
)
from mmcourse.metrics.captions import BLEU, CIDEr, bleu, cider_d, rouge_l
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
from mmcourse.metrics.correlation import spearman
from mmcourse.metrics.detection import Detection, Detections, blobs, box_iou, detection
from mmcourse.metrics.hallucination import Invented, Probes, invented, probes
from mmcourse.metrics.retrieval import Retrieval, mean_average_precision, median_rank, recall_at_k, retrieval

__all__ = [
    "AVERAGES",
    "BLEU",
    "CIDEr",
    "Detection",
    "Detections",
    "Invented",
    "KindAccuracy",
    "PrecisionRecallF1",
    "Probes",
    "Reliability",
    "Retrieval",
    "RiskCoverage",
    "VQAAccuracy",
    "accuracy",
    "accuracy_by_kind",
    "bleu",
    "blobs",
    "box_iou",
    "cider_d",
    "confusion_matrix",
    "detection",
    "expected_calibration_error",
    "invented",
    "mean_average_precision",
    "median_rank",
    "normalize_answer",
    "perplexity",
    "precision_recall_f1",
    "probes",
    "recall_at_k",
    "reliability",
    "retrieval",
    "risk_coverage",
    "rouge_l",
    "spearman",
    "top_k_accuracy",
    "vqa_accuracy",
]
