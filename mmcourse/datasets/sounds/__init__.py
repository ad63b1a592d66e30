"""Sounds: 1.2 seconds of one of twenty nouns, called once to three times, made of tones, sweeps, rhythms and noise.

Each comes with its true captions, and any sentence of their grammar can be decided.

>>> sound = make_sounds(1).samples[0]
>>> all(sound_caption_is_true(sound, caption) for caption in sound.captions)
True
"""

from mmcourse.datasets.sounds.captions import SOUND_CAPTION_PARTS, SOUND_NOUNS
from mmcourse.datasets.sounds.voices import SOUND_RATE
from mmcourse.datasets.sounds.wav import Recording, WaveFileError, load_wave, save_wave
from mmcourse.datasets.sounds.world import SOUND_SPLITS, SoundBatch, SoundSample, make_sounds, sound_caption_is_true

__all__ = [
    "SOUND_CAPTION_PARTS",
    "SOUND_NOUNS",
    "SOUND_RATE",
    "SOUND_SPLITS",
    "Recording",
    "SoundBatch",
    "SoundSample",
    "WaveFileError",
    "load_wave",
    "make_sounds",
    "save_wave",
    "sound_caption_is_true",
]
