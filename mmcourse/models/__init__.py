"""Whole models, put together from encoders, fusions and heads, and kept in a folder each."""

from mmcourse.models.captioner import Caption, Captioner, CaptionerConfig
from mmcourse.models.classifier import MultiModalConfig, MultiModalModel, Prediction
from mmcourse.models.clip import CLIP, CLIPConfig, ClipFeatures, ZeroShot
from mmcourse.models.matcher import Matcher, MatcherConfig, rerank
from mmcourse.models.parts import IMAGE_ENCODERS, TEXT_ENCODERS, Seen
from mmcourse.models.picture_decoder import PictureDecoder, PictureDecoderConfig, WordMaps
from mmcourse.models.text2image import Text2Image, Text2ImageConfig
from mmcourse.models.video_captioner import VideoCaptioner, VideoCaptionerConfig
from mmcourse.models.vlm import VLM, Eyes, VLMConfig
from mmcourse.models.vqa import VQA, Answer, VQAConfig, VQALogits

__all__ = [
    "CLIP",
    "IMAGE_ENCODERS",
    "TEXT_ENCODERS",
    "VLM",
    "VQA",
    "Answer",
    "CLIPConfig",
    "Caption",
    "Captioner",
    "CaptionerConfig",
    "ClipFeatures",
    "Eyes",
    "Matcher",
    "MatcherConfig",
    "MultiModalConfig",
    "MultiModalModel",
    "PictureDecoder",
    "PictureDecoderConfig",
    "Prediction",
    "Seen",
    "Text2Image",
    "Text2ImageConfig",
    "VLMConfig",
    "VQAConfig",
    "VQALogits",
    "VideoCaptioner",
    "VideoCaptionerConfig",
    "WordMaps",
    "ZeroShot",
    "rerank",
]
