"""A causal language model that sees: patches of a picture, projected, stand where its text has placeholders.

V is the size of the vocabulary, P the patches of a picture and F their channels; other letters as in
`mmcourse.attention`.
"""

from mmcourse.models.vlm.eyes import Eyes, make_projector, merged, mixed_words
from mmcourse.models.vlm.language import language_of, positions_of
from mmcourse.models.vlm.model import VLM, Lesson, VLMConfig, loss, put_patches
from mmcourse.models.vlm.packing import IMAGE, Packed, pack, pack_turns, prompt_ids
from mmcourse.models.vlm.writing import Reply, Stepper

__all__ = [
    "IMAGE",
    "VLM",
    "Eyes",
    "Lesson",
    "Packed",
    "Reply",
    "Stepper",
    "VLMConfig",
    "language_of",
    "loss",
    "make_projector",
    "merged",
    "mixed_words",
    "pack",
    "pack_turns",
    "positions_of",
    "prompt_ids",
    "put_patches",
]
