"""A folder of photographs as a new user has it: indexed, searched by sentence and by picture, never written to."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from mmcourse import album
from mmcourse.course import cli
from mmcourse.datasets import load_photos


def write(tensor, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(tensor.permute(1, 2, 0).numpy())).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Real photographs in two folders, with a file that is no picture, a hidden one and a text."""
    folder = tmp_path_factory.mktemp("a folder with spaces") / "Fotos 照片"
    for number, (name, photo) in enumerate(load_photos().items()):
        write(photo.image[:3].expand(3, -1, -1), folder / ("travel" if number % 2 else "home") / f"{name}.jpg")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def index(photos, tmp_path_factory):
    before = tree(photos)
    made = album.make_album(photos, tmp_path_factory.mktemp("work") / "index", description=None)
    assert tree(photos) == before
    return made


def test_every_picture_is_in_and_what_cannot_be_read_is_named(index, photos):
    assert index.pictures == index.new == len(list(photos.rglob("*.jpg")))
    assert len(index.skipped) == 1
    assert index.skipped[0].startswith("broken.png (")
    assert not (index.folder / album.UNFINISHED).exists()


def test_a_sentence_and_a_picture_find_what_they_should(index, photos):
    by_picture = album.search_album(photos, index.folder, image=photos / "home" / "cat.jpg", k=3)
    assert by_picture[0].path == photos / "home" / "cat.jpg"
    assert by_picture[0].score == pytest.approx(1, abs=1e-4)
    assert [find.score for find in by_picture] == sorted((find.score for find in by_picture), reverse=True)
    found = album.search_album(photos, index.folder, text="cat", k=4)
    assert photos / "home" / "cat.jpg" in [find.path for find in found]
    assert len(album.search_album(photos, index.folder, text="cat", k=500)) == index.pictures


def test_a_second_run_looks_at_nothing_again_and_a_changed_picture_is(index, photos, tmp_path):
    copy, folder = tmp_path / "photos", tmp_path / "index"
    shutil.copytree(photos, copy)
    assert album.make_album(copy, folder, description=None).new == index.pictures
    before = tree(folder)
    assert album.make_album(copy, folder, description=None).new == 0
    assert tree(folder) == before
    write(load_photos("coffee")["coffee"].image, copy / "home" / "cat.jpg")
    (copy / "home" / "flower.jpg").unlink(missing_ok=True)
    again = album.make_album(copy, folder, description=None)
    assert again.new == 1
    assert again.pictures == len(list(copy.rglob("*.jpg")))


def test_a_stopped_run_goes_on(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(album, "PART", 3)
    seen, real = [], album._Towers.pictures

    def stop(self, images):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(images))
        return real(self, images)

    monkeypatch.setattr(album._Towers, "pictures", stop)
    with pytest.raises(KeyboardInterrupt):
        album.make_album(photos, tmp_path, description=None)
    monkeypatch.setattr(album._Towers, "pictures", real)
    with pytest.raises(album.RecipeError, match="mmcourse index"):
        album.search_album(photos, tmp_path, text="cat")
    made = album.make_album(photos, tmp_path, description=None)
    assert made.new == made.pictures - 6


def test_a_damaged_index_is_refused_and_made_anew(photos, index, tmp_path):
    folder = tmp_path / "index"
    shutil.copytree(index.folder, folder)
    (folder / "vectors.bin").write_bytes(b"x")
    with pytest.raises(album.RecipeError, match=r"is damaged .*mmcourse index"):
        album.search_album(photos, folder, text="cat")
    assert album.make_album(photos, folder, description=None).new == index.pictures
    assert album.search_album(photos, folder, text="cat")


def test_the_index_may_lie_among_the_pictures_where_one_asks_for_it(photos, tmp_path):
    copy = tmp_path / "photos"
    shutil.copytree(photos / "home", copy)
    first = album.make_album(copy, copy / "index", description=None)
    (copy / "index" / "finds.png").write_bytes((copy / "cat.jpg").read_bytes())
    assert album.make_album(copy, copy / "index", description=None).pictures == first.pictures


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give a sentence or --image FILE"),
        ({"text": "a", "image": "b"}, "one of the two"),
        ({"text": "  "}, "the sentence is empty"),
        ({"image": "nowhere.png"}, "nowhere.png"),
    ],
)
def test_what_cannot_be_searched_for_is_named(index, photos, given, message):
    with pytest.raises((album.RecipeError, OSError), match=message):
        album.search_album(photos, index.folder, **given)


def test_folders_without_pictures_are_named(tmp_path):
    with pytest.raises(album.RecipeError, match="there is no folder"):
        album.make_album(tmp_path / "nowhere", tmp_path / "index")
    (tmp_path / "empty").mkdir()
    with pytest.raises(album.RecipeError, match="there is no picture below"):
        album.make_album(tmp_path / "empty", tmp_path / "index")
    (tmp_path / "empty" / "a.png").write_bytes(b"x")
    with pytest.raises(album.RecipeError, match="none of the 1 pictures"):
        album.make_album(tmp_path / "empty", tmp_path / "index", description=None)


def test_the_commands_as_a_new_user_types_them(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = ["--work", str(tmp_path / "work")]
    assert cli.main(["search", str(photos), "a cat", *work]) == 2
    assert "mmcourse index" in capsys.readouterr().err
    assert cli.main(["index", str(photos), *work]) == 0
    said = capsys.readouterr().out
    assert "left out: broken.png (" in said
    assert re.search(r"\d+ pictures, \d+ of them new", said)
    assert cli.main(["search", str(photos), "a cat", "-k", "5", *work]) == 0
    said = capsys.readouterr().out
    assert album.HONEST in said
    assert len(re.findall(r"^ +\d +-?\d\.\d\d  (?:home|travel)/", said, flags=re.MULTILINE)) == 5
    assert cli.main(["search", str(photos), "--image", "none.jpg", *work]) == 2
    assert "there is no picture 'none.jpg'" in capsys.readouterr().err
    sheet = next((tmp_path / "work" / "indexes").rglob("finds.png"))
    with Image.open(sheet) as picture:
        assert picture.width > 500
    assert (
        cli.main(["search", str(photos), "--image", str(photos / "home" / "cat.jpg"), "--sheet", "cat.png", *work]) == 0
    )
    assert (tmp_path / "cat.png").is_file()
    assert cli.main(["search", str(photos), *work]) == 2
    assert "give a sentence" in capsys.readouterr().err
    assert cli.main(["search", str(photos), "x", "-k", "0", *work]) == 2
