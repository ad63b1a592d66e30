"""Whole models, put together from encoders, fusions and heads, and kept in a folder each."""

from mmcourse.models.classifier import MultiModalConfig, MultiModalModel, Prediction
from mmcourse.models.parts import IMAGE_ENCODERS, TEXT_ENCODERS, Seen

__all__ = ["IMAGE_ENCODERS", "TEXT_ENCODERS", "MultiModalConfig", "MultiModalModel", "Prediction", "Seen"]
