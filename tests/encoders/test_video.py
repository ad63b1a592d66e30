"""The video encoder: attention knows the order of frames, its rivals do not."""

import doctest

import pytest
import torch

from mmcourse.encoders import video
from mmcourse.encoders.video import VideoEncoder

WAYS = ("attention", "mean", "first")


def encoder(over_time, **options):
    torch.manual_seed(0)
    return VideoEncoder((8, 16), over_time=over_time, **options).eval()


@pytest.fixture
def clips():
    return torch.randint(256, (3, 6, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_the_example_runs():
    assert doctest.testmod(video) == (0, 2)


@pytest.mark.parametrize("over_time", WAYS)
def test_one_vector_a_clip(over_time, clips):
    model = encoder(over_time)
    assert model(clips).shape == (3, 16)
    assert model.width == 16
    assert model.tokens(clips).shape == (3, 6 if over_time == "attention" else 1, 16)
    torch.testing.assert_close(model(clips[1:2])[0], model(clips)[1])


def test_the_three_have_the_same_weights():
    names = [[(name, tuple(value.shape)) for name, value in encoder(way).state_dict().items()] for way in WAYS]
    assert names[0] == names[1] == names[2]


def test_the_order_of_frames_matters_to_attention_alone(clips):
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert not torch.allclose(encoder("attention")(clips), encoder("attention")(clips[:, order]), atol=1e-3)
    torch.testing.assert_close(encoder("mean")(clips), encoder("mean")(clips[:, order]), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(encoder("first")(clips), encoder("first")(clips[:, order]), atol=1e-3)


def test_attention_tells_a_clip_from_the_same_clip_played_backward(clips):
    assert not torch.allclose(encoder("attention")(clips), encoder("attention")(clips.flip(1)), atol=1e-3)
    torch.testing.assert_close(encoder("mean")(clips), encoder("mean")(clips.flip(1)), atol=1e-5, rtol=1e-5)


def test_what_the_rivals_see(clips):
    changed = clips.clone()
    changed[:, 1:] = 255 - changed[:, 1:]
    assert torch.equal(encoder("first")(clips), encoder("first")(changed))
    for way in ("attention", "mean"):
        assert not torch.allclose(encoder(way)(clips), encoder(way)(changed), atol=1e-3)


def test_on_one_frame_all_three_agree(clips):
    ours = [encoder(way)(clips[:, :1]) for way in WAYS]
    torch.testing.assert_close(ours[0], ours[1])
    torch.testing.assert_close(ours[0], ours[2])


def test_attention_against_one_frame_after_the_other(clips):
    """Forward and backward, in double precision."""
    model = encoder("attention", depth=2).double()
    steps = torch.arange(6, dtype=torch.float64)[:, None] / 10_000 ** (torch.arange(0, 16, 2) / 16)
    signal = torch.stack((steps.sin(), steps.cos()), dim=-1).flatten(1)
    rows = []
    for clip in clips:
        tokens = []
        for frame in clip:
            seen = model.cnn((frame.double() / 127.5 - 1)[None])[0]
            tokens.append((seen - seen.mean()) / (seen.var(correction=0) + 1e-5).sqrt())
        rows.append(model.time((torch.stack(tokens) + signal)[None])[0].mean(0))
    naive = torch.stack(rows)
    weights = list(model.parameters())
    expected = torch.autograd.grad(naive.square().sum(), weights)
    model.cnn.register_forward_pre_hook(lambda _, given: given[0].double())
    found = model(clips)
    torch.testing.assert_close(found, naive, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(found.square().sum(), weights), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_every_weight_learns_under_attention(clips):
    model = encoder("attention")
    (model(clips) * torch.randn(3, 16, generator=torch.Generator().manual_seed(1))).sum().backward()
    silent = [name for name, weight in model.named_parameters() if weight.grad.abs().sum() < 1e-12]
    assert all("key" in name and "bias" in name for name in silent)  # softmax does not see what is added to every key


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="over_time must be one of attention, mean, first, got 'last'"):
        VideoEncoder(over_time="last")
    with pytest.raises(ValueError, match=r"clips must be \(B, T, 3, H, W\) with a frame at least, got \(3, 64, 64\)"):
        encoder("mean")(torch.zeros(3, 64, 64))
    with pytest.raises(ValueError, match=r"got \(1, 0, 3, 64, 64\)"):
        encoder("first")(torch.zeros(1, 0, 3, 64, 64))
