"""Wrong answers that once passed: each is rejected, beside the checks of the notebook and on fresh draws."""

import pytest
import torch
from torch import nn

from mmcourse.course.exercise import grade
from mmcourse.course.exercises import find
from mmcourse.course.grading.judge.judge import with_inputs


def lse_shifted_by_the_mean(z):
    shift = z.mean(dim=-1, keepdim=True)
    return (z - shift).exp().sum(dim=-1).log() + shift.squeeze(-1)


def lse_shifted_by_the_first(z):
    return (z - z[..., :1]).exp().sum(dim=-1).log() + z[..., 0]


def calibration_without_the_clamp(probabilities, targets, bins):
    confidence, guess = probabilities.max(dim=1)
    place, right, total = (confidence * bins).long(), (guess == targets).float(), 0.0
    for number in range(bins):
        held = place == number
        if held.any():
            total += held.float().mean() * (confidence[held].mean() - right[held].mean()).abs()
    return total


def features_that_take_the_head_off_for_good(network, images):
    network.eval()
    network[-1] = nn.Identity()
    with torch.no_grad():
        return network(images)


def features_that_change_the_weights(network, images):
    network.eval()
    with torch.no_grad():
        features = network[:-1](images)
        network[0].weight.zero_()
    return features


def mask_filled_with_minus_20(q, k, v, mask):
    scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask, -20)
    return (scores.softmax(dim=-1) * mask) @ v


SURVIVORS = [
    ("02-log-sum-exp", lse_shifted_by_the_mean),
    ("02-log-sum-exp", lse_shifted_by_the_first),
    ("02-calibration-error", calibration_without_the_clamp),
    ("04-frozen-features", features_that_take_the_head_off_for_good),
    ("04-frozen-features", features_that_change_the_weights),
    ("01-masked-attention", mask_filled_with_minus_20),
]


@pytest.mark.parametrize(("exercise", "answer"), SURVIVORS, ids=[answer.__name__ for _, answer in SURVIVORS])
def test_it_survives_no_more(exercise, answer):
    assert grade(find(exercise), answer).status in ("wrong", "error")
    for draw in range(5):
        assert grade(with_inputs(find(exercise), f"draw {draw}"), answer).status in ("wrong", "error")
