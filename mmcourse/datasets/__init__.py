"""The worlds of the course: glyphs (drawings with names), scenes (composed pictures), sounds, photos, a folder."""

from __future__ import annotations

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
from mmcourse.datasets.sounds import (
    SOUND_CAPTION_PARTS,
    SOUND_NOUNS,
    SOUND_RATE,
    SOUND_SPLITS,
    Recording,
    SoundBatch,
    SoundSample,
    WaveFileError,
    load_wave,
    make_sounds,
    save_wave,
    sound_caption_is_true,
)
from mmcourse.datasets.transforms import Preprocessing, augment

__all__ = [
    "BACKGROUNDS",
    "CAPTION_PARTS",
    "COMPARISONS",
    "DIFFICULTIES",
    "POSITIONS",
    "QUESTION_KINDS",
    "RELATIONS",
    "SIZES",
    "SOUND_CAPTION_PARTS",
    "SOUND_NOUNS",
    "SOUND_RATE",
    "SOUND_SPLITS",
    "SPLITS",
    "CaptionEntropy",
    "CaptionRates",
    "FolderRecord",
    "GlyphSplit",
    "Glyphs",
    "ImageFolder",
    "LabeledPictures",
    "Noun",
    "Photo",
    "Preprocessing",
    "Question",
    "Recording",
    "Scene",
    "SceneBatch",
    "SceneObject",
    "Skipped",
    "SoundBatch",
    "SoundSample",
    "Truth",
    "Verdict",
    "WaveFileError",
    "augment",
    "caption_entropy",
    "caption_is_true",
    "caption_log_prob",
    "captions",
    "chinese_captions",
    "labeled_folder",
    "lexicon",
    "load_glyphs",
    "load_photos",
    "load_wave",
    "make_scenes",
    "make_sounds",
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
    "sample_scene",
    "sample_scenes",
    "save_wave",
    "scenes_on_grounds",
    "scenes_to_name",
    "size_order",
    "sound_caption_is_true",
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
