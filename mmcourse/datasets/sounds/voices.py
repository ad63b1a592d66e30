"""Twenty voices: how each noun that can be heard sounds, from tones, sweeps, rhythms and noise.

Additive synthesis: a call is a sum of partials whose pitch follows a line, under an envelope of pulses (Risset and
Mathews, "Analysis of musical-instrument tones", 1969). Noise is made in the same way: a tone whose phase strays at
random is spread around its pitch, the more the further it strays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SOUND_RATE = 8_000  # samples a second
HIGHEST = 0.47 * SOUND_RATE  # Hz; a partial beyond half the rate would come back as another pitch


class Voice(NamedTuple):
    """How a noun sounds, once.

    pitch: in Hz.
    seconds: how long.
    contour: by what the pitch is multiplied on its way, at even distances, on straight lines between.
    partials: of each its pitch, as a multiple, and its amplitude.
    rough: how far the phase strays; 0 is a tone, 1 a hiss.
    pulses: how many times the sound swells.
    attack: the part of a pulse until it is loudest.
    decay: how fast it fades after that; 0 holds it.
    trill: how often a second the pitch moves up and down, and by which part of itself.
    """

    pitch: float
    seconds: float
    contour: tuple[float, ...]
    partials: tuple[tuple[float, float], ...]
    rough: float = 0.0
    pulses: int = 1
    attack: float = 0.1
    decay: float = 0.0
    trill: tuple[float, float] = (0.0, 0.0)


def _harmonics(*amplitudes: float) -> tuple[tuple[float, float], ...]:
    return tuple((float(number), amplitude) for number, amplitude in enumerate(amplitudes, start=1))


_SQUARE = ((1.0, 1.0), (3.0, 0.33), (5.0, 0.2), (7.0, 0.14))
_BUZZ = _harmonics(1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2)

VOICES: dict[str, Voice] = {
    "cat": Voice(500, 0.24, (0.8, 1.3, 1.1, 0.8), _harmonics(1.0, 0.6, 0.4, 0.2), attack=0.25),
    "dog": Voice(330, 0.14, (1.3, 1.1, 0.7), _harmonics(1.0, 0.9, 0.7, 0.5, 0.3), rough=0.25, decay=2.0),
    "frog": Voice(190, 0.22, (0.9, 1.1), _BUZZ, pulses=7, attack=0.3, decay=1.0),
    "penguin": Voice(440, 0.24, (0.9, 1.0, 1.2), _SQUARE, pulses=3, attack=0.3, trill=(30.0, 0.06)),
    "pig": Voice(260, 0.2, (0.9, 1.6, 1.0), _BUZZ, rough=0.5, attack=0.2),
    "car": Voice(400, 0.22, (1.0, 1.0), ((1.0, 1.0), (1.25, 0.9), (3.0, 0.4), (3.75, 0.4))),
    "bicycle": Voice(1500, 0.2, (1.0, 1.0), ((1.0, 1.0), (1.52, 0.6), (1.99, 0.3)), pulses=2, attack=0.02, decay=3.0),
    "rocket": Voice(600, 0.25, (0.6, 1.0, 1.7), ((1.0, 1.0),), rough=0.9, attack=0.6),
    "helicopter": Voice(150, 0.25, (1.0, 1.0), _harmonics(1.0, 0.7, 0.5), rough=0.7, pulses=5, attack=0.2, decay=2.0),
    "tractor": Voice(75, 0.25, (1.0, 1.1, 1.0), _BUZZ, rough=0.2, pulses=4, attack=0.3),
    "train": Voice(700, 0.25, (0.97, 1.0, 1.0), ((1.0, 1.0), (1.2, 0.9), (1.5, 0.8)), rough=0.1, attack=0.4),
    "hammer": Voice(900, 0.1, (1.0, 0.98), ((1.0, 1.0), (2.76, 0.6)), rough=0.2, attack=0.01, decay=4.0),
    "clock": Voice(1900, 0.16, (1.15, 1.15, 0.85, 0.85), ((1.0, 1.0),), rough=0.1, pulses=2, attack=0.02, decay=4.0),
    "phone": Voice(1000, 0.24, (1.0, 1.0), ((1.0, 1.0), (2.0, 0.3)), attack=0.05, trill=(25.0, 0.15)),
    "door": Voice(300, 0.25, (0.8, 1.0, 1.9, 2.4), _BUZZ, rough=0.15, pulses=10, attack=0.3),
    "camera": Voice(1700, 0.11, (1.2, 1.2, 0.6, 0.6), ((1.0, 1.0),), rough=0.6, pulses=2, attack=0.03, decay=2.5),
    "guitar": Voice(230, 0.25, (1.0, 1.0), _harmonics(1.0, 0.7, 0.5, 0.35, 0.25, 0.15), attack=0.01, decay=3.5),
    "drum": Voice(120, 0.18, (1.5, 1.0, 0.9), ((1.0, 1.0), (1.6, 0.6), (2.3, 0.4)), rough=0.3, attack=0.02, decay=3.5),
    "robot": Voice(420, 0.24, (1.0, 1.0, 1.5, 1.5, 0.75, 0.75), _SQUARE, attack=0.02),
    "balloon": Voice(1100, 0.25, (1.5, 1.1, 0.7, 0.4), _harmonics(1.0, 0.5), rough=0.2, trill=(14.0, 0.08)),
}


def call(voice: Voice, jitter: np.ndarray, *, pitch: float, highest: float) -> np.ndarray:
    """One call, as many samples as there are in `jitter`, float64, not yet loud or quiet.

    Args:
        jitter: from −1 to 1 for each sample, how the phase of a rough voice strays.
        pitch: by what the pitch of the voice is multiplied.
        highest: the largest `pitch` of all calls of a sound; partials that the rate cannot hold then are left out of
            each of them, so that they are the same call, higher or lower.
    """
    place = np.linspace(0, 1, len(jitter), endpoint=False)
    hertz = voice.pitch * pitch * np.interp(place, np.linspace(0, 1, len(voice.contour)), voice.contour)
    often, far = voice.trill
    hertz *= 1 + far * np.sin(2 * np.pi * often * np.arange(len(jitter)) / SOUND_RATE)
    # The square of a step is how wide the noise is: it grows with the pitch, so that a higher hiss is the same hiss.
    strays = voice.rough * np.sqrt(voice.pitch * pitch / 1000) * jitter
    phase = np.cumsum(2 * np.pi * hertz / SOUND_RATE + strays)
    top = voice.pitch * highest * max(voice.contour) * (1 + far)
    kept = [(ratio, size) for ratio, size in voice.partials if ratio * top < HIGHEST]
    return _envelope(voice, place) * sum(size * np.sin(ratio * phase) for ratio, size in kept)


def _envelope(voice: Voice, place: np.ndarray) -> np.ndarray:
    """How loud, from 0 to 1, at each place (0 to 1) of a call; every pulse begins and ends in silence."""
    within = place * voice.pulses % 1
    swell = np.minimum(within / voice.attack, 1) * np.minimum((1 - within) / 0.1, 1)
    return swell * np.exp(-voice.decay * within)
