"""A run that is killed and taken up again ends bit for bit where an uninterrupted one does; a damaged file says so."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmcourse.lm import GPT, GPTConfig, shift
from mmcourse.train import Batches, CheckpointError, Checkpointing, DivergedError, Schedule, fit
from mmcourse.train.checkpoint import load_checkpoint, save_checkpoint

STEPS = 23


class Killed(Exception):
    """Stands in for a power cut inside one process."""


def run(path, *, die_at=None, die=None, steps=STEPS, width=16, loss_scale=1.0, schedule=None, **options):
    """A GPT with dropout, a loss that draws from every generator there is, an evaluation: all that must be kept."""
    torch.manual_seed(7)
    model = GPT(GPTConfig(vocabulary_size=20, context=8, width=width, heads=2, depth=2, dropout=0.2))
    own = torch.Generator().manual_seed(3)
    pairs = shift(torch.randint(20, (30, 8), generator=torch.Generator().manual_seed(0)))
    batches = Batches(*pairs, size=8)

    def batch(step):
        if step == die_at:
            die()
        return batches(step)

    def loss(model, batch):
        x, y = batch
        noise = torch.rand((), generator=own) + torch.rand(()) + random.random() + np.random.rand()  # noqa: NPY002
        return F.cross_entropy(model(x).flatten(0, 1), y.flatten()) * (1 + 0.1 * noise) * loss_scale

    history = fit(
        model, loss, batch, steps=steps, description=None, schedule=Schedule(**schedule or {}),
        checkpoint=None if path is None else Checkpointing(path, every=4, generators=[own]),
        evaluate=lambda model: loss(model, pairs).item(), **{"evaluate_every": 3, **options},
    )  # fmt: skip
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]), history


def cut():
    raise Killed


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole():
    return run(None)


def assert_same(result, expected):
    weights, history = result
    assert torch.equal(weights, expected[0])
    assert history[:3] == expected[1][:3]


@pytest.mark.parametrize("die_at", range(1, STEPS))
def test_interrupted_at_any_step(tmp_path, whole, die_at):
    path = tmp_path / "run.pt"
    with pytest.raises(Killed):
        run(path, die_at=die_at, die=cut)
    assert path.exists() == (die_at >= 4)
    random.seed(die_at)  # another process has other states of the global generators
    torch.manual_seed(die_at)
    result = run(path)
    assert_same(result, whole)
    assert load_checkpoint(path)["step"] == STEPS


KILLED_PROCESS = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("this_test", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if sys.argv[3] == "writing":  # killed with half a file on the disk, at the second checkpoint
    first = os.fsync
    def fsync(descriptor):
        first(descriptor)
        if module.load_checkpoint(module.Path(sys.argv[2])):
            os.ftruncate(descriptor, 1000)
            os.kill(os.getpid(), signal.SIGKILL)
    os.fsync = fsync
    module.run(sys.argv[2])
module.torch.set_num_threads(1)
module.run(sys.argv[2], die_at=int(sys.argv[3]), die=lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", ["10", "writing"])
def test_a_killed_process(tmp_path, whole, moment):
    path = tmp_path / "runs" / "gpt.pt"
    command = [sys.executable, "-c", KILLED_PROCESS, __file__, path, moment]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, timeout=900)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = sorted(file.suffix for file in path.parent.iterdir())
    assert left == ([".part", ".pt"] if moment == "writing" else [".pt"])
    assert load_checkpoint(path)["step"] == (4 if moment == "writing" else 8)
    assert_same(run(path), whole)
    assert [file.name for file in path.parent.iterdir()] == ["gpt.pt"]


def test_a_finished_run_is_not_run_again(tmp_path, whole):
    path = tmp_path / "run.pt"
    seconds = run(path)[1].seconds
    weights, history = run(path, die_at=0, die=cut)
    assert_same((weights, history), whole)
    assert history.seconds == seconds


def test_a_diverging_run_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    with pytest.raises(Killed):
        run(path, die_at=9, die=cut)
    before = path.read_bytes()
    with pytest.raises(
        DivergedError, match=r"the loss became nan at step 9 .*run\.pt holds step 8; try a lower"
    ) as error:
        run(path, loss_scale=float("nan"))
    assert str(error.value).count("\n") == 0
    assert path.read_bytes() == before
    assert all(value.isfinite().all() for value in load_checkpoint(path)["model"].values())


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "run.pt"
    run(path, steps=8)
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_off(tmp_path, sound, share):
    path = tmp_path / "run.pt"
    path.write_bytes(sound[: int(share * len(sound))])
    with pytest.raises(CheckpointError, match=r"run\.pt cannot be read .*; delete it to start again") as error:
        run(path, steps=8)
    assert "\n" not in str(error.value)
    assert str(path) in error.value._render_traceback_()[0]


def test_a_flipped_bit_in_any_number_is_seen(tmp_path, sound):
    path = tmp_path / "run.pt"
    path.write_bytes(sound)
    weight = load_checkpoint(path)["model"]["embedding.weight"].numpy().tobytes()
    place = sound.index(weight) + len(weight) // 2
    path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
    torch.load(path, weights_only=True)  # PyTorch itself does not look
    with pytest.raises(CheckpointError, match=r"run\.pt is damaged \(in .*\); delete it"):
        run(path, steps=8)


def test_noise_never_passes(tmp_path, sound):
    """Random bytes anywhere in the file: the run ends as it should or a sentence says why it cannot."""
    chance, path, refused = random.Random(0), tmp_path / "run.pt", 0
    for _ in range(60):
        damaged = bytearray(sound)
        start = chance.randrange(len(sound) - 64)
        damaged[start : start + 64] = chance.randbytes(64)
        path.write_bytes(damaged)
        try:
            state = load_checkpoint(path)
        except CheckpointError:
            refused += 1
        else:
            path.write_bytes(sound)
            assert str(state["model"]) == str(load_checkpoint(path)["model"])
    assert refused > 40


def test_a_file_that_is_something_else(tmp_path):
    path = tmp_path / "run.pt"
    torch.save({"weights": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"run\.pt is no checkpoint of this course; choose another path"):
        run(path)
    path.write_text("a cat")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(path)


def test_pickled_code_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"format": 1, "trap": Trap()}, tmp_path / "run.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(tmp_path / "run.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 9}, r"has steps=8, this run steps=9; delete .*run\.pt or choose another path"),
        ({"learning_rate": 0.5}, "has learning_rate=0.001, this run learning_rate=0.5; delete"),
        ({"schedule": {"betas": (0.9, 0.5)}}, "has betas="),
        ({"seed": 1}, "has seed=0, this run seed=1"),
        ({"schedule": {"clip": None}}, "has clip=1.0, this run clip=None"),
        ({"width": 8}, r"run\.pt is of another model than this one; delete"),
    ],
)
def test_a_checkpoint_of_another_run(tmp_path, sound, change, message):
    path = tmp_path / "run.pt"
    path.write_bytes(sound)
    with pytest.raises(CheckpointError, match=message) as error:
        run(path, **{"steps": 8, **change})
    assert "\n" not in str(error.value)
    assert path.read_bytes() == sound


def test_a_full_disk_keeps_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    save_checkpoint(path, {"step": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"run\.pt cannot be written \(No space left on device\); free space"):
        save_checkpoint(path, {"step": 2})
    monkeypatch.undo()
    assert load_checkpoint(path)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_a_folder_that_cannot_be_is_said_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"the folder .*file cannot be used .*; choose another path"):
        run(tmp_path / "file" / "run.pt", die_at=0, die=cut)


def test_a_checkpoint_of_an_earlier_version_goes_on(tmp_path):
    """`earlier.pt` was written at step 20 of 30 before `fit` could accumulate; the very same run goes on from it."""
    (tmp_path / "run.pt").write_bytes((Path(__file__).parent / "earlier.pt").read_bytes())
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(40, 4, generator=generator)
    batches, results, seen = Batches(x, x[:, :3].argmax(dim=1), size=8), [], []
    for path in (tmp_path / "whole.pt", tmp_path / "run.pt"):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
        seen.clear()
        history = fit(
            model, lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]),
            lambda step: seen.append(step) or batches(step), steps=30, learning_rate=0.01, description=None,
            schedule=Schedule(warmup=4, clip=0.5), evaluate=lambda model: 1.0, evaluate_every=10,
            checkpoint=Checkpointing(path, 20, {"batch_size": 8}, [torch.Generator()]),
        )  # fmt: skip
        results.append((torch.cat([value.flatten() for value in model.state_dict().values()]), history))
    assert seen == [*range(20, 30)]
    (whole, history), (later, other) = results
    torch.testing.assert_close(later, whole, rtol=0, atol=1e-5)  # another machine rounds otherwise
    assert other.losses == pytest.approx(history.losses, abs=1e-5)
    assert [step for step, _ in other.evaluations] == [10, 20, 30]
