"""The training loop against the same steps written with PyTorch's own parts; and what it does when things go wrong."""

import math
import random

import numpy as np
import pytest
import torch
from small_runs import loss, network, task, train, weights
from torch import nn
from torch.nn import functional as F

from mmcourse.lm import GPT, GPTConfig, shift
from mmcourse.train import (
    Batches,
    Checkpointing,
    Computing,
    DivergedError,
    Evaluation,
    Schedule,
    fit,
    make_optimizer,
    warmup_cosine,
)


@pytest.mark.parametrize("clip", [None, 0.05, 1.0])
def test_the_loop_equals_pytorchs_own_parts(clip):
    model, theirs = network().double(), network().double()
    x, y = task()
    x = x.double() * 20  # steep, so that clipping bites
    batches = Batches(x, y, size=8)
    history = fit(
        model, loss, batches, steps=40, learning_rate=0.01, weight_decay=0.1, description=None,
        schedule=Schedule(warmup=10, final=0.1, clip=clip),
    )  # fmt: skip
    matrices = [parameter for parameter in theirs.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in theirs.parameters() if parameter.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99))
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / 10, total_iters=9)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=0.001)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[10])
    expected = []
    for step in range(40):
        optimizer.zero_grad()
        value = loss(theirs, batches(step))
        value.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        optimizer.step()
        schedule.step()
        expected.append(value.item())
    assert history.losses == pytest.approx(expected, abs=1e-9)
    torch.testing.assert_close(weights(model), weights(theirs), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("steps", "warmup", "final"), [(50, 10, 0.0), (37, 0, 0.2), (12, 11, 0.0)])
def test_schedule_equals_pytorchs(steps, warmup, final):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - warmup, eta_min=final)
    schedule = fall
    if warmup:
        optimizer.param_groups[0]["lr"] = 1.0
        rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
        schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[warmup])
    for step in range(steps):
        share = warmup_cosine(step, steps=steps, warmup=warmup, final=final)
        assert share == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9), step
        optimizer.step()
        schedule.step()


def test_vectors_do_not_decay_and_frozen_parameters_stay():
    model = network()
    model[0].requires_grad_(False)
    frozen = model[0].weight.clone()
    groups = make_optimizer(model, weight_decay=0.3).param_groups
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0]
    assert [[parameter.dim() for parameter in group["params"]] for group in groups] == [[2], [1, 1, 1]]
    train(model)
    assert torch.equal(model[0].weight, frozen)
    with pytest.raises(ValueError, match="no parameter that learns"):
        make_optimizer(model.requires_grad_(False))


def test_it_learns_and_reports():
    model, seen = network(dropout=0.1), []

    def accuracy(model):
        seen.append((model.training, torch.is_grad_enabled()))
        x, y = task()
        return (model(x).argmax(dim=1) == y).float().mean()

    history = train(model, steps=250, learning_rate=0.03, evaluate=accuracy, evaluate_every=100)
    assert history.steps == len(history.losses) == 250
    assert sum(history.losses[-10:]) < 0.5 * sum(history.losses[:10])
    assert [evaluation.step for evaluation in history.evaluations] == [100, 200, 250]
    assert isinstance(history.evaluations[0], Evaluation)
    assert history.evaluations[-1].value > 0.9
    assert seen == [(False, False)] * 3
    assert model.training
    assert history.seconds > 0


def test_a_gpt_learns_by_heart():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocabulary_size=12, context=8, width=32, heads=2, depth=1))
    tokens = torch.randint(12, (8, 8), generator=torch.Generator().manual_seed(0))
    pairs = shift(tokens)

    def guess(model, batch):
        return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())

    history = fit(model, guess, Batches(*pairs, size=8), steps=150, learning_rate=0.01, description=None)
    assert history.losses[0] > 2
    assert history.losses[-1] < 0.4  # the first token of a row says too little to know the second


def test_dropout_depends_on_the_seed_alone_and_the_world_outside_on_nothing():
    results = []
    for outside, seed in ((1, 5), (2, 5), (1, 6)):
        model = network(dropout=0.5)
        torch.manual_seed(outside)
        random.seed(outside)
        np.random.seed(outside)  # noqa: NPY002
        expected = torch.Generator().manual_seed(outside)
        train(model, seed=seed, evaluate=lambda _: torch.rand(()), evaluate_every=7)
        results.append(weights(model))
        assert torch.equal(torch.rand(3), torch.rand(3, generator=expected))
        assert random.random() == random.Random(outside).random()
        assert np.random.rand() == np.random.RandomState(outside).rand()  # noqa: NPY002
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_looking_often_changes_nothing():
    models = [network(dropout=0.5) for _ in range(2)]
    train(models[0], evaluate=lambda model: torch.rand(()) + model.training, evaluate_every=1)
    train(models[1])
    assert torch.equal(weights(models[0]), weights(models[1]))


def test_half_precision_computes_in_half_and_keeps_whole_weights():
    model, seen = network(), set()

    def spy(model, batch):
        output = model(batch[0])
        seen.add(output.dtype)
        return F.cross_entropy(output, batch[1])

    history = fit(model, spy, Batches(*task(), size=8), steps=200, learning_rate=0.03, description=None,
                  computing=Computing(mixed_precision=True))  # fmt: skip
    assert seen == {torch.bfloat16}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert sum(history.losses[-10:]) < 0.6 * sum(history.losses[:10])
    seen.clear()
    fit(network(), spy, Batches(*task(), size=8), steps=1, description=None)
    assert seen == {torch.float32}, "on a CPU half precision is off"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_before_it_spoils_the_weights(bad):
    model, kept = network(), {}

    def broken(model, batch):
        value = loss(model, batch)
        kept["weights"] = weights(model)
        return value * bad if len(kept["steps"]) == 11 else value

    def batches(step):
        kept.setdefault("steps", []).append(step)
        return Batches(*task(), size=8)(step)

    with pytest.raises(DivergedError, match=r"the loss became (nan|inf) at step 11 \(the loss before it was ") as error:
        fit(model, broken, batches, steps=30, description=None)
    assert torch.equal(weights(model), kept["weights"])
    assert weights(model).isfinite().all()
    assert "\n" not in str(error.value)
    assert error.value._render_traceback_() == [f"DivergedError: {error.value}"]


def test_a_gradient_that_is_no_number_stops_too():
    model = network()
    before = weights(model)

    def rooted(model, batch):  # finite at zero, with an infinite slope
        return loss(model, batch) + (model[0].weight * 0).square().sum().sqrt()

    with pytest.raises(DivergedError, match="the length of the gradient became nan at step 1"):
        fit(model, rooted, Batches(*task(), size=8), steps=3, description=None)
    assert torch.equal(weights(model), before)


def test_the_bar_begins_with_the_same_text_and_shows_the_loss(monkeypatch):
    from mmcourse.train import loop

    made = []

    class Bar(list):
        def __init__(self, items, description):
            super().__init__(items)
            made.append((len(self), description, self))
            self.texts, self.closed = [], False

        def set_postfix_str(self, text, refresh):
            self.texts.append((text, refresh))

        def close(self):
            self.closed = True

    monkeypatch.setattr(loop, "progress", Bar)
    history = train(network(), steps=5, description="Learning")
    (length, description, bar), *more = made
    assert (length, description, more, bar.closed) == (5, "Learning", [], True)
    assert bar.texts == [(f"loss {value:.3f}", False) for value in history.losses]
    with pytest.raises(ZeroDivisionError):
        fit(network(), loss, lambda step: 1 / 0, steps=5)
    assert made[-1][-1].closed


def test_the_bar_in_a_terminal_begins_without_numbers_that_change(capsys):
    train(network(), steps=3, description="Learning")
    first = capsys.readouterr().err.split("\r")[1]
    assert first.startswith("Learning:   0%|")
    assert "0/3 [00:00<?, ?it/s]" in first


def test_batches_move_to_the_models_device():
    model, seen = network().to("meta"), {}

    def look(model, batch):
        seen["batch"] = batch
        raise StopIteration

    batch = {"x": [torch.zeros(2)], "pair": shift(torch.zeros(1, 3, dtype=torch.int64)), "text": "a cat"}
    with pytest.raises(StopIteration):
        fit(model, look, lambda step: batch, steps=1, description=None)
    assert seen["batch"]["x"][0].device.type == "meta"
    assert seen["batch"]["pair"].targets.device.type == "meta"
    assert seen["batch"]["text"] == "a cat"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"evaluate_every": 0}, "evaluate_every must be"),
        ({"checkpoint": Checkpointing("run.pt", every=0)}, r"Checkpointing\.every must be"),
        ({"computing": Computing(accumulate=0)}, "accumulate must be a whole number of at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"schedule": Schedule(clip=0.0)}, "clip must be positive; None leaves gradients alone, got 0.0"),
        ({"schedule": Schedule(warmup=31)}, "warmup must lie between 0 and steps 30, got 31"),
        ({"schedule": Schedule(final=1.5)}, "final must lie between 0 and 1, got 1.5"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        train(network(), **options)


class Wanderer(nn.Linear):
    """Notes where it is sent, and where it computes."""

    def __init__(self):
        super().__init__(4, 3)
        self.sent, self.asked = [], []

    def to(self, device):
        self.sent.append(str(device))
        return super().to(device)


@pytest.mark.parametrize("given", [True, False], ids=["named", "best"])
def test_it_trains_on_the_device_and_brings_the_model_back(monkeypatch, given):
    """Without a second device, "cpu:0" is one that only its name tells from where the model was."""
    from mmcourse import runtime
    from mmcourse.train import loop

    place, batches_on, model = torch.device("cpu", 0), set(), Wanderer()
    monkeypatch.setattr(runtime, "device", lambda: torch.device("meta") if given else place)
    monkeypatch.setattr(loop, "to_device", lambda batch, device: batches_on.add(str(device)) or batch)
    looked = []
    options = {"evaluate": lambda model: float(looked.append(model.sent[-1]) is None), "evaluate_every": 2}
    train(model, 4, **options, **({"computing": Computing(device=place)} if given else {}))
    assert model.sent == ["cpu:0", "cpu", "cpu:0", "cpu", "cpu:0", "cpu"]
    assert looked == ["cpu", "cpu"], "what is evaluated is where its data are"
    assert batches_on == {"cpu:0"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_trains_as_well_as_the_cpu():
    model = network()
    history = train(model, steps=250, learning_rate=0.03)
    assert next(model.parameters()).device.type == "cpu"
    assert sum(history.losses[-10:]) < 0.5 * sum(history.losses[:10])


def test_a_run_goes_on_under_a_scaler_and_without_one(scaled, tmp_path):
    """What the CPU began, a GPU ends, and the other way round."""
    for first, then in ((False, None), (None, False)):
        saving = {"checkpoint": Checkpointing(tmp_path / f"{first}.pt", every=10)}
        with pytest.raises(KeyboardInterrupt):
            train(network(), **saving, computing=Computing(mixed_precision=first), evaluate=stop, evaluate_every=20)
        history = train(network(), **saving, computing=Computing(mixed_precision=then))
        assert history.steps == 30
        assert all(map(math.isfinite, history.losses))


def stop(model):
    raise KeyboardInterrupt


def test_a_gradient_that_stays_infinite_stops_under_a_scaler_too(scaled):
    def rooted(model, batch):
        return loss(model, batch) + (model[0].weight * 0).square().sum().sqrt()

    model = network()
    before = weights(model)
    with pytest.raises(DivergedError, match=r"the length of the gradient became (nan|inf) at step 31"):
        fit(model, rooted, Batches(*task(), size=8), steps=100, description=None)
    assert torch.equal(weights(model), before)


def test_after_divergence_running_statistics_are_those_before_the_step():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    kept = {}

    def broken(model, batch):
        if batches.step == 5:
            kept.update({name: value.clone() for name, value in model.state_dict().items()})
            return loss(model, (batch[0] * 1e20, batch[1])) * math.nan
        return loss(model, batch)

    class Counted(Batches):
        def __call__(self, step):
            self.step = step
            return super().__call__(step)

    batches = Counted(*task(), size=8)
    with pytest.raises(DivergedError):
        fit(model, broken, batches, steps=10, description=None)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_a_model_brings_its_parameters_back_after_each_step():
    class Held(nn.Linear):
        def after_step(self):
            seen.append(self.weight.detach().abs().max().item())
            self.weight.data.clamp_(-0.1, 0.1)

    seen, model = [], Held(3, 1)
    x = torch.ones(8, 3)
    fit(model, lambda m, batch: -m(batch).mean(), lambda step: x, steps=5, learning_rate=0.5, description=None)
    assert len(seen) == 5
    assert max(seen) > 0.1
    assert model.weight.abs().max() <= 0.1
