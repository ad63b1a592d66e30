"""Drawing what a reader's own sentences say, and the command that does it."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmcourse.course import cli
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.models import Text2Image, Text2ImageConfig
from mmcourse.recipes import RecipeError, draw_texts
from mmcourse.recipes.data.worlds import scene_tokenizer
from mmcourse.recipes.drawing import sentences

ROOT = Path(__file__).resolve().parents[2]
ASKED = "a cat on a pink background"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a small drawer that has learned nothing."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("drawer") / "kept"
    Text2Image(Text2ImageConfig(channels=16, width=32, max_length=24), scene_tokenizer()).save(folder)
    return folder


def run(*words):
    """The exit code of the command."""
    return cli.main(["draw", *map(str, words)])


def test_the_same_seed_draws_the_same_and_another_one_something_else(model):
    first, again = (draw_texts([ASKED], model=model, steps=2, seed=3) for _ in range(2))
    (other,) = draw_texts([ASKED], model=model, steps=2, seed=4)
    assert torch.equal(first[0].image, again[0].image)
    assert not torch.equal(first[0].image, other.image)
    assert first[0].image.shape == (3, 32, 32)
    assert first[0].image.dtype == torch.uint8


def test_each_sentence_is_drawn_as_often_as_asked(model):
    drawn = draw_texts([ASKED, "two dogs"], model=model, steps=1, count=3)
    assert [each.text for each in drawn] == [ASKED] * 3 + ["two dogs"] * 3
    assert len(torch.stack([each.image for each in drawn]).unique(dim=0)) == 6


def test_capitals_and_a_full_stop_change_nothing(model):
    plain, written = draw_texts([ASKED, "A cat on a Pink background."], model=model, steps=1)
    assert plain.text == written.text


class Reads:
    """A reader that finds one scene in every picture."""

    def __init__(self, scene):
        self.model, self.scene = self, scene

    def read(self, images):
        return [self.scene] * len(images)


@pytest.mark.parametrize(
    ("scene", "text", "true"),
    [
        (arrange([("cat", "large", "left")], "pink"), ASKED, True),
        (arrange([("dog", "large", "left")], "pink"), ASKED, False),
        (None, ASKED, False),
        (arrange([("cat", "large", "left")], "pink"), "pink cat pink", None),
    ],
)
def test_a_sentence_is_held_against_what_the_reader_sees(model, monkeypatch, scene, text, true):
    load = sentences.bundled.load
    monkeypatch.setattr(
        sentences.bundled, "load", lambda recipe, **more: Reads(scene) if not more else load(recipe, **more)
    )
    (drawn,) = draw_texts([text], model=model, steps=1)
    assert drawn.seen == scene
    assert drawn.true is true


@pytest.mark.parametrize(
    ("text", "stood"),
    [
        ("a large cat at the left on a pink background", True),
        ("a cat at the left on a pink background", False),
        ("a large cat on a pink background", False),
        ("a large cat at the left", False),
        ("a pink background", False),
        ("two cats on a pink background", False),
        ("pink cat", False),
    ],
)
def test_which_sentences_stood_in_training(text, stood):
    assert sentences.stood_in_training(text) is stood


def test_what_is_seen_in_words():
    scene = arrange([("dog", "small", "right"), ("cat", "large", "left")], "pink")
    assert sentences.describe(scene) == "a large cat (left), a small dog (right), on pink"
    assert sentences.describe(None) == "nothing that it knows"
    assert "cat" in sentences.vocabulary()


@pytest.mark.parametrize(
    ("texts", "options", "words"),
    [
        (["a zebra on a pink background"], {}, "never read 'zebra'"),
        ([" "], {}, "a sentence is empty"),
        (["a cat and " * 12 + "a dog"], {}, "at most 22 words"),
        ([ASKED], {"count": 0}, "1 to 100 drawings, got 0"),
        ([ASKED], {"count": 101}, "1 to 100 drawings, got 101"),
        ([ASKED], {"steps": 0}, "at least 1 step"),
        ([ASKED], {"guidance": -1.0}, "a guidance of at least 0"),
        ([ASKED], {"model": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(model, texts, options, words):
    with pytest.raises(RecipeError) as error:
        draw_texts(texts, **{"model": model, **options})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_writes_a_sheet_and_never_over_another(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("drawing.png", "drawing-2.png", "drawing-3.png"):
        assert run(ASKED, "--model", model, "--steps", 1) == 0
        with Image.open(tmp_path / name) as sheet:
            assert min(sheet.size) > 100
        assert f"The drawings: {name}" in capsys.readouterr().out
    before = (tmp_path / "drawing.png").read_bytes()
    assert run(ASKED, "--model", model, "--out", "drawing.png") == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "drawing.png").read_bytes() == before


def test_the_examples_of_its_help_and_of_the_readme_are_drawn_as_asked(tmp_path, capsys):
    with pytest.raises(SystemExit):
        run("--help")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for text in (" ".join(capsys.readouterr().out.split()), readme):
        (example,) = re.findall(r'(?:such as|mmcourse draw) "([^"]+)"', text)
        assert run(example, "--out", tmp_path / f"{len(text)}.png") == 0
        assert ": true\n" in capsys.readouterr().out


def test_the_command_says_what_the_reader_sees_and_what_it_never_learned(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("pink cat pink", "--model", model, "--steps", 1) == 0
    said = capsys.readouterr()
    assert "the reader sees" in said.out
    assert "nobody can say" in said.out
    assert "Only sentences that say size, thing, place and background" in said.err
    assert run("a large cat at the left on a pink background", "--model", model, "--steps", 1) == 0
    assert "Only sentences" not in capsys.readouterr().err


def test_the_command_lists_what_it_can_draw_and_names_unknown_words(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("--words") == 0
    assert "things: " in capsys.readouterr().out
    assert run() == 2
    assert "what shall be drawn?" in capsys.readouterr().err
    assert run("a zebra and a unicorn", "--model", model) == 2
    assert "'zebra', 'unicorn'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
