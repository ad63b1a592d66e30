"""Texts about scenes for a language model that answers: true, complete, and learned from answers alone."""

import random

import pytest
import torch

from mmcourse.datasets import caption_is_true, lexicon, questions, sample_scenes
from mmcourse.losses import IGNORED
from mmcourse.models.vlm import IMAGE
from mmcourse.recipes.data import readings
from mmcourse.recipes.data.readings import DESCRIBE, Readings, exchange, in_words, reading_words


@pytest.fixture(scope="module")
def tokenizer():
    return reading_words()


def test_it_knows_every_word_and_has_a_place_for_pictures(tokenizer):
    assert tokenizer.ids[IMAGE] not in (tokenizer.pad_id, tokenizer.eos_id, tokenizer.bos_id)
    chance = random.Random(0)
    for scene in sample_scenes(500, split="val"):
        turn = exchange(scene, chance)
        for text in (in_words(scene, chance), turn.request, turn.answer):
            assert tokenizer.unk_id not in tokenizer.encode(text), text
    assert all(tokenizer.unk_id not in tokenizer.encode(f"{noun.name} {noun.plural}") for noun in lexicon())


def test_a_description_says_everything_in_any_order():
    chance, orders = random.Random(0), set()
    for scene in sample_scenes(300):
        text = in_words(scene, chance)
        for thing in scene.objects:
            assert f"at the {thing.position} a {thing.size} {thing.noun}" in text
        assert text.endswith(f"on a {scene.background} background")
        assert len(text.split()) <= 3 * 7 + 4
        orders.add(text.startswith(f"at the {scene.objects[0].position} a {scene.objects[0].size} "))
    assert orders == {True, False}


def test_exchanges_are_right_and_of_both_sorts():
    chance, captions = random.Random(0), 0
    for scene in sample_scenes(400):
        turn = exchange(scene, chance)
        if turn.request == DESCRIBE:
            captions += 1
            assert caption_is_true(scene, turn.answer)
        else:
            assert turn.answer in {each.answer for each in questions(scene) if each.text == turn.request}
    assert 0.12 < captions / 400 < 0.28


def test_only_answers_are_learned(tokenizer):
    batches = Readings(tokenizer, size=8)
    first, again = batches(3), batches(3)
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs[0], batches(4).inputs[0])
    ends = (tokenizer.eos_id, tokenizer.pad_id)  # what follows the last answer is not read
    assert ((first.targets == tokenizer.eos_id).sum(dim=1) == readings.TURNS).all()
    for ids, wanted in zip(first.inputs.tolist(), first.targets.tolist(), strict=True):
        steps = zip(wanted[:-1], ids[1:], strict=True)
        assert all(index in (IGNORED, after) or (index, after) == ends for index, after in steps)
        text = tokenizer.decode([index for index in ids if index != tokenizer.pad_id])
        assert text.startswith("<bos> at the ")
        assert wanted[: text.split().index("background")] == [IGNORED] * text.split().index("background")
