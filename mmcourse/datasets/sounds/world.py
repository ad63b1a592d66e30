"""Sounds from their numbers alone, seeded as the scenes are, so that every machine makes the same bytes.

Between two calls there is nothing but a soft noise for 0.1 s at least, within a call never for half as long, so that
how many there are can be heard. Each next call is five half tones higher, or lower.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmcourse.datasets.scenes.grammar import SCENES_PER_SPLIT, SPLITS, rolls
from mmcourse.datasets.scenes.truth import Verdict
from mmcourse.datasets.sounds.captions import PITCHES, SOUND_NOUNS, TIMES, SoundFacts, decide, sound_captions
from mmcourse.datasets.sounds.voices import SOUND_RATE, VOICES, Voice, call

SOUND_SAMPLES = 9_600  # 1.2 seconds
SOUND_SPLITS = SPLITS[:3]
SOUNDS_PER_SPLIT = SCENES_PER_SPLIT
STEPS = 1 << 15  # of a sound between silence and the loudest, as in a file of 16 bits
STEP = 2 ** (5 / 12)  # between one call and the next, a fourth
_DIALS = 16  # the first numbers of each sound settle what it is; then come those of its noise
_SHORTEST_GAP, _LONGEST_GAP = 0.10, 0.13  # seconds


class SoundSample(NamedTuple):
    """One sound.

    wave: float32 (9600,), from −1 to 1.
    noun: whose it is, one of `SOUND_NOUNS`.
    calls: how many, 1 to 3.
    pitch: "rising" or "falling" from call to call; None for one call.
    captions: true sentences, three of one call and six of more.
    """

    wave: Tensor
    noun: str
    calls: int
    pitch: str | None
    captions: tuple[str, ...]


class SoundBatch(NamedTuple):
    """Sounds float32 (n, 9600), the number of the noun of each in `SOUND_NOUNS`, int64 (n,), and each one by itself."""

    waves: Tensor
    labels: Tensor
    samples: tuple[SoundSample, ...]


def make_sounds(count: int, *, split: str = "train", start: int = 0) -> SoundBatch:
    """Sounds `start` to `start + count - 1` of a split: `train`, `val` or `test`, disjoint ranges of seeds.

    Every value is a whole number of 2⁻¹⁵, so that `save_wave` loses nothing.

    Raises:
        ValueError: an unknown split, or numbers outside the split.

    >>> sound = make_sounds(1, start=2).samples[0]
    >>> sound.captions[1], sound.wave.shape
    ('a clock sounds twice', torch.Size([9600]))
    """
    if split not in SOUND_SPLITS:
        raise ValueError(f"split must be one of {', '.join(SOUND_SPLITS)}; got {split!r}")
    if count < 0 or start < 0 or start + count > SOUNDS_PER_SPLIT:
        raise ValueError(f"sounds are numbered from 0 to 2**40 - 1; got count={count} sounds from start={start}")
    first = (len(SPLITS) + SOUND_SPLITS.index(split)) * SOUNDS_PER_SPLIT + start  # seeds that no scene has
    waves, heard = torch.empty(count, SOUND_SAMPLES), []
    for i, wave in enumerate(waves):
        facts, made = _make(first + i)
        wave.copy_(torch.from_numpy(made))
        heard.append(facts)
    labels = torch.tensor([SOUND_NOUNS.index(facts.noun) for facts in heard], dtype=torch.int64)
    samples = (SoundSample(wave, *facts, sound_captions(facts)) for wave, facts in zip(waves, heard, strict=True))
    return SoundBatch(waves, labels, tuple(samples))


def sound_caption_is_true(sample: SoundSample, text: str) -> Verdict:
    """Decides a sentence of the grammar (see `captions`); any other text is UNPARSEABLE, with the reason.

    >>> sound = make_sounds(1, start=2).samples[0]
    >>> verdict = sound_caption_is_true(sound, "a clock sounds three times")
    >>> bool(verdict), verdict.part, verdict.reason
    (False, 'count', 'the clock is heard twice')
    """
    return decide(SoundFacts(sample.noun, sample.calls, sample.pitch), text)


def _make(seed: int) -> tuple[SoundFacts, np.ndarray]:
    """What one sound is, and its wave, float64 (9600,)."""
    numbers = rolls(seed, 1, _DIALS + 2 * SOUND_SAMPLES)[0]
    chances = (numbers >> np.uint64(11)).astype(np.float64) / 2**53  # from 0 to 1
    dials, (noise, jitter) = chances[:_DIALS], 2 * chances[_DIALS:].reshape(2, SOUND_SAMPLES) - 1
    noun = SOUND_NOUNS[int(dials[0] * len(SOUND_NOUNS))]
    calls = 1 + int(dials[1] * len(TIMES))
    pitch = None if calls == 1 else PITCHES[int(dials[2] * len(PITCHES))]
    wave = _calls(VOICES[noun], calls, pitch, dials, jitter)
    wave *= _between(0.3, 0.9, dials[3]) / np.abs(wave).max()
    wave += _between(0.001, 0.02, dials[4]) * noise
    # Sines may differ in their last bit from machine to machine; rounded to steps, sounds do not.
    return SoundFacts(noun, calls, pitch), np.rint(wave * STEPS) / STEPS


def _calls(voice: Voice, calls: int, pitch: str | None, dials: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """The calls one after the other, (9600,), in silence."""
    length = int(voice.seconds * _between(0.85, 1.12, dials[5]) * SOUND_RATE)
    gaps = [int(_between(_SHORTEST_GAP, _LONGEST_GAP, dial) * SOUND_RATE) for dial in dials[6 : 5 + calls]]
    room = SOUND_SAMPLES - calls * length - sum(gaps)
    own = 2 ** (_between(-3, 3, dials[8]) / 12)  # up to three half tones from the middle of its kind
    factors = own * STEP ** (np.arange(calls) - (calls - 1) / 2)
    wave, at = np.zeros(SOUND_SAMPLES), int(dials[9] * room)
    for factor, gap in zip(factors[::-1] if pitch == "falling" else factors, [*gaps, 0], strict=True):
        here = slice(at, at + length)
        wave[here] = call(voice, jitter[here], pitch=factor, highest=factors.max())
        at += length + gap
    return wave


def _between(low: float, high: float, chance: float) -> float:
    return low + (high - low) * chance
