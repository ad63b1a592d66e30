"""Flow matching: lines, the loss and its minimum, guidance, the order of each sampler, the exact field of clouds."""

import doctest
import math
from itertools import pairwise

import pytest
import torch

from mmcourse.flow import (
    EVALUATIONS,
    STEPS,
    GaussianMixture,
    flow_matching_loss,
    guided,
    matching,
    on_line,
    sample,
    trajectory,
)

CENTERS = torch.tensor([[1.0, -1.0], [-1.0, 0.5], [0.5, 1.5]], dtype=torch.float64)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_docstring_examples_run():
    results = doctest.testmod(matching)
    assert results.attempted > 0
    assert results.failed == 0


def test_a_line_leads_from_noise_to_data():
    noise, data = draw(3, 2, 4, 4), draw(3, 2, 4, 4, seed=1)
    line = on_line(noise, data, torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64))
    torch.testing.assert_close(line.place[0], noise[0])
    torch.testing.assert_close(line.place[1], data[1])
    torch.testing.assert_close(line.place[2], 0.75 * noise[2] + 0.25 * data[2])
    later = on_line(noise, data, torch.full((3,), 0.26, dtype=torch.float64)).place
    earlier = on_line(noise, data, torch.full((3,), 0.24, dtype=torch.float64)).place
    torch.testing.assert_close((later - earlier) / 0.02, line.velocity)


@pytest.mark.parametrize(("data", "times"), [((3, 2), (3,)), ((2, 2), (3,)), ((2, 2), (2, 1))])
def test_shapes_that_do_not_fit_are_named(data, times):
    with pytest.raises(ValueError, match=r"noise and data must be alike.*\(2, 2\)"):
        on_line(torch.zeros(2, 2), torch.zeros(data), torch.zeros(times))


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("runge_kutta", 4)])
def test_the_error_of_each_method_falls_with_its_order(method, order):
    """Of several clouds: on the field of one alone the leading error of midpoint steps happens to vanish."""
    field, noise = GaussianMixture(CENTERS, 0.5), draw(200, 2)
    exact = sample(field, noise, steps=1024, method="runge_kutta")
    ends = [sample(field, noise, steps=steps, method=method) for steps in (32, 64, 128)]
    errors = [(end - exact).norm(dim=1).mean().item() for end in ends]
    for before, after in pairwise(errors):
        assert math.log2(before / after) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("method", list(STEPS))
def test_the_flow_to_one_cloud_is_known(method):
    """Noise z ends at center + spread · z."""
    noise = draw(200, 2)
    end = sample(GaussianMixture(CENTERS[:1], 0.3), noise, steps=500, method=method)
    torch.testing.assert_close(end, CENTERS[:1] + 0.3 * noise, atol=5e-3 if method == "euler" else 1e-6, rtol=0)


@pytest.mark.parametrize("method", list(STEPS))
def test_methods_evaluate_as_often_as_they_say_and_at_times_inside(method):
    seen = []

    def velocity(x, times):
        seen.append(times)
        return torch.zeros_like(x)

    states = list(trajectory(velocity, torch.zeros(3, 2), steps=5, method=method))
    assert len(states) == 6
    assert len(seen) == 5 * EVALUATIONS[method]
    assert all(times.shape == (3,) and times.min() >= 0 and times.max() <= 1 for times in seen)


@pytest.mark.parametrize("method", list(STEPS))
def test_a_constant_velocity_is_followed_exactly(method):
    wanted = draw(4, 3)
    end = sample(lambda x, times: wanted, torch.zeros(4, 3, dtype=torch.float64), steps=7, method=method)
    torch.testing.assert_close(end, wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"steps": 1, "method": "rk"}, "one of euler, midpoint, runge"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        sample(lambda x, times: x, torch.zeros(1, 2), **options)


def test_guidance_goes_from_without_to_with_and_beyond():
    wanted, anything = draw(2, 3), draw(2, 3, seed=1)
    x, times = torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for scale, right in ((0, anything), (1, wanted), (3, anything + 3 * (wanted - anything))):
        found = guided(lambda x, times: wanted, lambda x, times: anything, scale)(x, times)
        torch.testing.assert_close(found, right)


@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_the_velocity_of_clouds_is_the_mean_over_all_lines_through_a_place(spread):
    """Brute force: many lines, each weighted by how close its noise would have to be to have come from there."""
    centers = torch.tensor([[1.0, 0.5], [-1.5, 0.0], [0.0, 2.0]], dtype=torch.float64)
    field = GaussianMixture(centers, spread)
    data = field.sample(400_000, generator=torch.Generator().manual_seed(0)).double()
    for place, t in (([0.2, 0.1], 0.3), ([-0.5, 0.6], 0.6)):
        x = torch.tensor([place], dtype=torch.float64)
        noise = (x - t * data) / (1 - t)  # where each line must have begun to pass through x at t
        weights = (-noise.square().sum(dim=1) / 2).softmax(dim=0)
        wanted = weights @ (data - noise)
        found = field(x, torch.tensor([t], dtype=torch.float64))[0]
        torch.testing.assert_close(found, wanted, atol=0.01, rtol=0.01)


def test_clouds_are_carried_to_clouds():
    centers = torch.tensor([[3.0, 0.0], [-3.0, 0.0]], dtype=torch.float64)
    end = sample(GaussianMixture(centers, 0.5), draw(4_000, 2), steps=100, method="midpoint")
    right = end[end[:, 0] > 0]
    assert len(right) / len(end) == pytest.approx(0.5, abs=0.04)
    torch.testing.assert_close(right.mean(dim=0), centers[0], atol=0.06, rtol=0)
    torch.testing.assert_close(right.std(dim=0), torch.full((2,), 0.5, dtype=torch.float64), atol=0.04, rtol=0)


def test_without_spread_every_path_ends_in_a_center():
    centers = draw(5, 2, seed=3)
    end = sample(GaussianMixture(centers, 0.0), draw(50, 2), steps=400)
    assert torch.cdist(end, centers).min(dim=1).values.max() < 1e-6


def test_no_velocity_has_a_smaller_loss_than_the_exact_one():
    field = GaussianMixture(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]), 0.4)
    data = field.sample(100_000, generator=torch.Generator().manual_seed(1))

    def value(velocity):
        return flow_matching_loss(velocity, data, generator=torch.Generator().manual_seed(2)).item()

    exact = value(field)
    assert exact > 0.5
    assert value(lambda x, times: field(x, times) + 0.1) == pytest.approx(exact + 0.01, abs=0.003)
    assert value(lambda x, times: 0.9 * field(x, times)) > exact
    assert value(lambda x, times: torch.zeros_like(x)) > exact


def test_clouds_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"centers \(K, D\)"):
        GaussianMixture(torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="spread of at least 0"):
        GaussianMixture(torch.zeros(3, 2), -1.0)
