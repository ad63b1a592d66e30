"""The worlds of the course: glyphs (drawings with names), scenes (composed pictures) and clips, photos, your folder."""

from __future__ import annotations

from mmcourse.datasets.clips import (
    CLIP_PARTS,
    CLIP_QUESTION_KINDS,
    DIRECTIONS,
    MOTIONS,
    Clip,
    ClipBatch,
    clip_caption_is_true,
    clip_captions,
    clip_questions,
    make_clips,
    sample_clips,
)
from mmcourse.datasets.folder import (
    FolderRecord,
    ImageFolder,
    LabeledPictures,
    Skipped,
    labeled_folder,
    read_image,
    square,
)
from mmcourse.datasets.glyphs import Glyphs, GlyphSplit, load_glyphs, on_background
from mmcourse.datasets.photos import Photo, load_photos
from mmcourse.datasets.planted import scenes_on_grounds, scenes_to_name, stamp, stamps
from mmcourse.datasets.scenes import (
    BACKGROUNDS,
    CAPTION_PARTS,
    COMPARISONS,
    DIFFICULTIES,
    POSITIONS,
    QUESTION_KINDS,
    RELATIONS,
    SIZES,
    SPLITS,
    CaptionEntropy,
    CaptionRates,
    Noun,
    Question,
    Scene,
    SceneBatch,
    SceneObject,
    Truth,
    Verdict,
    caption_entropy,
    caption_is_true,
    caption_log_prob,
    captions,
    chinese_captions,
    lexicon,
    make_scenes,
    noun_numbers,
    questions,
    rate_captions,
    related,
    removals,
    render,
    sample_caption,
    sample_scene,
    sample_scenes,
    size_order,
    without,
)
from mmcourse.datasets.scenes.sprites import sheet
from mmcourse.datasets.transforms import Preprocessing, augment

__all__ = [
    "BACKGROUNDS",
    "CAPTION_PARTS",
    "CLIP_PARTS",
    "CLIP_QUESTION_KINDS",
    "COMPARISONS",
    "DIFFICULTIES",
    "DIRECTIONS",
    "MOTIONS",
    "POSITIONS",
    "QUESTION_KINDS",
    "RELATIONS",
    "SIZES",
    "SPLITS",
    "CaptionEntropy",
    "CaptionRates",
    "Clip",
    "ClipBatch",
    "FolderRecord",
    "GlyphSplit",
    "Glyphs",
    "ImageFolder",
    "LabeledPictures",
    "Noun",
    "Photo",
    "Preprocessing",
    "Question",
    "Scene",
    "SceneBatch",
    "SceneObject",
    "Skipped",
    "Truth",
    "Verdict",
    "augment",
    "caption_entropy",
    "caption_is_true",
    "caption_log_prob",
    "captions",
    "chinese_captions",
    "clip_caption_is_true",
    "clip_captions",
    "clip_questions",
    "labeled_folder",
    "lexicon",
    "load_glyphs",
    "load_photos",
    "make_clips",
    "make_scenes",
    "noun_numbers",
    "on_background",
    "prepare_data",
    "questions",
    "rate_captions",
    "read_image",
    "related",
    "removals",
    "render",
    "sample_caption",
    "sample_clips",
    "sample_scene",
    "sample_scenes",
    "scenes_on_grounds",
    "scenes_to_name",
    "size_order",
    "square",
    "stamp",
    "stamps",
    "without",
]


def prepare_data(*, quiet: bool = False) -> dict[str, int]:
    """Makes everything that the course keeps in its data cache, with progress bars; quick where it is there already.

    Args:
        quiet: show no bars.
    Returns:
        How many drawings each cached world has: `glyphs`, and `sprites`, the drawings that scenes are composed of.
    """
    pixels, _ = sheet(quiet=quiet)
    return {"glyphs": len(load_glyphs(quiet=quiet)), "sprites": int(pixels.shape[0])}
