"""Recipes: the files that come with the course, a run by command, interruptions, and files that are no good."""

import doctest
import json
import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmcourse import recipes
from mmcourse.course import cli
from mmcourse.datasets import caption_entropy, caption_log_prob
from mmcourse.decoding import sample
from mmcourse.recipes import registry, tiny_lm
from mmcourse.recipes.data import worlds
from mmcourse.recipes.engine import base, bundled
from mmcourse.recipes.engine.base import KEY, Made, Quality, read_trained, write_trained

FOLDER = bundled.bundled_dir()
RECIPE = tiny_lm.RECIPE
CONFIG = {
    "model": {"vocabulary_size": 6, "context": 16, "width": 8, "heads": 2, "depth": 1},
    "vocabulary": ["<pad>", "<unk>", "<bos>", "<eos>", "a", "cat"],
}


@pytest.fixture
def quick(monkeypatch):
    """Measures on few captions and saves often, so that a run takes a second."""
    monkeypatch.setattr(tiny_lm, "CAPTIONS", 200)
    monkeypatch.setattr(tiny_lm, "SAVE_EVERY", 2)


@pytest.fixture
def made_by(tmp_path, monkeypatch):
    """`made_by(steps)` writes a file of the recipe in a folder that stands for the bundled one; returns its path."""
    monkeypatch.setattr(bundled, "bundled_dir", lambda: tmp_path)

    def make(seed=0):
        torch.manual_seed(seed)
        model, _ = tiny_lm.build(CONFIG)
        path = tmp_path / "tiny-lm.safetensors"
        write_trained(path, RECIPE, Made(model, CONFIG, 0.0), steps=1)
        return path, model

    return make


def list_in_manifest(path):
    facts = {"sha256": recipes.sha256(path), "bytes": path.stat().st_size}
    (path.parent / "manifest.json").write_text(json.dumps({path.stem: facts}))


# What comes with the course


def test_every_file_is_in_the_manifest_and_the_other_way_round():
    manifest = recipes.read_manifest()
    assert {facts["file"] for facts in manifest.values()} == {path.name for path in FOLDER.glob("*.safetensors")}
    assert {path.name for path in FOLDER.iterdir() if path.suffix != ".safetensors"} == {"manifest.json"}
    assert set(manifest) <= set(recipes.RECIPES)
    for name, facts in manifest.items():
        path = FOLDER / facts["file"]
        assert recipes.sha256(path) == facts["sha256"]
        assert path.stat().st_size == facts["bytes"]
        assert facts["command"] == f"mmcourse train {name}"
        assert facts["seconds"] > 0
        assert facts["quality"]["value"] <= facts["quality"]["at_most"]
        assert {"mmcourse", "python", "torch"} <= set(facts["versions"])
        assert facts["machine"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 25e6


def test_files_are_in_half_precision_and_models_are_not():
    for name in recipes.read_manifest():
        stored = load_file(FOLDER / f"{name}.safetensors")
        trained = recipes.load_trained(name)
        assert {value.dtype for value in stored.values()} == {torch.float16}
        assert {value.dtype for value in trained.model.parameters()} == {torch.float32}
        assert not trained.model.training
        assert trained.facts["steps"] == recipes.find(name).steps


def test_tiny_lm_is_within_one_percent_of_the_entropy():
    """On captions of the test split, which nobody looked at while the recipe was written."""
    found = tiny_lm.gap(recipes.load_trained("tiny-lm"), split="test", count=10_000)
    assert found.error < 0.001 * found.entropy
    assert 0 < found.excess < 0.01 * found.entropy
    assert found.plain == pytest.approx(found.entropy + found.excess, rel=0.01)
    claimed = recipes.load_trained("tiny-lm").facts["quality"]["more"]
    assert found.excess == pytest.approx(claimed["excess"], abs=5 * (found.error + claimed["error"]))


def test_tiny_lm_writes_captions():
    model, tokenizer, _ = recipes.load_trained("tiny-lm")
    prompt = torch.full((100, 1), tokenizer.bos_id)
    ends = {"stop_id": tokenizer.eos_id, "pad_id": tokenizer.pad_id}
    drawn = sample(model.stepper(), prompt, max_length=15, generator=torch.Generator().manual_seed(0), **ends)
    texts = [tokenizer.decode(row, skip_special=True) for row in drawn.tokens]
    assert sum(math.isfinite(caption_log_prob(text)) for text in texts) >= 90
    assert len(set(texts)) > 90


def test_the_example_runs():
    assert doctest.testmod(recipes) == (0, 1)


# Its parts


def test_the_gap_of_a_model_that_knows_nothing(made_by):
    """A model whose every logit is 0 is surprised by ln V at each token, whatever comes."""
    _, model = made_by()
    torch.nn.init.zeros_(model.embedding.weight)
    trained = recipes.Trained(model, tiny_lm.build(CONFIG)[1], {})
    found = tiny_lm.gap(trained, split="val", count=2000)
    assert found.plain == pytest.approx(math.log(6), abs=1e-5)
    assert found.entropy + found.excess == pytest.approx(math.log(6), abs=6 * found.error)


# A run through the command


def train(*arguments):
    return cli.main(["train", "tiny-lm", *map(str, arguments)])


def test_a_short_run_writes_a_file_that_loads(quick, tmp_path, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in FOLDER.iterdir()}
    assert train("--out", tmp_path / "mine", "--steps", 3) == 1, "three steps do not reach the target"
    said = capsys.readouterr().out
    path = tmp_path / "mine" / "tiny-lm.safetensors"
    for words in ("3 steps in", "is NOT reached", "entropy 1.37016", "captions 200", str(path), recipes.sha256(path)):
        assert words in said
    model, tokenizer, facts = recipes.load_trained("tiny-lm", path=path)
    assert facts["steps"] == 3
    assert model(tokenizer.encode_batch(["a cat"], add_special=True).ids).shape == (1, 4, len(tokenizer))
    assert [left.name for left in path.parent.iterdir()] == [path.name]
    assert {path.name: path.stat().st_mtime_ns for path in FOLDER.iterdir()} == before


def test_by_default_the_file_goes_to_the_work_folder(quick, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MMCOURSE_WORK", str(tmp_path))
    train("--steps", 1)
    assert (tmp_path / "trained" / "tiny-lm.safetensors").is_file()
    assert train("--steps", 1) == 2
    assert "is there already; --restart replaces it" in capsys.readouterr().err
    assert train("--steps", 1, "--restart") == 1


def test_the_bundled_files_are_not_overwritten(quick, capsys):
    before = (FOLDER / "tiny-lm.safetensors").read_bytes()
    assert train("--out", FOLDER, "--steps", 1, "--restart") == 2
    assert "holds the files that come with the course" in capsys.readouterr().err
    assert (FOLDER / "tiny-lm.safetensors").read_bytes() == before


class Stop:
    """`batches` that are stopped like by Ctrl-C when a step is asked for."""

    def __init__(self, step):
        self.step, self.real = step, tiny_lm.FreshCaptions.__call__

    def __call__(self, batches, step):
        if step == self.step:
            raise KeyboardInterrupt
        return self.real(batches, step)


@pytest.mark.parametrize("step", [0, 1, 5])
def test_an_interrupted_run_goes_on_to_the_very_same_file(quick, tmp_path, monkeypatch, capsys, step):
    train("--out", tmp_path / "whole", "--steps", 7)
    parts = tmp_path / "parts"
    with monkeypatch.context() as patched:
        stop = Stop(step)
        patched.setattr(tiny_lm.FreshCaptions, "__call__", lambda self, step: stop(self, step))
        assert train("--out", parts, "--steps", 7) == 2
    said = capsys.readouterr().err
    assert f"the same command (without --restart) goes on from step {step // 2 * 2}" in said
    assert not (parts / "tiny-lm.safetensors").exists()
    train("--out", parts, "--steps", 7)
    name = "tiny-lm.safetensors"
    assert (parts / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_that_is_stopped_while_it_is_measured_goes_on_too(quick, tmp_path, monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(tiny_lm, "gap", stopped)
        assert train("--out", tmp_path, "--steps", 3) == 2
    assert "goes on from step 3" in capsys.readouterr().err
    assert train("--out", tmp_path, "--steps", 3) == 1
    assert [left.name for left in tmp_path.iterdir()] == ["tiny-lm.safetensors"]


def test_an_unfinished_run_of_other_settings_is_not_taken_up(quick, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        stop = Stop(2)
        patched.setattr(tiny_lm.FreshCaptions, "__call__", lambda self, step: stop(self, step))
        train("--out", tmp_path, "--steps", 3)
    assert train("--out", tmp_path, "--steps", 4) == 2
    assert "has steps=3, this run steps=4; delete" in capsys.readouterr().err
    assert train("--out", tmp_path, "--steps", 4, "--restart") == 1


def test_only_a_good_and_whole_run_is_bundled(quick, tmp_path, monkeypatch, capsys):
    there = tmp_path / "bundled"
    monkeypatch.setattr(bundled, "bundled_dir", lambda: there)
    small = replace(RECIPE, steps=2)
    monkeypatch.setitem(registry.RECIPES, "tiny-lm", small)
    mine = tmp_path / "mine"
    assert train("--out", mine, "--bundle") == 2
    assert "is not bundled: tiny-lm needs 2 steps and" in capsys.readouterr().err
    good = replace(small, evaluate=lambda trained: Quality("a measure", 0.5, 0.5, {"more": 1.0}))
    monkeypatch.setitem(registry.RECIPES, "tiny-lm", good)
    assert train("--out", mine, "--bundle", "--restart", "--steps", 1) == 2
    assert not there.exists()
    assert train("--out", mine, "--bundle", "--restart") == 0
    assert str(there / "tiny-lm.safetensors") in capsys.readouterr().out
    facts = recipes.load_trained("tiny-lm").facts
    assert facts["quality"] == {"measure": "a measure", "value": 0.5, "at_most": 0.5, "more": {"more": 1.0}}
    assert facts["sha256"] == recipes.sha256(mine / "tiny-lm.safetensors")
    assert facts["machine"].endswith("one thread")
    assert cli.main(["train"]) == 0
    assert "a measure 0.5" in " ".join(capsys.readouterr().out.split())


# Files that are no good: one sentence each


def refused(**options):
    with pytest.raises(recipes.RecipeError) as caught:
        recipes.load_trained("tiny-lm", **options)
    assert "\n" not in str(caught.value)
    assert "`mmcourse train tiny-lm`" in str(caught.value)
    assert caught.value._render_traceback_() == [f"RecipeError: {caught.value}"]
    return str(caught.value)


def test_an_unknown_name_gets_the_choices():
    with pytest.raises(recipes.RecipeError, match=r"there is no recipe 'big-lm'; the recipes are: tiny-lm"):
        recipes.load_trained("big-lm")


def test_a_file_that_is_not_there(made_by, tmp_path):
    assert "no trained tiny-lm comes with this course" in refused()
    path, _ = made_by()
    assert "no trained tiny-lm comes with this course" in refused(), "a file that the manifest does not know"
    list_in_manifest(path)
    assert recipes.load_trained("tiny-lm").facts["bytes"] == path.stat().st_size
    path.unlink()
    assert "no trained tiny-lm comes with this course" in refused()
    assert f"there is no file {path}" in refused(path=path)


@pytest.mark.parametrize("place", [200, -1])
def test_one_changed_byte_is_seen(made_by, place):
    path, _ = made_by()
    list_in_manifest(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert "is damaged or was changed" in refused()


def test_another_good_file_is_not_taken_for_the_bundled_one(made_by):
    path, _ = made_by()
    list_in_manifest(path)
    made_by(seed=1)
    assert "is damaged or was changed" in refused()
    assert not recipes.load_trained("tiny-lm", path=path).model.training


def test_damaged_files_given_by_path(made_by, tmp_path):
    path, _ = made_by()
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[:-10], whole[:100]):
        path.write_bytes(content)
        assert "is damaged or no safetensors file" in refused(path=path)
    assert refused(path=tmp_path)


def test_files_of_something_else(made_by):
    path, _ = made_by()
    weights = load_file(path)
    save_file(weights, path)
    assert "holds no model of this course, not tiny-lm" in refused(path=path)
    facts = {"format": base.FORMAT, "recipe": "other", "config": CONFIG}
    save_file(weights, path, metadata={KEY: json.dumps(facts)})
    assert "holds other, not tiny-lm" in refused(path=path)
    for config in ({}, {**CONFIG, "model": {"size": 3}}, {**CONFIG, "model": {**CONFIG["model"], "width": 10}}):
        save_file(weights, path, metadata={KEY: json.dumps({**facts, "recipe": "tiny-lm", "config": config})})
        assert "does not fit the recipe tiny-lm" in refused(path=path)


def test_what_is_written_is_what_is_read(made_by):
    path, model = made_by()
    read = read_trained(path, RECIPE)
    for name, value in model.state_dict().items():
        assert torch.equal(read.model.state_dict()[name], value.half().float())
    assert read.tokenizer.vocabulary == tuple(CONFIG["vocabulary"])


def test_a_disk_that_cannot_be_written_leaves_the_old_file(made_by, monkeypatch):
    path, _ = made_by()
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        made_by(seed=1)
    assert path.read_bytes() == before
    assert [left.name for left in path.parent.iterdir()] == [path.name]


# The captions of training


def test_batches_are_a_function_of_the_step_and_no_scene_comes_twice(monkeypatch):
    monkeypatch.setattr(tiny_lm, "BLOCK", 3)
    ranges = []
    real = worlds.sample_scenes
    monkeypatch.setattr(
        worlds, "sample_scenes", lambda n, **options: ranges.append((options["start"], n)) or real(n, **options)
    )
    tokenizer = tiny_lm.build(CONFIG)[1]
    forward = [tiny_lm.FreshCaptions(tokenizer)(step) for step in range(7)]
    batches = tiny_lm.FreshCaptions(tokenizer)
    ranges.clear()
    inorder = [batches(step) for step in range(7)]
    assert ranges == [(0, 192), (192, 192), (384, 192)]
    for ours, theirs in zip(forward, inorder, strict=True):
        assert torch.equal(ours.inputs, theirs.inputs)
        assert torch.equal(ours.targets, theirs.targets)
    assert all(len(batch.inputs) == tiny_lm.BATCH for batch in forward)


def test_captions_are_those_of_the_grammar():
    drawn = worlds.scene_texts(0, 4000)
    surprise = -torch.tensor([caption_log_prob(text) for text in drawn])
    expected = caption_entropy().per_caption
    assert surprise.mean().item() == pytest.approx(expected, abs=4 * (surprise.std() / 4000**0.5).item())
    assert drawn != worlds.scene_texts(0, 4000, split="val")
    assert max(len(text.split()) for text in drawn) + 2 <= worlds.CONTEXT
