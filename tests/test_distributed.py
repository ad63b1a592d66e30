"""Several processes take the very steps that one would take; and when one of them dies the others say so."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from mmcourse import distributed, recipes
from mmcourse.distributed import average, average_gradients, processes, share_of
from mmcourse.models import CLIP, CLIPConfig, ClipFeatures
from mmcourse.recipes.engine import parts
from mmcourse.train import Batches, Checkpointing, Computing, Mean, Schedule, fit, in_chunks
from mmcourse.train.checkpoint import load_checkpoint

STEPS = 20
pytestmark = pytest.mark.skipif(os.name == "nt", reason="torchrun needs a POSIX system")


def towers(kind, loss, dropout):
    """Towers of double precision from pixels, or of single precision from features."""
    torch.manual_seed(distributed.rank())  # process 0 gives its weights to the others
    text = {"text": "bag", "text_options": {"vocabulary_size": 30, "width": 12}}
    if kind == "features":
        config = CLIPConfig(image="features", image_options={"width": 24}, **text, width=8, hidden=16, dropout=dropout)
        return CLIP(config)
    sizes = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 1, "heads": 2}
    return CLIP(CLIPConfig(image="vit", image_options=sizes, **text, width=8, loss=loss, dropout=dropout)).double()


def pairs(kind):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(48, 3, 16, 16, dtype=torch.float64, generator=generator)
    tokens = torch.randint(30, (48, 5), generator=generator)
    images = images[:, 0, :2, :12].flatten(1).float() if kind == "features" else images
    return images, tokens, torch.rand(48, 5, generator=generator) < 0.8


def run(*, kind="pixels", loss="info_nce", dropout=0.0, chunk=None, die_at=None, checkpoint=None):
    """The losses and weights of a short contrastive run; in several processes each calls this."""
    batches, model = Batches(*pairs(kind), size=16), towers(kind, loss, dropout)

    def batch(step):
        if step == die_at and distributed.rank() == distributed.world_size() - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return batches(step)

    def global_loss(model, batch):
        images, tokens, mask = batch
        image_features = in_chunks(model.encode_image, images, chunk=chunk)
        text_features = in_chunks(model.encode_text, tokens, mask, chunk=chunk)
        gathered = distributed.gather(image_features), distributed.gather(text_features)
        return model.loss(ClipFeatures(*gathered, model.scale, model.bias))

    history = fit(
        model, global_loss, batch, steps=STEPS, learning_rate=3e-3, schedule=Schedule(clip=0.5),
        checkpoint=None if checkpoint is None else Checkpointing(checkpoint, every=4), description=None,
    )  # fmt: skip
    return {"losses": history.losses, "weights": model.state_dict()}


RUNS = [
    {},
    {"loss": "sigmoid", "chunk": 3},
    {"kind": "features", "chunk": 2},
    {"kind": "features", "dropout": 0.3},
]
WHOLE = {"kind": "features", "dropout": 0.2}  # the run that another is to equal which was killed and goes on
QUICK = ("tiny-lm", "matcher")  # recipes of which three steps are taken at once
JOBS = {  # of two processes: functions of this file and their options
    **{name: ("recipe", {"name": name, "steps": 3}) for name in QUICK},
    "accumulated": ("accumulated", {"together": False}),
    "channels_last": ("channels_last", {}),
    "own_statistics": ("own_statistics", {}),
    "facts_of_gather": ("facts_of_gather", {}),
    "facts_of_average": ("facts_of_average", {}),
    "whole": ("run", WHOLE),
    "refused": ("refused", {}),
}


def recipe(*, name, steps):
    """The weights after the first steps of a recipe, in double precision, in which equal steps give equal weights."""
    torch.manual_seed(distributed.rank())
    made = recipes.find(name)

    def doubled(model, loss, batches, **options):
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # each process drops others
        return fit(model.double(), loss, lambda step: in_double(batches(step)), **options)

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for module in (importlib.import_module(made.train.__module__), parts):
            if hasattr(module, "fit"):
                patch.setattr(module, "fit", doubled)
        model = made.train(steps=steps, checkpoint=Path(folder) / "run.pt").model
    return {"losses": [], "weights": model.state_dict()}


def in_double(batch):
    if isinstance(batch, torch.Tensor):
        return batch.double() if batch.is_floating_point() else batch
    if isinstance(batch, tuple):
        inside = map(in_double, batch)
        return type(batch)(*inside) if hasattr(batch, "_fields") else tuple(inside)
    return batch


@pytest.mark.parametrize("name", QUICK)
def test_recipes_take_the_same_steps_in_two_processes(two, name):
    first, second = two[name]
    assert_same(first, recipe(name=name, steps=3), 1e-9)
    assert_same(second, first, 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [name for name, recipe in recipes.RECIPES.items() if recipe.processes])
def test_every_recipe_that_allows_it_takes_the_same_twenty_steps_in_two_and_four_processes(name, tmp_path):
    options = {"name": name, "steps": STEPS}
    expected = recipe(**options)
    for count in (2, 4):
        first, *others = (facts for (facts,) in results(tmp_path / str(count), count, ("recipe", options)))
        assert_same(first, expected, 1e-5)
        for other in others:
            assert_same(other, first, 0)


def accumulated(*, together):
    """A loss over what rows hold unequal numbers of, on 16 rows a step: at once, or 8 and 8."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(48, 4, dtype=torch.float64, generator=generator)
    y = x[:, :3].argmax(dim=1).masked_fill(torch.rand(48, generator=generator) < 0.4, -1)
    torch.manual_seed(distributed.rank())
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)).double()

    def loss(model, batch):
        total = torch.nn.functional.cross_entropy(model(batch[0]), batch[1], ignore_index=-1, reduction="sum")
        return Mean(total, (batch[1] != -1).sum())

    parts = [tensor.split(16 if together else 8) for tensor in (x, y)]
    history = fit(
        model, loss, lambda number: tuple(part[number % len(part)] for part in parts), steps=STEPS,
        learning_rate=1e-2, description=None, computing=Computing(accumulate=1 if together else 2),
    )  # fmt: skip
    return {"losses": history.losses, "weights": model.state_dict()}


def test_gradients_of_several_batches_in_two_processes(two):
    first, second = two["accumulated"]
    whole = accumulated(together=True)
    assert whole["losses"][-1] < whole["losses"][0] - 0.1
    assert_same(first, whole, 1e-9)
    assert_same(second, first, 0)


def channels_last():
    """Three steps of a convolution whose weight lies in memory with its channels last."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 8, 3, 6, 6, dtype=torch.float64, generator=generator)
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 4, 3).double().to(memory_format=torch.channels_last)
    loss = lambda model, batch: model(batch).square().mean()  # noqa: E731
    history = fit(model, loss, lambda step: images[step], steps=3, learning_rate=1e-2, description=None)
    return {"losses": history.losses, "weights": model.state_dict()}


def test_weights_that_lie_in_another_order_in_memory_take_the_same_steps(two):
    first, second = two["channels_last"]
    assert_same(first, channels_last(), 1e-9)
    assert_same(second, first, 0)


def own_statistics():
    """In each process: what `fit` says of a network with batch normalisation."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    with pytest.raises(ValueError, match="1 is a BatchNorm1d, whose statistics would be those of each process's own"):
        fit(model, lambda model, batch: model(batch).square().mean(), lambda step: torch.ones(4, 2), steps=1)
    return {"ok": True}


def test_networks_with_batch_normalisation_train_in_one_process(two, tmp_path, monkeypatch):
    assert two["own_statistics"] == [{"ok": True}] * 2
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in recipes.read_manifest():
        modules = recipes.load_trained(name).model.modules()
        assert recipes.find(name).processes != any(isinstance(module, torch.nn.BatchNorm2d) for module in modules), name
    with pytest.raises(recipes.RecipeError, match="patches trains in one process"):
        recipes.follow(recipes.find("patches"), tmp_path, steps=1)
    assert not list(tmp_path.glob("*.safetensors"))


WORKER = """
import importlib.util, json, sys, torch
from mmcourse import distributed
spec = importlib.util.spec_from_file_location("this_test", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
torch.set_num_threads(1)
with distributed.start():
    found = [getattr(module, what)(**options) for what, options in json.loads(sys.argv[3])]
    torch.save(found, f"{sys.argv[2]}/{distributed.rank()}.pt")
"""


def torchrun(folder, count, *jobs):
    """Each process does all jobs, pairs of a function of this file and its options."""
    folder.mkdir(exist_ok=True)
    (folder / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count]
    command += [folder / "worker.py", __file__, folder, json.dumps(jobs)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MMCOURSE_DEVICE": "cpu"}
    return subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, timeout=900)


def results(folder, count, *jobs):
    """What each process returned from each job."""
    done = torchrun(folder, count, *jobs)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes returned, by job; they are started once for all, as starting takes longest."""
    found = results(tmp_path_factory.mktemp("two"), 2, *JOBS.values(), *(("run", options) for options in RUNS))
    named = {name: [facts[number] for facts in found] for number, name in enumerate(JOBS)}
    return named | {"runs": [facts[len(JOBS) :] for facts in found]}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_same(found, expected, tolerance):
    assert found["losses"] == pytest.approx(expected["losses"], abs=tolerance)
    torch.testing.assert_close(found["weights"], expected["weights"], atol=tolerance, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_processes_take_the_steps_of_one(tmp_path, count, request):
    jobs = [("run", options) for options in RUNS]
    found = request.getfixturevalue("two")["runs"] if count == 2 else results(tmp_path, count, *jobs)
    for number, options in enumerate(RUNS):
        expected = run(**options)
        assert sum(expected["losses"][-5:]) < sum(expected["losses"][:5])
        # Double precision says that the steps are equal; in single precision Adam makes much of a rounding error
        # wherever a gradient is zero, as that of an attention's key bias, so the towers of this run have none.
        if not (options.get("dropout") and count > 1):
            assert_same(found[0][number], expected, 1e-5 if options.get("kind") == "features" else 1e-9)
        for other in found[1:]:  # and each has what process 0 has, to the bit
            assert_same(other[number], found[0][number], 0)


def facts_of_gather():
    """In each process: what is gathered, and the gradient of a loss that each computes on all of it."""
    number = distributed.rank()
    own = torch.full((2, 3), float(number + 1), requires_grad=True)
    together = distributed.gather(own)
    (together.square().sum() * (number + 1)).backward()
    return {"together": together.detach(), "gradient": own.grad}


def facts_of_average():
    """In each process: gradients that only some processes have."""
    number = distributed.rank()
    parameters = [torch.nn.Parameter(torch.zeros(size)) for size in (2, 3, 1)]
    parameters[0].grad = torch.full((2,), float(number))
    parameters[1].grad = torch.ones(3) if number == 1 else None
    average_gradients(parameters)
    shares = share_of((torch.arange(6), {"texts": ["a", "b", "c", "d"], "one": torch.tensor(7)}, 5))
    return {
        "gradients": [parameter.grad for parameter in parameters], "average": average(torch.tensor(number + 1.0)),
        "shares": shares, "main": distributed.on_main(lambda: f"said by {number}"),
    }  # fmt: skip


def test_what_two_processes_tell_each_other(two):
    first, second = two["facts_of_gather"]
    assert torch.equal(first["together"], torch.tensor([1.0, 1, 2, 2])[:, None].expand(4, 3))
    assert torch.equal(second["together"], first["together"])
    # The losses of both processes, of weight 1 and 2, say how their own features should move.
    assert torch.equal(first["gradient"], torch.full((2, 3), 2 * 1.0 * (1 + 2)))
    assert torch.equal(second["gradient"], torch.full((2, 3), 2 * 2.0 * (1 + 2)))
    for number, facts in enumerate(two["facts_of_average"]):
        assert [None if g is None else g.tolist() for g in facts["gradients"]] == [[0.5, 0.5], [0.5, 0.5, 0.5], None]
        assert facts["average"] == 1.5
        rows, named, single = facts["shares"]
        assert rows.tolist() == [[0, 1, 2], [3, 4, 5]][number]
        assert named == {"texts": [["a", "b"], ["c", "d"]][number], "one": torch.tensor(7)}
        assert single == 5
        assert facts["main"] == "said by 0"


def test_a_killed_process_ends_the_run_and_the_checkpoint_goes_on(two, tmp_path):
    path = tmp_path / "run.pt"
    options = WHOLE | {"checkpoint": str(path)}
    begin = time.monotonic()
    killed = torchrun(tmp_path / "killed", 2, ("run", options | {"die_at": 10}))
    assert time.monotonic() - begin < 600
    assert killed.returncode != 0
    assert re.search(r"LostProcessError: process 1 of 2 .* has ended", killed.stderr), killed.stderr
    assert "Signal 9 (SIGKILL)" in killed.stderr
    assert load_checkpoint(path)["step"] == 8
    again = results(tmp_path / "again", 2, ("run", options))
    for ours, theirs in zip(again, two["whole"], strict=True):
        assert_same(ours[0], theirs, 0)


def refused():
    """In each process: what `start` says when there are too few GPUs, and a batch that cannot be shared."""
    with pytest.raises(ValueError, match="a batch of 5 rows cannot be shared evenly by 2 processes"):
        share_of(torch.arange(5))

    def fail():
        raise KeyError("only here")

    with pytest.raises(KeyError if distributed.is_main() else distributed.ElsewhereError):
        distributed.on_main(fail)
    return {"ok": True}


def test_mistakes_are_told_to_every_process(two):
    assert two["refused"] == [{"ok": True}] * 2


def test_one_process_needs_nothing():
    with distributed.start():
        assert (distributed.world_size(), distributed.rank(), distributed.is_main()) == (1, 0, True)
        features = torch.randn(3, 2, requires_grad=True)
        assert distributed.gather(features) is features
        assert distributed.on_main(lambda: 5) == 5
        assert share_of(features) is features
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = gradient = torch.ones(2)
    average_gradients([parameter])
    assert parameter.grad is gradient


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(processes, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in {"WORLD_SIZE": 2, "RANK": 1, "LOCAL_RANK": 1}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(ValueError, match="more processes than the 1 GPUs of this machine; start 1 with"), \
            distributed.start():  # fmt: skip
        raise AssertionError("it started")
