"""Gradients of several batches in one step are those of one batch so many times as large."""

from functools import partial

import pytest
import torch
from small_runs import network, task, weights
from torch.nn import functional as F

from mmcourse.train import Batches, CheckpointError, Checkpointing, Computing, Mean, fit

MANY = 3
IGNORED = -1


def plain(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def counted(model, batch):
    """Over the rows that have a label, of which batches hold unequal numbers and some none."""
    total = F.cross_entropy(model(batch[0]), batch[1], ignore_index=IGNORED, reduction="sum")
    return Mean(total, (batch[1] != IGNORED).sum())


def data(dtype=torch.float64):
    x, y = task(48)
    y[::3] = y[:4] = y[29:32] = IGNORED
    return x.to(dtype), y


def run(loss, *, together, precision=None, dtype=torch.float64, steps=12, **options):
    """The losses and weights after some steps on 12 rows each: at once, or 4 at a time."""
    x, y = data(dtype) if loss is counted else (data(dtype)[0], task(48)[1])
    parts, model = [x.split(4), y.split(4)], network().to(dtype)

    def batches(number):
        places = range(3 * number, 3 * number + 3) if together else [number]
        return tuple(torch.cat([part[place % 12] for place in places]) for part in parts)

    computing = Computing(accumulate=1 if together else MANY, mixed_precision=precision)
    history = fit(
        model, loss, batches, steps=steps, learning_rate=0.01, computing=computing, description=None, **options
    )
    return torch.tensor(history.losses, dtype=torch.float64), weights(model)


@pytest.mark.parametrize("loss", [plain, counted])
def test_the_steps_are_those_of_larger_batches(loss):
    whole, parts = run(loss, together=True), run(loss, together=False)
    for expected, found in zip(whole, parts, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert whole[0][-1] < whole[0][0]


def test_the_mean_of_means_would_be_another_one():
    """So that the test above could fail: batches do hold unequal numbers, and one of them none."""
    _, y = data()
    assert {int((part != IGNORED).sum()) for part in y.split(4)} >= {0, 2, 3}

    def mean_of_its_own(model, batch):
        total, count = counted(model, batch)
        return total / count.clamp(min=1)

    expected, _ = run(counted, together=True)
    x, y = data()
    history = fit(
        network().double(), mean_of_its_own, lambda number: (x.split(4)[number % 12], y.split(4)[number % 12]),
        steps=12, learning_rate=0.01, computing=Computing(accumulate=MANY), description=None,
    )  # fmt: skip
    assert (torch.tensor(history.losses, dtype=torch.float64) - expected).abs().max() > 1e-2


@pytest.mark.parametrize("loss", [plain, counted])
def test_in_half_precision_too(loss):
    """bfloat16 has three digits: the weights move by 12 · 0.01 at most, and differ by a small part of it."""
    whole, parts = (run(loss, together=way, precision=True, dtype=torch.float32) for way in (True, False))
    torch.testing.assert_close(parts[0], whole[0], rtol=0, atol=0.01)
    torch.testing.assert_close(parts[1], whole[1], rtol=0, atol=0.02)


@pytest.mark.parametrize("loss", [plain, counted])
def test_with_scaled_losses_too(scaled, monkeypatch, loss):
    """From a scale at which neither overflows, so that neither leaves out a step."""
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=64.0))
    whole, parts = (run(loss, together=way, dtype=torch.float32) for way in (True, False))
    torch.testing.assert_close(parts[0], whole[0], rtol=0, atol=0.01)
    torch.testing.assert_close(parts[1], whole[1], rtol=0, atol=0.02)


def test_it_belongs_to_the_run(tmp_path):
    """An interrupted run goes on to the same weights; a run of another number is another run."""
    kept = Checkpointing(tmp_path / "run.pt", every=4)
    whole, seen = run(plain, together=False), []

    def stopping(model, batch):
        seen.append(len(batch))
        if len(seen) == 5 * MANY + 2:
            raise KeyboardInterrupt
        return plain(model, batch)

    x, y = data()[0], task(48)[1]
    options = {"learning_rate": 0.01, "checkpoint": kept, "description": None}
    with pytest.raises(KeyboardInterrupt):
        fit(
            network().double(), stopping, lambda number: (x.split(4)[number % 12], y.split(4)[number % 12]), steps=12,
            computing=Computing(accumulate=MANY), **options,
        )  # fmt: skip
    found = run(plain, together=False, checkpoint=kept)
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))
    with pytest.raises(CheckpointError, match="has accumulate=3, this run accumulate=2; delete"):
        fit(network().double(), plain, Batches(x, y, size=4), steps=12, computing=Computing(accumulate=2), **options)
