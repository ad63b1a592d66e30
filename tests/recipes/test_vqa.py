"""The recipe of the model that answers: every kind of question, its start as the captioner, the file, the command."""

import random
from collections import Counter

import pytest
import torch
from PIL import Image

from mmcourse import recipes
from mmcourse.course import cli
from mmcourse.datasets import QUESTION_KINDS, make_scenes, questions, sample_scenes
from mmcourse.metrics import accuracy_by_kind
from mmcourse.models import VQA
from mmcourse.models.vqa import METHODS
from mmcourse.recipes import vqa
from mmcourse.recipes.captioner import RECIPE as CAPTIONER
from mmcourse.recipes.data import questions as question_data
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.one_picture import HONEST
from mmcourse.train import fit


@pytest.fixture(scope="module")
def answerer():
    return recipes.load_trained("vqa").model


def test_every_kind_is_asked_as_often_as_the_others():
    kinds, chance = Counter(), random.Random(0)
    scenes = [scene for scene in sample_scenes(900) if {each.kind for each in questions(scene)} == set(QUESTION_KINDS)]
    for scene in scenes:
        asked = question_data.draw_questions(questions(scene), 6, chance)
        assert set(asked) <= set(questions(scene))
        kinds.update(each.kind for each in asked)
    assert len(kinds) == 8
    assert max(kinds.values()) <= 1.3 * min(kinds.values())


def test_all_words_and_answers_are_known(answerer):
    """Of scenes beyond those that the words were read from, the held-out combinations among them."""
    known, words = set(answerer.config.answers), set(answerer.tokenizer.ids)
    assert len(known) == 90
    for split in ("train", "compositional"):
        for scene in sample_scenes(600, split=split, start=90_000):
            for each in questions(scene):
                assert each.answer in known
                assert not answerer.unknown_words(each.text)
                assert set(each.answer.split()) <= words


def test_it_begins_as_the_captioner_and_the_picture_side_stays(tmp_path):
    writer = bundled.load(CAPTIONER).model
    made = vqa.train(steps=2, checkpoint=tmp_path / "run.pt")
    images = make_scenes(3, split="val").images
    torch.testing.assert_close(made.model.eval().memory(images), writer.memory(images))
    begun = vqa.begin(vqa.build(made.config)[0], writer)
    cat = begun.tokenizer.ids["cat"]
    torch.testing.assert_close(begun.embedding.weight[cat], writer.embedding.weight[writer.tokenizer.ids["cat"]])
    row = begun.classifier.weight[begun.config.answers.index("top left")]
    words = begun.embedding.weight[[begun.tokenizer.ids["top"], begun.tokenizer.ids["left"]]]
    torch.testing.assert_close(row, words.mean(dim=0))


def test_a_few_questions_are_learned_by_heart():
    model, _ = vqa.untrained()
    scenes, chance = make_scenes(8), random.Random(0)
    asked = [each for scene in scenes.scenes for each in question_data.draw_questions(questions(scene), 3, chance)]
    batch = question_data.question_batch(model, model.remember(scenes.images), asked)
    history = fit(model, vqa.loss, lambda step: batch, steps=60, learning_rate=2e-3, description=None)
    assert history.losses[-1] < 0.1 < 2 < history.losses[0]


def test_the_bundled_file_answers(answerer):
    """On the test split, which nobody looked at while the recipe was written, and on held-out combinations."""
    for split in ("test", "compositional"):
        batch, chance = make_scenes(300, split=split, start=5_000), random.Random(7)
        asked = [question_data.draw_questions(questions(scene), 6, chance) for scene in batch.scenes]
        flat = [each for row in asked for each in row]
        for way in METHODS:
            found = vqa.answer_all(answerer, batch.images, asked, way)
            right = torch.tensor([one.text == each.answer for one, each in zip(found, flat, strict=True)])
            kinds = accuracy_by_kind(right, [each.kind for each in flat])
            assert set(kinds) == set(QUESTION_KINDS)
            assert sum(kind.accuracy for kind in kinds.values()) / 8 >= 0.96
            assert min(kind.accuracy for kind in kinds.values()) >= 0.8, kinds
    assert bundled.read_manifest()["vqa"]["quality"]["value"] <= 0.04


# One picture


@pytest.fixture
def picture(tmp_path):
    scene = make_scenes(1, split="val", start=3)
    path = tmp_path / "a scene.png"
    Image.fromarray(scene.images[0].permute(1, 2, 0).numpy()).save(path)
    return path, scene.scenes[0]


@pytest.mark.parametrize("way", [[], ["--write"]])
def test_the_command_answers(picture, way, capsys):
    path, scene = picture
    assert cli.main(["ask", str(path), "What color is the background", *way]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{scene.background} (")
    assert HONEST in said.err  # what it has never seen


def test_the_command_says_what_it_does_not_know(picture, capsys):
    path, _ = picture
    assert cli.main(["ask", str(path), "is there a zebra?", "--threshold", "1"]) == 0
    said = capsys.readouterr().out
    assert "I do not know; my best guess is " in said
    assert "I have never read 'zebra'" in said


def test_mistakes_get_one_sentence(picture, tmp_path, capsys):
    path, _ = picture
    other = tmp_path / "none.safetensors"
    for arguments, message in (
        ([tmp_path / "none.png", "what?"], "there is no picture"),
        ([path, " ? "], "the question is empty"),
        ([path, "is there a cat " * 9], "question has 37 words and marks, the model reads 13"),
        ([path, "what?", "--threshold", "2"], "--threshold must be from 0 to 1, got 2"),
        ([path, "what?", "--model", other], "there is no file"),
        ([path, "what?", "--model", path], "is damaged or no safetensors file"),
        ([path, "what?", "--model", bundled.bundled_dir() / "captioner.safetensors"], "holds captioner, not vqa"),
    ):
        assert cli.main(["ask", *map(str, arguments)]) == 2
        said = capsys.readouterr()
        assert message in said.err
        assert (said.out, said.err.count("\n")) == ("", 1)


def test_a_saved_folder_works_as_well(answerer, picture, tmp_path):
    path, _ = picture
    answerer.save(tmp_path / "kept")
    kept = recipes.answer_image(path, "how many objects are there?", model=tmp_path / "kept")
    assert kept == recipes.answer_image(path, "how many objects are there?")
    assert isinstance(VQA.load(tmp_path / "kept"), VQA)
