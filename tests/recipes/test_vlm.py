"""The recipe vlm: its lessons, its start from parts that are trained, and the file."""

from dataclasses import asdict, replace

import pytest
import torch

from mmcourse import recipes
from mmcourse.datasets import make_scenes, render
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.lm import GPTConfig
from mmcourse.losses import IGNORED
from mmcourse.models import PictureDecoderConfig
from mmcourse.models.vlm import IMAGE, VLM, Eyes, VLMConfig, loss
from mmcourse.recipes.captioner import RECIPE as CAPTIONER
from mmcourse.recipes.data import readings
from mmcourse.recipes.data.readings import reading_words
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Made, write_trained
from mmcourse.recipes.seeing import vlm
from mmcourse.recipes.seeing.exam import exam, mistakes
from mmcourse.train import fit

WORDS = reading_words()
SMALL = VLMConfig(
    language=GPTConfig(vocabulary_size=len(WORDS), context=280, width=32, heads=2, depth=2, rotary=True),
    features=16,
    patches=64,
    merge=2,
    spread=4,
    projector="words",
    eyes=PictureDecoderConfig(width=16, seen=8, heads=2, encoder_hidden=16, widths=[8, 16]),
)
CONFIG = {"model": asdict(SMALL), "vocabulary": WORDS.vocabulary, "special_tokens": WORDS.special_tokens}
needs_the_reader = pytest.mark.skipif(
    "answer-lm" not in recipes.read_manifest(), reason="no trained answer-lm comes with this course yet"
)
needs_the_file = pytest.mark.skipif(
    "vlm" not in recipes.read_manifest(), reason="no trained vlm comes with this course yet"
)


@pytest.fixture(scope="module")
def seer():
    return recipes.load_trained("vlm").model


def test_lessons_are_of_new_pictures_and_ask_for_answers_alone():
    model, tokenizer = vlm.build(CONFIG)
    lessons = vlm.Lessons(model, size=3)
    first, again, other = lessons(2), lessons(2), lessons(3)
    assert torch.equal(first.features, again.features)
    assert torch.equal(first.packed.tokens, again.packed.tokens)
    assert not torch.equal(first.features, other.features)
    torch.testing.assert_close(first.features, model.see(make_scenes(3, start=6).images))
    tokens, mask, targets = first.packed
    assert ((tokens == model.image_id).sum(dim=1) == 64).all()
    assert (targets[tokens == model.image_id] == IGNORED).sum() == 3 * 64
    assert ((targets == tokenizer.eos_id).sum(dim=1) == readings.TURNS).all()
    assert mask.sum() > 3 * 60


def test_a_few_lessons_are_learned_by_heart():
    torch.manual_seed(0)
    model, _ = vlm.build(CONFIG)
    lesson = vlm.Lessons(model, size=4)(0)
    before = {name: value.clone() for name, value in model.eyes.state_dict().items()}
    history = fit(model, loss, lambda step: lesson, steps=120, learning_rate=4e-3, description=None)
    assert history.losses[-1] < 0.8 < 2 < history.losses[0]
    assert all(torch.equal(value, before[name]) for name, value in model.eyes.state_dict().items())


def test_a_file_gives_the_same_model(tmp_path):
    model, _ = vlm.build(CONFIG)
    path = tmp_path / "vlm.safetensors"
    write_trained(path, vlm.RECIPE, Made(model, CONFIG, 0.0), steps=1)
    loaded = recipes.load_trained("vlm", path=path).model
    images = make_scenes(2, split="val").images
    torch.testing.assert_close(loaded.see(images), model.eval().see(images), rtol=0.02, atol=0.02)
    assert loaded.config == SMALL


def test_an_aligned_projector_says_what_stands_in_a_square():
    """With the eyes of the captioner and any language model whose words lie far apart."""
    torch.manual_seed(0)
    eyes = Eyes.of(bundled.load(CAPTIONER).model)
    language = replace(SMALL.language, width=128)
    config = replace(SMALL, language=language, features=eyes.config.width, eyes=eyes.config)
    model = VLM(config, WORDS, eyes=eyes).eval()
    torch.nn.init.normal_(model.language.table.weight)
    vlm.align(model)
    scene = arrange([("cat", "large", "top left"), ("dog", "large", "bottom right")], "pink")
    tokens, _, _ = model.pack([IMAGE])
    words = model.embed(model.see(render([scene])[0]), tokens)[0, -64:]
    nearest = (words @ model.language.table.weight.T).argmax(dim=-1).view(16, 4)
    said = [" ".join(WORDS.vocabulary[i] for i in square) for square in nearest]
    assert said[0] == "large cat top left"
    assert said[-1] == "large dog bottom right"
    assert said[3] == said[12] == "pink background , ,"


@needs_the_reader
def test_it_begins_with_the_eyes_of_the_captioner_and_a_language_model_that_reads(tmp_path):
    made = vlm.train(steps=2, checkpoint=tmp_path / "run.pt")
    reader, writer = recipes.load_trained("answer-lm").model, bundled.load(CAPTIONER).model
    begun, config = vlm.untrained()
    for name, value in begun.language_model.state_dict().items():
        torch.testing.assert_close(value, reader.state_dict()[name])
    images = make_scenes(3, split="val").images
    torch.testing.assert_close(made.model.see(images), Eyes.of(writer)(images))
    assert made.config == config
    moved = {
        name.partition(".")[0]
        for name, value in made.model.state_dict().items()
        if not torch.equal(value, begun.state_dict()[name])
    }
    assert moved == {"projector", "language_model"}


@needs_the_file
def test_the_bundled_model_describes_answers_and_does_not_invent(seer):
    """On the test split, which nobody looked at while the recipe was written."""
    sheet, images = exam(150, split="test"), make_scenes(150, split="test").images
    found = mistakes(seer, seer.see(images), sheet, split="test")
    claimed = recipes.read_manifest()["vlm"]["quality"]
    assert found["wrong in test"] <= claimed["value"] + 0.03
    assert found["captions not true in test"] <= claimed["more"]["captions not true in val"] + 0.08
    assert max(found[f"{how} probes wrong in test"] for how in ("random", "alike")) <= 0.03
    other = mistakes(seer, seer.see(images.roll(1, dims=0)), sheet, split="test")
    assert other["wrong in test"] > 0.4, "what it says comes from the picture"
