"""The recipe of the captioner: a folder through the command, interruptions, glyphs, and one picture by command."""

import re

import pytest
import torch
from folders import write_folder
from PIL import Image

from mmcourse import recipes
from mmcourse.course import cli
from mmcourse.datasets import caption_is_true, captions, make_scenes
from mmcourse.recipes import captioner
from mmcourse.recipes.data import captions as caption_data
from mmcourse.recipes.engine.base import RecipeError
from mmcourse.tokenizer import WordTokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "my pictures", 26, broken=(3,), size=(80, 70))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(captioner, "SAVE_EVERY", 2)
    monkeypatch.setattr(captioner, "SCENES", 250)


def train(*arguments):
    return cli.main(["train", "captioner", *map(str, arguments)])


def test_a_folder_is_trained_on_with_progress_and_what_is_corrupt_is_named(folder, tmp_path, capsys):
    assert train("--data", folder, "--steps", 4, "--batch-size", 8, "--out", tmp_path) == 0
    said, progress = capsys.readouterr()
    assert re.search(r"1 of 26 pictures was skipped: 3\.png \(.+\)", said), said
    for words in ("4 steps in", "loss a token on pictures that were held out", "texts 4", "sha256"):
        assert words in said
    assert "the target" not in said, "of one's own pictures nobody knows what to expect"
    assert "captioner: 100%" in progress
    (path,) = tmp_path.iterdir()
    model, tokenizer, _ = recipes.load_trained("captioner", path=path)
    assert isinstance(tokenizer, WordTokenizer)
    assert len(model.generate(make_scenes(3).images)) == 3


def test_an_interrupted_run_goes_on_to_the_very_same_file(folder, tmp_path, monkeypatch, capsys):
    options = ("--data", folder, "--steps", 5, "--batch-size", 8)
    train(*options, "--out", tmp_path / "whole")
    real = caption_data.Drawn.__call__

    def stop(batches, step):
        if step == 3:
            raise KeyboardInterrupt
        return real(batches, step)

    with monkeypatch.context() as patched:
        patched.setattr(caption_data.Drawn, "__call__", stop)
        assert train(*options, "--out", tmp_path / "parts") == 2
    assert "goes on from step 2" in capsys.readouterr().err
    assert train("--data", folder, "--steps", 5, "--batch-size", 4, "--out", tmp_path / "parts") == 2
    assert "batch_size=8, this run batch_size=4" in capsys.readouterr().err
    assert train(*options, "--out", tmp_path / "parts") == 0
    whole, parts = (next((tmp_path / name).iterdir()).read_bytes() for name in ("whole", "parts"))
    assert whole == parts


def test_a_folder_is_learned(tmp_path, monkeypatch):
    """Pictures tell their texts apart: the loss beside the right picture falls below that beside another one's."""
    path = write_folder(tmp_path / "data", 60)
    made = captioner.train(steps=60, checkpoint=tmp_path / "run.pt", data=path, batch_size=16)
    quality = captioner.evaluate_texts(made.model.eval(), caption_data.collect(path).train())
    assert quality.value < 0.7 * quality.more["with another picture beside each text"]


def test_glyphs_are_data_too(tmp_path, capsys):
    assert train("--data", "glyphs", "--steps", 2, "--batch-size", 4, "--out", tmp_path) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["captioner-glyphs.safetensors"]
    texts = caption_data.collect("glyphs").train()
    assert texts.images.shape[1:] == (4, 64, 64)
    tokenizer = WordTokenizer.train(texts.texts)
    batches = caption_data.Drawn(tokenizer, *texts, size=16, longest=64)
    first, again = batches(5), batches(5)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    corners = {tuple(image[:, 0, 0].tolist()) for image in first.images}
    assert len(corners) > 2, "all drawings lie on one color"


def test_scenes_are_a_function_of_the_step_and_their_captions_are_true():
    tokenizer = WordTokenizer.train([text for i in range(300) for text in captions(make_scenes(1, start=i).scenes[0])])
    batches = caption_data.FreshScenes(tokenizer, size=20, each=3)
    first, again = batches(7), batches(7)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    scenes = make_scenes(20, start=140)
    assert torch.equal(first.images, scenes.images)
    for row, (inputs, targets) in enumerate(zip(first.inputs, first.targets, strict=True)):
        text = tokenizer.decode(inputs[1:], skip_special=True)
        assert caption_is_true(scenes.scenes[row // 3], text), text
        length = int((targets >= 0).sum())
        assert targets[: length - 1].tolist() == inputs[1:length].tolist()
        assert targets[length - 1] == tokenizer.eos_id
    three = [tuple(row.tolist()) for row in first.inputs[:3]]
    assert len(set(three)) == 3, "one caption came twice"


def test_the_report_on_scenes_tells_what_is_wrong(tmp_path, capsys):
    assert train("--steps", 1, "--batch-size", 4, "--out", tmp_path) == 1
    said = capsys.readouterr().out
    for words in ("greedy captions that are not true", "the target, at most 0.01, is NOT reached",
                  "hallucinated in val", "unparseable in compositional", "nouns pointed at"):  # fmt: skip
        assert words in said


# One picture


@pytest.fixture(scope="module")
def model_file(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("model")
    assert train("--data", folder, "--steps", 2, "--batch-size", 4, "--out", out) == 0
    return next(out.iterdir())


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_pictures_of_any_kind_get_a_sentence(model_file, tmp_path, mode, capsys):
    path = tmp_path / ("picture.tif" if mode in ("CMYK", "I;16") else "picture.png")
    picture = Image.effect_noise((300, 77), 80)
    (picture.point(lambda v: v * 256, "I").convert("I;16") if mode == "I;16" else picture.convert(mode)).save(path)
    assert cli.main(["caption", str(path), "--model", str(model_file)]) == 0
    said = capsys.readouterr().out
    assert said.strip() == captioner.caption_image(path, model=model_file).text


def test_a_saved_folder_works_as_well(model_file, tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 64), "pink").save(path)
    recipes.load_trained("captioner", path=model_file).model.save(tmp_path / "kept")
    given = captioner.caption_image(path, model=tmp_path / "kept")
    assert given.tokens == captioner.caption_image(path, model=model_file).tokens


def test_mistakes_get_one_sentence(model_file, tmp_path, capsys):
    picture, text = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (9, 9)).save(picture)
    text.write_text("no picture")
    for arguments, message in (
        ([tmp_path / "none.png"], "there is no picture"),
        ([text, "--model", model_file], "b.png' cannot be read: no picture of a kind that Pillow reads"),
        ([tmp_path, "--model", model_file], "cannot be read"),
        ([picture, "--model", tmp_path / "none.safetensors"], "there is no file"),
        ([picture, "--model", text], "is damaged or no safetensors file"),
        ([picture, "--model", tmp_path], "holds no config.json"),
    ):
        assert cli.main(["caption", *map(str, arguments)]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert message in said.err
        assert said.err.count("\n") == 1
    with pytest.raises(RecipeError, match="there is no picture"):
        captioner.caption_image(tmp_path / "none.png", model=model_file)


@pytest.mark.skipif(
    "captioner" not in recipes.read_manifest(), reason="no trained captioner comes with this course yet"
)
def test_the_bundled_captioner_tells_the_truth():
    """On the test split, which nobody looked at while the recipe was written."""
    model = recipes.load_trained("captioner").model
    batch = make_scenes(500, split="test", masks=True)
    texts = [caption.text for caption in model.generate(batch.images)]
    true = [bool(caption_is_true(scene, text)) for scene, text in zip(batch.scenes, texts, strict=True)]
    assert sum(true) >= 0.98 * len(true)
    points = captioner.pointing(model, batch, texts)
    assert sum(points) >= 0.8 * len(points)


def test_a_text_that_spells_the_end_is_not_cut_there():
    texts = ["a cat <eos> on a <bos> mat", "a dog"]
    tokenizer = WordTokenizer.train(texts)
    batches = caption_data.Drawn(
        tokenizer, torch.zeros(2, 3, 8, 8, dtype=torch.uint8), texts, torch.arange(2), size=2, longest=64
    )
    batch = batches.rows(torch.arange(2), torch.Generator())
    assert (batch.targets == tokenizer.eos_id).sum(1).tolist() == [1, 1]
    assert (batch.inputs == tokenizer.bos_id).sum(1).tolist() == [1, 1]
    written = tokenizer.decode(batch.targets[0].tolist(), skip_special=True)
    assert written == "a cat < eos > on a < bos > mat"
