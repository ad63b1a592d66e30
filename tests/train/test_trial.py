"""An accelerator that computes otherwise than the CPU is found out, and chapters then run on the CPU."""

import os

import pytest
import torch

from mmcourse import course, runtime
from mmcourse.course.learner import doctor
from mmcourse.course.notebook import opening
from mmcourse.train import trial
from mmcourse.train.trial import try_device

CUDA = torch.device("cuda")


@pytest.fixture
def pretended(monkeypatch):
    """`pretended(change)`: a GPU whose losses are those of the CPU, changed."""
    honest = trial._losses

    def pretend(change):
        monkeypatch.delenv("MMCOURSE_DEVICE", raising=False)
        for place in (runtime, opening):
            monkeypatch.setattr(place, "device", lambda: torch.device(os.environ.get("MMCOURSE_DEVICE", "cuda")))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: "Pretended 9000")

        def losses(images, labels, place):
            found = honest(images, labels, torch.device("cpu"))
            return found if place.type == "cpu" else change(found)

        monkeypatch.setattr(trial, "_losses", losses)

    before = torch.get_num_threads()
    yield pretend
    torch.set_num_threads(before)


def fail(losses):
    raise NotImplementedError("The operator 'aten::something' is not implemented for this device\nmore")


def test_the_network_learns_and_the_cpu_agrees_with_itself():
    state = torch.get_rng_state()
    labels = torch.arange(64) % 4
    images = torch.randn(64, 3, 12, 12) + labels[:, None, None, None] / 2
    losses = trial._losses(images, labels, torch.device("cpu"))
    assert losses[-1] < 0.9 * losses[0]
    torch.set_rng_state(state)
    assert try_device(torch.device("cpu")) == ""
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
def test_this_gpu_agrees():
    assert try_device(CUDA) == ""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda losses: [value * 1.001 for value in losses], ""),
        (lambda losses: [*losses[:7], losses[7] * 1.1], "after 7 steps the loss on cuda is"),
        (fail, "cuda cannot train a small network (The operator 'aten::something' is not implemented"),
    ],
)
def test_what_doctor_and_the_first_line_of_a_chapter_say(pretended, capsys, change, problem):
    pretended(change)
    finding = doctor.device()
    assert finding.state == ("bad" if problem else "ok")
    assert problem in finding.remedy
    assert ("MMCOURSE_DEVICE=cpu" in finding.remedy) == bool(problem)
    generator = course.open_chapter(3)
    assert generator.initial_seed() == 3
    said = capsys.readouterr().out
    if problem:
        assert said.startswith(f"This chapter runs on the CPU, because {problem}")
        assert os.environ.pop("MMCOURSE_DEVICE") == "cpu"
    else:
        assert said == "This chapter runs on the GPU Pretended 9000.\n"
        assert "MMCOURSE_DEVICE" not in os.environ


def test_a_budget_for_a_gpu_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setenv("MMCOURSE_BUDGET", "gpu")
    monkeypatch.setenv("MMCOURSE_DEVICE", "cpu")
    before = torch.get_num_threads()
    course.open_chapter(1)
    torch.set_num_threads(before)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "This chapter runs on the CPU, in one thread."
    assert "there is none" in said[1]
