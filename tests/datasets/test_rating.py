import doctest
from collections import Counter

import pytest

from mmcourse.datasets import CAPTION_PARTS, Truth, captions, rate_captions, sample_scene, sample_scenes
from mmcourse.datasets.scenes import rating


def test_its_own_captions_are_all_true():
    scenes = [scene for scene in sample_scenes(100, split="test") for _ in range(5)]
    rates = rate_captions(scenes, [text for scene in scenes[::5] for text in captions(scene)])
    assert rates[:3] == (1, 0, 0)
    assert rates.blame == Counter()
    assert len(rates.verdicts) == 500


def test_captions_of_other_scenes_are_mostly_false_and_each_has_something_to_blame():
    scenes = sample_scenes(300, split="test")
    rates = rate_captions(scenes[:-1], [captions(scene)[0] for scene in scenes[1:]])
    assert rates.hallucinated > 0.95
    assert rates.true + rates.hallucinated + rates.unparseable == pytest.approx(1)
    assert sum(rates.blame.values()) == sum(verdict.truth is Truth.FALSE for verdict in rates.verdicts)
    assert set(rates.blame) <= set(CAPTION_PARTS)
    assert rates.blame["noun"] > 200


def test_every_part_can_be_blamed_and_the_verdicts_keep_their_order():
    scene = sample_scene(3)  # a small door at the top right on pink
    wrong = {
        "noun": "a cat",
        "count": "two doors",
        "size": "a large door",
        "place": "a door at the left",
        "background": "a door on a blue background",
    }
    texts = ["A small door.", "", "a door door", *wrong.values(), "three doors"]
    rates = rate_captions([scene] * len(texts), texts)
    assert rates[:3] == pytest.approx((1 / 9, 6 / 9, 2 / 9))
    assert [verdict.part for verdict in rates.verdicts] == [None, None, None, *wrong, "count"]
    assert rates.blame == dict.fromkeys(wrong, 1) | {"count": 2}
    swaps = {"relation": ("above", "below"), "comparison": ("larger", "smaller")}
    for part, (right, false) in swaps.items():
        two = [s for s in sample_scenes(200) if len({thing.noun for thing in s.objects}) == len(s.objects) == 2]
        scene, text = next((scene, text) for scene in two for text in captions(scene) if f" {right} " in text)
        assert rate_captions([scene] * 2, [text, text.replace(right, false)]).blame == {part: 1}
    assert {*wrong, *swaps} == set(CAPTION_PARTS)


@pytest.mark.parametrize(
    ("count", "texts", "message"),
    [
        (1, "a door", "texts must be a list of captions, got the text 'a door'"),
        (2, ["a door"], "as many, got 2 and 1"),
        (0, [], "at least one caption"),
    ],
)
def test_bad_lists_are_told(count, texts, message):
    with pytest.raises(ValueError, match=message):
        rate_captions(sample_scenes(count), texts)


def test_the_example_runs():
    assert doctest.testmod(rating) == (0, 6)
