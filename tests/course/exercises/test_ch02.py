"""Chapter 02's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import itertools
import math

import numpy as np
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 02-mean-surprise ---------------------------------------------------------------------------------------------


@right("02-mean-surprise")
def surprise_with_a_loop(probabilities, targets):
    return sum(-math.log(float(row[target])) for row, target in zip(probabilities, targets, strict=True)) / len(targets)


@right("02-mean-surprise")
def surprise_by_torch(probabilities, targets):
    return F.nll_loss(torch.log(probabilities), targets)


@wrong("02-mean-surprise", "sign is missing")
def surprise_negative(probabilities, targets):
    return torch.stack([row[target].log() for row, target in zip(probabilities, targets, strict=True)]).mean()


@wrong("02-mean-surprise", "sum over the samples")
def surprise_summed(probabilities, targets):
    return F.nll_loss(probabilities.log(), targets, reduction="sum")


@wrong("02-mean-surprise", "logarithm of the mean")
def surprise_log_of_mean(probabilities, targets):
    return -torch.log(probabilities[range(len(targets)), targets].sum() / len(targets))


@wrong("02-mean-surprise", "Only the class that really came", "averaged")
def surprise_of_all_classes(probabilities, targets):
    return torch.log(1 / probabilities).sum() / probabilities.numel()


@wrong("02-mean-surprise", "added up")
def surprise_of_all_classes_summed(probabilities, targets):
    return torch.log(1 / probabilities).sum() / len(probabilities)


@wrong("02-mean-surprise", "mean over classes")
def surprise_mean_over_everything(probabilities, targets):
    y = torch.eye(probabilities.shape[1])[targets]
    return torch.mean(-y * torch.log(probabilities))


@wrong("02-mean-surprise", "largest probability")
def surprise_of_the_guess(probabilities, targets):
    return torch.amax(probabilities, 1).reciprocal().log().mean()


@wrong("02-mean-surprise", "bits")
def surprise_in_bits(probabilities, targets):
    return surprise_by_torch(probabilities, targets) / math.log(2)


@wrong("02-mean-surprise", "without a logarithm")
def surprise_linear(probabilities, targets):
    return 1 - probabilities[torch.arange(len(targets)), targets].mean()


@wrong("02-mean-surprise", "probabilities already")
def surprise_softmax_again(probabilities, targets):
    return F.nll_loss(F.log_softmax(probabilities, dim=-1), targets)


# --- 02-log-sum-exp -----------------------------------------------------------------------------------------------


@right("02-log-sum-exp")
def lse_by_torch(z):
    return torch.logsumexp(z, -1)


@right("02-log-sum-exp")
def lse_pair_by_pair(z):
    total = z[..., 0]
    for column in range(1, z.shape[-1]):
        total = torch.logaddexp(total, z[..., column])
    return total


@right("02-log-sum-exp")
def lse_shifted_by_amin_and_softplus(z):
    m = torch.amax(z, dim=-1)
    return torch.log(torch.exp(z - m[..., None]).sum(-1)) + m


@wrong("02-log-sum-exp", "plain formula")
def lse_plain(z):
    return torch.log(torch.sum(torch.exp(z), dim=-1))


@wrong("02-log-sum-exp", "never added again")
def lse_not_restored(z):
    return (z - torch.amax(z, -1, keepdim=True)).exp().sum(-1).log()


@wrong("02-log-sum-exp", "whole tensor")
def lse_one_maximum(z):
    m = torch.max(z)
    return m + torch.log(torch.sum(torch.exp(z - m), -1))


@wrong("02-log-sum-exp", "maximum alone")
def lse_hard(z):
    return torch.amax(z, -1)


@wrong("02-log-sum-exp", "still there, with size 1")
def lse_kept_dimension(z):
    m = z.max(-1, keepdim=True)[0]
    return m + (z - m).exp().sum(-1, keepdim=True).log()


@wrong("02-log-sum-exp", "first dimension")
def lse_first_dimension(z):
    m = torch.amax(z, 0)
    return m + (z - m).exp().sum(0).log()


@wrong("02-log-sum-exp", "mean of the exponentials")
def lse_of_the_mean(z):
    m = torch.amax(z, -1, keepdim=True)
    return (m + (z - m).exp().mean(-1, keepdim=True).log()).squeeze(-1)


@wrong("02-log-sum-exp", "clipped")
def lse_clipped(z):
    return torch.log(torch.exp(torch.clip(z, min=-80, max=80)).sum(-1))


# --- 02-cross-entropy ---------------------------------------------------------------------------------------------


@right("02-cross-entropy")
def ce_by_torch(logits, targets):
    return F.cross_entropy(logits, targets)


@right("02-cross-entropy")
def ce_with_one_hot(logits, targets):
    y = torch.eye(logits.shape[1])[targets]
    z = logits - logits.max(1, keepdim=True)[0]
    return -(y * (z - z.exp().sum(1, keepdim=True).log())).sum(1).mean()


@right("02-cross-entropy")
def ce_as_a_plain_number(logits, targets):
    return sum(float(row.logsumexp(0) - row[t]) for row, t in zip(logits, targets, strict=True)) / len(targets)


@wrong("02-cross-entropy", "finished softmax")
def ce_log_of_softmax(logits, targets):
    return F.nll_loss(torch.log(torch.softmax(logits, -1)), targets)


@wrong("02-cross-entropy", "exp overflows")
def ce_plain(logits, targets):
    e = torch.exp(logits)
    p = e / e.sum(1, keepdim=True)
    return -torch.log(p[torch.arange(len(p)), targets]).mean()


@wrong("02-cross-entropy", "small number is added")
def ce_with_epsilon(logits, targets):
    p = torch.softmax(logits, -1)[torch.arange(len(logits)), targets]
    return torch.mean(-torch.log(1e-9 + p))


@wrong("02-cross-entropy", "sum over the samples")
def ce_summed(logits, targets):
    return (logits.logsumexp(1) - logits[torch.arange(len(logits)), targets]).sum()


@wrong("02-cross-entropy", "mean over classes")
def ce_mean_over_classes(logits, targets):
    return -(F.one_hot(targets, logits.size(1)) * F.log_softmax(logits, -1)).mean()


@wrong("02-cross-entropy", "Softmax runs twice")
def ce_softmax_twice(logits, targets):
    return F.nll_loss(logits.softmax(-1).log_softmax(-1), targets)


@wrong("02-cross-entropy", "over the samples (dim=0)")
def ce_over_samples(logits, targets):
    return F.nll_loss(F.log_softmax(logits, 0), targets)


@wrong("02-cross-entropy", "softmax is missing")
def ce_without_softmax(logits, targets):
    return F.nll_loss(logits, targets)


@wrong("02-cross-entropy", "sign is turned")
def ce_negative(logits, targets):
    return (logits[torch.arange(len(logits)), targets] - logits.logsumexp(1)).mean()


@wrong("02-cross-entropy", "logarithm is missing")
def ce_of_probability(logits, targets):
    return F.nll_loss(torch.softmax(logits, -1), targets)


# --- 02-gradient --------------------------------------------------------------------------------------------------


@right("02-gradient")
def gradient_by_autograd(logits, targets):
    z = logits.clone().requires_grad_()
    F.cross_entropy(z, targets).backward()
    return z.grad


@right("02-gradient")
def gradient_in_place(logits, targets):
    g = torch.softmax(logits, -1)
    g[torch.arange(len(g)), targets] -= 1
    return g.div_(len(g))


@wrong("02-gradient", "gradient of the sum")
def gradient_of_sum(logits, targets):
    z = logits.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(z, targets, reduction="sum"), z)[0]


@wrong("02-gradient", "sign is turned around")
def gradient_uphill(logits, targets):
    return -gradient_in_place(logits, targets)


@wrong("02-gradient", "N·V")
def gradient_of_full_mean(logits, targets):
    z = logits.clone().requires_grad_()
    loss = -(torch.eye(z.shape[1])[targets] * z.log_softmax(1)).mean()
    return torch.autograd.grad(loss, z)[0]


@wrong("02-gradient", "number of classes")
def gradient_over_classes(logits, targets):
    return gradient_of_sum(logits, targets) / logits.shape[1]


@wrong("02-gradient", "wrong classes have a gradient, too")
def gradient_of_right_class_alone(logits, targets):
    p, g = torch.softmax(logits, -1), torch.zeros_like(logits)
    for n, t in enumerate(targets):
        g[n, t] = (p[n, t] - 1) / len(targets)
    return g


@wrong("02-gradient", "target is missing")
def gradient_without_target(logits, targets):
    return torch.softmax(logits, -1).div(len(logits))


@wrong("02-gradient", "squared error")
def gradient_of_squares(logits, targets):
    z = logits.clone().requires_grad_()
    loss = (torch.softmax(z, -1) - F.one_hot(targets, z.size(1))).square().sum(1).mean()
    return torch.autograd.grad(loss, z)[0]


@wrong("02-gradient", "dim=0")
def gradient_over_samples(logits, targets):
    e = torch.exp(logits - logits.amax(0))
    return (e / e.sum(0) - torch.eye(logits.shape[1])[targets]) / len(logits)


@wrong("02-gradient", "gradient for the probabilities")
def gradient_of_probabilities(logits, targets):
    p = torch.softmax(logits, -1).requires_grad_()
    return torch.autograd.grad(F.nll_loss(p.log(), targets), p)[0]


# --- 02-label-smoothing -------------------------------------------------------------------------------------------


@right("02-label-smoothing")
def smooth_by_filling(targets, classes, smoothing):
    y = torch.full((len(targets), classes), smoothing / classes)
    y[torch.arange(len(targets)), targets] += 1 - smoothing
    return y


@right("02-label-smoothing")
def smooth_by_lerp(targets, classes, smoothing):
    return torch.lerp(torch.eye(classes)[targets], torch.full((len(targets), classes), 1 / classes), smoothing)


@wrong("02-label-smoothing", "V − 1")
def smooth_among_others(targets, classes, smoothing):
    y = torch.full((len(targets), classes), smoothing / (classes - 1))
    return y.scatter_(1, targets.unsqueeze(1), 1 - smoothing)


@wrong("02-label-smoothing", "more than 1")
def smooth_unscaled(targets, classes, smoothing):
    return torch.eye(classes)[targets] + smoothing / classes


@wrong("02-label-smoothing", "less than 1")
def smooth_without_own_share(targets, classes, smoothing):
    y = torch.full((len(targets), classes), smoothing / classes)
    return y.scatter_(1, targets.unsqueeze(1), 1 - smoothing)


@wrong("02-label-smoothing", "whole ε")
def smooth_unshared(targets, classes, smoothing):
    y = torch.full((len(targets), classes), smoothing)
    return y.scatter_(1, targets.unsqueeze(1), 1 - smoothing)


@wrong("02-label-smoothing", "ε is not used")
def smooth_not(targets, classes, smoothing):
    return torch.eye(classes)[targets]


@wrong("02-label-smoothing", "exchanged")
def smooth_exchanged(targets, classes, smoothing):
    return smooth_by_filling(targets, classes, 1 - smoothing)


# --- 02-perplexity ------------------------------------------------------------------------------------------------

right("02-perplexity")(4)
right("02-perplexity")(torch.tensor([0.5, 0.25, 0.125, 0.25]).log().mean().neg().exp())
wrong("02-perplexity", "geometric mean")(4.5)
wrong("02-perplexity", "one over the mean probability")(3.5555555555)
wrong("02-perplexity", "in nats")(1.3862943611)
wrong("02-perplexity", "in bits")(2)
wrong("02-perplexity", "Base 2 went in")(7.3890560989)
wrong("02-perplexity", "fourth root")(256)
wrong("02-perplexity", "minus sign")(0.25)


# --- 02-calibration-error -----------------------------------------------------------------------------------------


def table(probabilities, targets, bins):
    """(count, mean confidence, accuracy) of each filled bin, one sample at a time."""
    held = {}
    for row, target in zip(probabilities, targets, strict=True):
        confidence, guess = float(row.max()), int(row.argmax())
        held.setdefault(math.ceil(confidence * bins), []).append((confidence, float(guess == int(target))))
    return [
        (len(answers), *(sum(column) / len(answers) for column in zip(*answers, strict=True)))
        for answers in held.values()
    ]


@right("02-calibration-error")
def calibration_by_table(probabilities, targets, bins):
    rows = table(probabilities, targets, bins)
    return sum(count * abs(sure - right) for count, sure, right in rows) / len(targets)


@right("02-calibration-error")
def calibration_by_bincount(probabilities, targets, bins):
    sure, guess = probabilities.max(-1)
    place = torch.bucketize(sure, torch.linspace(0, 1, bins + 1)[1:-1])
    return place.bincount(sure - (guess == targets).float(), minlength=bins).abs().sum() / len(targets)


@right("02-calibration-error")
def calibration_by_library(probabilities, targets, bins):
    from mmcourse.metrics import expected_calibration_error

    return expected_calibration_error(probabilities, targets, bins=bins)


@wrong("02-calibration-error", "All bins count alike")
def calibration_unweighted(probabilities, targets, bins):
    rows = table(probabilities, targets, bins)
    return sum(abs(sure - right) for _, sure, right in rows) / len(rows)


@wrong("02-calibration-error", "All bins count alike", "empty")
def calibration_over_all_bins(probabilities, targets, bins):
    return sum(abs(sure - right) for _, sure, right in table(probabilities, targets, bins)) / bins


@wrong("02-calibration-error", "without weights")
def calibration_summed(probabilities, targets, bins):
    return sum(abs(sure - right) for _, sure, right in table(probabilities, targets, bins))


@wrong("02-calibration-error", "absolute value is missing")
def calibration_signed(probabilities, targets, bins):
    sure, guess = probabilities.max(-1)
    return sure.mean() - (guess == targets).float().mean()


@wrong("02-calibration-error", "bins cancel")
def calibration_signed_the_other_way(probabilities, targets, bins):
    return -calibration_signed(probabilities, targets, bins)


@wrong("02-calibration-error", "maximum calibration error")
def calibration_worst_bin(probabilities, targets, bins):
    return max(abs(sure - right) for _, sure, right in table(probabilities, targets, bins))


@wrong("02-calibration-error", "squared")
def calibration_squared(probabilities, targets, bins):
    return sum(n * (sure - right) ** 2 for n, sure, right in table(probabilities, targets, bins)) / len(targets)


@wrong("02-calibration-error", "probability of the target")
def calibration_of_the_target(probabilities, targets, bins):
    sure = probabilities[torch.arange(len(targets)), targets]
    place = torch.bucketize(sure, torch.linspace(0, 1, bins + 1)[1:-1])
    right = (probabilities.argmax(-1) == targets).float()
    return place.bincount(sure - right, minlength=bins).abs().sum() / len(targets)


@wrong("02-calibration-error", "NaN", "Skip bins")
def calibration_with_nan(probabilities, targets, bins):
    sure, guess = probabilities.max(-1)
    edges, right = torch.linspace(0, 1, bins + 1), (guess == targets).float()
    error = 0.0
    for low, high in itertools.pairwise(edges):
        held = (sure > low) & (sure <= high)
        error += held.float().mean() * abs(sure[held].mean() - right[held].mean())
    return error


# --- answers in other styles ---------------------------------------------------------------------------------------


@right("02-mean-surprise")
def surprise_by_numpy(probabilities, targets):
    table = probabilities.double().numpy()
    return float(-np.log(table[np.arange(len(table)), targets.numpy()]).mean())


@right("02-mean-surprise")
def surprise_by_einsum(probabilities, targets):
    y = F.one_hot(targets, probabilities.shape[1]).to(probabilities.dtype)
    return -torch.einsum("nc,nc->n", y, probabilities).log().sum() / targets.numel()


@wrong("02-mean-surprise", "bits")
def surprise_by_log2(probabilities, targets):
    return -torch.log2(torch.gather(probabilities, 1, targets.unsqueeze(1))).mean()


@wrong("02-mean-surprise", "sign is missing")
def surprise_by_numpy_uphill(probabilities, targets):
    return -surprise_by_numpy(probabilities, targets)


@right("02-log-sum-exp")
def lse_in_float64(z):
    top = z.double().amax(-1, keepdim=True)
    return (top + torch.log(torch.exp(z.double() - top).sum(-1, keepdim=True))).squeeze(-1).to(z.dtype)


@right("02-log-sum-exp")
def lse_by_log_softmax(z):
    return (z - torch.log_softmax(z, -1))[..., 0]


@wrong("02-log-sum-exp", "never added again")
def lse_by_logaddexp_shifted(z):
    return torch.logsumexp(z - z.max(-1, keepdim=True).values, -1)


@wrong("02-log-sum-exp", "maximum alone")
def lse_by_sorting(z):
    return torch.sort(z, -1, descending=True).values[..., 0]


@right("02-cross-entropy")
def ce_with_a_loop(logits, targets):
    losses = [torch.logsumexp(row, 0) - row[target] for row, target in zip(logits, targets, strict=True)]
    return torch.stack(losses).mean()


@right("02-cross-entropy")
def ce_by_differences(logits, targets):
    right = logits[torch.arange(len(targets)), targets]
    return torch.logsumexp(logits - right[:, None], 1).mean()


@wrong("02-cross-entropy", "sum over the samples")
def ce_by_torch_summed(logits, targets):
    return F.cross_entropy(logits, targets, reduction="sum")


@wrong("02-cross-entropy", "sign is turned")
def ce_likelihood(logits, targets):
    return torch.log_softmax(logits, 1).gather(1, targets.view(-1, 1)).mean()


@right("02-gradient")
def gradient_with_loops(logits, targets):
    rows = []
    for row, target in zip(logits, targets.tolist(), strict=True):
        p = torch.softmax(row, 0)
        p[target] -= 1
        rows.append(p / len(logits))
    return torch.stack(rows)


@right("02-gradient")
def gradient_by_exp_of_log_softmax(logits, targets):
    y = torch.eye(logits.shape[-1], dtype=logits.dtype)[targets]
    return (torch.log_softmax(logits, -1).exp() - y).div(logits.shape[0])


@wrong("02-gradient", "gradient of the sum")
def gradient_by_autograd_of_sum(logits, targets):
    z = logits.detach().clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(z, targets, reduction="sum"), z)[0]


@right("02-label-smoothing")
def smooth_by_scatter(targets, classes, smoothing):
    rows = torch.full((len(targets), classes), smoothing / classes)
    return rows.scatter_add(1, targets[:, None], torch.full((len(targets), 1), 1 - smoothing))


@right("02-label-smoothing")
def smooth_by_comparing(targets, classes, smoothing):
    y = (targets[:, None] == torch.arange(classes)).double()
    return y - smoothing * (y - 1 / classes)


@wrong("02-label-smoothing", "ε is not used")
def smooth_by_eye(targets, classes, smoothing):
    return torch.eye(classes)[targets]


@right("02-calibration-error")
def calibration_by_masks(probabilities, targets, bins):
    top = probabilities.max(1)
    place = torch.floor(top.values * bins).clip(0, bins - 1)
    gaps = [(top.values - (top.indices == targets).float())[place == b].sum().abs() for b in range(bins)]
    return sum(gaps) / len(targets)


@wrong("02-calibration-error", "squared")
def calibration_root(probabilities, targets, bins):
    top = probabilities.max(1)
    place = (top.values * bins).long().clamp(max=bins - 1)
    error = 0.0
    for number in place.unique():
        held = place == number
        error += held.float().mean() * (top.values[held].mean() - (top.indices == targets)[held].float().mean()) ** 2
    return error


right("02-perplexity")(math.exp(sum(math.log(times) for times in (2, 4, 8, 4)) / 4))


# --- the tests ----------------------------------------------------------------------------------------------------


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("02"))


def test_references_are_those_of_the_library():
    from mmcourse import losses, metrics

    logits, targets = 5 * torch.randn(9, 6), torch.randint(6, (9,))
    p = logits.softmax(1)
    loss = losses.cross_entropy(logits, targets)
    torch.testing.assert_close(find("02-mean-surprise").reference(p, targets), loss)
    torch.testing.assert_close(find("02-log-sum-exp").reference(logits), losses.log_sum_exp(logits))
    torch.testing.assert_close(find("02-cross-entropy").reference(logits, targets), loss)
    gradient = losses.cross_entropy_gradient(logits, targets)
    torch.testing.assert_close(find("02-gradient").reference(logits, targets), gradient)
    smooth = find("02-label-smoothing").reference(targets, 6, 0.2)
    torch.testing.assert_close(
        F.cross_entropy(logits, smooth), losses.cross_entropy(logits, targets, label_smoothing=0.2)
    )
    error = find("02-calibration-error").reference(p, targets, 10)
    assert math.isclose(error, metrics.expected_calibration_error(p, targets, bins=10), abs_tol=1e-6)
    mean = -sum(math.log(chance) for chance in (1 / 2, 1 / 4, 1 / 8, 1 / 4)) / 4
    assert math.isclose(metrics.perplexity(mean), find("02-perplexity").reference, rel_tol=1e-6)
