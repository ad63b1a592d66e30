import socket

import pytest
import torch

from mmcourse.content import content_dir
from mmcourse.datasets import load_photos, photos


@pytest.fixture(scope="module")
def loaded():
    def no_network(*_, **__):
        raise AssertionError("the network was asked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "socket", no_network)
        patch.setattr(socket, "create_connection", no_network)
        patch.setattr(socket, "getaddrinfo", no_network)
        return load_photos()


def test_photos_are_rgb_pictures(loaded):
    assert {"cat", "coffee", "rocket", "camera", "flower", "palace"} <= set(loaded) <= set(photos.SOURCES)
    for name, photo in loaded.items():
        assert photo.image.dtype == torch.uint8, name
        assert photo.image.shape[0] == 3, name
        assert min(photo.image.shape[1:]) >= 200, name
        assert photo.image.float().std() > 5, name  # no empty picture


def test_photos_show_what_their_names_say(loaded):
    """Mean colors that tell these apart: an orange suit, a red retina, a gray camera picture."""
    mean = {name: photo.image.float().mean((1, 2)) for name, photo in loaded.items()}
    assert mean["retina"].argmax() == 0
    assert mean["camera"].std() == 0  # a grayscale file became three equal channels
    height, width = loaded["flower"].image.shape[1:]
    middle = loaded["flower"].image[:, height // 3 : height // 2, width // 3 : width // 2].float().mean((1, 2))
    assert middle.argmax() == 0
    assert mean["flower"].argmax() != 0  # the background is green and blue


def test_every_photo_has_title_credit_and_licence(loaded):
    for name, photo in loaded.items():
        assert photo.title, name
        assert photo.credit, name
        assert photo.licence, name
        assert photo.credit in repr(photo)
    assert loaded["flower"].licence == "CC BY 2.0"


def test_the_datasheet_lists_every_photo():
    text = (content_dir("data") / "README.md").read_text(encoding="utf-8")
    for name, (_, title, credit, licence) in photos.SOURCES.items():
        assert f"| {name} | {title} | {credit} | {licence} |" in text


def test_only_the_named_photos_are_read(monkeypatch):
    read = []
    original = photos.read_image
    monkeypatch.setattr(photos, "read_image", lambda path: read.append(path.name) or original(path))
    assert list(load_photos("coffee", "cat")) == ["coffee", "cat"]
    assert read == ["coffee.png", "chelsea.png"]


def test_a_photo_the_installed_version_lacks_is_left_out(monkeypatch):
    gone = photos.SOURCES | {"cat": ("skimage/data/gone.png", *photos.SOURCES["cat"][1:])}
    gone["flower"] = ("no_such_package/flower.jpg", *photos.SOURCES["flower"][1:])
    monkeypatch.setattr(photos, "SOURCES", gone)
    left = load_photos()
    assert "coffee" in left
    assert not {"cat", "flower"} & set(left)
    with pytest.raises(
        KeyError, match="photo 'cat' is not in the installed version of its package; there are: coffee, "
    ):
        load_photos("cat")


def test_unknown_photo_names_those_that_are_there():
    with pytest.raises(KeyError, match="photo 'dog' is not known; there are: cat, coffee, "):
        load_photos("cat", "dog")
