"""Convolution by hand beside PyTorch's, and the small residual network."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock

from mmcourse.encoders.cnn import CNN, ResidualBlock, convolve

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@st.composite
def convolutions(draw):
    """Everything that a convolution is given, of any size that fits, an empty batch included."""
    batch, channels, outputs = draw(st.integers(0, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    height, width, rows, columns = (draw(st.integers(1, top)) for top in (9, 9, 5, 5))
    padding, stride = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    assume(rows <= height + 2 * padding and columns <= width + 2 * padding)
    dtype, seed = draw(st.sampled_from([torch.float32, torch.float64])), draw(st.integers(0, 2**31 - 3))
    x = normal(batch, channels, height, width, seed=seed, dtype=dtype)
    weight = normal(outputs, channels, rows, columns, seed=seed + 1, dtype=dtype)
    bias = normal(outputs, seed=seed + 2, dtype=dtype) if draw(st.booleans()) else None
    return [x, weight, bias], {"stride": stride, "padding": padding}


def with_gradients(function, tensors, options):
    """What the function gives, and how a fixed weighing of it changes with each tensor."""
    leaves = [None if tensor is None else tensor.clone().requires_grad_() for tensor in tensors]
    y = function(*leaves, **options)
    (y * normal(*y.shape, seed=9, dtype=y.dtype)).sum().backward()
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf is not None)]


@settings(max_examples=150, deadline=None)
@given(convolutions())
def test_convolution_equals_pytorch_forward_and_backward(case):
    tensors, options = case
    ours, theirs = (with_gradients(function, tensors, options) for function in (convolve, F.conv2d))
    for found, expected in zip(ours, theirs, strict=True):
        tolerance = TOLERANCE[found.dtype] * max(1.0, expected.abs().max().item() if expected.numel() else 0.0)
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


def test_convolution_equals_its_definition():
    x, weight, bias = normal(2, 3, 5, 6), normal(4, 3, 2, 3, seed=1), normal(4, seed=2)
    y = convolve(x, weight, bias, stride=2, padding=1)
    assert y.shape == (2, 4, 3, 3)
    padded = F.pad(x, (1, 1, 1, 1))
    for row in range(3):
        for column in range(3):
            window = padded[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 3]  # (B, C, h, w)
            expected = (window[:, None] * weight).sum(dim=(2, 3, 4)) + bias  # (B, O, C, h, w) -> (B, O)
            torch.testing.assert_close(y[:, :, row, column], expected)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((normal(3, 8, 8), normal(2, 3, 3, 3)), {}, r"the same C, got \(3, 8, 8\) and \(2, 3, 3, 3\)"),
        ((normal(1, 4, 8, 8), normal(2, 3, 3, 3)), {}, r"the same C, got \(1, 4, 8, 8\) and \(2, 3, 3, 3\)"),
        ((normal(1, 3, 8, 8), normal(2, 3, 3, 3), normal(3)), {}, r"bias must have shape \(2,\), .* got \(3,\)"),
        ((normal(1, 3, 8, 8).int(), normal(2, 3, 3, 3)), {}, "share a floating-point type"),
        ((normal(1, 3, 8, 8), normal(2, 3, 3, 3).double()), {}, "share a floating-point type"),
        ((normal(1, 3, 8, 8).int(), normal(2, 3, 3, 3).int()), {}, "share a floating-point type, got torch.int32"),
        ((normal(1, 3, 8, 8), normal(2, 3, 3, 3)), {"stride": 0}, "stride must be at least 1"),
        ((normal(1, 3, 8, 8), normal(2, 3, 3, 3)), {"padding": -1}, "padding at least 0, got 1 and -1"),
        ((normal(1, 3, 2, 8), normal(2, 3, 5, 3)), {"padding": 1}, r"a kernel of \(5, 3\) and a picture of \(2, 8\)"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        convolve(*arguments, **options)


def scattered(module, seed=0):
    """The module with every number, running statistics included, at a value that a mix-up would show."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) - (0.5 if "conv" in name else -0.5))
    return module


@pytest.mark.parametrize(("channels_in", "stride"), [(6, 1), (6, 2), (4, 1), (4, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_a_block_equals_torchvision(channels_in, stride, training):
    down = None
    if stride != 1 or channels_in != 6:
        down = nn.Sequential(nn.Conv2d(channels_in, 6, 1, stride=stride, bias=False), nn.BatchNorm2d(6))
    theirs = scattered(BasicBlock(channels_in, 6, stride=stride, downsample=down)).train(training)
    ours = ResidualBlock(channels_in, 6, stride=stride).train(training)
    names = {"conv1": "first", "bn1": "first_norm", "conv2": "second", "bn2": "second_norm", "downsample": "shortcut"}
    ours.load_state_dict(
        {names[(p := name.split(".", 1))[0]] + "." + p[1]: v for name, v in theirs.state_dict().items()}
    )
    x = normal(5, channels_in, 7, 8)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (128, 4, 4)),
        ({"stem": 1, "widths": (8, 12)}, (12, 32, 32)),
        ({"stem": 2, "widths": [8]}, (8, 32, 32)),
        ({"stem": 8, "widths": (8, 12, 16), "blocks": 2}, (16, 2, 2)),
    ],
)
def test_sizes_of_the_network(options, shape):
    model, images = CNN(**options).eval(), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert model.feature_map(images).shape == (2, *shape)
        assert model(images).shape == (2, model.width) == (2, shape[0])
        torch.testing.assert_close(model(images), model.feature_map(images).mean(dim=(2, 3)))
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == len(model.widths) * options.get("blocks", 1)


def test_a_patch_stem_sees_each_patch_alone():
    """A change in one patch reaches one place behind the stem; with a 3×3 stem, the nine around it."""
    images = torch.rand(1, 3, 16, 16)
    other = images.clone()
    other[..., 5, 5] += 1
    for stem, places in [(4, 1), (1, 9)]:
        model = CNN((4,), stem=stem).eval()
        first = model.stem[0]
        changed = (first(images) - first(other)).abs().amax(dim=1) > 0
        assert changed.sum() == places


def test_signals_start_with_the_size_that_they_came_with():
    """He et al.: relu halves the mean square, so each convolution must double it; weights of variance 2 / fan-in do."""
    torch.manual_seed(0)
    kernels = [module for module in CNN((256, 128)).modules() if isinstance(module, nn.Conv2d)]
    assert len(kernels) == 6
    for kernel in kernels:
        assert kernel.weight.var().item() * kernel.weight[0].numel() == pytest.approx(2, rel=0.1)
    first = kernels[1]
    with torch.no_grad():
        y = first(F.relu(normal(16, 256, 8, 8)))[..., 1:-1, 1:-1]  # without the rim, which zeros reach from outside
    assert F.relu(y).square().mean().item() == pytest.approx(0.5, rel=0.15)


def test_it_learns_to_tell_stripes_apart():
    """Upright and level stripes have the same colors: only their direction tells them apart."""
    torch.manual_seed(0)
    waves = ((torch.arange(32) + torch.randint(8, (128, 1))) // 4 % 2).float()  # (N, 32), a phase for each picture
    labels = torch.arange(128) % 2
    images = waves[:, None, None].expand(-1, 3, 32, 32)
    images = torch.where(labels.bool()[:, None, None, None], images, images.mT) + 0.3 * torch.randn(128, 3, 32, 32)
    model = nn.Sequential(CNN((8, 16), stem=2), nn.Linear(16, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(15):
        loss = F.cross_entropy(model(images[:96]), labels[:96])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert (model.eval()(images[96:]).argmax(dim=1) == labels[96:]).float().mean() > 0.9


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), r"torch\.uint8 \(1, 3, 64, 64\); .* images\.float\(\) / 255"),
        (torch.zeros(3, 64, 64), r"floating-point \(B, 3, H, W\), got torch\.float32 \(3, 64, 64\)"),
        (torch.zeros(1, 1, 64, 64), r"got torch\.float32 \(1, 1, 64, 64\)"),
        (torch.zeros(1, 3, 64, 62), r"multiples of 4, the stem, got \(64, 62\)"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        CNN((4,)).eval()(images)


@pytest.mark.parametrize("options", [{"widths": ()}, {"stem": 0}, {"blocks": 0}])
def test_networks_without_layers_are_refused(options):
    with pytest.raises(ValueError, match="of 1 at least"):
        CNN(**options)
