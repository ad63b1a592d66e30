"""Captions, answers and verdicts against a second, naive reading of the picture."""

import itertools
import random
import re
from collections import Counter

import numpy as np
import pytest

from mmcourse.datasets.scenes import (
    BACKGROUNDS,
    CAPTION_PARTS,
    COMPARISONS,
    DIFFICULTIES,
    POSITIONS,
    QUESTION_KINDS,
    RELATIONS,
    SIZES,
    SPLITS,
    Scene,
    SceneObject,
    Truth,
    Verdict,
    caption_is_true,
    captions,
    lexicon,
    make_scenes,
    questions,
    sample_scene,
    sample_scenes,
)

SINGULAR = {noun.name: noun.name for noun in lexicon()}
PLURAL = {noun.plural: noun.name for noun in lexicon()}
NUMBER = {"zero": 0, "one": 1, "two": 2, "three": 3}
COLORS = np.array([background.rgb for background in BACKGROUNDS.values()])
BLOCK = 834  # 12 blocks make 10,008 scenes


class Witness:
    """What somebody sees who has the picture, the masks and the boxes, but not the scene graph's words for them."""

    def __init__(self, scene, image, masks):
        empty = ~masks.any(0)
        middle = np.median(image[:, empty], axis=1)
        self.color = list(BACKGROUNDS)[int(np.abs(COLORS - middle).sum(1).argmin())]
        self.things = []
        for thing, mask in zip(scene.objects, masks, strict=False):
            assert mask.any()
            left, top, right, bottom = thing.box
            assert not mask[:top].any()
            assert not mask[bottom:].any()
            assert not mask[:, :left].any()
            assert not mask[:, right:].any()
            long = max(right - left, bottom - top)
            size = "small" if long < 17.5 else "medium" if long < 23 else "large"
            self.things.append((thing.noun, size, (left + right) / 2, (top + bottom) / 2))
        assert sum(mask.any() for mask in masks) == len(self.things)

    def select(self, noun, size=None):
        return [t for t in self.things if t[0] == noun and size in (None, "", t[1])]

    def at(self, thing, place):
        _, _, x, y = thing
        tests = {"left": x < 64 / 3, "right": x > 128 / 3, "top": y < 64 / 3, "bottom": y > 128 / 3}
        if place == "center":
            return not any(tests.values())
        return all(tests[word] for word in place.split())

    def linked(self, a, link, b):
        order = {"small": 0, "medium": 1, "large": 2}
        difference = order[a[1]] - order[b[1]]
        return {
            "left of": b[2] - a[2] > 7,
            "right of": a[2] - b[2] > 7,
            "above": b[3] - a[3] > 7,
            "below": a[3] - b[3] > 7,
            "larger than": difference > 0,
            "smaller than": difference < 0,
            "as large as": difference == 0,
        }[link]

    def holds(self, text):
        """True or False for a sentence, None for anything else."""
        ground = re.fullmatch(r"(.*) on a (\w+) background", text)
        if ground:
            text, color = ground.groups()
            if color not in BACKGROUNDS:
                return None
        thing = rf"({'|'.join(SIZES)})? ?(\w+)"
        right = not ground or color == self.color
        if (match := re.fullmatch(rf"a {thing} at the (.*)", text)) and match[2] in SINGULAR:
            if match[3] not in POSITIONS:
                return None
            return right and any(self.at(t, match[3]) for t in self.select(match[2], match[1]))
        if match := re.fullmatch(rf"a {thing} ({'|'.join(RELATIONS + COMPARISONS)}) (a|another) {thing}", text):
            size, noun, link, article, other_size, other = match.groups()
            if not {noun, other} <= set(SINGULAR) or (article == "another" and noun != other):
                return None
            pairs = itertools.product(self.select(noun, size), self.select(other, other_size))
            return right and any(a is not b and self.linked(a, link, b) for a, b in pairs)
        nouns = []
        for part in text.split(" and "):
            match = re.fullmatch(rf"(a|two|three) {thing}", part)
            names = SINGULAR if match and match[1] == "a" else PLURAL
            if not match or match[3] not in names:
                return None
            nouns.append(names[match[3]])
            number = len(self.select(nouns[-1], match[2]))
            right = right and (number >= 1 if match[1] == "a" else number == NUMBER[match[1]])
        return right if len(set(nouns)) == len(nouns) <= 3 else None

    def answer(self, text):
        """The answer to a question, or None if there is none or more than one."""
        if text == "what color is the background?":
            return self.color
        if text == "how many objects are there?":
            return list(NUMBER)[len(self.things)]
        if match := re.fullmatch(r"how many (\w+) are there\?", text):
            return list(NUMBER)[len(self.select(PLURAL[match[1]]))]
        if match := re.fullmatch(r"is there a (\w+)\?", text):
            return "yes" if self.select(SINGULAR[match[1]]) else "no"
        if match := re.fullmatch(r"what is at the (.*)\?", text):
            return self.only([t[0] for t in self.things if self.at(t, match[1])])
        if match := re.fullmatch(r"what is (left of|right of|above|below) the (\w+)\?", text):
            (there,) = self.select(match[2])
            return self.only([t[0] for t in self.things if t is not there and self.linked(t, match[1], there)])
        if match := re.fullmatch(r"where is the (\w+)\?", text):
            (thing,) = self.select(match[1])
            return max((place for place in POSITIONS if self.at(thing, place)), key=len)
        if match := re.fullmatch(r"what size is the (\w+)\?", text):
            return self.only([t[1] for t in self.select(match[1])])
        if match := re.fullmatch(r"is the (\w+) (.*) the (\w+)\?", text):
            (a,), (b,) = self.select(match[1]), self.select(match[3])
            return "yes" if self.linked(a, match[2], b) else "no"
        match = re.fullmatch(r"which is larger, the (\w+) or the (\w+)\?", text)
        (a,), (b,) = self.select(match[1]), self.select(match[2])
        return a[0] if self.linked(a, "larger than", b) else b[0] if self.linked(b, "larger than", a) else None

    @staticmethod
    def only(found):
        return found[0] if len(found) == 1 else None


CLASSES = [list(SINGULAR), list(PLURAL), list(BACKGROUNDS), list(SIZES), ["two", "three"], ["a", "another"]]
CLASSES += [["left", "right"], ["above", "below"], ["top", "bottom"], ["larger", "smaller"]]
CLASS_OF = {word: words for words in CLASSES for word in words}


def change_one_word(text, chance):
    """The sentence with one word replaced by another of its class."""
    words = text.split()
    places = [i for i, word in enumerate(words) if word in CLASS_OF]
    place = chance.choice(places)
    words[place] = chance.choice([word for word in CLASS_OF[words[place]] if word != words[place]])
    return " ".join(words)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_captions_answers_and_verdicts_agree_with_the_picture(split, difficulty):
    batch = make_scenes(BLOCK, split=split, difficulty=difficulty, start=1_000_000, masks=True)
    chance = random.Random(f"{split} {difficulty}")
    false = caught = 0
    for scene, image, masks in zip(batch.scenes, batch.images.numpy(), batch.masks.numpy(), strict=True):
        witness = Witness(scene, image, masks)
        five = captions(scene)
        assert len(set(five)) == 5
        for text in five:
            assert witness.holds(text) is True, (scene, text)
            assert caption_is_true(scene, text).truth is Truth.TRUE, (scene, text)
            changed = change_one_word(text, chance)
            verdict, holds = caption_is_true(scene, changed), witness.holds(changed)
            assert (verdict.truth is Truth.UNPARSEABLE) == (holds is None), (scene, changed, verdict)
            if holds:
                assert verdict, (scene, changed, verdict)
            else:
                false += 1
                caught += not verdict
        asked = questions(scene)
        assert len({question.text for question in asked}) == len(asked)
        for kind, text, answer in asked:
            assert kind in QUESTION_KINDS
            assert witness.answer(text) == answer, (scene, text)
    assert false > 3 * BLOCK
    assert caught / false >= 0.999


def test_the_naive_reading_notices_wrong_words():
    """The witness is worth something: it contradicts captions that belong to another scene."""
    batch = make_scenes(200, masks=True)
    data = list(zip(batch.scenes, batch.images.numpy(), batch.masks.numpy(), strict=True))
    wrong = sum(Witness(*data[i]).holds(text) is False for i in range(199) for text in captions(batch.scenes[i + 1]))
    assert wrong > 0.95 * 199 * 5


def test_all_eight_kinds_are_asked_and_yes_is_as_frequent_as_no():
    asked = [question for scene in sample_scenes(2000) for question in questions(scene)]
    assert {question.kind for question in asked} == set(QUESTION_KINDS)
    for kind in ("exists", "relation"):
        answers = Counter(question.answer for question in asked if question.kind == kind)
        assert answers["yes"] == answers["no"] > 0
    first = [q.text.split("the ")[1].split(" or")[0] == q.answer for q in asked if q.kind == "comparison"]
    assert sum(first) / len(first) == pytest.approx(0.5, abs=0.06)


SCENE = sample_scene(3)  # a small door at the top right on pink


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [
        ("a door on a blue background", "background", "the background is pink"),
        ("a blue background", "background", "the background is pink"),
        ("a cat", "noun", "there is no cat"),
        ("a large cat", "noun", "there is no cat"),
        ("a large door", "size", "there is no large door"),
        ("two doors", "count", "there are not two doors, but one"),
        ("two small doors and a cat", "count", "there are not two small doors, but one"),
        ("two large doors", "count", "there are not two doors, but one"),
        ("a door at the left", "place", "no such door is at the left"),
        ("a large door at the left", "size", "there is no large door"),
        ("a cat at the left on a blue background", "noun", "there is no cat"),
        ("a door left of another door", "count", "a door is alone, there is no other"),
        ("a door left of a cat", "noun", "there is no cat"),
        ("a door at the left on a blue background", "place", "no such door is at the left"),
        ("a door and a cat on a blue background", "noun", "there is no cat"),
    ],
)
def test_false_sentences_and_what_is_false(text, part, reason):
    verdict = caption_is_true(SCENE, text)
    assert verdict == Verdict(Truth.FALSE, reason, part)
    assert not verdict


def arranged(*things, background="blue"):
    """A scene of (size, noun, cell)."""
    objects = tuple(
        SceneObject(noun=noun, group="", size=size, cell=cell, box=(0, 0, 1, 1), side=1, rotation=0, flip=False)
        for size, noun, cell in things
    )
    return Scene(split="test", index=0, difficulty="standard", background=background, objects=objects)


CATS = arranged(("small", "cat", 0), ("large", "cat", 5), ("large", "dog", 8))


@pytest.mark.parametrize(
    ("text", "part", "reason"),
    [
        ("three cats", "count", "there are not three cats, but two"),
        ("two small cats", "size", "there are not two small cats, but one"),
        ("two dogs", "count", "there are not two dogs, but one"),
        ("two medium cats", "size", "there is no medium cat"),
        ("three small cats", "count", "there are not three small cats, but one"),
        ("a small cat at the right", "place", "no such cat is at the right"),
        ("a cat right of a dog", "relation", "a cat is not right of a dog"),
        ("a cat above a small dog", "size", "there is no small dog"),
        ("a small cat left of another small cat", "size", "a small cat is alone, there is no other"),
        ("a dog above another dog", "count", "a dog is alone, there is no other"),
        ("a small cat as large as a dog", "comparison", "a small cat is not as large as a dog"),
        ("a cat larger than another cat", None, "it is so"),
        ("a large cat above a dog", None, "it is so"),
        ("a cat and a dog", None, "it is so"),
    ],
)
def test_what_is_false_of_three_things(text, part, reason):
    verdict = caption_is_true(CATS, text)
    assert (verdict.part, verdict.reason) == (part, reason)
    assert verdict.truth is (Truth.TRUE if part is None else Truth.FALSE)


def test_of_three_two_is_false_and_one_is_true():
    pigs = arranged(("small", "pig", 0), ("small", "pig", 4), ("large", "pig", 8))
    assert caption_is_true(pigs, "two pigs") == Verdict(Truth.FALSE, "there are not two pigs, but three", "count")
    assert all(caption_is_true(pigs, text) for text in ("a pig", "a small pig", "two small pigs", "three pigs"))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (list(BACKGROUNDS), {"background"}),
        (["two", "three"], {"count"}),
        (list(SIZES), {"size", "place"}),  # place: a thing of the wrong size, which stands elsewhere
        (["left", "right"], {"relation", "place"}),
        (["above", "below"], {"relation"}),
        (["larger", "smaller"], {"comparison"}),
    ],
)
def test_a_changed_word_is_blamed(words, parts):
    blamed = Counter()
    for scene in sample_scenes(300, start=500):
        for text in captions(scene):
            for i, word in enumerate(tokens := text.split()):
                for other in set(words) - {word} if word in words else ():
                    verdict = caption_is_true(scene, " ".join([*tokens[:i], other, *tokens[i + 1 :]]))
                    blamed[verdict.part] += verdict.truth is Truth.FALSE
    assert set(+blamed) == parts
    assert parts <= set(CAPTION_PARTS)


@pytest.mark.parametrize(
    ("text", "truth", "reason"),
    [
        ("A small door at the top right on a pink background.", Truth.TRUE, ""),
        ("a pink background", Truth.TRUE, ""),
        ("a door at the top", Truth.TRUE, ""),
        ("a door at the right", Truth.TRUE, ""),
        ("a door at the left", Truth.FALSE, "no such door is at the left"),
        ("a door on a blue background", Truth.FALSE, "the background is pink"),
        ("a large door", Truth.FALSE, "there is no large door"),
        ("two doors", Truth.FALSE, "there are not two doors, but one"),
        ("a door left of another door", Truth.FALSE, "a door is alone"),
        ("two small doors and a cat", Truth.FALSE, "there are not two small doors, but one"),
        ("", Truth.UNPARSEABLE, "found the end"),
        ("a", Truth.UNPARSEABLE, "found the end"),
        ("a unicorn on a pink background", Truth.UNPARSEABLE, "found 'unicorn'"),
        ("a doors", Truth.UNPARSEABLE, "a singular noun"),
        ("two door", Truth.UNPARSEABLE, "a plural noun"),
        ("door at the top", Truth.UNPARSEABLE, "'a', 'two' or 'three' was expected, found 'door'"),
        ("a door at the", Truth.UNPARSEABLE, "a place was expected"),
        ("a door at the top top", Truth.UNPARSEABLE, "should end before 'top'"),
        ("a door and a door", Truth.UNPARSEABLE, "'door' is named twice; say 'two doors'"),
        ("a door left of another cat", Truth.UNPARSEABLE, "'another cat' needs a cat before it"),
        ("a door and a cat at the top", Truth.UNPARSEABLE, "needs a single thing"),
        ("two doors left of a cat", Truth.UNPARSEABLE, "needs a single thing"),
        ("a cat and a dog and a pig and a door", Truth.UNPARSEABLE, "more than three things"),
        ("a door on pink", Truth.UNPARSEABLE, "'a' and a color"),
        ("a door on a red background", Truth.UNPARSEABLE, "a color was expected"),
        ("a door on a pink", Truth.UNPARSEABLE, "'background' was expected"),
    ],
)
def test_verdicts_and_their_reasons(text, truth, reason):
    verdict = caption_is_true(SCENE, text)
    assert verdict.truth is truth
    assert bool(verdict) == (truth is Truth.TRUE)
    assert reason in verdict.reason
    assert (verdict.part is None) == (truth is not Truth.FALSE)
