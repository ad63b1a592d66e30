"""Where asking is slow, losses and gradients are judged where they are computed and looked at every few steps."""

import math
import warnings

import pytest
import torch
from small_runs import task, train
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmcourse.train import Batches, Checkpointing, Computing, DivergedError, fit, watch
from mmcourse.train.checkpoint import load_checkpoint

EVERY = 5


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))


@pytest.fixture
def slow_to_ask(monkeypatch):
    """The CPU is treated as a GPU is: all but the device is what a GPU does."""
    monkeypatch.setitem(watch.LOOK, "cpu", EVERY)


class Asked(TorchDispatchMode):
    """Counts how often a number is fetched from where it was computed."""

    def __init__(self, monkeypatch):
        super().__init__()
        self.count, real = 0, torch.Tensor.tolist

        def tolist(tensor):
            self.count += 1
            return real(tensor)

        monkeypatch.setattr(torch.Tensor, "tolist", tolist)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


def test_numbers_are_fetched_once_in_a_few_steps(monkeypatch):
    found = {}
    for every in (1, EVERY):
        monkeypatch.setitem(watch.LOOK, "cpu", every)
        with Asked(monkeypatch) as asked:
            history = train(network(), steps=20)
        found[every] = asked.count
        assert len(history.losses) == 20
    assert found == {1: 20, EVERY: 20 // EVERY}
    with Asked(monkeypatch) as asked:
        assert bool(torch.ones(()).isfinite())
    assert asked.count == 1, "what is counted is what a GPU would have to wait for"


@pytest.mark.parametrize("steps", [20, 18])
def test_looking_seldom_changes_nothing(monkeypatch, tmp_path, steps):
    runs = []
    for every in (1, EVERY):
        monkeypatch.setitem(watch.LOOK, "cpu", every)
        model, kept = network(), tmp_path / f"{every}.pt"
        options = {"evaluate": lambda model: model[0].weight.sum(), "evaluate_every": 7}
        history = train(model, steps=steps, checkpoint=Checkpointing(kept, every=4), **options)
        runs.append((model.state_dict(), history[:3], load_checkpoint(kept)["model"]))
    assert str(runs[0]) == str(runs[1])
    assert all(torch.equal(value, runs[1][0][name]) for name, value in runs[0][0].items())


@pytest.mark.parametrize("bad", ["loss", "gradient"])
@pytest.mark.parametrize("at", [1, 6, 12, 15])
def test_the_last_good_weights_are_there_whenever_somebody_looks(slow_to_ask, tmp_path, bad, at):
    """One bad step among good ones: what comes after it until the next look moves nothing either."""
    model, kept, count = network(), {}, [0]

    def broken(model, batch):
        count[0] += 1
        if count[0] == at:
            kept.update({name: value.clone() for name, value in model.state_dict().items()})
        value = F.cross_entropy(model(batch[0]), batch[1])
        if count[0] != at:
            return value
        return value * math.nan if bad == "loss" else value + (model[0].weight * 0).square().sum().sqrt()

    what = "the loss became nan" if bad == "loss" else "the length of the gradient became nan"
    path = tmp_path / "run.pt"
    with pytest.raises(DivergedError, match=f"{what} at step {at}[ :]"):
        fit(model, broken, Batches(*task(), size=8), steps=20, checkpoint=Checkpointing(path, every=6),
            description=None)  # fmt: skip
    assert at <= count[0] <= at + EVERY - 1
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name]), name
    assert (load_checkpoint(path) or {"step": 0})["step"] == (at - 1) // 6 * 6


def test_a_run_of_numbers_that_ends_between_two_looks_is_judged_to_its_end(slow_to_ask):
    def broken(model, batch):
        return F.cross_entropy(model(batch[0]), batch[1]) * math.inf

    with pytest.raises(DivergedError, match="the loss became inf at step 1:"):
        fit(network(), broken, Batches(*task(), size=8), steps=EVERY - 2, description=None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("half", [False, True])
def test_a_gpu_waits_once_in_a_few_steps(half):
    before = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings(record=True) as waited:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            train(network().cuda(), steps=60, computing=Computing(mixed_precision=half))
    finally:
        torch.cuda.set_sync_debug_mode(before)
    assert 0 < len([each for each in waited if "synchroniz" in str(each.message)]) <= 60 / watch.LOOK["cuda"] + 20
