"""Whole models, put together from encoders, fusions and heads, and kept in a folder each."""

from mmcourse.models.captioner import Caption, Captioner, CaptionerConfig, WordMaps
from mmcourse.models.classifier import MultiModalConfig, MultiModalModel, Prediction
from mmcourse.models.clip import CLIP, CLIPConfig, ClipFeatures, ZeroShot
from mmcourse.models.matcher import Matcher, MatcherConfig, rerank
from mmcourse.models.parts import IMAGE_ENCODERS, TEXT_ENCODERS, Seen

__all__ = [
    "CLIP",
    "IMAGE_ENCODERS",
    "TEXT_ENCODERS",
    "CLIPConfig",
    "Caption",
    "Captioner",
    "CaptionerConfig",
    "ClipFeatures",
    "Matcher",
    "MatcherConfig",
    "MultiModalConfig",
    "MultiModalModel",
    "Prediction",
    "Seen",
    "WordMaps",
    "ZeroShot",
    "rerank",
]
