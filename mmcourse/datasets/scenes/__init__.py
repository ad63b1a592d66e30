"""Scenes: 64 × 64 pictures of one to three drawings on a colored background, made by a grammar that is known exactly.

Each comes with its scene graph, boxes, masks, five true captions, Chinese captions and questions with answers. Any
sentence of the grammar can be decided, and the entropy of the captions is known.

>>> scene = sample_scene(0)
>>> all(caption_is_true(scene, caption) for caption in captions(scene))
True
"""

from mmcourse.datasets.scenes.arrange import removals, without
from mmcourse.datasets.scenes.captions import captions, chinese_captions, full_phrase, sample_caption
from mmcourse.datasets.scenes.entropy import CaptionEntropy, caption_entropy, caption_log_prob
from mmcourse.datasets.scenes.grammar import (
    DIFFICULTIES,
    SPLITS,
    Scene,
    SceneObject,
    related,
    sample_scene,
    sample_scenes,
    size_order,
)
from mmcourse.datasets.scenes.lexicon import (
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
from mmcourse.datasets.scenes.questions import QUESTION_KINDS, Question, questions
from mmcourse.datasets.scenes.rating import CaptionRates, rate_captions
from mmcourse.datasets.scenes.render import SceneBatch, make_scenes, render
from mmcourse.datasets.scenes.truth import CAPTION_PARTS, Truth, UnparseableError, Verdict, caption_is_true, parse

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
    "full_phrase",
    "held_out_background",
    "held_out_pair",
    "lexicon",
    "make_scenes",
    "noun_numbers",
    "parse",
    "questions",
    "rate_captions",
    "related",
    "removals",
    "render",
    "sample_caption",
    "sample_scene",
    "sample_scenes",
    "size_order",
    "without",
]
