"""Scenes without one of their objects: all else stays, to the pixel."""

import doctest
import sys

import pytest
import torch

from mmcourse.datasets import DIFFICULTIES, make_scenes, removals, render, without


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_outside_the_box_no_pixel_changes_and_inside_some_do(difficulty):
    batch = make_scenes(60, difficulty=difficulty, masks=True)
    found = removals(batch.scenes)
    assert found.shape == (60, 3, 3, 64, 64)
    assert found.dtype == torch.uint8
    for scene, image, pictures, masks in zip(batch.scenes, batch.images, found, batch.masks, strict=True):
        for k, picture in enumerate(pictures):
            changed = (picture != image).any(dim=0)
            if k >= len(scene.objects):
                assert not changed.any()
                continue
            left, top, right, bottom = scene.objects[k].box
            assert changed[top:bottom, left:right].any()
            changed[top:bottom, left:right] = False
            assert not changed.any()
            assert torch.equal(picture, render([without(scene, k)])[0][0])
            assert masks[k].any()


def test_the_others_stay_as_they_are_and_what_was_hidden_is_seen():
    for scene in make_scenes(60, difficulty="hard").scenes:
        _, masks = render([scene], masks=True)
        for k in range(len(scene.objects)):
            rest = without(scene, k)
            assert rest.objects == tuple(thing for place, thing in enumerate(scene.objects) if place != k)
            assert (rest.background, rest.seed, rest.difficulty) == (scene.background, scene.seed, scene.difficulty)
            after = render([rest], masks=True)[1][0]
            kept = [place for place in range(3) if place != k]
            assert (masks[0][kept] <= after[:2]).all()  # what was seen still is


def test_without_anything_the_background_is_left():
    scenes = make_scenes(40, difficulty="easy").scenes
    lonely = next(scene for scene in scenes if len(scene.objects) == 1)
    picture = removals([lonely])[0, 0]
    assert (picture == picture[:, :1, :1]).all()


@pytest.mark.parametrize("index", [-1, 3])
def test_an_object_that_is_not_there_cannot_be_taken(index):
    scene = next(scene for scene in make_scenes(40).scenes if len(scene.objects) == 3)
    with pytest.raises(ValueError, match=f"index must be that of one of the scene's 3 objects, got {index}"):
        without(scene, index)


def test_docstring_examples_run():
    assert doctest.testmod(sys.modules["mmcourse.datasets.scenes.arrange"]) == (0, 2)
