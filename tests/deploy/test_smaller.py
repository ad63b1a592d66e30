"""Pruning equals PyTorch's, distillation is Hinton's, and counts are those of `torch.utils.flop_counter`."""

import copy
import doctest
import importlib
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.flop_counter import FlopCounterMode

from mmcourse.deploy import (
    apply_masks,
    count_bytes,
    count_operations,
    count_parameters,
    distillation_loss,
    global_masks,
    magnitude_mask,
    prune_model,
    quantize_model,
    soft_loss,
    sparsity,
)
from mmcourse.encoders.cnn import CNN
from mmcourse.lm import GPT, GPTConfig
from mmcourse.recipes import load_trained

EXAMPLES = {"counting": 5, "distillation": 3, "layers": 4, "pruning": 6, "quantization": 3, "quantized": 4, "runner": 1}


@pytest.mark.parametrize(("name", "count"), EXAMPLES.items())
def test_docstring_examples_run(name, count):
    module = importlib.import_module(f"mmcourse.deploy.{name}")
    assert doctest.testmod(module, extraglobs={"torch": torch, "nn": nn}) == (0, count)


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 10), nn.Linear(10, 4))


# Pruning.


@pytest.mark.parametrize("amount", [0.0, 0.1, 0.37, 0.5, 1.0])
def test_by_layer_equals_pytorch(amount):
    ours, theirs = net(), net()
    masks = prune_model(ours, amount=amount)
    for place in (0, 3, 4):
        prune.l1_unstructured(theirs[place], "weight", amount)
        assert torch.equal(masks[f"{place}.weight"].float(), theirs[place].weight_mask)
        assert torch.equal(ours[place].weight, theirs[place].weight)
        assert torch.equal(ours[place].bias, theirs[place].bias)


@pytest.mark.parametrize("amount", [0.1, 0.37, 0.9])
def test_globally_equals_pytorch(amount):
    ours, theirs = net(), net()
    masks = prune_model(ours, amount=amount, scope="global")
    layers = [(theirs[place], "weight") for place in (0, 3, 4)]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=amount)
    for place in (0, 3, 4):
        assert torch.equal(masks[f"{place}.weight"].float(), theirs[place].weight_mask)
        assert torch.equal(ours[place].weight, theirs[place].weight)
    total = sum(mask.numel() for mask in masks.values())
    assert sparsity(ours) == round(amount * total) / total
    shares = {float((ours[place].weight == 0).float().mean()) for place in (0, 3, 4)}
    assert len(shares) == 3  # layers differ, which is what global means


def test_of_equal_ones_the_first_go():
    assert magnitude_mask(torch.tensor([1.0, -1.0, 1.0, 1.0]), amount=0.5).tolist() == [False, False, True, True]
    assert global_masks({"a": torch.ones(2), "b": torch.ones(2)}, amount=0.75)["b"].tolist() == [False, True]


def test_masks_keep_what_was_pruned_at_zero_through_training():
    model = net()
    masks = prune_model(model, amount=0.6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model(numbers(4, 3, 6, 6)).square().mean().backward()
        optimizer.step()
        assert sparsity(model) < 0.6
        apply_masks(model, masks)
        assert sparsity(model) == pytest.approx(0.6, abs=1e-3)
        assert all(weight.requires_grad for weight in model.parameters())


def test_a_shared_weight_is_pruned_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    assert list(prune_model(model, amount=0.5)) == ["0.weight"]
    assert int((model[1].weight == 0).sum()) == 8


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: prune_model(model, amount=1.5), "amount must be from 0 to 1, got 1.5"),
        (lambda model: prune_model(model, amount=0.5, scope="all"), "scope must be one of layer, global, got 'all'"),
        (lambda model: prune_model(nn.Embedding(2, 2), amount=0.5), "there is none to prune"),
        (lambda model: sparsity(nn.ReLU()), "there is none to prune"),
        (lambda model: prune_model(copy.deepcopy(model).to("meta"), amount=0.5), "the model is on the meta device"),
        (lambda model: magnitude_mask(torch.tensor([torch.nan]), amount=0.5), "weight must be finite"),
        (lambda model: apply_masks(model, {"9.weight": torch.ones(1).bool()}), "for 9.weight, the model has none"),
        (lambda model: apply_masks(model, {"4.weight": torch.ones(4, 9).bool()}), "(4, 9) for 4.weight"),
    ],
)
def test_what_pruning_refuses(call, message):
    model = net()
    with pytest.raises(ValueError, match=re.escape(message)):
        call(model)
    assert sparsity(model) == 0


# Distillation.


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("soft_weight", [0.0, 0.3, 1.0])
def test_equal_to_pytorch_with_and_without_padding(temperature, soft_weight):
    student, teacher = (numbers(3, 5, 7, seed=seed).mul(2).requires_grad_() for seed in (0, 1))
    targets = torch.randint(7, (3, 5), generator=torch.Generator().manual_seed(0))
    targets[0, 3:] = targets[2, 1:] = -100
    found = distillation_loss(student, teacher, targets, temperature=temperature, soft_weight=soft_weight)
    (gradient,) = torch.autograd.grad(found.loss, student)
    rows = targets != -100
    soft = F.kl_div(
        (student[rows] / temperature).log_softmax(-1), (teacher[rows] / temperature).log_softmax(-1).detach(),
        log_target=True, reduction="batchmean",
    )  # fmt: skip
    hard = F.cross_entropy(student[rows], targets[rows])
    expected = soft_weight * temperature**2 * soft + (1 - soft_weight) * hard
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, student)[0])
    assert teacher.grad is None
    assert not torch.autograd.grad(found.hard + found.soft, teacher, allow_unused=True)[0]


def test_a_hot_gradient_is_the_difference_of_logits():
    """Hinton's equation 4: at high temperature each logit is pulled by (z − v) / V, if both have mean 0."""
    student, teacher = (numbers(1, 6, seed=seed) for seed in (0, 1))
    student, teacher = student - student.mean(), teacher - teacher.mean()
    student.requires_grad_()
    loss = soft_loss(student.double(), teacher.double(), temperature=100.0).sum()
    (gradient,) = torch.autograd.grad(loss, student)
    torch.testing.assert_close(gradient, ((student - teacher) / 6).detach(), rtol=0.05, atol=2e-3)


def test_a_slow_reference_of_the_soft_part():
    student, teacher, t = numbers(4, seed=0), numbers(4, seed=1), 3.0
    p = [(v / t).exp() for v in teacher]
    q = [(z / t).exp() for z in student]
    p, q = [x / sum(p) for x in p], [x / sum(q) for x in q]
    expected = t**2 * sum(a * (a / b).log() for a, b in zip(p, q, strict=True))
    torch.testing.assert_close(soft_loss(student, teacher, temperature=t), expected)


def test_the_teacher_itself_has_nothing_to_learn_and_an_empty_batch_is_zero():
    logits, targets = numbers(2, 3, 5).requires_grad_(), torch.full((2, 3), -100)
    assert distillation_loss(logits, logits, torch.zeros_like(targets)).soft.item() == pytest.approx(0, abs=1e-6)
    empty = distillation_loss(logits, numbers(2, 3, 5, seed=1), targets)
    assert [part.item() for part in empty] == [0.0, 0.0, 0.0]
    empty.loss.backward()
    assert not logits.grad.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0"),
        ({"soft_weight": 1.5}, "soft_weight must be from 0 to 1, got 1.5"),
        ({"teacher": numbers(2, 4)}, r"student has shape \(2, 5\), teacher \(2, 4\)"),
        ({"targets": torch.tensor([5, 0])}, "targets must be classes 0 to 4"),
    ],
)
def test_what_distillation_refuses(options, message):
    given = {"student": numbers(2, 5), "teacher": numbers(2, 5), "targets": torch.tensor([0, 1])} | options
    with pytest.raises(ValueError, match=message):
        distillation_loss(**given)


# Counting.


def small_gpt():
    return GPT(GPTConfig(vocabulary_size=61, context=16, width=24, heads=4, depth=2))


class Products(nn.Module):
    """What no layer computes: products of tensors, transposed convolutions, attention with fewer keys."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)

    def forward(self, x):
        y = self.up(x).flatten(2)  # (B, 6, P)
        return F.scaled_dot_product_attention(y.mT, y.mT[:, :5], y.mT[:, :5]) @ torch.einsum("bcp,bdp->bcd", y, y)


COUNTED = {
    "gpt": (small_gpt, lambda: torch.zeros(3, 11, dtype=torch.int64)),
    "cnn": (lambda: CNN((8, 16), stem=2), lambda: torch.zeros(2, 3, 16, 16)),
    "products": (Products, lambda: torch.zeros(2, 4, 5, 5)),
    "net": (net, lambda: torch.zeros(5, 3, 6, 6)),
    "torch": (
        lambda: nn.TransformerEncoderLayer(16, 4, 32, batch_first=True),
        lambda: torch.zeros(2, 5, 16),
    ),
}


@pytest.mark.parametrize("name", COUNTED)
def test_operations_are_half_of_the_flops_that_pytorch_counts(name):
    make, inputs = COUNTED[name]
    model, x = make(), inputs()
    found = count_operations(model, x)
    assert found.total == sum(found.parts.values()) > 0
    # Where PyTorch takes attention apart into products, its counter sees them.
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        model.train()(x) if name == "torch" else model.eval()(x)  # evaluation takes a path that the counter cannot see
    assert found.total == counter.get_total_flops() / 2


def test_operations_by_hand_and_by_part():
    model = small_gpt()
    found = count_operations(model, torch.zeros(3, 11, dtype=torch.int64))
    tokens, width = 3 * 11, 24
    attention = 2 * 3 * 11 * 11 * width
    assert found.total == 2 * (tokens * 12 * width**2 + attention) + tokens * width * 61
    assert found.parts["decoder.blocks.1.attention"] == attention
    assert found.parts["decoder.blocks.0.feed_forward.expand"] == tokens * 4 * width**2
    assert found.parts[""] == tokens * width * 61  # the head, which has no layer of its own


def test_counting_changes_nothing_and_needs_no_values():
    model = CNN((8, 16), stem=2).train()
    before = copy.deepcopy(model.state_dict())
    x = torch.zeros(2, 3, 16, 16)
    found = count_operations(model, x)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert count_operations(model.to("meta"), x.to("meta")) == found
    huge = nn.Sequential(nn.Linear(1 << 20, 1 << 20, bias=False, device="meta"))  # four terabytes
    assert count_operations(huge, torch.empty(7, 1 << 20, device="meta")).total == 7 << 40


def test_another_method_and_one_that_is_missing():
    model = load_trained("captioner").model
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    whole = count_operations(model, image, torch.zeros(1, 6, dtype=torch.int64))
    part = count_operations(model, image, method="memory")
    assert {name for name in whole.parts if name.startswith(("cnn", "encoder"))} == part.parts.keys() - {"narrow"}
    assert 0 < part.total < whole.total
    with pytest.raises(ValueError, match="method must be one that Captioner has, got 'see'"):
        count_operations(model, image, method="see")


def test_parameters_and_bytes_count_shared_ones_once():
    model = small_gpt()
    assert count_parameters(model) == model.config.parameters
    model.embedding.weight.requires_grad_(False)
    assert count_parameters(model, learning=True) == model.config.parameters - 61 * 24
    tied = nn.Sequential(nn.Embedding(5, 2), nn.Linear(2, 5, bias=False))
    tied[1].weight = tied[0].weight
    assert (count_parameters(tied), count_bytes(tied)) == (10, 40)
    assert count_bytes(quantize_model(tied)) == 10 + 5 * 4 + 5  # numbers, scales, zero points
    assert count_bytes(nn.BatchNorm2d(3)) == 4 * 4 * 3 + 8


def test_a_quantized_model_does_the_same_operations():
    model, x = small_gpt(), torch.zeros(1, 5, dtype=torch.int64)
    assert count_operations(quantize_model(model), x) == count_operations(model, x)
