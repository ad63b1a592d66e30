"""Features of a dataset: equal to encoding one by one, kept, and never stale."""

import csv
import dataclasses
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from mmcourse.datasets import ImageFolder, load_glyphs
from mmcourse.datasets.transforms import Preprocessing
from mmcourse.encoders import features as module
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import ImageEncoder, load_image_encoder, load_text_encoder


class Small(ImageEncoder):
    """An encoder that is quick and counts what it is given."""

    def __init__(self):
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 4), torch.nn.ReLU())
        super().__init__(layers, name="small", width=5, preprocess=Preprocessing(size=16))
        self.requires_grad_(False).eval()
        self.batches = []

    def forward(self, x):
        self.batches.append(len(x))
        return self.network(x).mean(dim=(2, 3))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def minilm():
    return load_text_encoder()


def pictures(count=10, size=20, seed=0):
    return torch.randint(256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def test_computed_once_then_read(cache):
    encoder, data = Small(), pictures()
    first = extract_features(encoder, data, name="a", batch_size=4)
    assert encoder.batches == [4, 4, 2]
    assert first.shape == (10, 5)
    torch.testing.assert_close(first, encoder.encode(data))
    encoder.batches.clear()
    assert torch.equal(extract_features(encoder, data, name="a", batch_size=3), first)
    assert torch.equal(extract_features(Small(), data.clone(), name="a"), first)
    assert encoder.batches == []
    assert {path.suffix for path in cache.iterdir()} <= {".safetensors", ".lock"}


@pytest.mark.parametrize(
    "change",
    [
        lambda encoder, data: encoder.network[0].weight.data[4, 2, 3, 3].add_(1e-3),
        lambda encoder, data: encoder.network[0].bias.data[0].add_(1e-3),
        lambda encoder, data: setattr(encoder, "preprocess", dataclasses.replace(encoder.preprocess, size=17)),
        lambda encoder, data: setattr(encoder, "preprocess", dataclasses.replace(encoder.preprocess, resize=16)),
        lambda encoder, data: setattr(encoder.network[0], "stride", (2, 2)),
        lambda encoder, data: data[7, 1, 10, 10].add_(1),
        lambda encoder, data: data.copy_(data.flip(0)),
    ],
    ids=["weight", "bias", "size", "resize", "stride", "pixel", "order"],
)
def test_a_change_computes_anew(change):
    encoder, data = Small(), pictures()
    before = extract_features(encoder, data, name="a")
    change(encoder, data)
    encoder.batches.clear()
    after = extract_features(encoder, data, name="a")
    assert encoder.batches == [10]
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, encoder.encode(data))


def test_another_version_of_this_code_computes_anew(monkeypatch):
    encoder, data = Small(), pictures()
    extract_features(encoder, data, name="a")
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    encoder.batches.clear()
    extract_features(encoder, data, name="a")
    assert encoder.batches == [10]


def test_pictures_of_many_sizes_and_twins():
    data = [*pictures(2, 20), *pictures(1, 33), *pictures(2, 20), *pictures(1, 50, seed=1)]
    encoder = Small()
    found = extract_features(encoder, data, name="a", batch_size=2)
    assert encoder.batches == [2, 2]  # four different ones
    torch.testing.assert_close(found, torch.cat([encoder.encode(image[None]) for image in data]))
    assert torch.equal(found[:2], found[3:5])


def test_the_same_bytes_in_another_shape_are_another_picture():
    encoder, flat = Small(), pictures(1, 24).flatten()
    wide, tall = flat.reshape(3, 16, 36), flat.reshape(3, 36, 16)
    found = extract_features(encoder, [wide, tall], name="a")
    torch.testing.assert_close(found, torch.cat([encoder.encode(wide[None]), encoder.encode(tall[None])]))


def test_a_folder_of_pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    images = [*pictures(1, 20), *pictures(1, 31, seed=3)]
    for i, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "text"], ["0.png", "a"], ["1.png", "b"], ["0.png", "c"]])
    data, encoder = ImageFolder(folder, quiet=True), Small()
    found = extract_features(encoder, data, name="a", batch_size=8)
    assert encoder.batches == [2]
    torch.testing.assert_close(found, encoder.encode([images[0], images[1], images[0]]))
    Image.fromarray(np.zeros((9, 9, 3), dtype=np.uint8)).save(folder / "1.png")
    again = extract_features(encoder, data, name="a")
    assert torch.equal(again[0], found[0])
    torch.testing.assert_close(again[1], encoder.encode(torch.zeros(1, 3, 9, 9, dtype=torch.uint8))[0])


def test_texts(minilm, monkeypatch):
    data = ["a dog", "a cat that sleeps on the mat all day long", "cat", "a dog", "an owl"]
    read = []
    encode = type(minilm).encode
    monkeypatch.setattr(type(minilm), "encode", lambda self, texts, **o: read.append(texts) or encode(self, texts, **o))
    found = extract_features(minilm, data, name="words", batch_size=2)
    assert read == [["cat", "a dog"], ["an owl", data[1]]]
    torch.testing.assert_close(found, encode(minilm, data), rtol=1e-5, atol=1e-6)
    assert torch.equal(found[0], found[3])
    cls = extract_features(minilm, data, name="words", pooling="cls", normalize=False)
    torch.testing.assert_close(cls, encode(minilm, data, pooling="cls", normalize=False), rtol=1e-4, atol=1e-5)
    count = len(read)
    assert torch.equal(extract_features(minilm, data, name="words", pooling="cls", normalize=False), cls)
    assert len(read) == count
    extract_features(minilm, [*data[:-1], "an owl."], name="words", pooling="cls", normalize=False)
    assert len(read) == count + 1


def test_nothing_at_all(minilm):
    assert extract_features(Small(), pictures(0), name="a").shape == (0, 5)
    assert extract_features(minilm, [], name="b").shape == (0, 384)


def test_the_wrong_data_and_the_wrong_size(minilm):
    with pytest.raises(TypeError, match="data must hold pictures for the encoder small, got texts"):
        extract_features(Small(), ["a cat"], name="a")
    with pytest.raises(TypeError, match="data must hold texts for the encoder minilm, got pictures"):
        extract_features(minilm, pictures(), name="a")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        extract_features(Small(), pictures(), name="a", batch_size=0)


def test_a_bar_shows_while_computing_and_not_while_reading(capsys):
    encoder = Small()
    extract_features(encoder, pictures(), name="a", batch_size=5, description="Looking at noise")
    shown = capsys.readouterr()
    assert "Looking at noise" in shown.err
    assert "2/2" in shown.err
    extract_features(encoder, pictures(), name="a")
    assert capsys.readouterr() == ("", "")


def test_features_may_be_learned_from():
    head = torch.nn.Linear(5, 2)
    head(extract_features(Small(), pictures(), name="a")).sum().backward()
    assert head.weight.grad.abs().sum() > 0


def test_all_glyphs_are_kept(tmp_path, monkeypatch):
    """All drawings through the real network, at 32 pixels to be quick; the second time nothing is computed."""
    monkeypatch.delenv("MMCOURSE_CACHE")
    images = load_glyphs(quiet=True).on("white")
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path))
    encoder = load_image_encoder()
    encoder.preprocess = dataclasses.replace(encoder.preprocess, size=32, resize=32)
    found = extract_features(encoder, images, name="glyphs")
    assert found.shape == (len(images), 1280)
    monkeypatch.setattr(type(encoder), "encode", lambda *_: pytest.fail("computed again"))
    assert torch.equal(extract_features(encoder, images, name="glyphs"), found)


VICTIM = """
import sys, torch
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import load_text_encoder
encoder = load_text_encoder()
encode = type(encoder).encode
def slow(self, texts, **options):
    print(texts, flush=True)
    if texts == ["three"]:
        import time; time.sleep(3600)
    return encode(self, texts, **options)
type(encoder).encode = slow
extract_features(encoder, ["one", "two", "three"], name="words", batch_size=1)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_killed_extraction_leaves_no_half_file(cache, minilm, spawn):
    process = spawn([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout:
        if "three" in line:
            break
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    assert process.wait(200) == -signal.SIGKILL
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]
    found = extract_features(minilm, ["one", "two", "three"], name="words")
    torch.testing.assert_close(found, minilm.encode(["one", "two", "three"]), rtol=1e-5, atol=1e-6)
