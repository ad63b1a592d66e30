"""Scenes: what is drawn, where, and the same bytes every time."""

import hashlib
import itertools

import numpy as np
import pytest
import torch

from mmcourse.datasets.openmoji import has_drawing
from mmcourse.datasets.scenes import (
    BACKGROUNDS,
    DIFFICULTIES,
    SIZES,
    SPLITS,
    Scene,
    chinese_captions,
    held_out_background,
    held_out_pair,
    lexicon,
    make_scenes,
    render,
    sample_scene,
    sample_scenes,
)
from mmcourse.datasets.scenes.grammar import PATTERNS
from mmcourse.datasets.scenes.sprites import SIDES, sheet

DIGESTS = {
    "easy": "bb507804b787411e40ab407ebd7e00f40b017d1030d497e94e54ff742f48a43f",
    "standard": "12516d1dc44fca6092c494ab1a6e79f7c21b775575793787d9371aa87f4f4b1a",
    "hard": "9ccbf7b80f86afefa518210b80d87c69cc2d1805d6cb4a5d50aab902855e157a",
    "graphs": "98ca4e7c266b82b087b61686ca8bc19e31b9a47bf51c699582dc72ae0dbf9e6a",
}


def combinations(scene: Scene) -> set[tuple[str, str]]:
    """The word combinations of a scene that the hold-out rule speaks of."""
    names = sorted({thing.noun for thing in scene.objects})
    return set(itertools.combinations(names, 2)) | {(name, scene.background) for name in names}


def test_the_lexicon_has_eight_groups_of_eight_words_that_can_be_told_apart():
    nouns = lexicon()
    assert len(nouns) == 64
    groups = [noun.group for noun in nouns]
    assert [groups.count(group) for group in dict.fromkeys(groups)] == [8] * 8
    for field in ("name", "plural", "code", "chinese"):
        assert len({getattr(noun, field) for noun in nouns}) == 64, field
    words = {noun.name for noun in nouns} | {noun.plural for noun in nouns}
    assert len(words) == 128
    assert words.isdisjoint(BACKGROUNDS)
    assert words.isdisjoint(SIZES)
    for noun in nouns:
        assert has_drawing(noun.code), noun
        assert noun.name[0] not in "aeiou", "captions always say 'a'"
        assert len(noun.measure_word) == 1
        assert all("\u4e00" <= letter <= "\u9fff" for letter in noun.chinese + noun.measure_word), noun


def test_backgrounds_lie_far_apart_compared_with_the_noise():
    colors = torch.tensor([background.rgb for background in BACKGROUNDS.values()], dtype=torch.float)
    assert len(colors) == 8
    distances = torch.cdist(colors, colors) + 1000 * torch.eye(8)
    assert distances.min() > 35
    assert colors.max(dim=1).values.min() > 175  # pale


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_a_scene_depends_on_split_difficulty_and_index_alone(split, difficulty):
    batch = make_scenes(40, split=split, difficulty=difficulty, start=10, masks=True)
    assert batch.images.shape == (40, 3, 64, 64)
    assert batch.images.dtype == torch.uint8
    assert len(batch) == 40
    for i in (0, 7, 39):
        scene = sample_scene(10 + i, split=split, difficulty=difficulty)
        assert scene == batch.scenes[i]
        assert hash(scene) == hash(batch.scenes[i])
        image, mask = render([scene], masks=True)
        assert torch.equal(image[0], batch.images[i])
        assert torch.equal(mask[0], batch.masks[i])
    assert torch.equal(make_scenes(40, split=split, difficulty=difficulty, start=10).images, batch.images)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_bytes_are_the_same_on_every_machine(difficulty):
    batch = make_scenes(500, difficulty=difficulty, masks=True)
    digest = hashlib.sha256(batch.images.numpy().tobytes() + batch.masks.numpy().tobytes())
    assert digest.hexdigest() == DIGESTS[difficulty]


def test_the_scene_graphs_are_the_same_on_every_machine():
    text = "\n".join(map(str, (scene for split in SPLITS for scene in sample_scenes(200, split=split))))
    assert hashlib.sha256(text.encode()).hexdigest() == DIGESTS["graphs"]


def test_the_difficulty_changes_how_a_scene_looks_never_what_it_shows():
    looks = [make_scenes(50, difficulty=difficulty) for difficulty in DIFFICULTIES]
    for scenes in zip(*(batch.scenes for batch in looks), strict=True):
        assert len({(s.background, tuple((o.noun, o.size, o.cell) for o in s.objects)) for s in scenes}) == 1
    assert not torch.equal(looks[0].images, looks[1].images)
    assert not torch.equal(looks[1].images, looks[2].images)


def test_splits_show_different_scenes():
    shown = [{str(scene).split(" ", 1)[1] for scene in sample_scenes(2000, split=split)} for split in SPLITS[:3]]
    for first, second in itertools.combinations(shown, 2):
        assert len(first & second) < 0.1 * len(first)  # single objects repeat, as chance has it
    assert len({scene.seed for split in SPLITS for scene in sample_scenes(50, split=split)}) == 200


def test_compositional_combinations_are_never_seen_elsewhere():
    seen = set()
    for split in SPLITS[:3]:
        for scene in sample_scenes(20_000, split=split):
            seen |= combinations(scene)
    new = [combinations(scene) - seen for scene in sample_scenes(20_000, split="compositional")]
    assert all(new)
    names = [noun.name for noun in lexicon()]
    pairs = set(itertools.combinations(sorted(names), 2))
    allowed = {pair for pair in pairs if not held_out_pair(*pair)}
    assert len(pairs - allowed) == 8 * 28
    assert seen & pairs == allowed  # the rule says exactly what is seen
    grounds = set(itertools.product(names, BACKGROUNDS))
    assert seen & grounds == {pair for pair in grounds if not held_out_background(*pair)}
    assert set().union(*new) == (pairs | grounds) - seen  # and what is kept back


def test_every_word_of_compositional_scenes_is_known_from_train():
    train = {thing.noun for scene in sample_scenes(3000) for thing in scene.objects}
    assert train == {noun.name for noun in lexicon()}


def test_patterns_come_as_often_as_the_grammar_says():
    scenes = sample_scenes(24_000)
    lengths = [len(scene.objects) for scene in scenes]
    for length in (1, 2, 3):
        share = sum(weight for pattern, weight in PATTERNS.items() if len(pattern) == length) / 24
        assert lengths.count(length) / 24_000 == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_boxes_places_and_sizes_leave_no_doubt(difficulty):
    long_sides = {size: set() for size in SIZES}
    for scene in sample_scenes(4000, difficulty=difficulty):
        cells = [thing.cell for thing in scene.objects]
        assert cells == sorted(set(cells)), "reading order, one object in a cell"
        for thing in scene.objects:
            left, top, right, bottom = thing.box
            assert 0 <= left < right <= 64
            assert 0 <= top < bottom <= 64
            long_sides[thing.size].add(max(right - left, bottom - top))
            x, y = thing.center
            assert (int(y * 3 // 64), int(x * 3 // 64)) == (thing.row, thing.column)
        for a, b in itertools.combinations(scene.objects, 2):
            for axis, same in ((0, a.column == b.column), (1, a.row == b.row)):
                distance = abs(a.center[axis] - b.center[axis])
                assert distance <= 6 if same else distance >= 8, scene
    ordered = [long_sides[size] for size in ("small", "medium", "large")]
    assert max(ordered[0]) < min(ordered[1])
    assert max(ordered[1]) < min(ordered[2])


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_masks_are_the_visible_pixels(difficulty):
    batch = make_scenes(1500, difficulty=difficulty, masks=True)
    hidden = 0
    for scene, masks in zip(batch.scenes, batch.masks.numpy(), strict=True):
        assert masks.sum(0).max() <= 1, "a pixel shows one object"
        whole = np.zeros_like(masks)
        for k, thing in enumerate(scene.objects):
            alone = Scene(
                split=scene.split, index=scene.index, difficulty=difficulty, background="white", objects=(thing,)
            )
            whole[k] = render([alone], masks=True)[1][0, 0].numpy()
            rows, columns = whole[k].any(1).nonzero()[0], whole[k].any(0).nonzero()[0]
            assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == thing.box
        for k in range(3):
            assert np.array_equal(masks[k], whole[k] & ~whole[k + 1 :].any(0)), "later objects lie on top"
        shares = masks.sum((1, 2))[: len(scene.objects)] / whole.sum((1, 2))[: len(scene.objects)]
        assert shares.min() > 0.5
        hidden += shares.min() < 1
        assert not masks[len(scene.objects) :].any()
    assert hidden > 0


def test_the_pictures_show_the_drawings_that_the_graph_names():
    batch = make_scenes(300, difficulty="easy")
    pixels, extents = sheet()
    names = [noun.name for noun in lexicon()]
    for scene, image in zip(batch.scenes, batch.images.numpy(), strict=True):
        color = np.array(BACKGROUNDS[scene.background].rgb)[:, None, None]
        for thing in scene.objects[-1:]:  # the last one is never hidden
            left, top, right, bottom = thing.box
            seen = image[:, top:bottom, left:right].astype(int)
            distances = []
            for drawings, extent in zip(
                pixels[:, SIDES.index(thing.side), 0], extents[:, SIDES.index(thing.side), 0], strict=True
            ):
                if tuple(extent) != seen.shape[1:]:
                    distances.append(np.inf)
                    continue
                drawing = drawings[:, : extent[0], : extent[1]].astype(int)
                blend = (drawing[:3] * drawing[3] + color * (255 - drawing[3])) / 255
                distances.append(np.abs(blend - seen)[:, drawing[3] == 255].mean())
            assert names[int(np.argmin(distances))] == thing.noun
            assert min(distances) < 1


def test_chinese_captions_use_the_measure_word_and_name_what_is_there():
    by_name = {noun.name: noun for noun in lexicon()}
    for scene in sample_scenes(300):
        sentences = chinese_captions(scene)
        assert len(sentences) == (2 if len(scene.objects) == 1 else 4)
        assert sentences[0].startswith(BACKGROUNDS[scene.background].chinese + "背景上有")
        for thing in scene.objects:
            noun = by_name[thing.noun]
            number = "零一两三"[scene.count(thing.noun)]
            assert f"{number}{noun.measure_word}{noun.chinese}" in sentences[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 1, "split": "training"}, "split must be one of train, val, test, compositional; got 'training'"),
        ({"n": 1, "difficulty": "extreme"}, "difficulty must be one of easy, standard, hard; got 'extreme'"),
        ({"n": -1}, "got n=-1 scenes from start=0"),
        ({"n": 1, "start": -5}, "got n=1 scenes from start=-5"),
        ({"n": 2, "start": 2**40 - 1}, "scenes are numbered from 0 to"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message.replace("*", r"\*")):
        make_scenes(**arguments)


def test_no_scenes_is_an_empty_batch():
    batch = make_scenes(0, masks=True)
    assert batch.images.shape == (0, 3, 64, 64)
    assert batch.scenes == ()


def test_unknown_words_in_the_hold_out_rule_are_named():
    with pytest.raises(ValueError, match=r"noun must be one of the lexicon's singular nouns.*'unicorn'"):
        held_out_pair("cat", "unicorn")
    with pytest.raises(ValueError, match=r"background must be one of white.*'black'"):
        held_out_background("cat", "black")
