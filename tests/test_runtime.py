import random
import time

import numpy as np
import pytest
import torch

from mmcourse import runtime


def test_device_prefers_an_accelerator(monkeypatch):
    monkeypatch.delenv("MMCOURSE_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert runtime.device() == torch.device("cuda")
    assert runtime.device("cuda:1") == torch.device("cuda:1")
    assert runtime.device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"'cuda:2' is not on this machine; choose one of: cuda"):
        runtime.device("cuda:2")


@pytest.mark.parametrize("wanted", ["cuda", "tpu", "cpu:x", "cpu:1", "CPU"])
def test_missing_device_names_those_that_are_here(monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=rf"^device '{wanted}' is not on this machine; choose one of: cpu$"):
        runtime.device(wanted)


def test_device_from_the_environment(monkeypatch):
    monkeypatch.setenv("MMCOURSE_DEVICE", "cpu")
    assert runtime.device() == torch.device("cpu")
    monkeypatch.setenv("MMCOURSE_DEVICE", "quantum")
    with pytest.raises(ValueError, match="'quantum' is not on this machine"):
        runtime.device()
    assert runtime.device("cpu") == torch.device("cpu")  # an argument weighs more than the environment


def draws(generator):
    return random.random(), float(np.random.rand()), torch.rand(3).tolist(), torch.rand(3, generator=generator).tolist()  # noqa: NPY002


def test_same_seed_same_numbers_everywhere():
    state = torch.get_rng_state()
    first, again, other = (draws(runtime.seed_everything(seed)) for seed in (7, 7, 8))
    torch.set_rng_state(state)
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_threads():
    before = torch.get_num_threads()
    try:
        assert runtime.set_threads(1) == 1 == torch.get_num_threads()
        assert runtime.set_threads() == torch.get_num_threads() >= 1
        with pytest.raises(ValueError, match="count must be at least 1, got 0"):
            runtime.set_threads(0)
    finally:
        torch.set_num_threads(before)


def test_budget_dial(monkeypatch):
    monkeypatch.delenv("MMCOURSE_BUDGET", raising=False)
    assert runtime.budget() == "standard"
    for name, value in [("smoke", 1), ("standard", 2), ("gpu", 3), ("", 2)]:
        monkeypatch.setenv("MMCOURSE_BUDGET", name)
        assert runtime.by_budget(smoke=1, standard=2, gpu=3) == value
    monkeypatch.setenv("MMCOURSE_BUDGET", "gpu")
    assert runtime.by_budget(smoke=1, standard=2) == 2
    assert runtime.by_budget(smoke=1, standard=2, gpu=0) == 0  # zero is a value, not a missing one


def test_unknown_budget_names_the_known_ones(monkeypatch):
    monkeypatch.setenv("MMCOURSE_BUDGET", "huge")
    with pytest.raises(ValueError, match="MMCOURSE_BUDGET is 'huge'; set it to one of: smoke, standard, gpu"):
        runtime.by_budget(smoke=1, standard=2)


def test_progress_passes_every_item_on_and_counts(capsys):
    assert list(runtime.progress(iter("abc"), "Counting", total=3)) == ["a", "b", "c"]
    shown = capsys.readouterr()
    assert "Counting" in shown.err
    assert "3/3" in shown.err
    assert shown.out == ""


def test_a_progress_bar_moves_twice_a_second(capsys):
    """A long cell must not send more messages than a client that reads late can keep."""
    begin = time.perf_counter()
    for _ in runtime.progress(range(150), "Counting"):
        time.sleep(0.01)
    moves = capsys.readouterr().err.count("\r")
    assert 1 <= moves <= 2 * (time.perf_counter() - begin) + 2  # one more at the start, one at the end


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000", 2), ("20000 100000", 1), ("max 100000", None), (None, None)]
)
def test_a_containers_share_of_the_processors_counts(tmp_path, text, cores):
    quota = tmp_path / "cpu.max"
    if text is not None:
        quota.write_text(text + "\n")
    assert runtime._allowed_cores(quota) == (float("inf") if cores is None else cores)


def test_a_model_on_the_cpu_goes_to_the_best_device_and_comes_home(monkeypatch):
    model, moves = torch.nn.Linear(2, 2), []
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, place: moves.append(str(place)))
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cuda"))
    with runtime.on_best_device(model) as place:
        assert (str(place), moves) == ("cuda", ["cuda"])
    assert moves == ["cuda", "cpu"]
    with pytest.raises(KeyError), runtime.on_best_device(model):
        raise KeyError
    assert moves == ["cuda", "cpu"] * 2
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cpu"))
    with runtime.on_best_device(model):
        assert len(moves) == 4
    with torch.device("meta"):
        elsewhere = torch.nn.Linear(2, 2)
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cuda"))
    with runtime.on_best_device(elsewhere) as place:
        assert (place.type, len(moves)) == ("meta", 4)
