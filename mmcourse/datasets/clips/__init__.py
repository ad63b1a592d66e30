"""Clips: moving scenes of 8 to 16 frames of 64 × 64, of which every sentence of a grammar can be decided.

One to three drawings on a colored background; each stands still, moves, enters, leaves, grows, shrinks or turns. Which
way, and in which order, neither one frame nor all frames without their order can tell.

>>> clip = sample_clips(1)[0]
>>> all(clip_caption_is_true(clip, caption) for caption in clip_captions(clip))
True
"""

from mmcourse.datasets.clips.captions import CLIP_QUESTION_KINDS, clip_captions, clip_questions
from mmcourse.datasets.clips.files import Video, VideoFileError, VideoMissingError, load_video, save_video
from mmcourse.datasets.clips.grammar import DIRECTIONS, MOTIONS, Clip, Thing, sample_clips
from mmcourse.datasets.clips.render import ClipBatch, make_clips, render_clips
from mmcourse.datasets.clips.truth import CLIP_PARTS, LINKS, VERBS, clip_caption_is_true, parse_happening

__all__ = [
    "CLIP_PARTS",
    "CLIP_QUESTION_KINDS",
    "DIRECTIONS",
    "LINKS",
    "MOTIONS",
    "VERBS",
    "Clip",
    "ClipBatch",
    "Thing",
    "Video",
    "VideoFileError",
    "VideoMissingError",
    "clip_caption_is_true",
    "clip_captions",
    "clip_questions",
    "load_video",
    "make_clips",
    "parse_happening",
    "render_clips",
    "sample_clips",
    "save_video",
]
