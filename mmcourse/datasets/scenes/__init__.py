"""Scenes: 64 × 64 pictures of one to three drawings on a colored background, made by a grammar that is known exactly.

Each comes with its scene graph, boxes, masks, five true captions, Chinese captions and questions with answers. Any
sentence of the grammar can be decided, and the entropy of the captions is known.

>>> scene = sample_scene(0)
>>> all(caption_is_true(scene, caption) for caption in captions(scene))
True
"""

from .captions import captions, chinese_captions, sample_caption
from .entropy import CaptionEntropy, caption_entropy, caption_log_prob
from .grammar import DIFFICULTIES, SPLITS, Scene, SceneObject, related, sample_scene, sample_scenes, size_order
from .lexicon import (
    BACKGROUNDS,
    COMPARISONS,
    POSITIONS,
    RELATIONS,
    SIZES,
    Background,
    Noun,
    Size,
    held_out_background,
    held_out_pair,
    lexicon,
    noun_numbers,
)
from .questions import QUESTION_KINDS, Question, questions
from .rating import CaptionRates, rate_captions
from .render import SceneBatch, make_scenes, render
from .truth import CAPTION_PARTS, Truth, UnparseableError, Verdict, caption_is_true, parse

__all__ = [
    "BACKGROUNDS",
    "CAPTION_PARTS",
    "COMPARISONS",
    "DIFFICULTIES",
    "POSITIONS",
    "QUESTION_KINDS",
    "RELATIONS",
    "SIZES",
    "SPLITS",
    "Background",
    "CaptionEntropy",
    "CaptionRates",
    "Noun",
    "Question",
    "Scene",
    "SceneBatch",
    "SceneObject",
    "Size",
    "Truth",
    "UnparseableError",
    "Verdict",
    "caption_entropy",
    "caption_is_true",
    "caption_log_prob",
    "captions",
    "chinese_captions",
    "held_out_background",
    "held_out_pair",
    "lexicon",
    "make_scenes",
    "noun_numbers",
    "parse",
    "questions",
    "rate_captions",
    "related",
    "render",
    "sample_caption",
    "sample_scene",
    "sample_scenes",
    "size_order",
]
