import doctest
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcourse.losses import contrastive, contrastive_logits, cross_entropy, info_nce, sigmoid_loss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages that open_clip imports
    from open_clip.loss import ClipLoss, SigLipLoss

quick = settings(max_examples=100, deadline=None)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def features(n, width, *, count=2, seed=0, dtype=torch.float64):
    """`count` tables of n random features of length 1."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, n, width, generator=generator, dtype=torch.float64)
    return [part.to(dtype) for part in F.normalize(drawn, dim=-1)]


def with_gradients(function, *inputs):
    """The value and the gradient of every input."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    value = function(*leaves)
    return value.detach(), *torch.autograd.grad(value, leaves)


@st.composite
def batches(draw):
    """Pictures, texts, the logarithm of the scale and the bias."""
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    pair = features(draw(st.integers(1, 40)), draw(st.integers(1, 33)), seed=draw(st.integers(0, 2**31)), dtype=dtype)
    scale = draw(st.floats(0, math.log(20)))
    return *pair, torch.tensor(scale, dtype=dtype), torch.tensor(draw(st.floats(-10, 10)), dtype=dtype)


@quick
@given(batches())
def test_info_nce_and_every_gradient_equal_open_clip(batch):
    *inputs, _ = batch
    ours = with_gradients(lambda x, y, log: info_nce(x, y, scale=log.exp()), *inputs)
    theirs = with_gradients(lambda x, y, log: ClipLoss()(x, y, log.exp()), *inputs)
    for mine, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-6)


@quick
@given(batches())
def test_sigmoid_loss_and_every_gradient_equal_open_clip(batch):
    ours = with_gradients(lambda x, y, log, bias: sigmoid_loss(x, y, scale=log.exp(), bias=bias), *batch)
    theirs = with_gradients(lambda x, y, log, bias: SigLipLoss()(x, y, log.exp(), bias), *batch)
    for mine, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("device", DEVICES)
def test_the_largest_scale_of_all(seed, device):
    """At 100 float32 itself is right to about 1e-5, so ours is measured against the float64 of open_clip."""
    pair = features(64, 16, seed=seed)
    single = [part.float().to(device) for part in pair]
    for ours, theirs in (
        (lambda x, y: info_nce(x, y, scale=100.0), lambda x, y: ClipLoss()(x, y, 100.0)),
        (lambda x, y: sigmoid_loss(x, y, scale=100.0, bias=-10.0), lambda x, y: SigLipLoss()(x, y, 100.0, -10.0)),
    ):
        results = [with_gradients(ours, *pair), with_gradients(ours, *single), with_gradients(theirs, *pair)]
        for exact, rounded, wanted in zip(*results, strict=True):
            torch.testing.assert_close(exact, wanted, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(rounded.cpu().double(), wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("negatives", [0, 3])
def test_gradients_of_first_and_second_order(negatives):
    x, y, more = (part.requires_grad_() for part in features(5, 4, count=3))
    scale, bias = torch.tensor(7.0, dtype=torch.float64), torch.tensor(-2.0, dtype=torch.float64)
    inputs = x, y, more[:negatives], scale.requires_grad_(), bias.requires_grad_()
    for loss in (
        lambda x, y, n, scale, bias: info_nce(x, y, scale=scale, negatives=n),
        lambda x, y, n, scale, bias: sigmoid_loss(x, y, scale=scale, bias=bias, negatives=n),
    ):
        assert torch.autograd.gradcheck(loss, inputs)
        assert torch.autograd.gradgradcheck(loss, inputs, atol=1e-4)


def test_negatives_are_further_texts_of_no_picture():
    x, y, more = features(6, 5, count=3)
    more = more[:4]
    wide = torch.cat((x @ y.T, x @ more.T), dim=1)
    rows = cross_entropy(9 * wide, torch.arange(6))
    columns = cross_entropy(9 * (y @ x.T), torch.arange(6))
    torch.testing.assert_close(info_nce(x, y, scale=9.0, negatives=more), (rows + columns) / 2)
    total = 0.0
    for i in range(6):
        for j in range(10):
            sign = 1 if i == j else -1
            total += math.log1p(math.exp(-sign * (9 * wide[i, j].item() - 3)))
    torch.testing.assert_close(sigmoid_loss(x, y, scale=9.0, bias=-3.0, negatives=more).item(), total / 6)
    for loss in (info_nce, lambda *pair, **options: sigmoid_loss(*pair, bias=0.5, **options)):
        torch.testing.assert_close(loss(x, y, scale=2.0, negatives=more[:0]), loss(x, y, scale=2.0), rtol=0, atol=0)
        assert loss(x, y, scale=2.0, negatives=more) > loss(x, y, scale=2.0)


@pytest.mark.parametrize("device", DEVICES)
def test_half_precision_is_computed_in_float32(device):
    x, y = (part.to(device) for part in features(32, 16, dtype=torch.float32))
    for loss in (info_nce, lambda *pair, **options: sigmoid_loss(*pair, bias=-10.0, **options)):
        exact = loss(x, y, scale=100.0)
        with torch.autocast(device, torch.bfloat16):
            inside = loss(x, y, scale=100.0)
        assert torch.equal(inside, exact)
        halves = loss(x.bfloat16(), y.bfloat16(), scale=100.0)
        assert torch.equal(halves, loss(x.bfloat16().float(), y.bfloat16().float(), scale=100.0))


def test_the_examples_run():
    assert doctest.testmod(contrastive) == (0, 3)


def test_logits_of_unequal_numbers():
    x, y = features(3, 4), features(5, 4, seed=1)
    logits = contrastive_logits(x[0], y[0], scale=torch.tensor(3.0), bias=0.5)
    torch.testing.assert_close(logits, 3 * x[0] @ y[0].T + 0.5)
    torch.testing.assert_close(contrastive_logits(x[0], y[0], scale=3.0, bias=None), logits - 0.5)


def test_extremes_stay_finite():
    """Pictures that agree with the wrong text alone: the loss is as large as the scale says, and so is the pull."""
    x = torch.eye(4)
    for loss in (info_nce, lambda *pair, **options: sigmoid_loss(*pair, bias=0.0, **options)):
        value, *gradients = with_gradients(lambda a, b: loss(a, b, scale=1e4), x, -x)  # noqa: B023
        assert value >= 1e4
        assert all(part.isfinite().all() for part in gradients)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(3, 4, 5)}, r"images must be floating-point \(N, D\), got torch.float32 \(3, 4, 5\)"),
        ({"texts": torch.zeros(3, 4, dtype=torch.int64)}, r"texts must be floating-point \(N, D\), got torch.int64"),
        ({"texts": torch.zeros(3, 5)}, "images have width 4, texts 5; both must be of one space"),
        ({"texts": torch.zeros(2, 4)}, "images and texts must be the same number of at least 1, got 3 and 2"),
        ({"images": torch.zeros(0, 4), "texts": torch.zeros(0, 4)}, "at least 1, got 0 and 0"),
        ({"negatives": torch.zeros(2, 5)}, r"negatives must be \(K, 4\) as texts, got \(2, 5\)"),
        ({"scale": 0.0}, "scale must be above 0, got 0.0; it is 1 / temperature"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    inputs = {"images": torch.zeros(3, 4), "texts": torch.zeros(3, 4), "scale": 1.0} | change
    for loss, more in ((info_nce, {}), (sigmoid_loss, {"bias": 0.0})):
        with pytest.raises(ValueError, match=message):
            loss(inputs["images"], inputs["texts"], scale=inputs["scale"], negatives=inputs.get("negatives"), **more)
