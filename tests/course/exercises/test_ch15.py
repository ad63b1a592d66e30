"""Chapter 15's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import numpy as np
import pytest
import torch
from answers import Answers
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from mmcourse import deploy
from mmcourse.course.exercises import all_exercises, find
from mmcourse.transformer import Block

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 15-quantize --------------------------------------------------------------------------------------------------


@right("15-quantize")
def quantize_by_library(x, low, high):
    scale, zero = deploy.fit_grid(torch.tensor([low, high]), scheme="affine")
    return deploy.quantize(x, deploy.Grid(scale, zero)), scale.item(), zero.item()


@right("15-quantize")
def quantize_with_numpy(x, low, high):
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = (high - low) / 255
    zero = np.rint(-128 - low / scale).astype(int)
    return np.clip(np.rint(x.numpy() / scale + zero), -128, 127).astype(np.int8), scale, zero


@right("15-quantize")
def quantize_to_the_nearest_place(x, low, high):
    scale = (max(high, 0) - min(low, 0)) / 255
    zero = min(range(-128, 128), key=lambda place: abs((place + 128) * scale + min(low, 0)))
    places = (torch.arange(-128, 128) - zero) * scale
    return (x[:, None] - places).abs().argmin(dim=1) - 128, scale, zero


def on_grid(x, scale, zero):
    return ((x / scale).round() + zero).clamp(-128, 127).to(torch.int8), scale, zero


@wrong("15-quantize", "Widen it")
def quantize_without_zero(x, low, high):
    scale = (high - low) / 255
    return on_grid(x, scale, round(-128 - low / scale))


@wrong("15-quantize", "range is taken from x")
def quantize_by_own_range(x, low, high):
    return quantize_by_library(x, float(x.min()), float(x.max()))


@wrong("15-quantize", "grid is symmetric")
def quantize_symmetric(x, low, high):
    return on_grid(x, max(-low, high) / 127, 0)


@wrong("15-quantize", "counted from low")
def quantize_from_low(x, low, high):
    _, scale, zero = quantize_by_library(x, low, high)
    return ((x - min(low, 0)) / scale).round().sub(128).clamp(-128, 127).to(torch.int8), scale, zero


@wrong("15-quantize", "divided by 256")
def quantize_with_256_steps(x, low, high):
    scale = (max(high, 0) - min(low, 0)) / 256
    return on_grid(x, scale, round(-128 - min(low, 0) / scale))


@wrong("15-quantize", "those of uint8")
def quantize_unsigned(x, low, high):
    _, scale, zero = quantize_by_library(x, low, high)
    return ((x / scale).round() + zero + 128).clamp(0, 255).int(), scale, zero + 128


@wrong("15-quantize", "Nothing is clamped")
def quantize_unclamped(x, low, high):
    _, scale, zero = quantize_by_library(x, low, high)
    return ((x / scale).round().int() + zero).to(torch.int8), scale, zero


@wrong("15-quantize", "towards 0")
def quantize_truncated(x, low, high):
    _, scale, zero = quantize_by_library(x, low, high)
    return ((x / scale).int() + zero).clamp(-128, 127), scale, zero


@wrong("15-quantize", "numbers that the places stand for")
def quantize_and_back(x, low, high):
    values, scale, zero = quantize_by_library(x, low, high)
    return (values.int() - zero) * scale, scale, zero


# --- 15-per-channel -----------------------------------------------------------------------------------------------


@right("15-per-channel")
def channels_with_loops(weight):
    rows = []
    for row in weight.tolist():
        scale = max(abs(number) for number in row) / 127 or 1.0
        values = [round(number / scale) for number in row]
        rows.append(([scale], values, [scale * value for value in values]))
    return [torch.tensor(part) for part in zip(*rows, strict=True)]


@right("15-per-channel")
def channels_with_numpy(weight):
    top = np.abs(weight.numpy()).max(axis=1, keepdims=True)
    scale = np.where(top == 0, 1, top / 127)
    values = np.rint(weight.numpy() / scale).astype(np.int8)
    return scale, values, values * scale


def on_scale(weight, scale):
    scale = torch.where(scale == 0, 1.0, scale)
    values = (weight / scale).round().clamp(-128, 127).to(torch.int8)
    return scale, values, values * scale


def largest(weight):
    return weight.abs().max(dim=1, keepdim=True).values


@wrong("15-per-channel", "share the grid")
def channels_of_one_grid(weight):
    return on_scale(weight, weight.abs().max().expand(len(weight), 1) / 127)


@wrong("15-per-channel", "Sizes count")
def channels_of_positive_numbers(weight):
    return on_scale(weight, weight.max(dim=1, keepdim=True).values / 127)


@wrong("15-per-channel", "divided by 128")
def channels_of_128(weight):
    return on_scale(weight, largest(weight) / 128)


@wrong("15-per-channel", "divided by 255")
def channels_of_255(weight):
    return on_scale(weight, largest(weight) / 255)


@wrong("15-per-channel", "has the scale 0")
def channels_without_care(weight):
    scale = largest(weight) / 127
    values = (weight / scale).round()
    return scale, values, values * scale


@wrong("15-per-channel", "weight itself")
def channels_unchanged(weight):
    return (*on_scale(weight, largest(weight) / 127)[:2], weight)


@wrong("15-per-channel", "upside down")
def channels_upside_down(weight):
    scale, values, restored = on_scale(weight, largest(weight) / 127)
    return 1 / scale, values, restored


# --- 15-prune -----------------------------------------------------------------------------------------------------


@right("15-prune")
def prune_by_library(weight, amount):
    return deploy.magnitude_mask(weight, amount=amount)


@right("15-prune")
def prune_by_rank(weight, amount):
    rank = weight.abs().flatten().argsort(stable=True).argsort()
    return (rank >= round(amount * len(rank))).view_as(weight)


@right("15-prune")
def prune_with_python(weight, amount):
    sizes = weight.abs().flatten().tolist()
    gone = set(sorted(range(len(sizes)), key=sizes.__getitem__)[: round(amount * len(sizes))])
    return torch.tensor([place not in gone for place in range(len(sizes))]).reshape(weight.shape)


@wrong("15-prune", "Sizes count")
def prune_negative(weight, amount):
    rank = weight.flatten().argsort(stable=True).argsort()
    return (rank >= round(amount * len(rank))).view_as(weight)


@wrong("15-prune", "turned round")
def prune_turned(weight, amount):
    return prune_by_rank(weight, amount).logical_not()


@wrong("15-prune", "The share `amount` stays")
def prune_the_rest(weight, amount):
    rank = weight.abs().flatten().argsort(stable=True).argsort()
    return (rank >= len(rank) - round(amount * len(rank))).view_as(weight)


@wrong("15-prune", "border go")
def prune_all_ties(weight, amount):
    count = round(amount * weight.numel())
    if count == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    return weight.abs() > weight.abs().flatten().kthvalue(count).values


@wrong("15-prune", "Of equal sizes the last go")
def prune_the_last(weight, amount):
    sizes = weight.abs().flatten().numpy()
    order = np.argsort(-sizes, kind="stable")
    keep = np.zeros(len(sizes), dtype=bool)
    keep[order[: len(sizes) - round(amount * len(sizes))]] = True
    return keep.reshape(weight.shape)


@wrong("15-prune", "compared with the sizes")
def prune_by_border(weight, amount):
    return ~(weight.abs() < amount)


@wrong("15-prune", "pruned weight")
def prune_the_weight(weight, amount):
    return weight.where(prune_by_rank(weight, amount), 0.0)


# --- 15-distill ---------------------------------------------------------------------------------------------------


@right("15-distill")
def distill_by_library(student, teacher, temperature):
    return deploy.soft_loss(student, teacher, temperature=temperature).mean()


@right("15-distill")
def distill_with_kl_div(student, teacher, temperature):
    p, q = F.log_softmax(teacher / temperature, 1), F.log_softmax(student / temperature, 1)
    return F.kl_div(q, p, reduction="batchmean", log_target=True) * temperature**2


@right("15-distill")
def distill_as_a_difference(student, teacher, temperature):
    target = (teacher.double() / temperature).softmax(dim=1)
    log_q, log_p = ((each.double() / temperature).log_softmax(dim=1) for each in (student, teacher))
    return temperature**2 * ((target * log_p).sum() - (target * log_q).sum()) / len(student)


def kl_of(p_logits, q_logits, **options):
    options = {"reduction": "batchmean", **options}
    return F.kl_div(q_logits.log_softmax(1), p_logits.log_softmax(1), log_target=True, **options)


@wrong("15-distill", "T² is missing")
def distill_without_factor(student, teacher, temperature):
    return kl_of(teacher / temperature, student / temperature)


@wrong("15-distill", "The factor is T.")
def distill_times_t(student, teacher, temperature):
    return temperature * kl_of(teacher / temperature, student / temperature)


@wrong("15-distill", "exchanged")
def distill_exchanged(student, teacher, temperature):
    return temperature**2 * kl_of(student / temperature, teacher / temperature)


@wrong("15-distill", "Only the teacher is softened")
def distill_soft_teacher(student, teacher, temperature):
    return temperature**2 * kl_of(teacher / temperature, student)


@wrong("15-distill", "cross-entropy")
def distill_cross_entropy(student, teacher, temperature):
    return temperature**2 * F.cross_entropy(student / temperature, (teacher / temperature).softmax(1))


@wrong("15-distill", "batchmean")
def distill_mean_of_all(student, teacher, temperature):
    return temperature**2 * kl_of(teacher / temperature, student / temperature, reduction="none").mean()


@wrong("15-distill", "added up")
def distill_summed(student, teacher, temperature):
    return temperature**2 * kl_of(teacher / temperature, student / temperature, reduction="sum")


@wrong("15-distill", "log_softmax")
def distill_with_logarithms(student, teacher, temperature):
    p, q = F.softmax(teacher / temperature, 1), F.softmax(student / temperature, 1)
    return temperature**2 * (p * p.log() - p * q.log()).sum() / len(p)


# --- 15-count -----------------------------------------------------------------------------------------------------


@right("15-count")
def count_by_library(tokens, width, heads):
    block = Block(width, heads).to("meta")
    return deploy.count_operations(block, torch.zeros(1, tokens, width, device="meta")).total


@right("15-count")
def count_by_heads(tokens, width, heads):
    inside = width // heads
    each = tokens * tokens * inside + tokens * tokens * inside
    return tokens * (4 * width * width + width * 4 * width + 4 * width * width) + heads * each


@right("15-count")
def count_of_a_token(tokens, width, heads):
    return tokens * sum((12 * width**2, 2 * tokens * width))


@wrong("15-count", "T² part is missing")
def count_maps_alone(tokens, width, heads):
    return 12 * tokens * width**2


@wrong("15-count", "Only the scores")
def count_without_values(tokens, width, heads):
    return 12 * tokens * width**2 + tokens**2 * width


@wrong("15-count", "multiplied by the heads")
def count_times_heads(tokens, width, heads):
    return 12 * tokens * width**2 + heads * 2 * tokens**2 * width


@wrong("15-count", "behind the heads is left out")
def count_three_maps(tokens, width, heads):
    return 11 * tokens * width**2 + 2 * tokens**2 * width


@wrong("15-count", "twice as many")
def count_both(tokens, width, heads):
    return 24 * tokens * width**2 + 4 * tokens**2 * width


@wrong("15-count", "numbers in the weights")
def count_weights(tokens, width, heads):
    return 12 * width**2


# --- 15-sharded-step ----------------------------------------------------------------------------------------------


@right("15-sharded-step")
def step_with_chunks(rank, weights, gradients, counts, momentum, lr, beta):
    share = counts / counts.sum()
    own = torch.stack([each.chunk(len(counts))[rank] for each in gradients])
    new = momentum * beta + share @ own
    return torch.chunk(weights, len(counts))[rank] - new * lr, new


@right("15-sharded-step")
def step_with_loops(rank, weights, gradients, counts, momentum, lr, beta):
    size, total = len(momentum), int(counts.sum())
    new, own = [], []
    for place in range(size):
        here = rank * size + place
        sums = sum(int(count) * float(each[here]) for count, each in zip(counts, gradients, strict=True))
        new.append(beta * float(momentum[place]) + sums / total)
        own.append(float(weights[here]) - lr * new[-1])
    return own, new


@right("15-sharded-step")
def step_by_torch(rank, weights, gradients, counts, momentum, lr, beta):
    size = len(momentum)
    own = weights[rank * size : (rank + 1) * size].clone().requires_grad_()
    optimizer = torch.optim.SGD([own], lr=lr, momentum=beta)
    optimizer.state[own]["momentum_buffer"] = momentum.clone()
    own.grad = mean_of_samples(gradients, counts)[rank * size : (rank + 1) * size]
    optimizer.step()
    return own.detach(), optimizer.state[own]["momentum_buffer"]


def mean_of_samples(gradients, counts):
    return torch.from_numpy(np.average(gradients.numpy(), axis=0, weights=counts.numpy())).float()


def stepped(rank, weights, mean, momentum, lr, beta):
    size = len(momentum)
    new = beta * momentum + mean.view(-1, size)[rank]
    return weights.view(-1, size)[rank] - lr * new, new


@wrong("15-sharded-step", "counts the same")
def step_of_means(rank, weights, gradients, counts, momentum, lr, beta):
    return stepped(rank, weights, gradients.mean(0), momentum, lr, beta)


@wrong("15-sharded-step", "added up. Of W")
def step_of_sums(rank, weights, gradients, counts, momentum, lr, beta):
    return stepped(rank, weights, gradients.sum(0), momentum, lr, beta)


@wrong("15-sharded-step", "own gradient alone")
def step_alone(rank, weights, gradients, counts, momentum, lr, beta):
    return stepped(rank, weights, gradients[rank], momentum, lr, beta)


@wrong("15-sharded-step", "first share")
def step_of_the_first(rank, weights, gradients, counts, momentum, lr, beta):
    return stepped(0, weights, mean_of_samples(gradients, counts), momentum, lr, beta)


@wrong("15-sharded-step", "dealt out like cards")
def step_of_cards(rank, weights, gradients, counts, momentum, lr, beta):
    new = beta * momentum + mean_of_samples(gradients, counts)[rank :: len(counts)]
    return weights[rank :: len(counts)] - lr * new, new


@wrong("15-sharded-step", "1 − beta")
def step_with_average(rank, weights, gradients, counts, momentum, lr, beta):
    return stepped(rank, weights, (1 - beta) * mean_of_samples(gradients, counts), momentum, lr, beta)


@wrong("15-sharded-step", "given momentum is changed")
def step_in_place(rank, weights, gradients, counts, momentum, lr, beta):
    own, new = stepped(rank, weights, (counts[:, None] * gradients).sum(0) / counts.sum(), momentum, lr, beta)
    momentum.copy_(new)
    return own, momentum


# --- 15-power-law -------------------------------------------------------------------------------------------------


@right("15-power-law")
def law_by_polyfit(sizes, losses, floor):
    slope, height = np.polyfit(np.log(sizes.numpy()), np.log(losses.numpy() - floor), 1)
    return np.exp(height), -slope


@right("15-power-law")
def law_by_lstsq(sizes, losses, floor):
    table = torch.stack([torch.ones_like(sizes), -sizes.log10()], dim=1)
    found = torch.linalg.lstsq(table, (losses - floor).log10()[:, None]).solution.flatten()
    return 10 ** found[0], found[1]


@right("15-power-law")
def law_by_covariance(sizes, losses, floor):
    x, y = sizes.log(), (losses - floor).log()
    table = torch.cov(torch.stack([x, y]))
    exponent = -table[0, 1] / table[0, 0]
    return torch.exp((y + exponent * x).mean()), exponent


def fitted(x, y):
    slope, height = np.polyfit(x.numpy(), y.numpy(), 1)
    return height, slope


@wrong("15-power-law", "E stays in")
def law_with_floor(sizes, losses, floor):
    height, slope = fitted(sizes.log(), losses.log())
    return np.exp(height), -slope


@wrong("15-power-law", "turn the sign")
def law_negative(sizes, losses, floor):
    height, slope = fitted(sizes.log(), (losses - floor).log())
    return np.exp(height), slope


@wrong("15-power-law", "still a logarithm")
def law_with_a_logarithm(sizes, losses, floor):
    height, slope = fitted(sizes.log(), (losses - floor).log())
    return height, -slope


@wrong("15-power-law", "base 10")
def law_of_two_bases(sizes, losses, floor):
    height, slope = fitted(sizes.log10(), (losses - floor).log10())
    return np.exp(height), -slope


@wrong("15-power-law", "first and the last point")
def law_of_ends(sizes, losses, floor):
    ends = torch.tensor([0, -1])
    return law_by_polyfit(sizes[ends], losses[ends], floor)


@wrong("15-power-law", "exchanged")
def law_exchanged(sizes, losses, floor):
    return law_by_polyfit(sizes, losses, floor)[::-1]


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("15"))


def test_grids_are_those_of_the_library():
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(6, 9, generator=generator) * torch.tensor([1.0, 10.0, 0.1, 3.0, 0.0, 2.0])[:, None]
    scale, values, restored = find("15-per-channel").reference(weight)
    stored = deploy.QuantizedWeight.of(weight)
    assert torch.equal(values, stored.values)
    torch.testing.assert_close(restored, stored())
    torch.testing.assert_close(scale[weight.any(dim=1)], stored.scale[weight.any(dim=1)])
    values, scale, zero_point = find("15-quantize").reference(weight, weight.min().item(), weight.max().item())
    grid = deploy.fit_grid(weight, scheme="affine")
    assert (scale, zero_point) == (pytest.approx(grid.scale.item()), grid.zero_point.item())
    assert (values.int() - deploy.quantize(weight, grid)).abs().max() <= 1  # what lies halfway may go either way


@pytest.mark.parametrize("amount", [0.0, 0.3, 0.71, 1.0])
def test_masks_are_those_of_torch(amount):
    weight = torch.randn(5, 7, generator=torch.Generator().manual_seed(2))
    layer = nn.Linear(7, 5)
    layer.weight.data = weight
    prune.l1_unstructured(layer, "weight", amount=amount)
    assert torch.equal(find("15-prune").reference(weight, amount), layer.weight_mask.bool())


def test_a_soft_loss_has_gradients_of_one_size_at_every_high_temperature():
    """What the factor T² is for: Hinton et al. (2015), equation 4, says what the gradient comes to."""
    student, teacher = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    gap = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
    for temperature in (1e3, 1e4):
        asked = student.clone().requires_grad_()
        find("15-distill").reference(asked, teacher, temperature).backward()
        torch.testing.assert_close(asked.grad, gap / 5 / len(student), rtol=1e-2, atol=1e-3)


def test_the_shares_of_all_processes_are_the_step_of_one():
    generator = torch.Generator().manual_seed(4)
    weights, gradients = torch.randn(12, generator=generator), torch.randn(4, 12, generator=generator)
    counts, reference = torch.tensor([5, 1, 2, 8]), find("15-sharded-step").reference
    one = weights.clone().requires_grad_()
    optimizer = torch.optim.SGD([one], lr=0.1, momentum=0.9)
    momenta = torch.zeros(4, 3)
    for _ in range(3):
        parts = [reference(rank, weights, gradients, counts, momenta[rank], 0.1, 0.9) for rank in range(4)]
        weights, momenta = torch.cat([own for own, _ in parts]), torch.stack([new for _, new in parts])
        one.grad = gradients.repeat_interleave(counts, dim=0).mean(dim=0)
        optimizer.step()
    torch.testing.assert_close(weights, one.detach())


def test_a_law_without_noise_is_found_again():
    sizes = torch.tensor([1e4, 3e5, 2e6, 7e8], dtype=torch.float64)
    assert find("15-power-law").reference(sizes, 1.7 + 400 * sizes**-0.34, 1.7) == pytest.approx((400, 0.34))
