"""Chapter 12's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math
import random

import numpy as np
import pytest
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse import flow
from mmcourse.course.exercise import grade
from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 12-on-line ---------------------------------------------------------------------------------------------------


@right("12-on-line")
def line_by_library(noise, data, times):
    return flow.on_line(noise, data, times)


@right("12-on-line")
def line_with_lerp(noise, data, times):
    t = times[(...,) + (None,) * (noise.dim() - 1)]
    return torch.lerp(noise, data, t.expand_as(noise)), data - noise


@right("12-on-line")
def line_one_at_a_time(noise, data, times):
    places = [a + t * (b - a) for a, b, t in zip(noise, data, times.tolist(), strict=True)]
    return torch.stack(places), torch.sub(data, noise)


@right("12-on-line")
def line_turned_over(noise, data, times):
    noise, data = noise.movedim(0, -1), data.movedim(0, -1)
    return (noise + times * (data - noise)).movedim(-1, 0), (data - noise).movedim(-1, 0)


def stretched(times, like):
    return times.view(len(times), *(1 for _ in like.shape[1:])).expand_as(like)


@wrong("12-on-line", "other way")
def line_backwards(noise, data, times):
    t = stretched(times, noise)
    return data + t * (noise - data), data - noise


@wrong("12-on-line", "last axis")
def line_along_the_columns(noise, data, times):
    return noise * (1 - times) + data * times, data - noise


@wrong("12-on-line", "(B, 1)", "rows")
def line_for_tables_only(noise, data, times):
    t = times.unsqueeze(1)
    return (1 - t) * noise + t * data, data - noise


@wrong("12-on-line", "(B, 1, 1, 1)", "blow up")
def line_for_pictures_only(noise, data, times):
    t = times[:, None, None, None]
    return noise + t * (data - noise), data - noise


@wrong("12-on-line", "points from data to noise")
def line_with_the_other_sign(noise, data, times):
    return line_with_lerp(noise, data, times)[0], noise - data


@wrong("12-on-line", "multiplied by the time")
def line_with_a_growing_velocity(noise, data, times):
    return line_with_lerp(noise, data, times)[0], stretched(times, data) * data - stretched(times, data) * noise


@wrong("12-on-line", "way that is left, from")
def line_with_what_is_left(noise, data, times):
    place, _ = line_with_lerp(noise, data, times)
    return place, data - place


@wrong("12-on-line", "0 / 0 at time 1")
def line_divided_by_what_is_left(noise, data, times):
    t = stretched(times, noise)
    place = (1 - t) * noise + t * data
    return place, (data - place) / (1 - t)


@wrong("12-on-line", "path is bent")
def line_that_is_bent(noise, data, times):
    t = stretched(times, noise)
    return t**0.5 * data + (1 - t) ** 0.5 * noise, data - noise


@wrong("12-on-line", "place alone")
def line_without_velocity(noise, data, times):
    return line_with_lerp(noise, data, times)[0]


@wrong("12-on-line", "other order")
def line_swapped(noise, data, times):
    return tuple(reversed(line_with_lerp(noise, data, times)))


# --- 12-cloud-velocity --------------------------------------------------------------------------------------------


@right("12-cloud-velocity")
def cloud_by_library(x, t, center, spread):
    return flow.GaussianMixture(center[None], spread)(x, torch.full((len(x),), t))


@right("12-cloud-velocity")
def cloud_by_expected_data(x, t, center, spread):
    """Where the data are expected, less where the noise is expected."""
    variance = (1 - t) ** 2 + (t * spread) ** 2
    away = (x - t * center) / variance
    return (center + t * spread**2 * away) - (1 - t) * away


@right("12-cloud-velocity")
def cloud_by_time_left(x, t, center, spread):
    x, center = x.double(), center.double()
    data = center + t * spread**2 * (x - t * center) / ((1 - t) ** 2 + (t * spread) ** 2)
    return (data - x) / (1 - t)


@right("12-cloud-velocity")
def cloud_by_derivative(x, t, center, spread):
    """The rate as the derivative of the logarithm of the standard deviation."""
    time = torch.tensor(t, dtype=torch.float64, requires_grad=True)
    (((1 - time) ** 2 + (time * spread) ** 2).log() / 2).backward()
    return center + time.grad.item() * (x - t * center)


def cloud(x, t, center, rate):
    return center * (1 - rate * t) + rate * x


def cloud_variance(t, spread):
    return 1 - 2 * t + t * t + t * t * spread * spread


@wrong("12-cloud-velocity", "variance has spread where")
def cloud_with_spread_in_the_variance(x, t, center, spread):
    return cloud(x, t, center, (t * spread**2 - 1 + t) / ((1 - t) ** 2 + t**2 * spread))


@wrong("12-cloud-velocity", "standard deviations are added")
def cloud_of_added_deviations(x, t, center, spread):
    return cloud(x, t, center, (t * spread**2 - 1 + t) / (1 - t + t * spread) ** 2)


@wrong("12-cloud-velocity", "not squared")
def cloud_of_plain_weights(x, t, center, spread):
    return cloud(x, t, center, (t * spread**2 - 1 + t) / (1 - t + t * spread**2))


@wrong("12-cloud-velocity", "with a minus")
def cloud_of_growing_noise(x, t, center, spread):
    return cloud(x, t, center, (t * spread**2 + 1 - t) / cloud_variance(t, spread))


@wrong("12-cloud-velocity", "rate has spread where")
def cloud_with_spread_in_the_rate(x, t, center, spread):
    return cloud(x, t, center, (t * spread - 1 + t) / cloud_variance(t, spread))


@wrong("12-cloud-velocity", "half as fast")
def cloud_twice_as_fast(x, t, center, spread):
    return cloud(x, t, center, (2 * t * spread**2 - 2 * (1 - t)) / cloud_variance(t, spread))


@wrong("12-cloud-velocity", "t·center")
def cloud_around_its_end(x, t, center, spread):
    return center + (t * spread**2 - 1 + t) / cloud_variance(t, spread) * (x - center)


@wrong("12-cloud-velocity", "does not move")
def cloud_that_stays(x, t, center, spread):
    return (x - t * center) * ((t * spread**2 - 1 + t) / cloud_variance(t, spread))


@wrong("12-cloud-velocity", "as if every line ended there")
def cloud_to_the_center(x, t, center, spread):
    return center / (1 - t) - x / (1 - t)


@wrong("12-cloud-velocity", "time that is left")
def cloud_without_the_time_left(x, t, center, spread):
    return (1 - t) * cloud_by_expected_data(x, t, center, spread)


# --- 12-midpoint-step ---------------------------------------------------------------------------------------------


@right("12-midpoint-step")
def midpoint_by_library(velocity, x, t, h):
    return flow.midpoint_step(velocity, x, t, h)


@right("12-midpoint-step")
def midpoint_with_slopes(velocity, x, t, h):
    times = x.new_full((x.shape[0],), t)
    first = velocity(x, times)
    second = velocity(x + 0.5 * h * first, times + 0.5 * h)
    return x + second * h


@right("12-midpoint-step")
def midpoint_by_two_euler_steps(velocity, x, t, h):
    half = flow.euler_step(velocity, x, t, h / 2)
    return x + 2 * (flow.euler_step(velocity, half, t + h / 2, h / 2) - half)


@right("12-midpoint-step")
def midpoint_row_by_row(velocity, x, t, h):
    rows = []
    for row in x.split(1):
        middle = row + h / 2 * velocity(row, torch.tensor([t]))
        rows.append(row + h * velocity(middle, torch.tensor([t + h / 2])))
    return torch.cat(rows)


def moment(x, t):
    return t * torch.ones(len(x))


@wrong("12-midpoint-step", "Euler step")
def midpoint_is_euler(velocity, x, t, h):
    return flow.euler_step(velocity, x, t, h)


@wrong("12-midpoint-step", "Heun")
def midpoint_is_heun(velocity, x, t, h):
    first = velocity(x, moment(x, t))
    last = velocity(x + h * first, moment(x, t + h))
    return x + h * (first + last) / 2


@wrong("12-midpoint-step", "as if it were still t")
def midpoint_at_the_old_time(velocity, x, t, h):
    times = moment(x, t)
    return x + h * velocity(x + h / 2 * velocity(x, times), times)


@wrong("12-midpoint-step", "time of the end")
def midpoint_at_the_time_of_the_end(velocity, x, t, h):
    return x + h * velocity(flow.euler_step(velocity, x, t, h / 2), moment(x, t + h))


@wrong("12-midpoint-step", "place of the beginning")
def midpoint_at_the_old_place(velocity, x, t, h):
    return x + h * velocity(x, moment(x, t + h / 2))


@wrong("12-midpoint-step", "whole Euler step away")
def midpoint_too_far(velocity, x, t, h):
    return x + h * velocity(flow.euler_step(velocity, x, t, h), moment(x, t + h / 2))


@wrong("12-midpoint-step", "ends in the middle")
def midpoint_half_way(velocity, x, t, h):
    return flow.euler_step(velocity, x, t, h / 2)


@wrong("12-midpoint-step", "begins in the middle")
def midpoint_from_the_middle(velocity, x, t, h):
    return flow.euler_step(velocity, flow.euler_step(velocity, x, t, h / 2), t + h / 2, h)


@wrong("12-midpoint-step", "two Euler steps")
def midpoint_of_averages(velocity, x, t, h):
    first = velocity(x, moment(x, t))
    return x + h * (first + velocity(x + h / 2 * first, moment(x, t + h / 2))) / 2


@wrong("12-midpoint-step", "Runge")
def midpoint_is_runge_kutta(velocity, x, t, h):
    return flow.STEPS["runge_kutta"](velocity, x, t, h)


@pytest.mark.parametrize("times", [lambda x, t: t, lambda x, t: torch.tensor(t)], ids=["a number", "no axis"])
def test_one_time_for_all_is_told(times):
    """A number in place of times (B,) is the commonest slip, and PyTorch's own words would not say what is wanted."""

    def answer(velocity, x, t, h):
        return x + h * velocity(x + h / 2 * velocity(x, times(x, t)), times(x, t + h / 2))

    result = grade(find("12-midpoint-step"), answer)
    assert result.status == "error"
    assert "one time for each row of x, a tensor of shape (7,)" in result.message


# --- 12-order -----------------------------------------------------------------------------------------------------


@right("12-order")
def order_with_polyfit(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@right("12-order")
def order_by_step_size(steps, errors):
    sizes = [1 / count for count in steps]
    return np.polyfit(np.log2(sizes), np.log2(errors), 1)[0]


@right("12-order")
def order_with_lstsq(steps, errors):
    x, y = torch.tensor(steps).double().log10(), torch.tensor(errors, dtype=torch.float64).log10()
    table = torch.stack((x, torch.ones_like(x)), dim=1)
    return -torch.linalg.lstsq(table, y[:, None]).solution[0, 0]


@right("12-order")
def order_by_covariance(steps, errors):
    both = np.cov(np.log(steps), np.log(errors))
    return float(-both[0, 1] / both[0, 0])


@wrong("12-order", "No logarithm")
def order_without_logs(steps, errors):
    return -np.polyfit(steps, errors, 1)[0]


@wrong("12-order", "Only the errors are")
def order_with_logs_of_errors(steps, errors):
    return -np.polyfit(steps, np.log(errors), 1)[0]


@wrong("12-order", "Only the steps are")
def order_with_logs_of_steps(steps, errors):
    return -np.polyfit(np.log(steps), errors, 1)[0]


@wrong("12-order", "other sign")
def order_below_zero(steps, errors):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


@wrong("12-order", "axes are exchanged")
def order_exchanged(steps, errors):
    return -np.polyfit(np.log(errors), np.log(steps), 1)[0]


@wrong("12-order", "first and the last")
def order_of_two_ends(steps, errors):
    return (math.log(errors[0]) - math.log(errors[-1])) / (math.log(steps[-1]) - math.log(steps[0]))


@wrong("12-order", "last two points")
def order_of_the_last_two(steps, errors):
    return math.log2(errors[-2] / errors[-1]) / math.log2(steps[-1] / steps[-2])


@wrong("12-order", "point to point")
def order_of_pairs(steps, errors):
    return -np.mean(np.diff(np.log(errors)) / np.diff(np.log(steps)))


@wrong("12-order", "different bases")
def order_of_two_bases(steps, errors):
    return -np.polyfit(np.log(steps), np.log10(errors), 1)[0]


@wrong("12-order", "through the origin")
def order_through_the_origin(steps, errors):
    x, y = np.log(steps), np.log(errors)
    return -(x * y).sum() / (x**2).sum()


@wrong("12-order", "correlation")
def order_is_correlation(steps, errors):
    return -np.corrcoef(np.log(steps), np.log(errors))[0, 1]


@wrong("12-order", "rounded")
def order_rounded(steps, errors):
    return np.round(order_with_polyfit(steps, errors))


# --- 12-guided ----------------------------------------------------------------------------------------------------


@right("12-guided")
def guided_by_library(conditional, unconditional, scale):
    velocity = flow.guided(lambda x, times: conditional, lambda x, times: unconditional, scale)
    return velocity(conditional, torch.zeros(len(conditional)))


@right("12-guided")
def guided_by_weights(conditional, unconditional, scale):
    return scale * conditional + (1 - scale) * unconditional


@right("12-guided")
def guided_from_the_sentence(conditional, unconditional, scale):
    return conditional + (scale - 1) * (conditional - unconditional)


@right("12-guided")
def guided_with_lerp(conditional, unconditional, scale):
    return torch.lerp(unconditional, conditional, scale)


@wrong("12-guided", "exchanged")
def guided_exchanged(conditional, unconditional, scale):
    return scale * unconditional + (1 - scale) * conditional


@wrong("12-guided", "scale = 1 + w")
def guided_as_in_the_paper(conditional, unconditional, scale):
    return (1 + scale) * conditional - scale * unconditional


@wrong("12-guided", "alone is stretched")
def guided_without_the_other(conditional, unconditional, scale):
    return conditional * scale


@wrong("12-guided", "only what the sentence adds")
def guided_is_a_difference(conditional, unconditional, scale):
    return (conditional - unconditional) * scale


@wrong("12-guided", "counts twice")
def guided_is_a_sum(conditional, unconditional, scale):
    return conditional * scale + unconditional


@wrong("12-guided", "1 − scale")
def guided_less_the_other(conditional, unconditional, scale):
    return conditional * scale - unconditional


@wrong("12-guided", "away from the sentence")
def guided_away(conditional, unconditional, scale):
    return unconditional + scale * (unconditional - conditional)


@wrong("12-guided", "no difference")
def guided_by_nothing(conditional, unconditional, scale):
    return conditional


@wrong("12-guided", "stops at 1")
def guided_up_to_one(conditional, unconditional, scale):
    return torch.lerp(unconditional, conditional, 1.0 if scale > 1 else scale)


@wrong("12-guided", "shortened")
def guided_and_shortened(conditional, unconditional, scale):
    unit = F.normalize(guided_by_weights(conditional, unconditional, scale).flatten(1), dim=1)
    return (unit * conditional.flatten(1).norm(dim=1)[:, None]).reshape(conditional.shape)


@wrong("12-guided", "clamped")
def guided_and_clamped(conditional, unconditional, scale):
    return torch.clamp(guided_by_weights(conditional, unconditional, scale), -1.0, 1.0)


# --- 12-drop-captions ---------------------------------------------------------------------------------------------


@right("12-drop-captions")
def dropped_with_zip(texts, chances, share):
    return ["" if chance < share else text for text, chance in zip(texts, chances, strict=True)]


@right("12-drop-captions")
def dropped_in_a_copy(texts, chances, share):
    kept = list(texts)
    for place in (chances < share).nonzero().flatten().tolist():
        kept[place] = ""
    return kept


@right("12-drop-captions")
def dropped_by_product(texts, chances, share):
    return [text * int(chance >= share) for text, chance in zip(texts, chances.tolist(), strict=True)]


@wrong("12-drop-captions", "What should be dropped is kept")
def dropped_the_others(texts, chances, share):
    return [text if chance < share else "" for text, chance in zip(texts, chances, strict=True)]


@wrong("12-drop-captions", "Below means smaller")
def dropped_at_the_share(texts, chances, share):
    return [text if chance > share else "" for text, chance in zip(texts, chances, strict=True)]


@wrong("12-drop-captions", "no longer fit")
def dropped_out_of_the_list(texts, chances, share):
    return [text for text, chance in zip(texts, chances, strict=True) if chance >= share]


@wrong("12-drop-captions", "tokenizer cannot read")
def dropped_for_none(texts, chances, share):
    return [None if chance < share else text for text, chance in zip(texts, chances, strict=True)]


@wrong("12-drop-captions", "A word stands")
def dropped_for_a_word(texts, chances, share):
    return [text or "<unk>" for text in dropped_with_zip(texts, chances, share)]


@wrong("12-drop-captions", "first sentences of every batch")
def dropped_from_the_front(texts, chances, share):
    count = round(len(texts) * share)
    return [""] * count + texts[count:]


@wrong("12-drop-captions", "same number is dropped")
def dropped_by_rank(texts, chances, share):
    kept = list(texts)
    for place in chances.topk(round(len(texts) * share), largest=False).indices.tolist():
        kept[place] = ""
    return kept


@wrong("12-drop-captions", "whole batch")
def dropped_all_or_nothing(texts, chances, share):
    return [""] * len(texts) if chances[0] < share else list(texts)


@wrong("12-drop-captions", "New random numbers")
def dropped_by_own_dice(texts, chances, share):
    return dropped_with_zip(texts, torch.rand(len(texts)), share)


@wrong("12-drop-captions", "Return the sentences")
def dropped_is_a_mask(texts, chances, share):
    return [bool(chance < share) for chance in chances]


def test_words_dropped_in_place_of_sentences_are_wrong():
    """No message has this one's name: which words are left hangs on its own dice."""
    dice = random.Random(3)

    def answer(texts, chances, share):
        return [" ".join(word for word in text.split() if dice.random() >= share) for text in texts]

    assert grade(find("12-drop-captions"), answer).status == "wrong"


# --- 12-nearest-training ------------------------------------------------------------------------------------------


@right("12-nearest-training")
def nearest_with_cdist(drawn, training):
    drawn, training = drawn.flatten(1).double(), training.flatten(1).double()
    distances = torch.cdist(drawn, training) / drawn.shape[1] ** 0.5
    return distances.argmin(dim=1), distances.amin(dim=1)


@right("12-nearest-training")
def nearest_with_numpy(drawn, training):
    numbers, distances = [], []
    known = training.numpy().astype(np.float64)
    for picture in drawn.numpy():
        own = np.sqrt(((known - picture) ** 2).mean(axis=(1, 2, 3)))
        numbers.append(int(own.argmin()))
        distances.append(own.min())
    return numbers, distances


@right("12-nearest-training")
def nearest_with_whole_numbers(drawn, training):
    squares = torch.stack([(training.long() - picture.long()).square().flatten(1).sum(dim=1) for picture in drawn])
    return squares.argmin(dim=1), (squares.amin(dim=1) / drawn[0].numel()).sqrt()


@right("12-nearest-training")
def nearest_one_by_one(drawn, training):
    rows = [[F.mse_loss(one.float(), known.float()).sqrt().item() for known in training] for one in drawn]
    best = [min(range(len(row)), key=row.__getitem__) for row in rows]
    return torch.tensor(best), torch.tensor([row[number] for row, number in zip(rows, best, strict=True)])


def nearest_by(distances):
    return distances.argmin(dim=1), distances.amin(dim=1)


def root_mean_square(gaps):
    return gaps.double().pow(2).mean(dim=(2, 3, 4)) ** 0.5


@wrong("12-nearest-training", "difference is taken in uint8")
def nearest_wrapped(drawn, training):
    return nearest_by(root_mean_square(drawn[:, None] - training))


@wrong("12-nearest-training", "both wrap round")
def nearest_wrapped_twice(drawn, training):
    return nearest_by(((drawn[:, None] - training) ** 2).float().mean(dim=(2, 3, 4)).sqrt())


@wrong("12-nearest-training", "absolute")
def nearest_absolute(drawn, training):
    return nearest_by((drawn[:, None].float() - training.float()).abs().mean(dim=(2, 3, 4)))


@wrong("12-nearest-training", "root is missing")
def nearest_squared(drawn, training):
    return nearest_by(root_mean_square(drawn[:, None].float() - training.float()) ** 2)


@wrong("12-nearest-training", "added up")
def nearest_summed(drawn, training):
    return nearest_by((drawn[:, None].double() - training).flatten(2).norm(dim=2))


@wrong("12-nearest-training", "first color")
def nearest_in_red(drawn, training):
    return nearest_by(root_mean_square(drawn[:, None, :1].float() - training[:, :1].float()))


@wrong("12-nearest-training", "other way")
def nearest_turned(drawn, training):
    distances = root_mean_square(drawn[:, None].float() - training.float())
    return distances.argmin(dim=0), distances.amin(dim=0)


@wrong("12-nearest-training", "differ most")
def nearest_is_farthest(drawn, training):
    farthest = root_mean_square(drawn[:, None].float() - training.float()).max(dim=1)
    return farthest.indices, farthest.values


@wrong("12-nearest-training", "last one is named")
def nearest_last(drawn, training):
    numbers, distances = nearest_with_cdist(drawn, training.flip(0))
    return len(training) - 1 - numbers, distances


@wrong("12-nearest-training", "divided by 255")
def nearest_in_shares(drawn, training):
    return nearest_by(root_mean_square(drawn[:, None] / 255 - training / 255))


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("12"))


# --- what the answers are good for --------------------------------------------------------------------------------


def test_the_mean_velocity_of_many_lines_is_that_of_the_cloud():
    """Lines that pass near a place, counted out: no formula but the line itself."""
    generator = torch.Generator().manual_seed(1)
    center, spread, t = torch.tensor([1.5]), 0.5, 0.6
    noise = torch.randn(400_000, 1, generator=generator)
    data = center + spread * torch.randn(400_000, 1, generator=generator)
    place, moved = find("12-on-line").reference(noise, data, torch.full((400_000,), t))
    for x in (0.4, 0.9, 1.6):
        near = (place - x).abs()[:, 0] < 0.02
        wanted = find("12-cloud-velocity").reference(torch.tensor([[x]]), t, center, spread).item()
        assert moved[near].mean().item() == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize(("method", "wanted"), [("euler", 1), ("midpoint", 2), ("runge_kutta", 4)])
def test_the_orders_of_the_samplers_are_measured(method, wanted):
    cloud = flow.GaussianMixture(torch.tensor([[1.5, -0.5], [-1.0, 1.0]], dtype=torch.float64), 0.6)
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    exact = flow.sample(cloud, noise, steps=1000, method="runge_kutta")
    steps = [20, 40, 80, 160]
    errors = [(flow.sample(cloud, noise, steps=count, method=method) - exact).square().mean().sqrt() for count in steps]
    assert find("12-order").reference(steps, [error.item() for error in errors]) == pytest.approx(wanted, abs=0.2)


def test_the_share_of_the_captions_is_dropped_and_the_others_stay_in_their_places():
    texts = [str(number) for number in range(5000)]
    chances = torch.rand(5000, generator=torch.Generator().manual_seed(3))
    kept = find("12-drop-captions").reference(texts, chances, 0.15)
    assert kept.count("") / 5000 == pytest.approx(0.15, abs=0.02)
    assert all(after in ("", before) for before, after in zip(texts, kept, strict=True))


def test_a_copy_is_caught_and_a_new_picture_is_not():
    generator = torch.Generator().manual_seed(4)
    training = torch.randint(256, (30, 3, 8, 8), generator=generator, dtype=torch.uint8)
    copies = training[[7, 21]].clone()
    copies[:, 0, 0, 0] ^= 1  # one number is one step off
    new = torch.randint(256, (2, 3, 8, 8), generator=generator, dtype=torch.uint8)
    numbers, distances = find("12-nearest-training").reference(torch.cat((copies, new)), training)
    assert numbers[:2].tolist() == [7, 21]
    assert distances[:2].tolist() == pytest.approx([(1 / 192) ** 0.5] * 2)
    assert distances[2:].min() > 50
