import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcourse.losses import (
    cross_entropy,
    cross_entropy_gradient,
    entropy,
    kl_divergence,
    log_softmax,
    log_sum_exp,
    softmax,
)

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
quick = settings(max_examples=100, deadline=None)
FLOATS = st.sampled_from([torch.float32, torch.float64])
SEEDS = st.integers(0, 2**31 - 1)
SHAPES = st.lists(st.integers(0, 5), max_size=3)
INF = torch.inf


@st.composite
def some_logits(draw, *, shapes=SHAPES, dtypes=FLOATS):
    """(…, V) of ordinary or extreme size, up to ±10,000, with a generator for whatever else is needed."""
    generator = torch.Generator().manual_seed(draw(SEEDS))
    shape = (*draw(shapes), draw(st.integers(1, 9)))
    kind, size = draw(st.sampled_from(["normal", "corners"])), draw(st.sampled_from([1.0, 30.0, 1e4]))
    x = torch.randn(shape, dtype=torch.float64, generator=generator).clamp(-3, 3) / 3
    x = x.sign() + 1e-4 * x if kind == "corners" else x  # corners: differences far smaller than the logits
    return (x * size).to(draw(dtypes)), generator


@st.composite
def batches(draw, dtypes=FLOATS):
    """Logits, targets and every setting of `cross_entropy` but the reduction."""
    logits, generator = draw(some_logits(dtypes=dtypes))
    classes = logits.shape[-1]
    targets = torch.randint(classes, logits.shape[:-1], generator=generator)
    options = {
        "ignore_index": draw(st.sampled_from([-100, 0, 255])),
        "label_smoothing": draw(st.sampled_from([0.0, 0.1, 1.0])),
        "temperature": draw(st.sampled_from([1.0, 0.5, 4.0])),
    }
    if draw(st.booleans()):
        weight = torch.rand(classes, generator=generator, dtype=torch.float64)
        weight[torch.rand(classes, generator=generator) < 0.2] = 0
        options["weight"] = weight.to(logits.dtype)
    ignored = torch.rand(targets.shape, generator=generator) < draw(st.sampled_from([0.0, 0.4, 1.0]))
    targets[ignored] = options["ignore_index"]
    if not options["label_smoothing"] and draw(st.booleans()):  # classes that are switched off
        off = torch.rand(logits.shape, generator=generator) < 0.3
        logits = logits.masked_fill(off & (torch.arange(classes) != targets[..., None]), -INF)
        logits[targets == options["ignore_index"]] = logits.new_tensor(draw(st.sampled_from([0.0, 1e4])))
    return logits, targets, options


def nothing_counts(targets, options):
    kept = targets[targets != options["ignore_index"]]
    return kept.numel() == 0 or ("weight" in options and not options["weight"][kept].any())


def theirs(logits, targets, *, temperature, reduction="mean", **options):
    rows = (logits / temperature).reshape(-1, logits.shape[-1])
    losses = F.cross_entropy(rows, targets.reshape(-1), reduction=reduction, **options)
    return losses.view(targets.shape) if reduction == "none" else losses


def with_gradient(function, *inputs):
    """The result, and the gradients of a number that depends on all of it."""
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    result = function(*leaves)
    weight = torch.linspace(-1, 1, result.numel() + 1, dtype=result.dtype)[1:].view_as(result)
    return (result.detach(), *torch.autograd.grad((result * weight).sum(), leaves))


def close(ours, expected):
    tolerance = TOLERANCE[ours.dtype]
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)


def same(ours, expected, *inputs):
    """Equal results and equal gradients."""
    for mine, wanted in zip(with_gradient(ours, *inputs), with_gradient(expected, *inputs), strict=True):
        close(mine, wanted)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@quick
@given(some_logits(), st.integers(0, 3), st.sampled_from([1.0, 0.5, 4.0]))
def test_sums_and_softmax_equal_pytorch(drawn, dim, temperature):
    x = drawn[0]
    dim = min(dim, x.dim() - 1)
    if x.shape[dim]:
        leaf = x.clone().requires_grad_()
        sums = log_sum_exp(leaf, dim)
        close(sums.detach(), x.logsumexp(dim))
        # PyTorch's own gradient of logsumexp is wrong by 1e-4 at logits of 10,000 in float32; it ought to be softmax.
        close(torch.autograd.grad(sums.sum(), leaf)[0], x.softmax(dim))
    for ours, peer in ((log_softmax, F.log_softmax), (softmax, F.softmax)):
        if x.numel():
            same(lambda y: ours(y, temperature=temperature, dim=dim), lambda y: peer(y / temperature, dim), x)  # noqa: B023


def test_sum_of_nothing_and_of_everything():
    x = torch.tensor([[-INF, -INF], [0.0, -INF], [INF, 0.0]], requires_grad=True)
    sums = log_sum_exp(x)
    assert sums.tolist() == [-INF, 0.0, INF]
    log_sum_exp(x[:2]).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    assert log_softmax(torch.tensor([1e4, -1e4])).tolist() == [0.0, -2e4]
    assert torch.exp(torch.tensor(1e4)).isinf()  # what the maximum is subtracted for


def by_loops(logits, targets, *, ignore_index, label_smoothing, temperature, weight=None):
    """The definition, a number at a time: a sum over classes for each sample, then a mean over samples."""
    total = count = 0.0
    for place in itertools.product(*map(range, targets.shape)):
        target = int(targets[place])
        if target == ignore_index:
            continue
        z = [value / temperature for value in logits[place].tolist()]
        top = max(z)
        log_z = top + math.log(sum(math.exp(value - top) for value in z))
        for c, value in enumerate(z):
            y = (c == target) * (1 - label_smoothing) + label_smoothing / len(z)
            total -= y * (1.0 if weight is None else float(weight[c])) * (value - log_z) if y else 0.0
        count += 1.0 if weight is None else float(weight[target])
    return torch.tensor(total / count, dtype=torch.float64)


@quick
@given(batches(st.just(torch.float64)))
def test_cross_entropy_is_its_definition(batch):
    logits, targets, options = batch
    if not nothing_counts(targets, options):
        torch.testing.assert_close(cross_entropy(logits, targets, **options), by_loops(logits, targets, **options))


@settings(quick, max_examples=300)
@given(batches(), st.sampled_from(["mean", "sum", "none"]))
def test_cross_entropy_equals_pytorch_forward_and_backward(batch, reduction):
    logits, targets, options = batch
    if reduction == "mean" and nothing_counts(targets, options):
        loss, gradient = with_gradient(lambda x: cross_entropy(x, targets, **options), logits)
        assert loss == 0
        assert (gradient == 0).all()
    else:
        options["reduction"] = reduction
        same(lambda x: cross_entropy(x, targets, **options), lambda x: theirs(x, targets, **options), logits)


@quick
@given(batches())
def test_gradient_by_hand_equals_pytorch(batch):
    logits, targets, options = batch
    gradient = cross_entropy_gradient(logits, targets, **options)
    assert gradient.shape == logits.shape
    if nothing_counts(targets, options):
        assert (gradient == 0).all()
    else:
        leaf = logits.clone().requires_grad_()
        close(gradient, torch.autograd.grad(theirs(leaf, targets, **options), leaf)[0])
        close(gradient.sum(-1), torch.zeros(targets.shape, dtype=gradient.dtype))  # a shift of all logits does nothing


def test_gradient_is_p_minus_y():
    logits, targets = normal(5, 4), torch.tensor([0, 3, 1, 1, 2])
    expected = (logits.softmax(-1) - F.one_hot(targets, 4)) / 5
    close(cross_entropy_gradient(logits, targets), expected)


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 2.0, 1.0, 0.0])])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_second_derivatives(weight, smoothing):
    targets = torch.tensor([[0, -100, 1], [2, 2, 3]])
    for reduction in ("mean", "none"):

        def loss(x, reduction=reduction):
            return cross_entropy(x, targets, weight=weight, label_smoothing=smoothing, reduction=reduction)

        leaf = normal(2, 3, 4).requires_grad_()
        assert torch.autograd.gradcheck(loss, leaf)
        assert torch.autograd.gradgradcheck(loss, leaf)
    hand = cross_entropy_gradient(leaf, targets, weight=weight, label_smoothing=smoothing)
    close(torch.func.grad(lambda x: loss(x, "mean"))(leaf.detach()), hand.detach())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (4,)])
def test_all_ignored_gives_zero(shape, reduction):
    logits = torch.full(shape, torch.nan, requires_grad=True)
    targets = torch.full(shape[:-1], -100)
    loss = cross_entropy(logits, targets, reduction=reduction)
    loss.backward()
    assert loss.item() == 0.0
    assert (logits.grad == 0).all()
    assert (cross_entropy_gradient(logits, targets) == 0).all()


def test_ignored_logits_are_not_looked_at():
    logits = normal(2, 3, 4)
    targets = torch.tensor([[1, -100, 0], [-100, 2, 3]])
    spoilt = logits.clone()
    spoilt[targets == -100] = torch.nan
    each = cross_entropy(spoilt, targets, reduction="none")
    assert (each[targets == -100] == 0).all()
    for ours, wanted in zip(
        with_gradient(lambda x: cross_entropy(x, targets), spoilt),
        with_gradient(lambda x: cross_entropy(x, targets), logits),
        strict=True,
    ):
        assert torch.equal(ours, wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    logits, targets = (normal(64, 9) * 20).to(dtype), torch.arange(64) % 9
    loss = cross_entropy(logits, targets, temperature=1e-4)  # logits of 200,000 overflow in float16
    assert loss.dtype == torch.float32
    close(loss, F.cross_entropy(logits.float() / 1e-4, targets))
    leaf = logits.clone().requires_grad_()
    cross_entropy(leaf, targets).backward()
    assert leaf.grad.dtype == dtype
    torch.testing.assert_close(leaf.grad.float(), cross_entropy_gradient(logits, targets), rtol=1e-2, atol=1e-6)


def test_inputs_are_left_alone():
    logits, targets = normal(4, 5).t().contiguous().t(), torch.tensor([0, 1, -100, 4])  # and need not be contiguous
    before, leaf = logits.clone(), logits.requires_grad_()
    weight = torch.rand(5).double()
    cross_entropy(leaf, targets, weight=weight, label_smoothing=0.1).backward()
    first = leaf.grad.clone()
    cross_entropy_gradient(leaf.detach(), targets, weight=weight, label_smoothing=0.1)
    kl_divergence(leaf, leaf).backward()
    assert torch.equal(leaf.detach(), before)
    close(first, cross_entropy_gradient(before, targets, weight=weight, label_smoothing=0.1))


@quick
@given(some_logits(shapes=st.lists(st.integers(1, 5), max_size=3)))
def test_divergence_and_entropy_equal_pytorch(drawn):
    p_logits, generator = drawn
    order = torch.randperm(p_logits.shape[-1], generator=generator)
    q_logits = p_logits[..., order] / 2
    for reduction, pooled in (("none", lambda x: x), ("mean", torch.mean), ("sum", torch.sum)):

        def peer(x, y, pooled=pooled):
            x, y = x.log_softmax(-1), y.log_softmax(-1)
            return pooled(F.kl_div(y, x, log_target=True, reduction="none").sum(-1))

        def ours(x, y, reduction=reduction):
            return kl_divergence(x, y, reduction=reduction)

        scale = max(1.0, p_logits.abs().max().item())  # the gradient towards p holds differences as large as the logits
        for mine, wanted in zip(
            with_gradient(ours, p_logits, q_logits), with_gradient(peer, p_logits, q_logits), strict=True
        ):
            close(mine / scale, wanted / scale)
    # PyTorch's entropy of float32 logits is wrong by 2e-4 at 10,000, so float64 is asked.
    surprise = torch.distributions.Categorical(logits=p_logits.double()).entropy()
    torch.testing.assert_close(entropy(p_logits).double(), surprise, rtol=1e-5, atol=1e-5)
    assert (kl_divergence(p_logits, p_logits, reduction="none") == 0).all()


def test_gradients_of_divergence_and_entropy():
    p, q = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(kl_divergence, (p, q))
    assert torch.autograd.gradcheck(entropy, p)


def test_zero_probabilities():
    p = torch.tensor([[0.0, 0.0, -INF], [0.0, -INF, -INF]], requires_grad=True)
    q = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -INF]], requires_grad=True)
    expected = torch.tensor([math.log(1.5), math.log(2)])
    torch.testing.assert_close(kl_divergence(p, q, reduction="none"), expected)
    torch.testing.assert_close(entropy(p), torch.tensor([math.log(2), 0.0]))
    (kl_divergence(p, q) + entropy(p).sum()).backward()
    assert p.grad.isfinite().all()
    torch.testing.assert_close(q.grad, (q.softmax(-1) - p.softmax(-1)) / 2)  # once more p − y, with a soft y
    assert kl_divergence(q, p).isinf()  # p rules out what q does


def test_cross_entropy_is_entropy_plus_divergence():
    p, q = normal(6, 5), normal(6, 5, seed=1)
    targets = torch.arange(5).expand(6, 5)
    each = cross_entropy(q[:, None].expand(6, 5, 5), targets, reduction="none")  # (6, 5): −log q of every class
    close((softmax(p) * each).sum(-1), entropy(p) + kl_divergence(p, q, reduction="none"))


def test_temperature_flattens_and_sharpens():
    logits = normal(20, 6)
    assert (entropy(logits / 4) > entropy(logits)).all()
    assert ((softmax(logits, temperature=1e9) - 1 / 6).abs() < 1e-8).all()
    assert torch.equal(softmax(logits, temperature=1e-9).round(), F.one_hot(logits.argmax(-1), 6).double())


LOGITS, TARGETS = torch.zeros(2, 3), torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cross_entropy(LOGITS, torch.tensor([0])), r"classes last, got \(2, 3\) and \(1,\)"),
        (lambda: cross_entropy(torch.zeros(2, 3, 4), torch.zeros(2, 4).long()), r"logits.transpose\(1, 2\)"),
        (lambda: cross_entropy(LOGITS, TARGETS.int()), r"int64 class numbers, got torch.int32; write targets.long\(\)"),
        (lambda: cross_entropy(LOGITS.long(), TARGETS), "logits must be floating-point numbers, got torch.int64"),
        (lambda: cross_entropy(LOGITS, torch.tensor([0, 3])), "classes 0 to 2 or ignore_index -100, got 3"),
        (lambda: cross_entropy_gradient(LOGITS, torch.tensor([-1, 0])), "ignore_index -100, got -1"),
        (lambda: cross_entropy(LOGITS, TARGETS, weight=torch.ones(2)), r"weight must have shape \(3,\).*got \(2,\)"),
        (lambda: cross_entropy(LOGITS, TARGETS, label_smoothing=1.5), "between 0 and 1, got 1.5"),
        (lambda: cross_entropy(LOGITS, TARGETS, reduction="average"), "mean, sum, none, got 'average'"),
        (lambda: kl_divergence(LOGITS, LOGITS, reduction="batchmean"), "mean, sum, none, got 'batchmean'"),
        (lambda: kl_divergence(LOGITS, LOGITS[:1]), r"shape \(2, 3\), q_logits \(1, 3\)"),
        (lambda: softmax(LOGITS, temperature=0.0), "temperature must be above 0, got 0.0"),
        (lambda: log_sum_exp(TARGETS), r"x must be floating-point numbers, got torch.int64; write x.float\(\)"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
