"""Captions, answers and verdicts about clips against a second, naive reading of the frames."""

import itertools
import random
import re
from collections import Counter

import numpy as np
import pytest

from mmcourse.datasets.clips import (
    CLIP_PARTS,
    CLIP_QUESTION_KINDS,
    VERBS,
    Clip,
    Thing,
    clip_caption_is_true,
    clip_captions,
    clip_questions,
    make_clips,
    sample_clips,
)
from mmcourse.datasets.scenes import BACKGROUNDS, SPLITS, Truth, Verdict, lexicon
from mmcourse.datasets.scenes.arrange import arrange

SINGULAR = {noun.name: noun.name for noun in lexicon()}
PLURAL = {noun.plural: noun.name for noun in lexicon()}
NUMBERS = ("zero", "one", "two", "three")
COLORS = np.array([background.rgb for background in BACKGROUNDS.values()])
BLOCK = 500  # 4 blocks make 2,000 clips
EVENT = r"(a|another) (\w+) (moves|enters|leaves|grows|shrinks|turns|stands still)(?: (left|right|up|down))?"


class Seen:
    """What one thing does, judged from its pixels alone."""

    def __init__(self, noun, frames, masks):
        self.noun = noun
        there = masks.any((1, 2))
        first, last = (self.box(masks[there][t]) for t in (0, -1))
        # A thing that is cut off by a side is narrower across its way too, so the way is where both of its ends go.
        ends = (last - first).reshape(2, 2).T.tolist()  # of each axis, how far its two ends moved
        axis = max((0, 1), key=lambda axis: (ends[axis][0] * ends[axis][1] > 0, abs(sum(ends[axis]))))
        shift = sum(ends[axis]) / 2
        way = [["left", "right"], ["up", "down"]][axis][int(shift > 0)]
        before, after = (max(right - left, bottom - top) for left, top, right, bottom in (first, last))
        steps = [
            (masks[t] != masks[t + 1]).any() or (frames[t][:, masks[t]] != frames[t + 1][:, masks[t]]).any()
            for t in range(len(frames) - 1)
        ]
        changes = np.flatnonzero(steps)
        self.span = (changes[0], changes[-1] + 1) if len(changes) else None
        self.way = None
        if not there[0] or not there[-1]:
            self.what, self.way = "enters" if there[-1] else "leaves", way
        elif abs(shift) > 10:
            self.what, self.way = "moves", way
        elif abs(after - before) > 3:
            self.what = "grows" if after > before else "shrinks"
        else:
            self.what = "turns" if len(changes) else "stands still"

    @staticmethod
    def box(mask):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])

    def does(self, verb, way=None):
        if verb == "moves":
            return self.way is not None and way in (None, self.way)
        return self.what == verb

    def linked(self, link, other):
        """An event that nobody sees yet, or any more, is shorter to the eye: so "while" asks only for some overlap."""
        if self.span is None or other.span is None:
            return False
        if link == "while":
            return self.span[0] < other.span[1] and other.span[0] < self.span[1]
        first, second = (self, other) if link == "before" else (other, self)
        return first.span[1] <= second.span[0]


class Witness:
    """What somebody sees who has the frames, the masks and the names of the things, but not what they do."""

    def __init__(self, clip, frames, masks):
        middle = np.median(frames[:, :, ~masks.any((0, 1))], axis=(0, 2))
        self.color = list(BACKGROUNDS)[int(np.abs(COLORS - middle).sum(1).argmin())]
        self.things = [Seen(thing.noun, frames, masks[:, k]) for k, thing in enumerate(clip.things)]

    def count(self, noun):
        return sum(thing.noun == noun for thing in self.things)

    def holds(self, text):
        """True or False for a sentence, None for anything else."""
        right = True
        if match := re.fullmatch(r"(.*) on a (\w+) background", text):
            text, color = match.groups()
            if color not in BACKGROUNDS:
                return None
            right = color == self.color
        if match := re.fullmatch(rf"{EVENT}(?: (before|after|while) {EVENT})?", text):
            article, noun, verb, way, link, other_article, other, other_verb, other_way = match.groups()
            named = {noun, other} - {None}
            wrong_way = (way and verb != "moves") or (other_way and other_verb != "moves")
            if article != "a" or not named <= set(SINGULAR) or wrong_way:
                return None
            ones = [thing for thing in self.things if thing.noun == noun and thing.does(verb, way)]
            if link is None:
                return right and bool(ones)
            if (other_article == "another" and noun != other) or "stands still" in (verb, other_verb):
                return None
            others = [thing for thing in self.things if thing.noun == other and thing.does(other_verb, other_way)]
            return right and any(a is not b and a.linked(link, b) for a in ones for b in others)
        nouns = []
        for part in text.split(" and "):
            match = re.fullmatch(r"(a|two|three) (\w+)", part)
            names = SINGULAR if match and match[1] == "a" else PLURAL
            if not match or match[2] not in names:
                return None
            nouns.append(names[match[2]])
            number = self.count(nouns[-1])
            right = right and (number >= 1 if match[1] == "a" else number == NUMBERS.index(match[1]))
        return right if len(set(nouns)) == len(nouns) <= 3 else None

    def answer(self, text):
        """The answer to a question, or None if there is none or more than one."""
        if text == "how many objects are there?":
            return NUMBERS[len(self.things)]
        if match := re.fullmatch(r"how many (\w+) are there\?", text):
            return NUMBERS[self.count(PLURAL[match[1]])]
        if match := re.fullmatch(r"is there a (\w+)\?", text):
            return "yes" if self.count(SINGULAR[match[1]]) else "no"
        if match := re.fullmatch(r"what moves first, the (\w+) or the (\w+)\?", text):
            one, other = (self.only(noun) for noun in match.groups())
            assert one.does("moves")
            assert other.does("moves")
            return one.noun if one.linked("before", other) else other.noun if one.linked("after", other) else None
        if match := re.fullmatch(r"which way does the (\w+) move\?", text):
            return self.only(match[1]).way
        if match := re.fullmatch(r"does the (\w+) (grow|shrink)\?", text):
            return "yes" if self.only(match[1]).does(f"{match[2]}s") else "no"
        verb = re.fullmatch(r"what (.*)\?", text)[1]
        (noun,) = [thing.noun for thing in self.things if thing.does(verb)]
        return noun

    def only(self, noun):
        (thing,) = [thing for thing in self.things if thing.noun == noun]
        return thing


CLASSES = [list(SINGULAR), list(PLURAL), list(BACKGROUNDS), ["two", "three"], ["a", "another"]]
CLASSES += [["left", "right", "up", "down"], ["before", "after", "while"]]
CLASSES += [["moves", "enters", "leaves", "grows", "shrinks", "turns"]]
CLASS_OF = {word: words for words in CLASSES for word in words}


def change_one_word(text, chance):
    """The sentence with one word replaced by another of its class."""
    words = text.split()
    place = chance.choice([i for i, word in enumerate(words) if word in CLASS_OF])
    words[place] = chance.choice([word for word in CLASS_OF[words[place]] if word != words[place]])
    return " ".join(words)


@pytest.mark.parametrize(("split", "frames"), list(zip(SPLITS, (8, 8, 11, 16), strict=True)))
def test_captions_answers_and_verdicts_agree_with_the_frames(split, frames):
    batch = make_clips(BLOCK, split=split, start=1_000_000, frames=frames, masks=True)
    chance = random.Random(split)
    false = caught = 0
    for clip, pictures, masks in zip(batch.clips, batch.frames.numpy(), batch.masks.numpy(), strict=True):
        witness = Witness(clip, pictures, masks)
        told = clip_captions(clip)
        assert len(set(told)) == len(told) >= 3
        for text in told:
            assert witness.holds(text) is True, (clip, text)
            assert clip_caption_is_true(clip, text).truth is Truth.TRUE, (clip, text)
            changed = change_one_word(text, chance)
            verdict, holds = clip_caption_is_true(clip, changed), witness.holds(changed)
            assert (verdict.truth is Truth.UNPARSEABLE) == (holds is None), (clip, changed, verdict)
            if holds:
                assert verdict, (clip, changed, verdict)
            else:
                false += 1
                caught += not verdict
        asked = clip_questions(clip)
        assert len({question.text for question in asked}) == len(asked)
        for kind, text, answer in asked:
            assert kind in CLIP_QUESTION_KINDS
            assert witness.answer(text) == answer, (clip, text)
    assert false > 2 * BLOCK
    assert caught / false >= 0.999


def test_the_naive_reading_notices_wrong_words():
    """The witness is worth something: it contradicts most captions that belong to another clip."""
    batch = make_clips(200, masks=True)
    data = list(zip(batch.clips, batch.frames.numpy(), batch.masks.numpy(), strict=True))
    pairs = [(Witness(*data[i]), text) for i in range(199) for text in clip_captions(batch.clips[i + 1])]
    assert sum(witness.holds(text) is False for witness, text in pairs) > 0.95 * len(pairs)


def test_all_kinds_are_asked_and_no_answer_is_favored():
    asked = [question for clip in sample_clips(3000) for question in clip_questions(clip)]
    assert {question.kind for question in asked} == set(CLIP_QUESTION_KINDS)
    answers = {kind: Counter(q.answer for q in asked if q.kind == kind) for kind in CLIP_QUESTION_KINDS}
    for kind in ("exists", "change"):
        assert answers[kind]["yes"] == answers[kind]["no"] > 100
    ways = answers["direction"]
    assert set(ways) == {"left", "right", "up", "down"}
    # Four standard deviations of a fair coin.
    assert abs(ways["left"] - ways["right"]) < 4 * (ways["left"] + ways["right"]) ** 0.5
    assert abs(ways["up"] - ways["down"]) < 4 * (ways["up"] + ways["down"]) ** 0.5
    orders = [q for q in asked if q.kind == "order"]
    first = sum(q.text.split("the ")[1].split(" or")[0] == q.answer for q in orders)
    assert len(orders) > 300
    assert abs(2 * first - len(orders)) < 4 * len(orders) ** 0.5
    growing = [q.answer for q in asked if q.kind == "change" and "grow" in q.text]
    assert abs(2 * growing.count("yes") - len(growing)) < 4 * len(growing) ** 0.5


def acted(*things, background="blue"):
    """A clip of (noun, motion, direction, start, end)."""
    places = ("left", "center", "right")
    cast = arrange([(thing[0], "small", place) for thing, place in zip(things, places, strict=False)], background)
    return Clip(cast=cast, things=tuple(Thing(*thing, path=()) for thing in things))


CLIP = acted(("cat", "enters", "left", 0, 3), ("cat", "grows", None, 4, 7), ("dog", "moves", "up", 4, 7))


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [
        ("two cats and a dog on a blue background", None, "it is so"),
        ("A cat moves left.", None, "it is so"),
        ("a cat moves", None, "it is so"),
        ("a cat enters before another cat grows on a blue background", None, "it is so"),
        ("a cat enters before a cat grows", None, "it is so"),
        ("a dog moves after a cat enters", None, "it is so"),
        ("a dog moves up while a cat grows", None, "it is so"),
        ("a blue background", None, "it is so"),
        ("a pink background", "background", "the background is blue"),
        ("a cat moves left on a pink background", "background", "the background is blue"),
        ("a pig", "noun", "there is no pig"),
        ("a pig moves left on a pink background", "noun", "there is no pig"),
        ("a cat enters before a pig leaves", "noun", "there is no pig"),
        ("three cats", "count", "there are not three cats, but two"),
        ("two dogs and a cat", "count", "there are not two dogs, but one"),
        ("a dog moves while another dog moves", "count", "a dog moves, and no other dog does so"),
        ("a cat leaves", "motion", "no cat leaves"),
        ("a dog stands still", "motion", "no dog stands still"),
        ("a dog moves up before a cat shrinks", "motion", "no cat shrinks"),
        ("a cat moves right", "direction", "no cat moves right"),
        ("a cat enters before a dog moves down", "direction", "no dog moves down"),
        ("a cat enters after a dog moves up", "order", "a cat enters, but not after a dog moves up"),
        ("a cat enters while a dog moves up", "order", "a cat enters, but not while a dog moves up"),
        ("a cat grows before a dog moves", "order", "a cat grows, but not before a dog moves"),
    ],
)
def test_verdicts_and_what_is_false(text, part, reason):
    truth = Truth.TRUE if part is None else Truth.FALSE
    assert clip_caption_is_true(CLIP, text) == Verdict(truth, reason, part)


def test_every_part_is_blamed_somewhere():
    chance, blamed = random.Random(0), Counter()
    for clip in sample_clips(300):
        blamed.update(clip_caption_is_true(clip, change_one_word(text, chance)).part for text in clip_captions(clip))
    assert set(blamed) - {None} == set(CLIP_PARTS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "found the end"),
        ("a cat flies", "should end before 'flies'"),
        ("a cat stands", "a verb was expected"),
        ("a cat moves sideways", "should end before 'sideways'"),
        ("a cat enters left", "should end before 'left'"),
        ("two cats moves left", "'a' and a noun were expected, found 'two cats'"),
        ("a small cat moves left", "'a' and a noun were expected, found 'a small cat'"),
        ("a unicorn moves left", "a singular noun"),
        ("a cat moves left before", "'a' or 'another' was expected, found the end"),
        ("a cat moves before another dog moves", "'another dog' needs a dog before it"),
        ("a cat stands still before a dog moves", "what stands still does so all the time"),
        ("a cat moves after a dog stands still", "there is no 'after'"),
        ("a cat moves on a blue", "'background' was expected"),
        ("a small cat", "places and sizes change"),
        ("a cat at the left", "places and sizes change"),
        ("a cat left of a dog", "places and sizes change"),
        ("a cat larger than a dog", "places and sizes change"),
    ],
)
def test_what_is_no_sentence(text, reason):
    verdict = clip_caption_is_true(CLIP, text)
    assert verdict.truth is Truth.UNPARSEABLE
    assert reason in verdict.reason


def test_leaves_are_no_verb_behind_a_number():
    verbs = {word for verb in VERBS for word in verb.split()}
    assert verbs & (set(SINGULAR) | set(PLURAL) | set(BACKGROUNDS)) == {"leaves"}
    clip = acted(("leaf", "leaves", "up", 0, 3), ("leaf", "turns", None, 4, 7), ("pig", "stands still", None, 0, 7))
    for text in ("two leaves", "a pig and two leaves", "a leaf leaves", "a leaf leaves before another leaf turns"):
        assert clip_caption_is_true(clip, text), text
    assert clip_caption_is_true(clip, "three leaves").part == "count"
    assert clip_caption_is_true(clip, "a pig leaves").part == "motion"


def test_two_of_a_noun_are_told_apart():
    clip = acted(("cat", "leaves", "left", 0, 7), ("cat", "enters", "up", 0, 7))
    assert "a cat leaves while another cat enters" in clip_captions(clip)
    assert [q.text for q in clip_questions(clip) if q.kind in ("direction", "order", "change")] == []
    assert {q.text: q.answer for q in clip_questions(clip) if q.kind == "what"} == {
        "what enters?": "cat",
        "what leaves?": "cat",
    }


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(((0, 2), (2, 5), (5, 7)), 2)))
def test_what_moves_first_is_what_begins_first(one, other):
    clip = acted(("cat", "moves", "left", *one), ("dog", "leaves", "left", *other))
    (question,) = [q for q in clip_questions(clip) if q.kind == "order"]
    assert question.answer == ("cat" if one < other else "dog")
