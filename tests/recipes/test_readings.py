"""Texts about scenes for a language model that answers: true, complete, and learned from answers alone."""

import random
from collections import Counter

import pytest
import torch

from mmcourse.datasets import BACKGROUNDS, QUESTION_KINDS, SIZES, caption_is_true, lexicon, questions, sample_scenes
from mmcourse.losses import IGNORED
from mmcourse.models.vlm import IMAGE
from mmcourse.recipes.data import readings
from mmcourse.recipes.data.readings import (
    DESCRIBE,
    TELL,
    Readings,
    exchange,
    in_notes,
    in_words,
    reading_words,
    tells_all,
)


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


def test_a_description_says_everything_in_any_order(tokenizer):
    chance, firsts = random.Random(0), set()
    for scene in sample_scenes(300):
        text = in_words(scene, chance)
        assert tells_all(scene, text)
        assert tells_all(scene, tokenizer.decode(tokenizer.encode(text)))
        assert len(tokenizer.encode(text)) <= 3 * 5 + 2
        for thing in scene.objects:
            assert f"{thing.size} {thing.noun} {thing.position}," in text
        assert text.endswith(f", {scene.background} background")
        firsts.add(text.startswith(f"{scene.objects[0].size} {scene.objects[0].noun} "))
    assert firsts == {True, False}


def test_notes_are_of_what_is_there_and_of_nothing_else(tokenizer):
    """Every thing one to four times, and the background in all the other squares."""
    chance = random.Random(0)
    for scene in sample_scenes(200):
        words = in_notes(scene, chance).split()
        assert len(words) == len(tokenizer.encode(" ".join(words))) == 64
        notes = Counter(" ".join(words[i : i + 4]).replace(" ,", "") for i in range(0, 64, 4))
        background = notes.pop(f"{scene.background} background")
        assert set(notes) == {f"{thing.size} {thing.noun} {thing.position}" for thing in scene.objects}
        assert all(1 <= count <= 4 for count in notes.values()) or len(notes) < len(scene.objects)
        assert background >= 4


def test_whoever_leaves_out_mixes_up_or_adds_has_not_told_all():
    chance = random.Random(0)
    scenes = [scene for scene in sample_scenes(400) if len(scene.objects) == 2]
    for scene in scenes[:60]:
        first, second = scene.objects
        background = f"{scene.background} background"

        told = [f"{thing.size} {thing.noun} {thing.position}" for thing in scene.objects]
        assert tells_all(scene, ", ".join([*told[::-1], background]))
        for wrong in (told[:1], [*told, told[0]], [f"{first.size} {first.noun} {second.position}", told[1]]):
            assert not tells_all(scene, ", ".join([*wrong, background]))
        assert not tells_all(scene, ", ".join(told))
        assert not tells_all(scene, in_words(scenes[-1], chance))


def test_exchanges_are_right_and_of_all_sorts():
    chance, counts = random.Random(0), Counter()
    for scene in sample_scenes(600):
        turn = exchange(scene, chance)
        counts[turn.request if turn.request in (DESCRIBE, TELL) else "question"] += 1
        if turn.request == DESCRIBE:
            assert caption_is_true(scene, turn.answer)
        elif turn.request == TELL:
            assert tells_all(scene, turn.answer)
        else:
            assert turn.answer in {each.answer for each in questions(scene) if each.text == turn.request}
    for name, share in ((DESCRIBE, readings.ALL_ALIKE.described), (TELL, readings.ALL_ALIKE.told)):
        assert abs(counts[name] / 600 - share) < 0.06


def test_shares_say_what_is_asked_how_often():
    chance, counts, scenes = random.Random(0), Counter(), [s for s in sample_scenes(900) if len(s.objects) == 3]
    shares = readings.Shares(told=0.2, described=0.3, kinds=dict.fromkeys(QUESTION_KINDS, 0) | {"color": 1, "count": 3})
    for scene in scenes:
        request = exchange(scene, chance, shares).request
        counts[request if request in (DESCRIBE, TELL) else " ".join(request.split()[:2])] += 1
    assert set(counts) == {TELL, DESCRIBE, "what color", "how many"}
    for name, share in ((TELL, 0.2), (DESCRIBE, 0.3), ("what color", 0.125), ("how many", 0.375)):
        assert abs(counts[name] / len(scenes) - share) < 0.08


def test_readings_ask_what_their_shares_say(tokenizer):
    alike, hard = Readings(tokenizer, size=4), Readings(tokenizer, size=4, shares=readings.HARD_ONES)
    assert not torch.equal(alike(2).targets, hard(2).targets)


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
        assert text.split()[1] in {*SIZES, *BACKGROUNDS}
        assert wanted[: text.split().index("background")] == [IGNORED] * text.split().index("background")
