"""SmolLM2 with eyes: only the projector learns and is kept. A tiny network stands in for SmolLM2, except at the end."""

import csv
import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mmcourse.content import content_dir
from mmcourse.datasets import caption_is_true, make_scenes, sample_scenes
from mmcourse.lm import SmolLM2, SmolLM2MissingError, smollm2_installed
from mmcourse.losses import IGNORED
from mmcourse.models.vlm import IMAGE, loss
from mmcourse.recipes.data.readings import DESCRIBE, reading_words
from mmcourse.recipes.seeing import smollm2_eyes
from mmcourse.recipes.seeing.smollm2_eyes import ProjectorFileError, load_smollm2_with_eyes, save_projector
from mmcourse.sealed import Sealed
from mmcourse.tokenizer import BytePairTokenizer, HubTokenizer

WIDTH = 32


@pytest.fixture(scope="module")
def tokenizer():
    rules = BytePairTokenizer.train([" ".join(reading_words().vocabulary)], 400)._to_json()
    return HubTokenizer(json.dumps(rules), pad="<pad>", bos="<bos>", eos="<eos>", special_tokens=[IMAGE])


@pytest.fixture
def small(tokenizer, monkeypatch):
    """In the place of SmolLM2 a tiny network of its kind."""

    def load(*, quiet=False):
        torch.manual_seed(1)
        sizes = {"intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=WIDTH, pad_token_id=None, **sizes)
        return SmolLM2(LlamaForCausalLM(config).eval(), tokenizer)

    monkeypatch.setattr(smollm2_eyes, "load_smollm2", load)


def test_talks_are_of_new_pictures_and_teach_answers_with_their_blanks(small, tokenizer):
    talks = smollm2_eyes.Talks(smollm2_eyes.untrained(), size=3)
    first, again, other = talks(2), talks(2), talks(3)
    assert torch.equal(first.packed.tokens, again.packed.tokens)
    assert not torch.equal(first.features, other.features)
    tokens, _, targets = first.packed
    assert ((tokens == tokenizer.ids[IMAGE]).sum(dim=1) == 64).all()
    assert ((targets == tokenizer.eos_id).sum(dim=1) == smollm2_eyes.TURNS).all()
    answers = tokenizer.decode([index for index in targets[0].tolist() if index != IGNORED]).split("<eos>")
    assert all(answer.startswith(" ") for answer in answers[:-1])
    scene, truths = sample_scenes(3, start=6)[0], [answer.strip() for answer in answers[:-1]]
    assert any(caption_is_true(scene, text) for text in truths)


def test_the_start_is_aligned(small):
    """Words of an empty corner are nearer to the background's name than to any other color's."""
    model = smollm2_eyes.untrained().eval()
    batch = make_scenes(40, split="val")
    with torch.no_grad():
        words = model.embed(model.see(batch.images), model.pack([IMAGE] * 40).tokens)[:, -64:]
    first = words.view(40, 16, 4, WIDTH)[:, :, 0]
    names = sorted({scene.background for scene in batch.scenes})
    table, encode = model.language.table.weight.detach(), model.tokenizer.encode
    colors = torch.stack([table[encode(f" {name}")].mean(dim=0) for name in names])
    nearest = torch.cdist(first.flatten(0, 1), colors).argmin(dim=1).view(40, 16)
    most = nearest.mode(dim=1).values.tolist()
    assert sum(names[color] == scene.background for color, scene in zip(most, batch.scenes, strict=True)) >= 38


def test_training_moves_the_projector_alone_and_the_file_brings_it_back(small, tmp_path):
    begun, trained = smollm2_eyes.untrained(), smollm2_eyes.train(steps=2)
    moved = {
        name.partition(".")[0]
        for name, value in trained.state_dict().items()
        if not torch.equal(value, begun.state_dict()[name])
    }
    assert moved == {"projector"}
    file = tmp_path / "projector.safetensors"
    save_projector(trained, file)
    assert file.stat().st_size < 3 * sum(p.numel() for p in trained.projector.parameters())
    again, lesson = load_smollm2_with_eyes(path=file), smollm2_eyes.Talks(trained, size=2)(5)
    assert not again.training
    assert not any(weight.requires_grad for weight in again.language_model.parameters())
    assert loss(again, lesson).total.item() == pytest.approx(loss(trained, lesson).total.item(), rel=1e-2)


def test_files_of_others_and_damaged_ones_are_refused_in_one_sentence(small, tmp_path):
    model = smollm2_eyes.untrained()
    good, cut, other = tmp_path / "good", tmp_path / "cut", tmp_path / "other"
    save_projector(model, good)
    cut.write_bytes(good.read_bytes()[:-20])
    facts = {"kind": "lora", "noun": "adapter", "writer": "save_adapter", "about": "config"}
    Sealed(format=1, error=ValueError, **facts).write(other, {}, {"a": torch.zeros(1)})
    for path, message in (
        (tmp_path / "none", "there is no file"),
        (cut, "damaged"),
        (other, "holds no projector"),
        (None, "of another model"),  # the file that comes with the course does not fit the small network
    ):
        with pytest.raises(ProjectorFileError, match=message) as caught:
            load_smollm2_with_eyes(path=path)
        assert str(caught.value).count("\n") == 0
        assert caught.value._render_traceback_() == [f"ProjectorFileError: {caught.value}"]


def test_what_comes_with_the_course_is_small_and_the_table_is_about_test_scenes():
    path = smollm2_eyes.projector_path()
    assert path.stat().st_size < 6e6
    with (content_dir("data") / "smollm2_eyes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scenes = sample_scenes(60, split="test")
    assert {int(row["scene"]) for row in rows} == set(range(60))
    for number, scene in enumerate(scenes):
        asked = [row["request"] for row in rows if int(row["scene"]) == number]
        assert asked[0] == DESCRIBE
        assert {f"is there a {thing.noun}?" for thing in scene.objects} < set(asked[1:])


@pytest.mark.slow
@pytest.mark.skipif(not smollm2_installed(), reason=str(SmolLM2MissingError()))
def test_the_real_one_says_what_the_table_has():
    with (content_dir("data") / "smollm2_eyes.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["scene"]) < 2]
    model = load_smollm2_with_eyes(quiet=True)
    features = model.see(make_scenes(2, split="test").images)[torch.tensor([int(row["scene"]) for row in rows])]
    replies = model.generate(features, [f"{IMAGE} {row['request']}" for row in rows], max_new_tokens=18)
    said = [reply.text.strip() for reply in replies]
    assert sum(text == row["said"] for text, row in zip(said, rows, strict=True)) >= 0.75 * len(rows)
