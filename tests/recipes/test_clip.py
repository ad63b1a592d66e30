"""The recipe of two towers: on a folder through the command, on glyphs and scenes, and in several processes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from folders import write_folder
from PIL import Image

from mmcourse import recipes
from mmcourse.course import cli
from mmcourse.datasets import load_glyphs, make_scenes
from mmcourse.metrics import retrieval
from mmcourse.recipes import clip
from mmcourse.recipes.data.folder import Folder, FolderPart, open_folder
from mmcourse.recipes.engine.base import RecipeError, choose_data, run_name
from mmcourse.train.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "my pictures", 26, broken=(3, 7))


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """One cache for these tests, in which no other test looks."""
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path_factory.getbasetemp() / "clip-cache"))
    monkeypatch.setattr(clip, "SAVE_EVERY", 2)


def train(*arguments):
    return cli.main(["train", "clip", *map(str, arguments)])


# A folder, through the command


def test_a_folder_is_trained_on_and_what_is_broken_is_named(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert train("--data", folder, "--steps", 6, "--batch-size", 8, "--out", out) == 0
    said = capsys.readouterr().out
    assert re.search(r"2 of 26 pictures were skipped: 3\.png \(.+\); 7\.png \(.+\)", said), said
    assert "pictures 2, texts 4" in said
    assert "the target" not in said, "of one's own pictures nobody knows what to expect"
    (path,) = out.iterdir()
    assert re.fullmatch(r"clip-my-pictures-[0-9a-f]{6}\.safetensors", path.name)
    model = recipes.load_trained("clip", path=path).model
    whole = clip.with_towers(model)
    pictures, texts = make_scenes(3).images, ["a cat", "two dogs"]
    features = clip.picture_features(pictures, "test"), clip.text_features(texts, "test")
    torch.testing.assert_close(whole.embed_images(pictures), model.embed_images(features[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.embed_texts(texts), model.embed_texts(features[1]), atol=1e-5, rtol=0)


def test_an_interrupted_run_goes_on_to_the_very_same_file(folder, tmp_path, monkeypatch, capsys):
    options = ("--data", folder, "--steps", 5, "--batch-size", 8)
    train(*options, "--out", tmp_path / "whole")
    real = clip.PairBatches.__call__
    with monkeypatch.context() as patched:

        def stopped(batches, step):
            if step == 3:
                raise KeyboardInterrupt
            return real(batches, step)

        patched.setattr(clip.PairBatches, "__call__", stopped)
        assert train(*options, "--out", tmp_path / "parts") == 2
    assert "goes on from step 2" in capsys.readouterr().err
    (kept,) = (tmp_path / "parts").iterdir()
    assert kept.name.endswith(".unfinished.pt")
    assert train("--data", folder, "--steps", 5, "--batch-size", 4, "--out", tmp_path / "parts") == 2
    assert "has batch_size=8, this run batch_size=4; delete" in capsys.readouterr().err
    assert train(*options, "--out", tmp_path / "parts", "--chunk", 3) == 0  # in chunks it is the same run
    (whole,), (parts,) = ((tmp_path / name).iterdir() for name in ("whole", "parts"))
    first, second = (recipes.load_trained("clip", path=path).model for path in (whole, parts))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, atol=1e-3, rtol=0)


def test_runs_on_other_data_do_not_meet(folder, tmp_path, capsys):
    other = write_folder(tmp_path / "elsewhere" / "my pictures", 20, first=100)
    out = tmp_path / "out"
    for data in (folder, other):
        assert train("--data", data, "--steps", 1, "--batch-size", 4, "--out", out, "--mixed-precision") == 0
    assert len(list(out.iterdir())) == 2
    assert train("--data", other, "--steps", 1, "--batch-size", 4, "--out", out) == 2
    assert "is there already; --restart replaces it" in capsys.readouterr().err


def test_a_folder_that_has_changed_is_another_run(tmp_path, monkeypatch, capsys):
    path = write_folder(tmp_path / "data", 20)
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        patched.setattr(clip, "evaluate", None)
        patched.setitem(recipes.RECIPES, "clip", clip.replace(clip.RECIPE, evaluate=stop))
        assert train("--data", path, "--steps", 2, "--batch-size", 4, "--out", out) == 2
    lines = (path / "metadata.jsonl").read_text().replace("a ", "one ", 1)
    (path / "metadata.jsonl").write_text(lines)
    assert train("--data", path, "--steps", 2, "--batch-size", 4, "--out", out) == 2
    assert re.search(r"has data=\w+, this run data=\w+; delete", capsys.readouterr().err)


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "--data must be glyphs, scenes or a folder with pictures and metadata.jsonl, got"),
        (
            ["--data", "{here}"],
            "holds neither metadata.jsonl, metadata.csv nor metadata.parquet; write one",
        ),
        (["--data", "{few}"], "holds 4 pictures that can be read, needed are 20; 1 of 5 pictures was skipped: 2.png"),
        (["--data", "~nobody-here"], "--data must be glyphs, scenes or a folder with pictures and metadata.jsonl, got"),
        (["--data", "a" * 256], "--data must be glyphs, scenes or a folder with pictures and metadata.jsonl, got"),
        (["--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["--chunk", "-1"], "--chunk must be at least 1, got -1"),
        (["--data", "{good}", "--batch-size", "1"], "a batch needs two pairs or more"),
        (["--bundle", "--data", "scenes", "--chunk", "3"], "for the recipe as it is; leave out --data, --chunk"),
    ],
)
def test_mistakes_get_one_sentence(folder, tmp_path, capsys, arguments, message):
    write_folder(tmp_path / "few", 5, broken=(2,))
    (tmp_path / "here").mkdir()
    places = {"few": tmp_path / "few", "here": tmp_path / "here", "good": folder}
    filled = [each.format(**places) for each in arguments]
    assert train(*filled, "--out", tmp_path / "out", "--steps", 1) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("mmcourse: ")
    assert message in said


def test_recipes_without_a_choice_say_so(tmp_path, capsys):
    for arguments, message in (
        (["--data", "glyphs"], "tiny-lm is trained on its own data alone; leave --data out"),
        (["--chunk", "2"], "tiny-lm has no --chunk; it has none of its kind"),
    ):
        assert cli.main(["train", "tiny-lm", *arguments, "--out", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err


# Its parts


def test_a_folder_keeps_a_tenth_aside_the_same_each_time(folder):
    opened = open_folder(folder, quiet=True)
    again = open_folder(folder, quiet=True)
    assert opened.held_out.pictures == again.held_out.pictures
    assert (len(opened.train.pictures), len(opened.held_out.pictures)) == (22, 2)
    assert not set(opened.train.pictures) & set(opened.held_out.pictures)
    for part in (opened.train, opened.held_out):
        for row, text, owner in zip(part.rows.tolist(), part.texts, part.owners.tolist(), strict=True):
            record = opened.dataset.records[row]
            assert (record.text, record.path) == (text, part.pictures[owner])
    images = opened.held_out.images(32, description=None)
    assert (images.shape, images.dtype) == ((2, 3, 32, 32), torch.uint8)
    assert images.float().std() > 5


def test_every_picture_once_an_epoch_with_a_text_of_its_own():
    pairs = clip.Pairs(
        torch.arange(5.0)[:, None],
        torch.tensor([[0.0], [1.1], [2.1], [2.2], [2.3], [3.1], [4.1], [0.2]]),
        torch.tensor([0, 1, 2, 2, 2, 3, 4, 0]),
    )
    batches, texts = clip.PairBatches(pairs, 5), set()
    for step in range(40):
        images, words = batches(step)
        assert sorted(images.flatten().tolist()) == [0, 1, 2, 3, 4]
        assert torch.equal(words.floor(), images)
        texts |= {round(value, 1) for value in words.flatten().tolist()}
    assert texts == {0.0, 0.2, 1.1, 2.1, 2.2, 2.3, 3.1, 4.1}
    for ours, theirs in zip(batches(7), clip.PairBatches(pairs, 5)(7), strict=True):
        assert torch.equal(ours, theirs)


def test_bundled_towers_find_drawings_that_they_never_saw():
    trained = recipes.load_trained("clip")
    assert trained.facts["bytes"] <= 6_000_000
    assert trained.facts["quality"]["value"] <= 0.4
    whole, glyphs = clip.with_towers(trained.model), load_glyphs(160, quiet=True)
    rows = glyphs.split().val[::10]
    chosen = glyphs.select(rows)
    similarity = whole.embed_texts(chosen.names) @ whole.embed_images(chosen.on("white")).T
    found = retrieval(similarity).recall
    assert found[1] >= 0.4, "15 drawings, so chance is 0.07"
    assert found[5] >= 0.7


def test_scenes_are_learned_from_pixels(tmp_path):
    made = clip.train(steps=2, checkpoint=tmp_path / "run.pt", data="scenes", batch_size=8, chunk=3)
    assert load_checkpoint(tmp_path / "run.pt")["settings"]["batch_size"] == 8
    model, tokenizer = clip.build(made.config)
    model.load_state_dict(made.model.state_dict())
    quality = clip.evaluate(recipes.Trained(model.eval(), tokenizer, {}), data="scenes")
    assert quality.at_most is None
    assert quality.met
    assert 0.3 < quality.value <= 1, "two steps teach nothing"
    assert clip.with_towers(model) is model


# Several processes


@pytest.fixture
def torchrun(spawn):
    def started(count, *arguments):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count]
        command += ["-m", "mmcourse.course.cli", "train", "clip", *arguments]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MMCOURSE_DEVICE": "cpu"}
        return spawn(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return started


@pytest.mark.skipif(os.name == "nt", reason="torchrun needs a POSIX system")
def test_the_command_in_two_processes(folder, tmp_path, torchrun):
    options = ("--data", folder, "--steps", 5, "--batch-size", 8)
    out, err = torchrun(2, *options, "--out", tmp_path / "two").communicate(timeout=900)
    assert out.count("5 steps in") == 1, f"one process speaks: {out}{err}"
    (two,) = (tmp_path / "two").iterdir()
    assert recipes.load_trained("clip", path=two).facts["steps"] == 5
    _, err = torchrun(2, *options, "--out", tmp_path / "two").communicate(timeout=900)
    assert err.count("is there already; --restart replaces it") == 1
    _, err = torchrun(2, *options[:-1], 7, "--out", tmp_path / "odd").communicate(timeout=900)
    assert "mmcourse: --batch-size must be a multiple of the 2 processes, got 7" in err


@pytest.mark.skipif(os.name == "nt", reason="torchrun needs a POSIX system")
def test_a_killed_process_ends_the_command_with_a_sentence(folder, tmp_path, torchrun):
    options = ("--data", folder, "--steps", 100_000, "--batch-size", 8, "--out", tmp_path)
    running = torchrun(2, *options)
    deadline = time.monotonic() + 900
    while not list(tmp_path.glob("*.unfinished.pt")):
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.2)
    workers = subprocess.run(["ps", "-o", "pid=", "--ppid", str(running.pid)], capture_output=True, text=True)
    last = max(int(pid) for pid in workers.stdout.split())
    begin = time.monotonic()
    os.kill(last, signal.SIGKILL)
    _, err = running.communicate(timeout=900)
    assert time.monotonic() - begin < 600
    assert re.search(r"mmcourse: process [12] of 2 .* goes on from step \d+", err), err[-3000:]
    assert [path.suffix for path in tmp_path.iterdir()] == [".pt"]


def test_open_folder_wraps_the_folders_own_words(tmp_path):
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png"}')
    with pytest.raises(RecipeError, match=r"metadata\.jsonl line 1 needs 'text' with some text"):
        open_folder(tmp_path, quiet=True)


def test_the_first_text_of_each_picture_is_found_without_looking_through_all(monkeypatch, tmp_path):
    owners = torch.tensor([2, 0, 0, 1, 2, 3, 1])
    paths = tuple(tmp_path / name for name in "abcd")
    for path in paths:
        path.write_bytes(path.name.encode())
    part = FolderPart(paths, tuple("stuvwxy"), owners, torch.arange(7))
    assert part.first().tolist() == [1, 3, 0, 5]
    looked = []

    class Counted(list):
        def index(self, *arguments):
            looked.append(arguments)
            return super().index(*arguments)

    real = torch.Tensor.tolist
    folder = Folder(part, part, (), "x", SimpleNamespace(records=[SimpleNamespace(text=text) for text in part.texts]))
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: Counted(real(tensor)))
    monkeypatch.setattr(clip, "open_folder", lambda *_, **__: folder)
    monkeypatch.setattr(clip, "picture_features", lambda *_: torch.arange(7.0)[:, None])
    monkeypatch.setattr(clip, "text_features", lambda *_: torch.arange(7.0)[:, None])
    pairs = clip.folder_pairs(Path("folder")).train
    assert pairs.images.flatten().int().tolist() == [1, 3, 0, 5]
    assert looked == [], "a search for each picture makes a large folder quadratic"


def test_texts_that_are_all_equal_are_told_before_training_and_leave_nothing_behind(tmp_path, capsys):
    path = write_folder(tmp_path / "data", 20)
    rows = [f'{{"file_name": "{number}.png", "text": "a picture"}}' for number in range(20)]
    (path / "metadata.jsonl").write_text("\n".join(rows))
    assert train("--data", path, "--steps", 2, "--batch-size", 4, "--out", tmp_path / "out") == 2
    assert "are 'a picture', which tells no picture from another; give each its own" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))


def test_names_of_folders_as_people_have_them(tmp_path):
    long = tmp_path / ("猫" * 85)  # 255 bytes, the most that a disk takes
    long.mkdir()
    name = run_name(clip.RECIPE, choose_data(clip.RECIPE, long))
    (tmp_path / f"{name}.unfinished.pt.12345678.part").write_bytes(b"")  # fits on the disk
    other = tmp_path / os.fsdecode(b"r\xe9d")  # of another encoding
    other.mkdir()
    with pytest.raises(RecipeError, match=r"'.*r\\udce9d' is not UTF-8 text; rename it"):
        choose_data(clip.RECIPE, other)


def pairs_of(*texts):
    """A picture for each text; the towers see a column of their own for each, and one for each different text."""
    names = sorted(set(texts))
    return clip.Pairs(
        torch.eye(len(texts)), torch.eye(len(names))[[names.index(t) for t in texts]], torch.arange(len(texts))
    )


def test_pictures_with_an_equal_text_are_no_wrong_answers():
    right = clip.right_pictures(pairs_of("cat", "dog", "cat"))
    assert right.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    similarity = torch.tensor([[0.1, 0.2, 0.9], [0.0, 0.9, 0.1], [0.9, 0.1, 0.2]])  # each cat finds the other's picture
    assert clip.measured(similarity, right).value == 0


@pytest.mark.parametrize(("pictures", "last"), [(2, 1), (5, 1), (6, 5), (10, 5), (11, 10)])
def test_what_the_data_cannot_miss_is_not_given(pictures, last):
    worst = -torch.eye(pictures)  # each text likes its own picture least
    quality = clip.measured(worst, torch.eye(pictures, dtype=torch.bool))
    assert (quality.measure, quality.value) == (f"texts that do not find their picture {clip.FIRST[last]}", 1.0)
    given = {int(name.rpartition("@")[2]) for name in quality.more if "recall" in name}
    assert given == {k for k in (1, 5, 10) if k <= last}
    assert all(value == 0 for name, value in quality.more.items() if "recall" in name)
    nothing = clip.measured(worst, torch.ones(pictures, pictures, dtype=torch.bool))
    assert "nothing to measure" in nothing.measure
    assert not any("recall" in name for name in nothing.more)


def test_a_folder_whose_pixels_changed_is_another_run(tmp_path):
    write_folder(tmp_path / "pictures", 24)
    before = open_folder(tmp_path / "pictures", quiet=True).facts()
    assert open_folder(tmp_path / "pictures", quiet=True).facts() == before
    Image.new("RGB", (64, 64), "red").save(tmp_path / "pictures" / "5.png")
    after = open_folder(tmp_path / "pictures", quiet=True).facts()
    assert [name for name in before if before[name] != after[name]] == ["pixels"]


def test_what_changes_the_result_is_asked_of_an_interrupted_run(tmp_path, monkeypatch):
    kept, seen = tmp_path / "kept.pt", []
    monkeypatch.setattr(
        clip, "fit", lambda *_, checkpoint, **__: seen.append(checkpoint.facts) or SimpleNamespace(seconds=0.0)
    )
    monkeypatch.setattr(clip, "glyph_pairs", lambda part: pairs_of("cat", "dog", "cow", "hen"))
    for options in ({}, {"mixed_precision": True}, {"batch_size": 2}, {"chunk": 2}):
        clip.train(steps=1, checkpoint=kept, **options)
    plain, half, small, chunked = seen
    changed = [{name for name in plain if plain[name] != other[name]} for other in (half, small, chunked)]
    assert changed == [{"mixed_precision"}, {"batch_size"}, set()]  # in chunks it is the same run
