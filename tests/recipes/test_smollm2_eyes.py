"""SmolLM2 with eyes: a map and an adapter learn and are kept. A tiny network stands in for it, except at the end."""

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
from mmcourse.recipes.seeing.smollm2_eyes import SeeingFileError, load_smollm2_with_eyes, save_seeing
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
        sizes |= {"hidden_size": WIDTH, "pad_token_id": None, "tie_word_embeddings": True}
        return SmolLM2(LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).eval(), tokenizer)

    monkeypatch.setattr(smollm2_eyes, "load_smollm2", load)


def test_talks_are_of_new_pictures_and_teach_answers_with_their_blanks(small, tokenizer):
    talks = smollm2_eyes.Talks(smollm2_eyes.untrained(), size=3)
    first, again, other = talks(2), talks(2), talks(3)
    assert torch.equal(first.packed.tokens, again.packed.tokens)
    assert not torch.equal(first.features, other.features)
    tokens, _, targets = first.packed
    assert ((tokens == tokenizer.ids[IMAGE]).sum(dim=1) == 16 * smollm2_eyes.SPREAD).all()
    assert ((targets == tokenizer.eos_id).sum(dim=1) == smollm2_eyes.TURNS).all()
    answers = tokenizer.decode([index for index in targets[0].tolist() if index != IGNORED]).split("<eos>")
    assert all(answer.startswith(" ") for answer in answers[:-1])
    scene, truths = sample_scenes(3, start=6)[0], [answer.strip() for answer in answers[:-1]]
    assert any(caption_is_true(scene, text) for text in truths)


def test_the_start_is_aligned(small):
    """Where a picture is empty, the first word of its corner is nearer to "yellow background" than to other colors."""
    model = smollm2_eyes.untrained().eval()
    batch = make_scenes(40, split="val")
    with torch.no_grad():
        words = model.embed(model.see(batch.images), model.pack([IMAGE] * 40).tokens)
    first = words[:, -16 * smollm2_eyes.SPREAD :].view(40, 16, smollm2_eyes.SPREAD, WIDTH)[:, :, 0]
    names = sorted({scene.background for scene in batch.scenes})
    table, encode = model.language.table.weight.detach(), model.tokenizer.encode
    colors = torch.stack([table[encode(f" {name} background")].mean(dim=0) for name in names])
    nearest = torch.cdist(first.flatten(0, 1), colors).argmin(dim=1).view(40, 16)
    most = nearest.mode(dim=1).values.tolist()
    assert sum(names[color] == scene.background for color, scene in zip(most, batch.scenes, strict=True)) >= 38


def test_training_moves_map_and_adapter_alone_and_the_file_brings_them_back(small, tmp_path):
    begun, trained = smollm2_eyes.untrained(), smollm2_eyes.train(steps=2)
    moved = {name for name, value in trained.state_dict().items() if not torch.equal(value, begun.state_dict()[name])}
    assert {name for name in moved if name.startswith("projector.")} == {"projector.weight", "projector.bias"}
    assert {name.rpartition(".")[-1] for name in moved if not name.startswith("projector.")} == {"down", "up"}
    file = tmp_path / "seeing.safetensors"
    save_seeing(trained, file)
    assert file.stat().st_size < 3 * sum(p.numel() for p in trained.parameters() if p.requires_grad) + 10_000
    again, lesson = load_smollm2_with_eyes(path=file), smollm2_eyes.Talks(trained, size=2)(5)
    assert not again.training
    assert {p.requires_grad for name, p in again.named_parameters() if ".base." in name} == {False}
    value, before = (loss(model, lesson).total.item() for model in (trained, begun.eval()))
    assert abs(value - before) > 1
    assert loss(again, lesson).total.item() == pytest.approx(value, rel=1e-3)


def test_files_of_others_and_damaged_ones_are_refused_in_one_sentence(small, tmp_path):
    model = smollm2_eyes.untrained()
    good, cut, other = tmp_path / "good", tmp_path / "cut", tmp_path / "other"
    save_seeing(model, good)
    cut.write_bytes(good.read_bytes()[:-20])
    facts = {"kind": "lora", "noun": "adapter", "writer": "save_adapter", "about": "config"}
    Sealed(format=1, error=ValueError, **facts).write(other, {}, {"a": torch.zeros(1)})
    for path, message in (
        (tmp_path / "none", "there is no file"),
        (cut, "damaged"),
        (other, "holds no projector"),
        (None, "of another model"),  # the file that comes with the course does not fit the small network
    ):
        with pytest.raises(SeeingFileError, match=message) as caught:
            load_smollm2_with_eyes(path=path)
        assert str(caught.value).count("\n") == 0
        assert caught.value._render_traceback_() == [f"SeeingFileError: {caught.value}"]


def test_what_comes_with_the_course_is_small_and_the_table_is_about_test_scenes():
    path = smollm2_eyes.seeing_path()
    assert path.stat().st_size < 6e6
    with (content_dir("data") / "smollm2_eyes.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scenes = sample_scenes(100, split="test")
    assert {int(row["scene"]) for row in rows} == set(range(100))
    for number, scene in enumerate(scenes):
        about = [row for row in rows if int(row["scene"]) == number]
        shown = [int(row["shown"]) for row in about if row["request"] == DESCRIBE]
        assert sorted(shown) == sorted((number, (number + 1) % 100))
        asked = {row["request"] for row in about}
        assert {f"is there a {thing.noun}?" for thing in scene.objects} < asked


@pytest.mark.slow
@pytest.mark.skipif(not smollm2_installed(), reason=str(SmolLM2MissingError()))
def test_the_real_one_says_what_the_table_has():
    with (content_dir("data") / "smollm2_eyes.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["shown"]) == int(row["scene"]) < 3]
    rows = [row for row in rows if row["request"] != DESCRIBE]
    model = load_smollm2_with_eyes(quiet=True)
    features = model.see(make_scenes(3, split="test").images)[torch.tensor([int(row["scene"]) for row in rows])]
    replies = model.generate(features, [f"{IMAGE} {row['request']}" for row in rows], max_new_tokens=4)
    said = [reply.text.strip() for reply in replies]
    assert sum(text == row["said"] for text, row in zip(said, rows, strict=True)) >= 0.75 * len(rows)
