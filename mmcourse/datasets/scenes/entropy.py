"""The exact entropy of the captions: draw a train scene, then one of its five captions.

A caption is a template filled with nouns and perhaps a background. Patterns and layouts are few (about ten thousand),
so the probability of each template is a finite sum. By the symmetry of the hold-out rule every legal filling of a
template is equally likely. Hence

    P(text) = P(template) / fillings(template),    H = H(template) + Σ P(template) · ln fillings(template).

Who sees the scene is left with ln 5 nats a caption: its five sentences differ and are equally likely.
"""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from mmcourse.datasets.scenes.captions import templates
from mmcourse.datasets.scenes.grammar import PATTERNS, layouts
from mmcourse.datasets.scenes.lexicon import BACKGROUNDS, GROUP_SIZE, by_plural, by_singular, lexicon, place_in_group

Template = tuple[str, ...]


class CaptionEntropy(NamedTuple):
    """Entropy in nats: of a caption, of a token on average, and the mean number of tokens (words and the end)."""

    per_caption: float
    per_token: float
    tokens_per_caption: float


def caption_entropy() -> CaptionEntropy:
    """The entropy of "draw a train scene, then one of its captions" (`sample_caption`), exact up to rounding.

    No model of these captions can have a lower expected loss; `per_token` counts an end token after the words.

    >>> caption_entropy().tokens_per_caption > 6
    True
    """
    parts = template_probabilities()
    entropy = sum(float(p) * (math.log(fillings(template)) - math.log(p)) for template, p in parts.items())
    tokens = float(sum(p * (len(template) + 1) for template, p in parts.items()))
    return CaptionEntropy(per_caption=entropy, per_token=entropy / tokens, tokens_per_caption=tokens)


def caption_log_prob(text: str) -> float:
    """The natural logarithm of the probability of this caption; minus infinity for a text that is never drawn.

    >>> caption_log_prob("a cat on a white background")  # held out: it is in `compositional` only
    -inf
    """
    template, nouns, color = template_of(text)
    probability = template_probabilities().get(template)
    if probability is None:
        return -math.inf
    places = [place_in_group()[noun] for noun in nouns]
    if color is not None:
        places.append(list(BACKGROUNDS).index(color))
    if len(set(places)) < len(places):
        return -math.inf
    return math.log(probability) - math.log(fillings(template))


def template_of(text: str) -> tuple[Template, list[str], str | None]:
    """A sentence as its template with nouns lettered as they come, its different nouns, and its background color."""
    singular, plural = by_singular(), by_plural()
    letters: dict[str, str] = {}
    color = None
    tokens = []
    words = text.split()
    for i, word in enumerate(words):
        noun = singular.get(word) or plural.get(word)
        if noun is not None:
            letter = letters.setdefault(noun.name, chr(ord("A") + len(letters)))
            tokens.append(letter if word == noun.name else f"{letter}+")
        elif word in BACKGROUNDS and words[i + 1 : i + 2] == ["background"]:
            color = word
            tokens.append("#")
        else:
            tokens.append(word)
    return tuple(tokens), list(letters), color


@lru_cache(maxsize=1)
def template_probabilities() -> dict[Template, Fraction]:
    """The probability of each template, summed over patterns and layouts; they add up to 1."""
    total: Counter[Template] = Counter()
    weights = sum(PATTERNS.values())
    for pattern, weight in PATTERNS.items():
        places = layouts(len(pattern))
        seen: Counter[Template] = Counter()
        for cells, sizes in places:
            seen.update(templates(pattern, cells, sizes))
        for template, count in seen.items():
            total[_lettered(template)] += Fraction(weight * count, weights * len(places) * 5)
    return dict(total)


@lru_cache(maxsize=4096)
def fillings(template: Template) -> int:
    """How many texts a template has: its nouns and background all have different places in the hold-out rule."""
    blanks = {token.rstrip("+") for token in template} & {"A", "B", "C", "#"}
    choices = math.perm(GROUP_SIZE, len(blanks))  # each blank another place
    groups = len(lexicon()) // GROUP_SIZE
    return choices * groups ** len(blanks - {"#"})


def _lettered(template: Template) -> Template:
    """The template with its letters renamed in the order in which they come."""
    names: dict[str, str] = {}
    tokens = []
    for token in template:
        bare = token.rstrip("+")
        if bare in ("A", "B", "C"):
            token = names.setdefault(bare, "ABC"[len(names)]) + token[1:]
        tokens.append(token)
    return tuple(tokens)
