"""Planted marks and rare groups: where they should be, as often as they should be, the same for the same seed."""

import pytest
import torch

from mmcourse.datasets import BACKGROUNDS, lexicon, render, scenes_on_grounds, scenes_to_name, stamp, stamps

KINDS, OTHERS = ["cat", "banana", "car"], ["dog", "pear", "train", "boot"]


@pytest.fixture(scope="module")
def named():
    return scenes_to_name(300, KINDS, OTHERS, seed=1)


def test_each_scene_has_one_thing_to_name_and_two_different_bystanders(named):
    assert named.images.shape == (300, 3, 64, 64)
    assert named.masks.shape == (300, 3, 64, 64)
    for scene, label, asked in zip(named.scenes, named.labels.tolist(), named.asked.tolist(), strict=True):
        nouns = [thing.noun for thing in scene.objects]
        assert nouns[asked] == KINDS[label]
        assert {*nouns} - {KINDS[label]} < {*OTHERS}
        assert len({*nouns}) == 3
    assert named.labels.bincount().min() > 60
    assert len({scene.background for scene in named.scenes}) == len(BACKGROUNDS)
    assert len({thing.size for scene in named.scenes for thing in scene.objects}) > 2


def test_the_same_seed_gives_the_same_bytes_and_another_one_other_pictures(named):
    again, other = (scenes_to_name(300, KINDS, OTHERS, seed=seed) for seed in (1, 2))
    assert torch.equal(named.images, again.images)
    assert torch.equal(named.labels, again.labels)
    assert not torch.equal(named.labels, other.labels)
    numbers = {scene.index for batch in (named, other) for scene in batch.scenes}
    assert len(numbers) == 600, "no two pictures share the noise of their backgrounds"


def test_a_mark_is_printed_into_its_corner_and_nothing_else_changes(named):
    images, codes, corners = named.images[:24], torch.arange(24) % 6, torch.arange(24) // 6
    before = images.clone()
    stamped = stamp(images, codes, corners)
    assert torch.equal(images, before)
    assert stamped.images.dtype == torch.uint8
    elsewhere = ~stamped.marks[:, None].expand(-1, 3, -1, -1)
    assert torch.equal(stamped.images[elsewhere], images[elsewhere])
    near, far = slice(0, 8), slice(56, 64)
    places = [(near, near), (near, far), (far, near), (far, far)]
    for picture, mark, code, corner in zip(stamped.images, stamped.marks, codes, corners, strict=True):
        assert mark.sum() == 64
        assert mark[places[corner]].all()
        for channel in picture:
            assert torch.equal(channel[places[corner]], stamps()[code])
    floats = stamp(images.float(), codes, corners)
    assert torch.equal(floats.images, stamped.images.float())
    assert stamp(images[:0], codes[:0], corners[:0]).images.shape == (0, 3, 64, 64)


def test_marks_differ_in_their_pattern_alone():
    assert len({tuple(mark.flatten().tolist()) for mark in stamps()}) == 6
    assert {*stamps().unique().tolist()} == {0, 255}
    assert ((stamps() == 255).sum(dim=(1, 2)) == 32).all(), "all are equally bright"


@pytest.mark.parametrize("rare", [0.0, 0.05, 0.5, 1.0])
def test_the_dial_says_how_often_a_thing_stands_on_the_other_ground(rare):
    images, groups, grounds = scenes_on_grounds(600, rare=rare, seed=3)
    share = (groups != grounds).double().mean().item()
    assert share == rare if rare in (0, 1) else abs(share - rare) < 0.07
    assert 0.4 < groups.double().mean() < 0.6
    colors = torch.tensor([BACKGROUNDS[name].rgb for name in ("green", "gray")]).float()
    corner = images[:, :, :4, :4].float().median(dim=3).values.median(dim=2).values
    nearest = torch.cdist(corner, colors).argmin(dim=1)
    assert (nearest == grounds).double().mean() > 0.9, "the ground is what the picture shows"


def test_groups_and_grounds_may_be_others():
    images, groups, grounds = scenes_on_grounds(3, rare=0, seed=0, groups=("food", "animal"), grounds=("pink", "blue"))
    assert torch.equal(groups, grounds)
    assert images.shape == (3, 3, 64, 64)
    assert {"food", "animal"} <= {noun.group for noun in lexicon()}


def test_what_does_not_fit_is_refused_in_one_sentence(named):
    images, one = named.images[:2], torch.tensor([0, 1])
    for call, message in (
        (lambda: scenes_to_name(2, [], OTHERS, seed=0), "at least one kind and two bystanders"),
        (lambda: scenes_to_name(2, KINDS, ["dog", "dog"], seed=0), "two bystanders"),
        (lambda: scenes_to_name(2, KINDS, ["dog", "cat"], seed=0), "a kind and a bystander, as 'cat' is"),
        (lambda: scenes_to_name(2, ["unicorn"], OTHERS, seed=0), "no 'unicorn' here"),
        (lambda: stamp(images, one, one[:1]), "a code and a corner each"),
        (lambda: stamp(images, one + 5, one), "codes must be from 0 to 5, got 5 to 6"),
        (lambda: stamp(images, one, one - 1), "corners must be from 0 to 3, got -1 to 0"),
        (lambda: scenes_on_grounds(2, rare=1.5, seed=0), "rare must be a share from 0 to 1, got 1.5"),
        (lambda: scenes_on_grounds(2, rare=0, seed=0, groups=("animal", "bird")), "groups must be two of"),
        (lambda: scenes_on_grounds(2, rare=0, seed=0, grounds=("green", "plaid")), "no 'plaid' here"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_pictures_are_those_that_the_scenes_give(named):
    assert torch.equal(render(named.scenes[:5])[0], named.images[:5])
