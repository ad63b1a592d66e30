import csv
import hashlib
import socket
import unicodedata

import emoji
import pytest
import torch

from mmcourse import content, datasets
from mmcourse.datasets import glyphs as module
from mmcourse.datasets import load_glyphs, on_background, openmoji
from mmcourse.datasets.glyphs import glyph_table


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("MMCOURSE_CACHE", str(folder))
        patch.setattr(socket, "socket", None)  # nothing here may reach for the network
        yield folder


@pytest.fixture(scope="module")
def glyphs(cache):
    return load_glyphs(24, quiet=True)


def test_size_and_shape(glyphs):
    assert len(glyphs) >= 1600
    assert glyphs.images.shape == (len(glyphs), 4, 24, 24)
    assert glyphs.images.dtype == torch.uint8
    columns = (glyphs.names, glyphs.chinese, glyphs.codes, glyphs.groups, glyphs.subgroups, glyphs.parts)
    assert {len(column) for column in columns} == {len(glyphs)}
    assert repr(glyphs) == f"Glyphs({len(glyphs)} drawings of 24 × 24 pixels)"


def test_the_datasheet_tells_the_numbers(glyphs):
    text = (content.content_dir("data") / "README.md").read_text(encoding="utf-8")
    chinese = sum(name is not None for name in glyphs.chinese)
    train, val, test = (len(part) for part in glyphs.split())
    assert f"| {len(glyphs):,} | English; Chinese for {chinese:,} |" in text
    assert f"{train:,} train, {val} val, {test} test" in text
    for group in set(glyphs.groups):
        held_out = sum(g == group and part == "test" for g, part in zip(glyphs.groups, glyphs.parts, strict=True))
        assert f"| {group} | {glyphs.groups.count(group)} | {held_out} |" in text


def test_names_are_clean_and_distinct(glyphs):
    assert len({name.casefold() for name in glyphs.names}) == len(set(glyphs.codes)) == len(glyphs)
    for name in glyphs.names:
        assert name == " ".join(name.split()), name
        assert not set(name) & set("_:’"), name
    chinese = [name for name in glyphs.chinese if name is not None]
    assert len(chinese) == len(set(chinese)) >= 1390
    assert all(name == name.strip() and not set(name) & set("_: ") for name in chinese)
    han = sum(any(unicodedata.name(c, "").startswith("CJK UNIFIED") for c in name) for name in chinese)
    assert han > 0.99 * len(chinese)


def test_names_are_those_of_the_emoji_package(glyphs):
    """The table repeats them, so that another version of the package changes no dataset."""
    emoji.config.load_language("zh")
    known = {openmoji.hexcode(c): facts for c, facts in emoji.EMOJI_DATA.items() if facts["status"] == 2}
    both = [i for i, code in enumerate(glyphs.codes) if code in known]
    assert len(both) > 1300
    same = 0
    for i in both:
        facts = known[glyphs.codes[i]]
        english = facts["en"].strip(":").replace("_", " ").replace("’", "'")
        same += (glyphs.names[i], glyphs.chinese[i]) == (english, facts["zh"].strip(":").replace("_", ""))
    assert same >= 0.97 * len(both)  # newer Unicode versions rename a few
    assert all(glyphs.chinese[i] is not None for i in both)


def test_left_out_are_flags_skin_tones_and_joined_sequences(glyphs):
    for code in glyphs.codes:
        points = [int(part, 16) for part in code.split("-")]
        assert 0x200D not in points
        assert not any(0x1F3FB <= p <= 0x1F3FF or 0x1F1E6 <= p <= 0x1F1FF or p >= 0xE0000 for p in points), code
    assert set(glyphs.groups) == {
        *("smileys-emotion", "people-body", "animals-nature", "food-drink"),
        *("travel-places", "activities", "objects", "symbols"),
    }


def test_every_picture_shows_something_of_its_own(glyphs):
    ink = glyphs.images[:, 3].float().flatten(1).sum(1) / 255  # in pixels of 24 × 24
    assert ink.min() > 3, glyphs.names[ink.argmin()]
    digests = {hashlib.sha256(openmoji.rasterize(code, 48).numpy().tobytes()).digest() for code in glyphs.codes}
    assert len(digests) == len(glyphs)


def test_pictures_fit_names(glyphs):
    """Mean color over the solid pixels, where the name says the color."""
    for name, strongest in [("red apple", 0), ("green circle", 1), ("blue heart", 2), ("red heart", 0), ("frog", 1)]:
        rgba = glyphs.images[glyphs.index(name)].float()
        mean = (rgba[:3] * rgba[3]).flatten(1).sum(1)
        assert mean.argmax() == strongest, name


def test_index_by_either_name_or_code(glyphs):
    assert glyphs.index("cat") == glyphs.index("猫") == glyphs.index("1F408")
    with pytest.raises(KeyError, match="no glyph is called 'flurb'; names look like 'grinning face'"):
        glyphs.index("flurb")


def test_published_split(glyphs):
    split = glyphs.split()
    assert (len(split.test), len(split.val)) == (250, 150)
    together = torch.cat(split)
    assert torch.equal(together.sort().values, torch.arange(len(glyphs)))
    parts = [{glyphs.names[i].casefold() for i in part} for part in split]
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    assert all(glyphs.chinese[i] for i in split.test)
    held_out = " ".join(glyphs.codes[i] for i in split.test)
    assert hashlib.sha256(held_out.encode()).hexdigest()[:16] == "290ad3d029c57906"


def test_no_noun_of_the_scenes_is_held_out(glyphs):
    """A model that has seen scenes has seen their nouns: they may not count as concepts never seen."""
    with (content.content_dir("data") / "lexicon.csv").open(encoding="utf-8", newline="") as file:
        nouns = list(csv.DictReader(file))
    assert len(nouns) >= 60
    seen = {noun[column] for noun in nouns for column in ("code", "noun", "chinese")}
    found = 0
    for i, part in enumerate(glyphs.parts):
        if {glyphs.codes[i], glyphs.names[i].lower(), glyphs.chinese[i]} & seen:
            found += 1
            assert part == "train", glyphs.names[i]
    assert found >= 60


def test_other_splits_have_the_same_sizes(glyphs):
    published, one, again, two = glyphs.split(), glyphs.split(1), glyphs.split(1), glyphs.split(2)
    assert [len(p) for p in one] == [len(p) for p in published]
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.test, two.test)
    assert torch.equal(torch.cat(one).sort().values, torch.arange(len(glyphs)))


def test_select_keeps_rows_together(glyphs):
    few = glyphs.select(glyphs.split().test[:5])
    assert len(few) == 5
    for i, name in enumerate(few.names):
        at = glyphs.index(name)
        assert torch.equal(few.images[i], glyphs.images[at])
        assert (few.chinese[i], few.codes[i], few.parts[i]) == (glyphs.chinese[at], glyphs.codes[at], "test")


def test_drawn_once_then_read(cache, glyphs, monkeypatch):
    def fail(*_):
        raise AssertionError("drawn again")

    monkeypatch.setattr(openmoji, "rasterize", fail)
    assert torch.equal(load_glyphs(24).images, glyphs.images)
    with pytest.raises(AssertionError, match="drawn again"):
        load_glyphs(25, quiet=True)


def test_progress_bar_can_be_switched_off(cache, monkeypatch, capsys):
    monkeypatch.setattr(module, "glyph_table", lambda: glyph_table()[:3])
    load_glyphs(9, quiet=True)
    assert capsys.readouterr().err == ""
    load_glyphs(10)
    assert "Drawing glyphs, 10 px" in capsys.readouterr().err


def test_prepare_data_fills_the_cache_and_is_then_quick(cache, monkeypatch):
    monkeypatch.setattr(module, "glyph_table", lambda: glyph_table()[:3])
    counts = datasets.prepare_data(quiet=True)
    assert counts["glyphs"] == 3
    assert (cache / "glyphs-96.safetensors").is_file()
    monkeypatch.setattr(openmoji, "rasterize", None)
    assert datasets.prepare_data(quiet=True) == counts


@pytest.mark.parametrize("size", [0, 7, 513])
def test_size_out_of_range(size):
    with pytest.raises(ValueError, match=f"size must be between 8 and 512 pixels, got {size}"):
        load_glyphs(size)


def test_on_background_blends_exactly():
    images = torch.tensor([[200, 100, 0, 0], [200, 100, 0, 255], [200, 100, 0, 128]], dtype=torch.uint8)[
        ..., None, None
    ]
    expected = [[10, 20, 30], [200, 100, 0], [105, 60, 15]]  # 200 × 128/255 + 10 × 127/255 = 105.4 …
    assert on_background(images, (10, 20, 30))[..., 0, 0].tolist() == expected
    assert on_background(images, "#0a141e")[..., 0, 0].tolist() == expected


def test_on_background_agrees_with_the_definition(glyphs):
    generator = torch.Generator().manual_seed(0)
    colors = torch.randint(0, 256, (len(glyphs), 3), generator=generator)
    rgba = glyphs.images.double()
    alpha = rgba[:, 3:] / 255
    exact = rgba[:, :3] * alpha + colors[:, :, None, None] * (1 - alpha)
    assert (on_background(glyphs.images, colors) - exact).abs().max() <= 0.5 + 1e-9
    pair = on_background(glyphs.images[:6].reshape(2, 3, 4, 24, 24), colors[:6].reshape(2, 3, 3))
    assert torch.equal(pair.reshape(6, 3, 24, 24), on_background(glyphs.images[:6], colors[:6]))
    assert glyphs.on("white").shape == (len(glyphs), 3, 24, 24)
    assert glyphs.on("white")[:, :, 0, 0].float().mean() > 240  # corners are mostly background


@pytest.mark.parametrize("color", [(1, 2), (0, 0, 256), (0.5, 0.5, 0.5), 7, (-1, 0, 0)])
def test_bad_color(color):
    with pytest.raises(ValueError, match="color must be a color name or three whole numbers from 0 to 255, got"):
        on_background(torch.zeros(4, 2, 2, dtype=torch.uint8), color)


def test_bad_images_and_mismatched_colors():
    with pytest.raises(ValueError, match=r"unknown color specifier: 'greenish'"):
        on_background(torch.zeros(4, 2, 2, dtype=torch.uint8), "greenish")
    with pytest.raises(
        ValueError, match=r"images must be uint8 \(..., 4, H, W\), got torch.float32 of shape \(4, 2, 2\)"
    ):
        on_background(torch.zeros(4, 2, 2), "white")
    with pytest.raises(ValueError, match=r"color has shape \(3, 3\), expected \(3,\) or \(2, 3\)"):
        on_background(torch.zeros(2, 4, 2, 2, dtype=torch.uint8), torch.zeros(3, 3, dtype=torch.int))
