from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmcourse import viz

SCENES = torch.arange(3 * 3 * 8 * 8, dtype=torch.uint8).view(3, 3, 8, 8)


def panels(figure):
    figure.canvas.draw()
    return [ax for ax in figure.axes if ax.images]


def test_gallery_shows_each_picture_with_its_title():
    shown = panels(viz.gallery(SCENES, ["a cat", None, "a dog"], columns=2))
    assert [ax.get_title() for ax in shown] == ["a cat", "", "a dog"]
    np.testing.assert_allclose(shown[1].images[0].get_array(), SCENES[1].permute(1, 2, 0) / 255)


def test_gallery_takes_gray_and_sizes_of_their_own():
    gray = panels(viz.gallery([torch.rand(5, 7), torch.rand(1, 4, 4), torch.rand(3, 6, 6)]))
    assert [ax.images[0].get_array().shape for ax in gray] == [(5, 7), (4, 4), (6, 6, 3)]


def test_right_and_wrong_are_told_by_sign_and_frame():
    right, wrong = panels(viz.gallery(SCENES[:2], ["a", "b"], correct=[True, False]))
    assert (right.get_title(), wrong.get_title()) == ("✓ a", "✗ b")
    assert right.spines["top"].get_edgecolor() != wrong.spines["top"].get_edgecolor()


def test_overlay_lights_the_patch_that_is_attended():
    image, weights = torch.ones(3, 8, 8), torch.zeros(2, 4, 4)
    weights[0, 1, 2] = 0.3
    weights[1] = 0.1
    picture, one, even = (ax.images[0].get_array() for ax in panels(viz.overlay(image, weights, titles=["x", "y"])))
    assert picture.min() == 1
    assert (one[2:4, 4:6] == 1).all()
    assert one.mean() < 0.25
    np.testing.assert_allclose(even, 1)


def test_overlay_of_no_attention_and_of_a_gray_picture():
    (_, dark) = panels(viz.overlay(torch.ones(1, 4, 4), torch.zeros(2, 2)))
    assert dark.images[0].get_array().max() < 0.2


def test_scene_names_and_frames_its_objects():
    graph = SimpleNamespace(objects=(SimpleNamespace(noun="cat", box=(2, 3, 6, 8)),))
    (ax,) = panels(viz.scene(SCENES[0], graph))
    assert [text.get_text() for text in ax.texts] == ["cat"]
    frame = ax.patches[-1]
    assert (frame.get_x(), frame.get_y(), frame.get_width(), frame.get_height()) == (1.5, 2.5, 4, 5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: viz.gallery(SCENES, ["a"]), "titles has 1 entries for 3 images"),
        (lambda: viz.gallery(SCENES, correct=[True]), "correct has 1 entries for 3 images"),
        (lambda: viz.gallery([]), "images is empty"),
        (lambda: viz.gallery([torch.rand(8, 8, 3)]), r"shape \(3, H, W\), \(1, H, W\) or \(H, W\), got \(8, 8, 3\)"),
        (lambda: viz.gallery(SCENES[:1], ["一只猫"]), "titles holds '一'"),
        (lambda: viz.overlay(SCENES[0], torch.rand(16)), r"weights must have shape .* got \(16,\)"),
        (lambda: viz.overlay(SCENES[0], torch.rand(2, 4, 4), titles=["a"]), "titles has 1 entries for 2 maps"),
    ],
)
def test_what_is_wrong_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
