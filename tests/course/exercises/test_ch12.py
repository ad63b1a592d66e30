"""Chapter 12's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math

import numpy as np
import pytest
import torch
from answers import Answers

from mmcourse import flow
from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 12-on-line ---------------------------------------------------------------------------------------------------


@right("12-on-line")
def line_by_library(noise, data, times):
    return flow.on_line(noise, data, times)


@right("12-on-line")
def line_sample_by_sample(noise, data, times):
    places = [torch.lerp(a, b, t.item()) for a, b, t in zip(noise, data, times, strict=True)]
    return [torch.stack(places), data - noise]


@right("12-on-line")
def line_in_numpy(noise, data, times):
    t = times.numpy().reshape(len(times), *([1] * (noise.ndim - 1)))
    return noise.numpy() + t * (data - noise).numpy(), (data - noise).numpy()


@wrong("12-on-line", "other way round")
def line_backwards(noise, data, times):
    return flow.on_line(data, noise, times).place, data - noise


@wrong("12-on-line", "points from data to noise")
def line_pointing_back(noise, data, times):
    return flow.on_line(noise, data, times).place, -(data - noise)


@wrong("12-on-line", "first the places")
def line_swapped(noise, data, times):
    return flow.on_line(noise, data, times)[::-1]


@wrong("12-on-line", "way that is left")
def line_left(noise, data, times):
    place = flow.on_line(noise, data, times).place
    return place, data - place


# --- 12-cloud-velocity --------------------------------------------------------------------------------------------


@right("12-cloud-velocity")
def cloud_by_library(x, t, center, spread):
    return flow.GaussianMixture(center[None], spread)(x, torch.full((len(x),), t))


@right("12-cloud-velocity")
def cloud_by_expectations(x, t, center, spread):
    variance = (1 - t) ** 2 + t**2 * spread**2
    noise = (1 - t) / variance * (x - t * center)  # its mean, given x
    data = center + t * spread**2 / variance * (x - t * center)
    return data - noise


@wrong("12-cloud-velocity", "straight to the center")
def cloud_to_center(x, t, center, spread):
    return (center[None] - x) / (1 - t)


@wrong("12-cloud-velocity", "Divide by the variance")
def cloud_by_deviation(x, t, center, spread):
    rate = (t * spread**2 - (1 - t)) / math.sqrt((1 - t) ** 2 + (t * spread) ** 2)
    return center + rate * (x - t * center)


@wrong("12-cloud-velocity", "around t·c")
def cloud_from_center(x, t, center, spread):
    return center + (t * spread**2 - (1 - t)) / ((1 - t) ** 2 + (t * spread) ** 2) * (x - center)


@wrong("12-cloud-velocity", "covariance has the wrong sign before the noise")
def cloud_of_sums(x, t, center, spread):
    return center + (t * spread**2 + 1 - t) / ((1 - t) ** 2 + (t * spread) ** 2) * (x - t * center)


# --- 12-midpoint-step ---------------------------------------------------------------------------------------------


@right("12-midpoint-step")
def midpoint_by_library(velocity, x, t, h):
    return flow.midpoint_step(velocity, x, t, h)


@right("12-midpoint-step")
def midpoint_with_ones(velocity, x, t, h):
    times = t * torch.ones(x.shape[0])
    return x + velocity(x + velocity(x, times) * h * 0.5, times + h * 0.5) * h


@wrong("12-midpoint-step", "Euler step")
def midpoint_euler(velocity, x, t, h):
    return flow.euler_step(velocity, x, t, h)


@wrong("12-midpoint-step", "Heun")
def midpoint_heun(velocity, x, t, h):
    start, end = torch.full((len(x),), t), torch.full((len(x),), t + h)
    first = velocity(x, start)
    return x + h * (first + velocity(x + h * first, end)) / 2


@wrong("12-midpoint-step", "time of the beginning")
def midpoint_without_clock(velocity, x, t, h):
    times = torch.full((len(x),), t)
    return x + h * velocity(x + h / 2 * velocity(x, times), times)


@wrong("12-midpoint-step", "Only half a step")
def midpoint_half(velocity, x, t, h):
    return x + (flow.midpoint_step(velocity, x, t, h) - x) / 2


# --- 12-order -----------------------------------------------------------------------------------------------------


@right("12-order")
def order_by_polyfit(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@right("12-order")
def order_by_lstsq(steps, errors):
    rows = torch.tensor([[math.log(n), 1.0] for n in steps], dtype=torch.float64)
    wanted = torch.tensor(errors, dtype=torch.float64).log()[:, None]
    return -torch.linalg.lstsq(rows, wanted).solution[0, 0]


@right("12-order")
def order_in_log2(steps, errors):
    x, y = [math.log2(n) for n in steps], [math.log2(e) for e in errors]
    middle, height = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - middle) * (b - height) for a, b in zip(x, y, strict=True))
    return -above / sum((a - middle) ** 2 for a in x)


@wrong("12-order", "positive number")
def order_negative(steps, errors):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


@wrong("12-order", "No logarithm")
def order_without_log(steps, errors):
    return -np.polyfit(steps, errors, 1)[0]


@wrong("12-order", "first and the last")
def order_of_ends(steps, errors):
    return math.log(errors[0] / errors[-1]) / math.log(steps[-1] / steps[0])


@wrong("12-order", "exchanged")
def order_exchanged(steps, errors):
    return -np.polyfit(np.log(errors), np.log(steps), 1)[0]


# --- 12-guided ----------------------------------------------------------------------------------------------------


@right("12-guided")
def guided_as_mixture(conditional, unconditional, scale):
    return scale * conditional + (1 - scale) * unconditional


@right("12-guided")
def guided_by_library(conditional, unconditional, scale):
    return flow.guided(lambda x, t: conditional, lambda x, t: unconditional, scale)(conditional, torch.zeros(1))


@right("12-guided")
def guided_by_lerp(conditional, unconditional, scale):
    return torch.lerp(unconditional, conditional, scale)


@wrong("12-guided", "scale = 1 + w")
def guided_of_the_paper(conditional, unconditional, scale):
    return (1 + scale) * conditional - scale * unconditional


@wrong("12-guided", "exchanged")
def guided_exchanged(conditional, unconditional, scale):
    return scale * unconditional + (1 - scale) * conditional


@wrong("12-guided", "Scale the difference")
def guided_scaled(conditional, unconditional, scale):
    return conditional * scale


@wrong("12-guided", "Beyond 1 guidance begins")
def guided_at_most_one(conditional, unconditional, scale):
    return unconditional + min(1, scale) * (conditional - unconditional)


# --- 12-drop-captions ---------------------------------------------------------------------------------------------


@right("12-drop-captions")
def drop_with_a_loop(texts, chances, share):
    kept = list(texts)
    for row in (chances < share).nonzero().flatten().tolist():
        kept[row] = ""
    return kept


@right("12-drop-captions")
def drop_by_multiplying(texts, chances, share):
    return tuple(text * bool(chance >= share) for text, chance in zip(texts, chances, strict=True))


@wrong("12-drop-captions", "wrong ones")
def drop_turned(texts, chances, share):
    return [text if drop else "" for text, drop in zip(texts, chances < share, strict=True)]


@wrong("12-drop-captions", "missing from the list")
def drop_removed(texts, chances, share):
    return [text for row, text in enumerate(texts) if chances[row] >= share]


@wrong("12-drop-captions", "None")
def drop_none(texts, chances, share):
    return [None if chances[row] < share else text for row, text in enumerate(texts)]


@wrong("12-drop-captions", "first chance decides")
def drop_all_or_none(texts, chances, share):
    return [""] * len(texts) if chances[0] < share else texts


# --- 12-nearest-training ------------------------------------------------------------------------------------------


@right("12-nearest-training")
def nearest_with_a_loop(drawn, training):
    numbers, distances = [], []
    for picture in drawn.float():
        row = [((picture - other) ** 2).mean().sqrt().item() for other in training.float()]
        numbers.append(row.index(min(row)))
        distances.append(min(row))
    return torch.tensor(numbers), torch.tensor(distances)


@right("12-nearest-training")
def nearest_in_numpy(drawn, training):
    gap = drawn.numpy().astype(float)[:, None] - training.numpy().astype(float)
    table = np.sqrt((gap**2).mean(axis=(2, 3, 4)))
    return table.argmin(axis=1), table.min(axis=1)


@right("12-nearest-training")
def nearest_by_cdist(drawn, training):
    ours, theirs = drawn.flatten(1).double(), training.flatten(1).double()
    far = torch.cdist(ours, theirs, compute_mode="donot_use_mm_for_euclid_dist") / ours.shape[1] ** 0.5
    return far.argmin(dim=1), far.amin(dim=1)


@wrong("12-nearest-training", "wrap round")
def nearest_in_uint8(drawn, training):
    gap = (training - drawn[:, None]).double().flatten(2)
    return (table := gap.square().mean(dim=2).sqrt()).argmin(dim=1), table.amin(dim=1)


@wrong("12-nearest-training", "root is missing")
def nearest_squared(drawn, training):
    gap = drawn.double()[:, None] - training.double()
    return (table := gap.square().flatten(2).mean(dim=2)).argmin(dim=1), table.amin(dim=1)


@wrong("12-nearest-training", "not averaged")
def nearest_summed(drawn, training):
    far = torch.cdist(drawn.flatten(1).double(), training.flatten(1).double())
    return far.argmin(dim=1), far.amin(dim=1)


@wrong("12-nearest-training", "absolute difference")
def nearest_absolute(drawn, training):
    far = (drawn.double()[:, None] - training.double()).abs().flatten(2).mean(dim=2)
    return far.argmin(dim=1), far.amin(dim=1)


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("12"))


def test_the_velocity_of_a_cloud_is_the_mean_over_lines():
    dice, center = torch.Generator().manual_seed(0), torch.tensor([1.0, -2.0])
    data = center + 0.6 * torch.randn(400_000, 2, generator=dice)
    line = flow.on_line(torch.randn(400_000, 2, generator=dice), data, torch.full((400_000,), 0.5))
    near = (line.place - torch.tensor([0.3, -0.8])).norm(dim=1) < 0.1
    known = find("12-cloud-velocity").reference(torch.tensor([[0.3, -0.8]]), 0.5, center, 0.6)[0]
    torch.testing.assert_close(line.velocity[near].mean(dim=0), known, rtol=0, atol=0.06)


def test_the_order_of_midpoint_steps_is_two():
    field = flow.GaussianMixture(torch.tensor([[2.0, 0.0], [-1.0, 1.5]], dtype=torch.float64), 0.5)
    start = torch.randn(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth = flow.sample(field, start, steps=800, method="runge_kutta")
    errors = []
    for count in (64, 128, 256):
        x = start
        for step in range(count):
            x = find("12-midpoint-step").reference(field, x, step / count, 1 / count)
        errors.append((x - truth).norm().item())
    assert find("12-order").reference([64, 128, 256], errors) == pytest.approx(2, abs=0.2)
