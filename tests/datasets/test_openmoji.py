import pytest
import torch

from mmcourse.datasets import openmoji


@pytest.mark.parametrize(
    ("character", "code"),
    [("🐈", "1F408"), ("❤️", "2764"), ("1️⃣", "0031-FE0F-20E3"), ("🐈‍⬛", "1F408-200D-2B1B"), ("🦊🦊", "1F98A-1F98A")],
)
def test_hexcode(character, code):
    assert openmoji.hexcode(character) == code
    assert openmoji.has_drawing(code) == (code != "1F98A-1F98A")


def test_missing_drawing_says_what_codes_look_like():
    with pytest.raises(KeyError, match="OpenMoji has no drawing 'cat'; codes look like 1F408"):
        openmoji.rasterize("cat", 32)


def test_size_must_be_positive():
    with pytest.raises(ValueError, match="size must be at least 1 pixel, got 0"):
        openmoji.rasterize("1F408", 0)


def test_a_drawing_has_colors_and_transparent_corners():
    image = openmoji.rasterize("1F534", 64)  # a red circle
    assert image.shape == (4, 64, 64)
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    red, green, blue, alpha = image[:, 32, 32].tolist()
    assert alpha == 255
    assert red > 150 > max(green, blue)
    assert image[3, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 0, 0, 0]


def test_rotation_is_clockwise():
    arrow = openmoji.rasterize("2B06", 64)[3].float()  # points up
    turned = openmoji.rasterize("2B06", 64, rotation=90)[3].float()
    right = openmoji.rasterize("27A1", 64)[3].float()  # points right
    overlap = [(turned * other).sum() / (turned.norm() * other.norm()) for other in (right, right.flip(1), arrow)]
    assert overlap[0] > max(overlap[1:])
    assert (turned - arrow.rot90(-1)).abs().mean() < 5


def test_drawing_twice_gives_the_same_bytes():
    assert torch.equal(openmoji.rasterize("1F408", 48, rotation=7.5), openmoji.rasterize("1F408", 48, rotation=7.5))
