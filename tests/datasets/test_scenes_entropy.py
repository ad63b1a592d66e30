"""The entropy of captions: exact sums against enumeration and against chance."""

import itertools
import math
import random
from collections import Counter

import pytest
import torch

from mmcourse.datasets.scenes import (
    BACKGROUNDS,
    caption_entropy,
    caption_log_prob,
    captions,
    lexicon,
    sample_caption,
    sample_scenes,
)
from mmcourse.datasets.scenes.entropy import fillings, template_of, template_probabilities

DRAWS = 20_000


@pytest.fixture(scope="module")
def drawn() -> list[str]:
    generator = torch.Generator().manual_seed(5)
    return [sample_caption(scene, generator=generator) for scene in sample_scenes(DRAWS, start=50_000)]


def every_filling(template: tuple[str, ...], chance: random.Random):
    """Every choice of places in the hold-out rule for the blanks of a template, with one choice of groups for each."""
    blanks = sorted({token.rstrip("+") for token in template} & {"A", "B", "C", "#"})
    for places in itertools.product(range(8), repeat=len(blanks)):
        words = {}
        for blank, place in zip(blanks, places, strict=True):
            noun = lexicon()[8 * chance.randrange(8) + place]
            words |= {"#": list(BACKGROUNDS)[place]} if blank == "#" else {blank: noun.name, f"{blank}+": noun.plural}
        nouns = {words[blank] for blank in blanks if blank != "#"}
        if len(nouns) == len([blank for blank in blanks if blank != "#"]):
            yield " ".join(words.get(token, token) for token in template), 8 ** len(nouns)


def test_the_probabilities_of_all_captions_add_up_to_one():
    assert sum(template_probabilities().values()) == 1
    chance = random.Random(0)
    total = []
    for template in template_probabilities():
        texts = list(every_filling(template, chance))
        legal = [(text, ways) for text, ways in texts if caption_log_prob(text) > -math.inf]
        assert sum(ways for _, ways in legal) == fillings(template)
        assert all(template_of(text)[0] == template for text, _ in legal), "a text has one template only"
        total += [ways * math.exp(caption_log_prob(text)) for text, ways in legal]
    assert math.fsum(total) == pytest.approx(1, abs=1e-12)


def test_the_entropy_is_the_mean_surprise_of_drawn_captions(drawn):
    surprise = torch.tensor([-caption_log_prob(text) for text in drawn], dtype=torch.float64)
    assert surprise.isfinite().all()
    exact = caption_entropy()
    error = surprise.std() / math.sqrt(DRAWS)
    assert abs(surprise.mean() - exact.per_caption) < 4 * error
    tokens = torch.tensor([len(text.split()) + 1 for text in drawn], dtype=torch.float64)
    assert abs(tokens.mean() - exact.tokens_per_caption) < 4 * tokens.std() / math.sqrt(DRAWS)
    assert exact.per_token == pytest.approx(exact.per_caption / exact.tokens_per_caption)


def test_templates_and_words_come_as_often_as_their_probabilities_say(drawn):
    seen = Counter(template_of(text)[0] for text in drawn)
    assert set(seen) <= set(template_probabilities())
    for template, probability in template_probabilities().items():
        p = float(probability)
        assert abs(seen[template] - DRAWS * p) < 5 * math.sqrt(DRAWS * p * (1 - p)) + 1, template
    nouns = Counter(noun for text in drawn for noun in template_of(text)[1])
    mean = sum(nouns.values()) / 64
    assert len(nouns) == 64
    assert max(abs(count - mean) for count in nouns.values()) < 6 * math.sqrt(mean)


def test_one_caption_by_hand():
    """P("a cat on a pink background"): one object in 6 of 24 scenes, one caption of five, 64 × 7 pairs of words."""
    assert caption_log_prob("a cat on a pink background") == pytest.approx(math.log(6 / 24 / 5 / (64 * 7)))
    assert caption_log_prob("three cats on a pink background") == pytest.approx(math.log(1 / 24 / 5 / (64 * 7)))
    two = math.log(7 / 24 / 5 / (64 * 56 * 6))
    assert caption_log_prob("a cat and a dog on a pink background") == pytest.approx(two)
    assert caption_log_prob("a dog and a cat on a pink background") == pytest.approx(two)


@pytest.mark.parametrize(
    "text",
    ["", "cat", "a cat on a white background", "a cat and a banana on a pink background", "a cat left of a cat",
     "a cat and a dog", "a pink background", "a cat at the top left on a pink", "a unicorn at the top"],
)  # fmt: skip
def test_texts_that_are_never_drawn_have_no_probability(text):
    assert caption_log_prob(text) == -math.inf


def test_captions_that_show_a_held_out_combination_have_no_probability():
    for scene in sample_scenes(300, split="compositional"):
        assert caption_log_prob(captions(scene)[0]) == -math.inf
