"""Sounds: what is heard is what their captions say, every sentence is decided, and the same bytes every time."""

import doctest
import hashlib
import itertools
import re
import sys

import numpy as np
import pytest
import torch

from mmcourse.datasets.scenes import Truth, lexicon
from mmcourse.datasets.scenes.grammar import SCENES_PER_SPLIT, rolls
from mmcourse.datasets.sounds import (
    SOUND_CAPTION_PARTS,
    SOUND_NOUNS,
    SOUND_RATE,
    SOUND_SPLITS,
    SoundSample,
    make_sounds,
    sound_caption_is_true,
)
from mmcourse.datasets.sounds.voices import HIGHEST, VOICES, call
from mmcourse.datasets.sounds.world import STEP, STEPS

DIGEST = "fb6fef6c9e40b93af17393fb6f132bf561f7448a4c8eebb05989c6614e225f01"
COUNTS = {"one": 1, "two": 2, "three": 3, "once": 1, "twice": 2, "three times": 3}


@pytest.fixture(scope="module")
def many():
    return make_sounds(2000)


def every_sentence():
    """What each sentence of the language means, written out one by one: (noun, calls or None, pitch or None)."""
    meaning = {}
    for noun in SOUND_NOUNS:
        for verb, tail in itertools.product(("calls", "sounds"), ("", " with rising pitch", " with falling pitch")):
            pitch = tail.split()[1] if tail else None
            meaning[f"a {noun} {verb}{tail}"] = noun, None, pitch
            for word, calls in COUNTS.items():
                if word in ("one", "two", "three"):
                    meaning[f"{word} {verb[:-1] if calls == 1 else verb} of a {noun}{tail}"] = noun, calls, pitch
                else:
                    meaning[f"a {noun} {verb} {word}{tail}"] = noun, calls, pitch
    return meaning


MEANING = every_sentence()
WORDS = sorted({word for text in MEANING for word in text.split()} | {"giraffe", "level"})


def expected(sample, text):
    """The truth by the table of all sentences, and by nothing of the library."""
    if text not in MEANING:
        return Truth.UNPARSEABLE
    noun, calls, pitch = MEANING[text]
    right = noun == sample.noun and calls in (None, sample.calls) and pitch in (None, sample.pitch)
    return Truth.TRUE if right else Truth.FALSE


def heard(wave):
    """How many calls there are, and whether the last is higher than the first: +1, −1, or 0 for one, by ear alone."""
    loud = wave.abs().numpy()
    silence = np.lib.stride_tricks.sliding_window_view(loud, 600)[::40].max(axis=1).min()  # 75 ms of nothing but noise
    active = np.flatnonzero(loud > 1.1 * silence + 2 / STEPS)
    edges = np.flatnonzero(np.diff(active) > 640)  # 80 ms
    starts, ends = active[np.r_[0, edges + 1]], active[np.r_[edges, len(active) - 1]]
    centers = []
    for start, end in zip(starts, ends, strict=True):
        power = np.abs(np.fft.rfft(wave[start : end + 1].double().numpy(), 4096)) ** 2
        hertz = np.fft.rfftfreq(4096, 1 / SOUND_RATE)
        centers.append((power[1:] * np.log(hertz[1:])).sum() / power[1:].sum())
    return len(starts), 0 if len(starts) == 1 else int(np.sign(centers[-1] - centers[0]))


def test_docstring_examples_run():
    rooms = [module for name, module in sys.modules.items() if name.startswith("mmcourse.datasets.sounds")]
    results = [doctest.testmod(room) for room in rooms]
    assert sum(found.attempted for found in results) > 6
    assert sum(found.failed for found in results) == 0


def test_the_facts_of_a_sound_can_be_heard(many):
    sign = {None: 0, "rising": 1, "falling": -1}
    wrong = [
        (number, sample.noun, sample.calls, sample.pitch, found)
        for number, sample in enumerate(many.samples)
        if (found := heard(sample.wave)) != (sample.calls, sign[sample.pitch])
    ]
    assert not wrong


def test_captions_are_all_true_sentences_in_one_verb(many):
    def in_one_verb(texts):
        return {re.sub(r"\b(sound|call)", "call", text) for text in texts}

    true = {}
    for sample in many.samples:
        kind = sample[1:4]
        if kind not in true:
            true[kind] = in_one_verb(text for text in MEANING if expected(sample, text) is Truth.TRUE)
        assert in_one_verb(sample.captions) == true[kind]
        assert len(sample.captions) == len(true[kind]) == (3 if sample.calls == 1 else 6)
        assert all(sound_caption_is_true(sample, text) for text in sample.captions)
        animal = sample.noun in ("cat", "dog", "frog", "penguin", "pig")
        assert all(("call" in text) is animal and ("sound" in text) is not animal for text in sample.captions)


def test_every_change_of_one_word_is_decided(many):
    """Each word of each caption by each other word, for a sound of every kind: no sentence that is not true passes."""
    verdicts = dict.fromkeys(Truth, 0)
    kinds = {}
    for sample in many.samples:
        kinds.setdefault((sample.noun, sample.calls, sample.pitch), sample)
    assert len(kinds) == 20 * 5
    for sample in kinds.values():
        for caption in sample.captions:
            words = caption.split()
            for place, word in itertools.product(range(len(words)), WORDS):
                text = " ".join([*words[:place], word, *words[place + 1 :]])
                verdict = sound_caption_is_true(sample, text)
                assert verdict.truth is expected(sample, text), (text, verdict)
                verdicts[verdict.truth] += 1
    assert min(verdicts.values()) > 1000


def test_every_sentence_is_decided_of_every_kind_of_sound():
    for noun, (calls, pitch) in itertools.product(
        ("cat", "balloon"), [(1, None), *itertools.product((2, 3), ("rising", "falling"))]
    ):
        sample = SoundSample(torch.zeros(1), noun, calls, pitch, ())
        for text in MEANING:
            assert sound_caption_is_true(sample, text).truth is expected(sample, text), text


@pytest.mark.parametrize(
    ("text", "truth", "part", "reason"),
    [
        ("A cat calls twice.", Truth.TRUE, None, "it is so"),
        ("a cat sounds with rising pitch", Truth.TRUE, None, "it is so"),
        ("a dog calls three times", Truth.FALSE, "noun", "it is no dog, but a cat"),
        ("one call of a cat", Truth.FALSE, "count", "the cat is heard twice"),
        ("two calls of a cat with falling pitch", Truth.FALSE, "pitch", "the pitch is rising"),
        ("a cactus calls", Truth.UNPARSEABLE, None, "a noun that can be heard was expected, found 'cactus'"),
        ("a cat calls four times", Truth.UNPARSEABLE, None, "the sentence should end before 'four'"),
        ("one calls of a cat", Truth.UNPARSEABLE, None, "'call' or 'sound' was expected, found 'calls'"),
        ("a cat calls with level pitch", Truth.UNPARSEABLE, None, "'rising' or 'falling' was expected, found 'level'"),
        ("the cat calls", Truth.UNPARSEABLE, None, "'a', 'one', 'two' or 'three' was expected, found 'the'"),
        ("", Truth.UNPARSEABLE, None, "'a', 'one', 'two' or 'three' was expected, found the end"),
    ],
)
def test_a_verdict_says_why(text, truth, part, reason):
    verdict = sound_caption_is_true(SoundSample(torch.zeros(1), "cat", 2, "rising", ()), text)
    assert (verdict.truth, verdict.part, verdict.reason) == (truth, part, reason)
    assert part is None or part in SOUND_CAPTION_PARTS


def test_one_call_alone_neither_rises_nor_falls():
    verdict = sound_caption_is_true(SoundSample(torch.zeros(1), "cat", 1, None, ()), "a cat calls with rising pitch")
    assert (verdict.part, verdict.reason) == ("pitch", "one call neither rises nor falls")


def test_the_bytes_are_the_same_on_every_machine():
    digest = hashlib.sha256()
    for split in SOUND_SPLITS:
        digest.update(make_sounds(60, split=split).waves.numpy().tobytes())
    assert digest.hexdigest() == DIGEST


@pytest.mark.parametrize("split", SOUND_SPLITS)
def test_a_sound_depends_on_split_and_number_alone(split):
    batch = make_sounds(12, split=split, start=5)
    assert torch.equal(batch.waves, make_sounds(12, split=split, start=5).waves)
    for i in (0, 7, 11):
        alone = make_sounds(1, split=split, start=5 + i)
        assert torch.equal(alone.waves[0], batch.waves[i])
        assert alone.samples[0][1:] == batch.samples[i][1:]


def test_no_two_sounds_are_alike_and_none_has_the_seed_of_a_scene(many):
    waves = torch.cat([many.waves, *(make_sounds(300, split=split).waves for split in ("val", "test"))])
    assert len({wave.numpy().tobytes() for wave in waves}) == 2600
    last = make_sounds(1, split="val", start=SCENES_PER_SPLIT - 1)
    assert not torch.equal(last.waves, make_sounds(1, split="test").waves)


def test_rolls_of_a_seed_stand_alone():
    together = rolls(7, 3, 20)
    assert (together[1] == rolls(8, 1, 20)[0]).all()
    assert (together[:, :5] == rolls(7, 3, 5)).all()


def test_waves_are_steps_of_16_bits_with_silence_around(many):
    assert many.waves.shape == (2000, 9600)
    assert many.waves.dtype == torch.float32
    assert torch.equal((many.waves * STEPS).round() / STEPS, many.waves)
    peaks = many.waves.abs().amax(dim=1)
    assert 0.28 < peaks.min() < 0.35
    assert 0.85 < peaks.max() < 0.93


def test_a_batch_names_its_sounds_and_everything_comes_as_often(many):
    assert [SOUND_NOUNS[label] for label in many.labels] == [sample.noun for sample in many.samples]
    assert many.samples[3].wave.data_ptr() == many.waves[3].data_ptr()
    assert torch.bincount(many.labels, minlength=20).min() > 65  # of 100
    counts = torch.tensor([sample.calls for sample in many.samples]).bincount()[1:]
    assert ((counts - 2000 / 3).abs() < 80).all()
    rising = [sample.pitch == "rising" for sample in many.samples if sample.calls > 1]
    assert abs(sum(rising) / len(rising) - 0.5) < 0.05


def test_nouns_are_of_the_lexicon_and_nothing_is_made_of_none():
    assert len(SOUND_NOUNS) == 20
    assert set(SOUND_NOUNS) <= {noun.name for noun in lexicon()}
    batch = make_sounds(0)
    assert batch.waves.shape == (0, 9600)
    assert batch.labels.shape == (0,)
    assert batch.samples == ()


def test_every_voice_keeps_its_first_partial_and_leaves_room_for_three_calls():
    highest = 2 ** (3 / 12) * STEP
    for noun, voice in VOICES.items():
        top = voice.pitch * highest * max(voice.contour) * (1 + voice.trill[1])
        assert voice.partials[0][0] == 1, noun
        assert top < HIGHEST, noun
        assert 3 * 1.12 * voice.seconds + 2 * 0.13 < 1.2, noun


def test_no_call_falls_silent_long_enough_to_be_taken_for_two():
    """Below the loudest noise beside the softest call; between two calls there are 100 ms."""
    noise = 0.02 / 0.3
    for noun, voice in VOICES.items():
        jitter = 2 * torch.rand(int(1.12 * voice.seconds * SOUND_RATE), generator=torch.Generator().manual_seed(0)) - 1
        loud = np.abs(call(voice, jitter.numpy(), pitch=1.0, highest=1.5))
        assert np.diff(np.flatnonzero(loud > noise * loud.max())).max() < 0.05 * SOUND_RATE, noun


def test_a_tone_has_the_pitch_that_it_is_given():
    voice = VOICES["car"]._replace(partials=((1.0, 1.0),), contour=(1.0, 1.0))
    for pitch in (1.0, 1.5):
        power = np.abs(np.fft.rfft(call(voice, np.zeros(8000), pitch=pitch, highest=1.5)))
        assert power.argmax() == round(voice.pitch * pitch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "compositional"}, "split must be one of train, val, test; got 'compositional'"),
        ({"start": -1}, "got count=2 sounds from start=-1"),
        ({"start": SCENES_PER_SPLIT - 1}, "sounds are numbered from 0"),
    ],
)
def test_what_does_not_exist_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_sounds(2, **options)
    with pytest.raises(ValueError, match="count=-1"):
        make_sounds(-1)
