"""What infers over many samples does so on the best device there is, and leaves the model where it was."""

import pytest
import torch

from mmcourse import runtime
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import load_image_encoder
from mmcourse.lm import GPT, GPTConfig, mean_loss, shift
from mmcourse.recipes import load_trained


@pytest.fixture
def moves(monkeypatch):
    """Where models were moved to: "cpu:0" is another name for the CPU, so that everything computes."""
    found = []
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cpu:0"))
    there = torch.nn.Module.to

    def move(self, *args, **options):
        if args and str(args[0]) in ("cpu:0", "cpu") and not options:
            found.append((type(self).__name__, str(args[0])))
        return there(self, *args, **options)

    monkeypatch.setattr(torch.nn.Module, "to", move)
    return found


def test_captions(moves):
    captioner = load_trained("captioner").model
    assert len(captioner.generate(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))) == 2
    assert moves[-2:] == [("Captioner", "cpu:0"), ("Captioner", "cpu")]


def test_features(moves, monkeypatch, tmp_path):
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path))
    pictures = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    encoder = load_image_encoder()
    del moves[:]
    assert len(extract_features(encoder, pictures, name="here", description=None)) == 2
    name = type(encoder).__name__
    assert moves == [(name, "cpu:0"), (name, "cpu")]


def test_loss_of_a_language_model(moves):
    model = GPT(GPTConfig(vocabulary_size=9, context=8, width=8, heads=2, depth=1))
    assert mean_loss(model, *shift(torch.randint(9, (3, 6)))) > 0
    assert moves == [("GPT", "cpu:0"), ("GPT", "cpu")]


def test_matching(moves):
    matcher = load_trained("matcher").model
    assert len(matcher.match(torch.zeros(2, 64, 64), ["a cat", "a dog"])) == 2
    assert moves[-2:] == [("Matcher", "cpu:0"), ("Matcher", "cpu")]
