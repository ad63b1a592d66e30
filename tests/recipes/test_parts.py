"""Training in parts: the same as one fit after the other, and an interrupted one goes on where it stopped."""

import pytest
import torch
from torch import nn

from mmcourse.recipes.engine.parts import Part, fit_parts, planned, reached
from mmcourse.train import fit


def batches(first):
    def batch(step):
        generator = torch.Generator().manual_seed(first + step)
        return torch.randn(8, 3, generator=generator)

    return batch


def loss(model, x):
    return (model(x) - x.sum(dim=1, keepdim=True)).square().mean()


def new():
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def double(model):
    with torch.no_grad():
        model.weight *= 2


PARTS = [Part(batches(0), 7), Part(batches(100), 0), Part(batches(200), 6, double, learning_rate=0.01)]
OPTIONS = {"learning_rate": 0.05, "description": None}


@pytest.mark.parametrize("kept", [True, False])
def test_parts_are_fits_one_after_the_other(kept, tmp_path):
    one, other = new(), new()
    seconds = fit_parts(one, loss, PARTS, checkpoint=tmp_path / "run.pt" if kept else None, every=2, **OPTIONS)
    for part, begin in ((PARTS[0], 0), (PARTS[2], 7)):
        if begin:
            double(other)
        options = OPTIONS | ({"learning_rate": 0.01} if begin else {})
        fit(other, loss, lambda step, part=part, begin=begin: part.batches(begin + step), steps=part.steps, **options)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert seconds > 0
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"] * kept


@pytest.mark.parametrize(("last", "steps"), [(3, 2), (7 + 5, 7 + 4)])
def test_an_interrupted_run_ends_with_the_same_weights(last, steps, tmp_path):
    wanted, file, calls = new(), tmp_path / "run.pt", 0
    fit_parts(wanted, loss, PARTS, checkpoint=None, **OPTIONS)

    def interrupted(model, x):
        nonlocal calls
        calls += 1
        if calls > last:
            raise KeyboardInterrupt
        return loss(model, x)

    with pytest.raises(KeyboardInterrupt):
        fit_parts(new(), interrupted, PARTS, checkpoint=file, every=2, **OPTIONS)
    assert steps <= reached(file) <= last
    again = new()
    fit_parts(again, loss, PARTS, checkpoint=file, every=2, **OPTIONS)
    assert all(torch.equal(a, b) for a, b in zip(wanted.parameters(), again.parameters(), strict=True))


def test_what_another_run_left_of_a_later_part_is_not_gone_on_with(tmp_path):
    file, wanted, again = tmp_path / "run.pt", new(), new()
    (tmp_path / "part-2-of-run.pt").write_bytes(b"another run's")
    fit_parts(again, loss, PARTS, checkpoint=file, every=2, **OPTIONS)
    fit_parts(wanted, loss, PARTS, checkpoint=None, **OPTIONS)
    assert all(torch.equal(a, b) for a, b in zip(wanted.parameters(), again.parameters(), strict=True))


def test_nothing_is_reached_where_nothing_was_kept(tmp_path):
    assert reached(tmp_path / "run.pt") == 0


def test_parts_keep_their_proportions():
    parts = [Part(batches(0), 3), Part(batches(0), 4, double), Part(batches(0), 2)]
    assert planned(9, parts) == parts
    assert [part.steps for part in planned(90, parts)] == [30, 40, 20]
    assert [sum(part.steps for part in planned(steps, parts)) for steps in range(12)] == list(range(12))
