import json
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from mmcourse.datasets import ImageFolder, read_image
from mmcourse.datasets.folder import labeled_folder

COMMAS = "save the file with commas"


def picture(path, color=(200, 30, 10), mode="RGB", size=(12, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path, **options)
    return path


def jsonl(folder, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def opened(folder, **options):
    return ImageFolder(folder, quiet=True, **options)


def said(folder, kind=ValueError, **options):
    """The whole message of the error; one sentence of one line."""
    with pytest.raises(kind) as caught:
        opened(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_jsonl_with_extra_columns_and_subfolders(tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "deep" / "b.jpg", (0, 0, 255))
    jsonl(
        tmp_path,
        {"file_name": "a.png", "text": "a red card", "stars": 3, "tags": ["x"]},
        "",
        {"file_name": "deep/b.jpg", "text": "一张蓝色的卡片"},
        {"file_name": "a.png", "text": "the same card"},
    )
    data = opened(tmp_path)
    assert len(data) == 3
    assert [text for _, text in (data[i] for i in range(3))] == ["a red card", "一张蓝色的卡片", "the same card"]
    assert data[0][0].shape == (3, 8, 12)
    assert data[0][0].dtype == torch.uint8
    assert data[0][0][:, 0, 0].tolist() == [200, 30, 10]
    assert data[1][0].float().mean((1, 2)).argmax() == 2
    assert data.records[0].extra == {"stars": 3, "tags": ["x"]}
    assert data.skipped == []
    assert repr(data) == "ImageFolder(3 texts with pictures, 0 pictures skipped)"
    assert [text for _, text in data] == [data[i][1] for i in range(3)]  # iteration ends by itself


def test_csv_with_a_mark_quotes_and_line_ends(tmp_path):
    picture(tmp_path / "a.png")
    content = 'file_name,text,author\r\na.png,"red, ""very""\r\nred",Ann\r\n\r\na.png,plain\r\n'
    (tmp_path / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + content.encode())
    data = opened(tmp_path)
    assert [record.text for record in data.records] == ['red, "very"\nred', "plain"]
    assert [record.extra for record in data.records] == [{"author": "Ann"}, {}]


def test_another_text_column(tmp_path):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, {"file_name": "a.png", "caption": "red"})
    assert opened(tmp_path, text="caption")[0][1] == "red"
    assert said(tmp_path) == "metadata.jsonl line 1 needs 'text' with some text, it has: file_name, caption"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"file_name": "a.png"}, "metadata.jsonl line 3 needs 'text' with some text, it has: file_name"),
        ({"file_name": "a.png", "text": None}, "metadata.jsonl line 3 needs 'text' with some text, got None"),
        ({"file_name": "a.png", "text": " "}, "metadata.jsonl line 3 needs 'text' with some text, got ' '"),
        ({"text": "red"}, "metadata.jsonl line 3 needs 'file_name' with some text, it has: text"),
        ({}, "metadata.jsonl line 3 needs 'file_name' with some text, it has: nothing"),
        ('{"file_name": "a.png", "text": }', "metadata.jsonl line 3 is not JSON: Expecting value at character 32"),
        ("a.png red", "metadata.jsonl line 3 is not JSON: Expecting value at character 1"),
        ('["a.png", "red"]', 'metadata.jsonl line 3 must be an object {...}, got ["a.png", "red"]'),
        (
            {"file_name": "../a.png", "text": "red"},
            "metadata.jsonl line 3 names '../a.png', which lies outside the folder; give a path inside it",
        ),
        (
            {"file_name": "/etc/a.png", "text": "red"},
            "metadata.jsonl line 3 names '/etc/a.png', which lies outside the folder; give a path inside it",
        ),
        (
            {"file_name": "C:\\a.png", "text": "red"},
            "metadata.jsonl line 3 names 'C:\\\\a.png', which lies outside the folder; give a path inside it",
        ),
    ],
)
def test_bad_line_is_named(tmp_path, row, message):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, {"file_name": "a.png", "text": "red"}, "", row)
    assert said(tmp_path) == message


def test_missing_picture_is_named(tmp_path):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, {"file_name": "a.png", "text": "red"}, {"file_name": "b.png", "text": "blue"})
    expected = "metadata.jsonl line 2 names the picture 'b.png', which is missing; add it or remove the line"
    assert said(tmp_path, FileNotFoundError) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name,text\na.png\n", "metadata.csv line 2 needs 'text' with some text, it has: file_name"),
        ('file_name,text\na.png,"x\ny"\na.png,\n', "metadata.csv line 4 needs 'text' with some text, got ''"),
        ("picture,text\na.png,red\n", "metadata.csv line 2 needs 'file_name' with some text, it has: picture, text"),
        (
            "file_name,text\na.png,red, and more\n",
            "metadata.csv line 2 has 3 cells for 2 columns; put text with commas in quotes",
        ),
        (
            'file_name,text\na.png,"red\n',
            "metadata.csv line 2 is not CSV: unexpected end of data; a quote that begins in it is not closed",
        ),
        (
            'file_name,text\na.png,"red\na.png,blue\na.png,"green"\n',
            "metadata.csv line 2 is not CSV: ',' expected after '\"'; a quote that begins in it is not closed",
        ),
        ("file_name;text\na.png;red\n", "metadata.csv line 1 has semicolons between the columns; " + COMMAS),
        ("file_name\ttext\na.png\tred\n", "metadata.csv line 1 has tabs between the columns; " + COMMAS),
        ("file_name,text\na.png,ok\n,,,\n", "metadata.csv line 3 is a row of commas and nothing else; remove it"),
        (
            "file_name,text,text\na.png,red,blue\n",
            "metadata.csv line 1 names the column 'text' twice; rename or remove one",
        ),
        ("file_name,text\n".encode("utf-16"), "metadata.csv line 1 is not UTF-8 text; save the file as UTF-8"),
        (b"file_name,text\na.png,ok\na.png,r\xe9d\n", "metadata.csv line 3 is not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_bad_csv(tmp_path, content, message):
    picture(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said(tmp_path) == message


def test_both_or_neither_metadata_file_or_no_folder(tmp_path):
    assert re.fullmatch(
        r"folder '.*' holds neither metadata.jsonl, metadata.csv nor metadata.parquet; write one with "
        "file_name and text",
        said(tmp_path, FileNotFoundError),
    )
    picture(tmp_path / "train" / "a.png")
    jsonl(tmp_path / "train", {"file_name": "a.png", "text": "red"})
    assert said(tmp_path, FileNotFoundError).endswith("; open one of its folders: train")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,text\n")
    assert said(tmp_path / "train").endswith("holds both metadata.jsonl and metadata.csv; keep the one that is right")
    missing = said(tmp_path / "nowhere", FileNotFoundError)
    assert missing.endswith("nowhere' is no folder; give the one that holds metadata.jsonl")


def test_pictures_that_cannot_be_read_are_named_and_left_out(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    names = ["good.png", "text.png", "cut.jpg", "cut.png", "empty.gif"]
    picture(tmp_path / "good.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.gif").write_bytes(b"")
    for name in ("cut.jpg", "cut.png"):
        Image.fromarray(noise).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    rows = [{"file_name": name, "text": f"about {name}"} for name in names]
    jsonl(tmp_path, *rows, {"file_name": "cut.jpg", "text": "a second text"})
    data = opened(tmp_path)
    assert [record.text for record in data.records] == ["about good.png"]
    reasons = dict(data.skipped)
    assert list(reasons) == names[1:]
    assert reasons["text.png"] == reasons["empty.gif"] == "no picture of a kind that Pillow reads"
    assert "truncated" in reasons["cut.jpg"]
    assert len(data.skipped) == 4  # once, though two texts name it
    for name in names[1:]:
        with pytest.raises(OSError, match=re.escape(f"{name}' cannot be read: ")):
            read_image(tmp_path / name)


def test_a_healthy_folder_of_every_kind_of_picture_skips_none(tmp_path):
    kinds = {"L.png": "L", "rgb.jpg": "RGB", "cmyk.jpg": "CMYK", "p.gif": "P", "one.png": "1", "rgba.webp": "RGBA"}
    for name, mode in kinds.items():
        picture(tmp_path / name, mode=mode)
    jsonl(tmp_path, *({"file_name": name, "text": name} for name in kinds))
    data = opened(tmp_path)
    assert data.skipped == []
    assert {image.shape for image, _ in data} == {(3, 8, 12)}


def test_grayscale_and_alpha(tmp_path):
    assert read_image(picture(tmp_path / "gray.png", (90, 90, 90), "L")).flatten(1).unique().tolist() == [90]
    Image.new("RGBA", (2, 1), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").unique().tolist() == [255]  # transparent means white paper
    Image.new("LA", (2, 1), (0, 128)).save(tmp_path / "half.png")
    assert read_image(tmp_path / "half.png").unique().tolist() == [127]
    indexed = Image.new("P", (2, 1), 0)
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.putpixel((1, 0), 1)
    indexed.save(tmp_path / "palette.png", transparency=1)
    assert read_image(tmp_path / "palette.png")[:, 0].T.tolist() == [[10, 20, 30], [255, 255, 255]]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16)).save(tmp_path / "deep.png")
    assert read_image(tmp_path / "deep.png")[0, 0].tolist() == [0, 128, 255]


def test_exif_rotation_is_honored(tmp_path):
    upright = Image.new("RGB", (40, 20), "white")
    upright.paste("red", (0, 0, 20, 20))  # left half red
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    upright.save(tmp_path / "turned.png", exif=exif)
    image = read_image(tmp_path / "turned.png")
    assert image.shape == (3, 40, 20)
    assert image[:, 5, 10].tolist() == [255, 0, 0]  # left became top
    assert image[:, 35, 10].tolist() == [255, 255, 255]


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_turned_as_pillow_does_and_odd_tags_do_not_matter(tmp_path, turn):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = turn
    picture.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as saved:
        expected = np.asarray(ImageOps.exif_transpose(saved)).transpose(2, 0, 1)
    assert np.array_equal(read_image(tmp_path / "a.png").numpy(), expected)
    # The maker's name under the number of the width (256), which then holds text: refused when it is written anew.
    exif[0x010F] = "x" * 12
    raw = exif.tobytes()
    make, width = (b"\x01\x0f", b"\x01\x00") if b"MM" in raw[:10] else (b"\x0f\x01", b"\x00\x01")
    raw = raw.replace(make + raw[raw.index(make) + 2 :][:2], width + raw[raw.index(make) + 2 :][:2], 1)
    picture.save(tmp_path / "a.jpg", exif=raw)
    jsonl(tmp_path, {"file_name": "a.jpg", "text": "noise"})
    data = opened(tmp_path)
    assert data.skipped == []
    assert data[0][0].shape == expected.shape


def test_more_than_eight_bits_are_read_by_their_range_and_never_black(tmp_path):
    def read(values, name="a.tif"):
        Image.fromarray(np.array([values])).save(tmp_path / name)
        return read_image(tmp_path / name)[0, 0].tolist()

    assert read(np.array([0, 128, 255], dtype=np.int32)) == [0, 128, 255]
    assert read(np.array([0, 32768, 65535], dtype=np.int32)) == [0, 128, 255]
    assert read(np.array([0, 1_000_000, 2_000_000], dtype=np.int32)) == [0, 128, 255]
    assert read(np.array([0, 0.5, 1], dtype=np.float32)) == [0, 128, 255]
    assert read(np.array([0, 0.5, 1, np.inf, np.nan], dtype=np.float32)) == [0, 128, 255, 255, 0]
    assert read(np.array([-1, 0, 1], dtype=np.float32)) == [0, 128, 255]
    assert read(np.array([0, 0.0005, 0.001], dtype=np.float32)) == [0, 128, 255]
    Image.fromarray(np.full((2, 2), np.nan, dtype=np.float32)).save(tmp_path / "none.tif")
    jsonl(tmp_path, {"file_name": "none.tif", "text": "nothing"})
    assert opened(tmp_path).skipped == [("none.tif", "it holds no finite number")]


def test_progress_bar_can_be_switched_off(tmp_path, capsys):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, {"file_name": "a.png", "text": "red"})
    opened(tmp_path)
    assert capsys.readouterr().err == ""
    ImageFolder(tmp_path)
    assert "Checking pictures" in capsys.readouterr().err


def test_labels_come_with_the_pictures(tmp_path):
    picture(tmp_path / "a.png", (0, 200, 0), size=(40, 20))
    picture(tmp_path / "b.png", (9, 9, 9), size=(7, 5))
    jsonl(
        tmp_path,
        {"file_name": "a.png", "text": "green", "label": "good"},
        {"file_name": "b.png", "text": "dark", "label": "bad"},
        {"file_name": "a.png", "text": "grass", "label": " good "},
    )
    data = labeled_folder(tmp_path, size=16, quiet=True)
    assert data.images.shape == (3, 3, 16, 16)
    assert data.images.dtype == torch.uint8
    assert data.images.flatten(2).float().mean(-1).tolist() == [[0, 200, 0], [9, 9, 9], [0, 200, 0]]
    assert data.texts == ["green", "dark", "grass"]
    assert data.labels == ("bad", "good")
    assert data.targets.tolist() == [1, 0, 1]
    turned = labeled_folder(tmp_path, size=16, labels=["good", "bad", "ugly"], quiet=True)
    assert turned.targets.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match=r"'label' of 'b.png' must be one of good, ugly, got 'bad'"):
        labeled_folder(tmp_path, labels=["good", "ugly"], quiet=True)


def test_numbers_as_labels_and_lines_without(tmp_path):
    picture(tmp_path / "a.png")
    rows = [{"file_name": "a.png", "text": "red", "stars": stars} for stars in (10, 2, "x")]
    jsonl(tmp_path, *rows)
    data = labeled_folder(tmp_path, label="stars", quiet=True)
    assert data.labels == ("2", "10", "x")
    assert data.targets.tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match=r"'a.png' needs 'label' with a label, got None; further columns: stars"):
        labeled_folder(tmp_path, quiet=True)


@pytest.mark.parametrize(
    ("disk", "table"),
    [("sub/a.png", "sub\\a.png"), ("cafe\u0301.png", "caf\u00e9.png"), ("caf\u00e9.png", "cafe\u0301.png")],
)
def test_names_are_found_with_other_slashes_and_other_accents(tmp_path, disk, table):
    picture(tmp_path / disk)
    jsonl(tmp_path, {"file_name": table, "text": "red"})
    data = opened(tmp_path)
    assert data[0][0].shape == (3, 8, 12)


def test_a_list_is_several_texts_of_one_picture(tmp_path):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, {"file_name": "a.png", "text": ["red", "a red card"], "by": "Ann"})
    data = opened(tmp_path)
    assert [(record.path.name, record.text, record.extra) for record in data.records] == [
        ("a.png", "red", {"by": "Ann"}),
        ("a.png", "a red card", {"by": "Ann"}),
    ]
    for wrong in ([], ["red", " "], ["red", 3]):
        jsonl(tmp_path, {"file_name": "a.png", "text": wrong})
        assert said(tmp_path) == f"metadata.jsonl line 1 needs 'text' with some text, got {wrong!r}"


def test_half_characters_names_too_long_and_homes_of_nobody_get_a_sentence(tmp_path):
    picture(tmp_path / "a.png")
    jsonl(tmp_path, '{"file_name": "a.png", "text": "red \\ud83d"}')
    expected = "metadata.jsonl line 1 has in 'text' '\\ud83d', half of a character and no text; write it anew"
    assert said(tmp_path) == expected
    jsonl(tmp_path, '{"file_name": "\\udcff.png", "text": "red"}')
    assert "line 1 has in 'file_name' '\\udcff', half of a character" in said(tmp_path)
    for name in ("猫" * 90 + ".png", "a\0.png", "b/" * 3_000):
        jsonl(tmp_path, {"file_name": name, "text": "red"})
        assert "which is missing; add it or remove the line" in said(tmp_path, FileNotFoundError)
    assert "~nobody-here/pictures' is no folder" in said("~nobody-here/pictures", FileNotFoundError)


def test_parquet_is_read_where_pyarrow_is_there_and_explained_elsewhere(tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1 and then nothing")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as where it is not installed
    expected = "metadata.parquet is read with the package pyarrow, which is not here; install pyarrow, or write"
    assert said(tmp_path).startswith(expected)
    monkeypatch.undo()
    pyarrow = pytest.importorskip("pyarrow")
    assert "metadata.parquet is no whole parquet file" in said(tmp_path)
    from pyarrow import parquet

    table = pyarrow.table({"file_name": ["a.png"], "text": [["red", "a red card"]], "stars": [3]})
    parquet.write_table(table, tmp_path / "metadata.parquet")
    assert [(record.text, record.extra) for record in opened(tmp_path).records] == [
        ("red", {"stars": 3}),
        ("a red card", {"stars": 3}),
    ]
