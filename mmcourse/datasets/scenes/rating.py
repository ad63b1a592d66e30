"""How much of what a captioner writes is true of the pictures, and which part is false where it is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mmcourse.datasets.scenes.grammar import Scene
from mmcourse.datasets.scenes.truth import Truth, Verdict, caption_is_true


class CaptionRates(NamedTuple):
    """Shares of all captions; the three sum to 1."""

    true: float
    hallucinated: float  # sentences of the grammar that claim what the picture does not show
    unparseable: float
    verdicts: tuple[Verdict, ...]  # one for each caption
    blame: Counter[str]  # how many false captions are false for which of `CAPTION_PARTS`


def rate_captions(scenes: Sequence[Scene], texts: Sequence[str]) -> CaptionRates:
    """Decides each text against its scene; see `caption_is_true`.

    Args:
        scenes: N scenes, as in `SceneBatch.scenes`.
        texts: one caption for each. For several captions of a picture, repeat its scene.
    Raises:
        ValueError: there are no captions, they are not as many as the scenes, or `texts` is one text.

    >>> from mmcourse.datasets import sample_scene
    >>> scene = sample_scene(3)
    >>> print(scene)
    train[3] on pink: small door (top right)
    >>> texts = ["a door at the right", "a large door", "a cat on a pink background", "door pink"]
    >>> rates = rate_captions([scene] * 4, texts)
    >>> rates.true, rates.hallucinated, rates.unparseable, dict(rates.blame)
    (0.25, 0.5, 0.25, {'size': 1, 'noun': 1})
    """
    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of captions, got the text {texts!r}")
    if len(scenes) != len(texts):
        raise ValueError(f"scenes and texts must be as many, got {len(scenes)} and {len(texts)}")
    if len(texts) == 0:
        raise ValueError("texts must hold at least one caption, got none")
    verdicts = tuple(caption_is_true(scene, text) for scene, text in zip(scenes, texts, strict=True))
    counts = Counter(verdict.truth for verdict in verdicts)
    return CaptionRates(
        *(counts[truth] / len(verdicts) for truth in (Truth.TRUE, Truth.FALSE, Truth.UNPARSEABLE)),
        verdicts,
        Counter(verdict.part for verdict in verdicts if verdict.part is not None),
    )
