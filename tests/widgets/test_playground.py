"""The playground: scenes by hand, pictures by upload, and a first picture that stands in the notebook."""

import datetime
import io

import nbformat
import pytest
import torch
from notebook_runs import nbval
from PIL import Image

from mmcourse.course.author.execute import execute
from mmcourse.datasets import caption_is_true, captions, make_scenes, render
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.models import Captioner, CaptionerConfig
from mmcourse.recipes.data.worlds import scene_texts
from mmcourse.tokenizer import WordTokenizer
from mmcourse.widgets import caption_playground, playground

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
SMALL = CaptionerConfig(width=32, seen=16, heads=2, decoder_depth=1, encoder_hidden=32, widths=(8, 16))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Captioner(SMALL, WordTokenizer.train(scene_texts(0, 2000))).eval()


@pytest.fixture
def shown(monkeypatch):
    """Every text alternative of a figure, in order."""
    seen = []
    monkeypatch.setattr(playground, "show", lambda figure, alt: seen.append(alt))
    monkeypatch.setattr(playground, "show_widget", lambda box, text: seen.append(text))
    return seen


@pytest.fixture
def board(model, shown):
    return caption_playground(model, pause=0)


def png(color="pink", size=(90, 50)):
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


def upload(board, name, content):
    board.upload.value = (
        {"name": name, "type": "image/png", "size": len(content), "last_modified": NOW, "content": memoryview(content)},
    )


# Scenes by hand


def test_an_arranged_scene_is_what_its_words_say():
    scene = arrange([("dog", "small", "bottom"), ("cat", "large", "top left"), ("cat", "medium", "right")], "blue")
    for text in (
        "two cats and a dog on a blue background",
        "a small dog at the bottom",
        "a large cat at the top left",
        "a dog below a cat",
        "a cat larger than another cat",
    ):
        assert caption_is_true(scene, text), text
    assert len(captions(scene)) == 5
    images, masks = render([scene], masks=True)
    for thing, mask in zip(scene.objects, masks[0], strict=True):
        left, top, right, bottom = thing.box
        assert mask[top:bottom, left:right].sum() == mask.sum() > 0
    assert images.shape == (1, 3, 64, 64)


def test_arranged_objects_look_like_those_drawn_by_chance():
    """The same drawing at the same place as an easy scene has it, up to the noise of the background."""
    batch = make_scenes(20, split="val", difficulty="easy")
    for scene, image in zip(batch.scenes, batch.images, strict=True):
        mine = arrange([(thing.noun, thing.size, thing.position) for thing in scene.objects], scene.background)
        assert [thing.box for thing in mine.objects] == [thing.box for thing in scene.objects]
        assert (render([mine])[0][0].float() - image.float()).abs().max() <= 24


@pytest.mark.parametrize(
    ("things", "words"),
    [
        ([], "one to three things, got 0"),
        ([("cat", "small", "left"), ("dog", "small", "left")], "two things cannot stand at one place, left"),
        ([("unicorn", "small", "left")], "know no 'unicorn' here; they know: cat"),
        ([("cat", "tiny", "left")], "know no 'tiny' here; they know: small"),
        ([("cat", "small", "nowhere")], "know no 'nowhere' here; they know: top left"),
    ],
)
def test_what_cannot_be_arranged_is_told(things, words):
    with pytest.raises(ValueError, match=words):
        arrange(things)


# The board


def test_it_starts_with_a_caption_and_writes_another_when_a_control_moves(board, model, shown):
    assert len(shown) == 2
    assert "small dog (top right), large cat (left)" in shown[1]
    text = model.generate(render([board.scene()])[0])[0].text
    assert text in board.caption.value
    said = []
    board.caption.observe(lambda change: said.append(change["new"]), "value")
    board.rows[0][0].value = "tree"
    assert "large tree (left)" in shown[2]
    assert board.scene().objects[1].noun == "tree"
    text = model.generate(render([board.scene()])[0])[0].text
    assert len(said) >= len(set(text.split())), "it was not written word by word"
    assert text in said[-1]
    assert f"“{text}”" in shown[2]
    assert ("✓" if caption_is_true(board.scene(), text) else "✗") in board.verdict.value


def test_a_scene_that_cannot_be_is_told_and_the_next_one_works(board, shown):
    board.rows[1][2].value = "left"
    assert "two things cannot stand at one place" in board.verdict.value
    for row in board.rows:
        row[0].value = "nothing"
    assert "one to three things" in board.verdict.value
    before = len(shown)
    board.rows[2][0].value = "tree"
    assert len(shown) == before + 1


def test_an_uploaded_picture_gets_a_caption(board, shown):
    upload(board, "mine.png", png())
    assert "the picture mine.png" in shown[-1]
    assert "mine.png, seen as 64 × 64 pixels" in board.verdict.value
    before = len(shown)
    upload(board, "<b>.png", b"no picture")
    assert "&lt;b&gt;.png is no picture that can be read" in board.verdict.value
    assert len(shown) == before
    board.background.value = "white"
    assert "the scene" in shown[-1]


def test_parts_can_be_found_from_outside(board):
    assert "mm-playground" in board.box._dom_classes
    assert "mm-upload" in board.upload._dom_classes
    assert "mm-caption" in board.caption._dom_classes


CELL = """import torch
from mmcourse.models import Captioner, CaptionerConfig
from mmcourse.recipes.data.worlds import scene_texts
from mmcourse.tokenizer import WordTokenizer
from mmcourse.widgets import caption_playground
torch.manual_seed(0)
config = CaptionerConfig(width=32, seen=16, heads=2, decoder_depth=1, encoder_hidden=32, widths=(8, 16))
_ = caption_playground(Captioner(config, WordTokenizer.train(scene_texts(0, 2000))).eval())"""


@pytest.mark.slow
def test_stored_picture_passes_strict_nbval(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL, id="playground")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    done = execute(notebook, name="playground", budget="smoke")
    (output,) = [output for output in done.cells[0].outputs if "image/png" in output.data]
    assert "the scene: small dog (top right), large cat (left)" in output.metadata["image/png"]["alt"]
    path = tmp_path / "playground.ipynb"
    nbformat.write(done, path)
    run = nbval(path)
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout
