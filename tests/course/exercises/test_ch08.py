"""Chapter 08's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math

import pytest
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse import losses, metrics
from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 08-similarity ------------------------------------------------------------------------------------------------


@right("08-similarity")
def similarity_by_library(images, texts, scale):
    return losses.contrastive_logits(F.normalize(images), F.normalize(texts), scale=scale)


@right("08-similarity")
def similarity_divided_afterwards(images, texts, scale):
    return scale * (images @ texts.T) / images.norm(dim=1)[:, None] / texts.norm(dim=1)[None]


@right("08-similarity")
def similarity_with_loops(images, texts, scale):
    rows = [[scale * torch.cosine_similarity(image, text, dim=0) for text in texts] for image in images]
    return torch.stack([torch.stack(row) for row in rows])


@wrong("08-similarity", "Nothing is normalized")
def similarity_raw(images, texts, scale):
    return torch.einsum("nd,md->nm", images, texts) * scale


@wrong("08-similarity", "each channel over all samples")
def similarity_columns(images, texts, scale):
    return scale * (images / images.norm(dim=0)) @ (texts / texts.norm(dim=0)).mT


@wrong("08-similarity", "scale is missing")
def similarity_unscaled(images, texts, scale):
    return torch.cosine_similarity(images[:, None], texts[None], dim=-1)


@wrong("08-similarity", "1 / temperature")
def similarity_divided(images, texts, scale):
    return torch.cosine_similarity(images[:, None], texts[None], dim=-1) / scale


@wrong("08-similarity", "rows are pictures")
def similarity_turned(images, texts, scale):
    return similarity_by_library(images, texts, scale).T


@wrong("08-similarity", "texts are not normalized")
def similarity_half(images, texts, scale):
    return scale * (images / images.norm(dim=1, keepdim=True)) @ texts.T


# --- 08-info-nce --------------------------------------------------------------------------------------------------


@right("08-info-nce")
def info_nce_with_log_softmax(logits):
    both = logits.log_softmax(1).diagonal() + logits.log_softmax(0).diagonal()
    return -both.mean() / 2


@right("08-info-nce")
def info_nce_with_logsumexp(logits):
    return (0.5 * (logits.logsumexp(0) + logits.logsumexp(1)) - logits.diag()).mean()


@right("08-info-nce")
def info_nce_with_a_loop(logits):
    total = 0.0
    for i in range(len(logits)):
        for choice in (logits[i], logits[:, i]):
            total = total + F.cross_entropy(choice[None], torch.tensor([i]))
    return total / (2 * len(logits))


@wrong("08-info-nce", "Only the rows")
def info_nce_rows(logits):
    return -logits.log_softmax(-1).diagonal().mean()


@wrong("08-info-nce", "whole square")
def info_nce_square(logits):
    return (logits.flatten().logsumexp(0) - logits.diagonal()).mean()


@wrong("08-info-nce", "added")
def info_nce_added(logits):
    target = torch.arange(len(logits))
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)


@wrong("08-info-nce", "overflows")
def info_nce_overflow(logits):
    rows, columns = (logits.exp() / logits.exp().sum(dim, keepdim=True) for dim in (1, 0))
    return -(rows.diagonal().log().mean() + columns.diagonal().log().mean()) / 2


@wrong("08-info-nce", "softmax has been applied")
def info_nce_twice(logits):
    target = torch.arange(len(logits))
    return (F.cross_entropy(logits.softmax(1), target) + F.cross_entropy(logits.T.softmax(1), target)) / 2


# --- 08-temperature-gradient --------------------------------------------------------------------------------------


@right("08-temperature-gradient")
def gradient_by_autograd(cosines, log_scale):
    leaf = log_scale.clone().requires_grad_()
    losses_now = info_nce_with_logsumexp(leaf.exp() * cosines)
    return torch.autograd.grad(losses_now, leaf)[0]


@right("08-temperature-gradient")
def gradient_as_expectation(cosines, log_scale):
    """What the model expects of a logit, minus the right one."""
    logits = cosines * log_scale.exp()
    expected = (logits.softmax(1) * logits).sum(1) + (logits.softmax(0) * logits).sum(0)
    return (expected / 2 - logits.diagonal()).mean()


@right("08-temperature-gradient")
def gradient_by_differences(cosines, log_scale):
    up, down = (info_nce_with_logsumexp((log_scale + step).exp() * cosines) for step in (1e-5, -1e-5))
    return ((up - down) / 2e-5).item()


@wrong("08-temperature-gradient", "one more factor")
def gradient_of_scale(cosines, log_scale):
    scale = log_scale.exp().requires_grad_()
    return torch.autograd.grad(info_nce_with_logsumexp(scale * cosines), scale)[0]


@wrong("08-temperature-gradient", "gradient for the temperature")
def gradient_of_temperature(cosines, log_scale):
    temperature = (-log_scale).exp().requires_grad_()
    return torch.autograd.grad(info_nce_with_logsumexp(cosines / temperature), temperature)[0]


@wrong("08-temperature-gradient", "Only the rows")
def gradient_of_rows(cosines, log_scale):
    logits = cosines * log_scale.exp()
    return ((logits.softmax(1) * logits).sum(1) - logits.diagonal()).mean()


@wrong("08-temperature-gradient", "sign is turned")
def gradient_turned(cosines, log_scale):
    return -gradient_as_expectation(cosines, log_scale)


@wrong("08-temperature-gradient", "right answers are missing")
def gradient_without_target(cosines, log_scale):
    logits = cosines * log_scale.exp()
    return ((logits.softmax(1) + logits.softmax(0)) * logits).sum() / len(logits) / 2


# --- 08-recall-at-k -----------------------------------------------------------------------------------------------


@right("08-recall-at-k")
def recall_by_library(similarity, k):
    return metrics.recall_at_k(similarity, k=k)


@right("08-recall-at-k")
def recall_with_a_loop(similarity, k):
    found = 0
    for i, row in enumerate(similarity.tolist()):
        ahead = sum(score >= row[i] for j, score in enumerate(row) if j != i)
        found += ahead < k
    return found / len(similarity)


@right("08-recall-at-k")
def recall_as_tensor(similarity, k):
    return torch.lt((similarity >= similarity.diag().unsqueeze(1)).sum(1) - 1, k).float().mean()


@wrong("08-recall-at-k", "Ties count as found")
def recall_hopeful(similarity, k):
    return ((similarity > similarity.diag()[:, None]).sum(1) < k).float().mean()


@wrong("08-recall-at-k", "other direction")
def recall_of_columns(similarity, k):
    return ((similarity >= similarity.diag()).sum(0) <= k).float().mean()


@wrong("08-recall-at-k", "One place is missing")
def recall_short(similarity, k):
    return ((similarity >= similarity.diag()[:, None]).sum(1) < k).float().mean()


@wrong("08-recall-at-k", "smallest score comes first")
def recall_ascending(similarity, k):
    return ((similarity <= similarity.diag()[:, None]).sum(1) <= k).float().mean()


@wrong("08-recall-at-k", "makes it precision")
def recall_as_precision(similarity, k):
    return recall_by_library(similarity, k) / k


# --- 08-prompt-ensemble -------------------------------------------------------------------------------------------


@right("08-prompt-ensemble")
def ensemble_by_division(features):
    mean = (features / features.norm(dim=-1, keepdim=True)).mean(1)
    return mean / mean.norm(dim=-1, keepdim=True)


@right("08-prompt-ensemble")
def ensemble_of_sums(features):
    """The length is lost in the end, so a sum is as good as a mean."""
    return torch.stack([F.normalize(F.normalize(texts, dim=1).sum(0), dim=0) for texts in features])


@wrong("08-prompt-ensemble", "longest prompt has the say")
def ensemble_of_any_length(features):
    return torch.nn.functional.normalize(features.sum(dim=1), dim=1)


@wrong("08-prompt-ensemble", "Normalize once more")
def ensemble_short(features):
    return (features / features.norm(dim=-1, keepdim=True)).mean(1)


@wrong("08-prompt-ensemble", "average over the templates".capitalize())
def ensemble_of_classes(features):
    return F.normalize((features / features.norm(dim=-1, keepdim=True)).mean(0), dim=-1)


@wrong("08-prompt-ensemble", "Only the first template")
def ensemble_of_one(features):
    return F.normalize(features, dim=-1)[:, 0]


# --- 08-sigmoid-loss ----------------------------------------------------------------------------------------------


@right("08-sigmoid-loss")
def sigmoid_with_binary_cross_entropy(cosines, scale, bias):
    logits = scale * cosines + bias
    return F.binary_cross_entropy_with_logits(logits, torch.eye(len(logits)), reduction="sum") / len(logits)


@right("08-sigmoid-loss")
def sigmoid_with_softplus(cosines, scale, bias):
    logits = cosines * scale + bias
    return F.softplus(torch.where(torch.eye(len(logits)).bool(), -logits, logits)).sum(1).mean()


@right("08-sigmoid-loss")
def sigmoid_with_logaddexp(cosines, scale, bias):
    signs = torch.full_like(cosines, -1).fill_diagonal_(1)
    return torch.logaddexp(torch.zeros(()), -signs * (cosines * scale + bias)).sum() / cosines.shape[0]


@wrong("08-sigmoid-loss", "mean over all N²")
def sigmoid_mean(cosines, scale, bias):
    return F.binary_cross_entropy_with_logits(scale * cosines + bias, torch.eye(len(cosines)))


@wrong("08-sigmoid-loss", "bias is missing")
def sigmoid_without_bias(cosines, scale, bias):
    return sigmoid_with_softplus(cosines, scale, 0.0)


@wrong("08-sigmoid-loss", "taken to be yes")
def sigmoid_all_yes(cosines, scale, bias):
    return F.softplus(-(scale * cosines + bias)).sum() / len(cosines)


@wrong("08-sigmoid-loss", "F.logsigmoid")
def sigmoid_infinite(cosines, scale, bias):
    signs = 2 * torch.eye(len(cosines)) - 1
    return -torch.log(torch.sigmoid(signs * (scale * cosines + bias))).sum() / len(cosines)


@wrong("08-sigmoid-loss", "signs are turned round")
def sigmoid_turned(cosines, scale, bias):
    return F.binary_cross_entropy_with_logits(
        scale * cosines + bias, 1 - torch.eye(len(cosines)), reduction="sum"
    ) / len(cosines)


# --- 08-hard-negatives --------------------------------------------------------------------------------------------


@right("08-hard-negatives")
def negatives_by_library(images, texts, swapped, scale):
    return losses.info_nce(images, texts, scale=scale, negatives=swapped)


@right("08-hard-negatives")
def negatives_with_logsumexp(images, texts, swapped, scale):
    real, false = scale * images @ texts.T, scale * images @ swapped.T
    rows = torch.logaddexp(real.logsumexp(1), false.logsumexp(1)) - real.diagonal()
    return (rows + real.logsumexp(0) - real.diagonal()).mean() / 2


@right("08-hard-negatives")
def negatives_one_picture_at_a_time(images, texts, swapped, scale):
    total = 0.0
    for i, (image, text) in enumerate(zip(images, texts, strict=True)):
        row = torch.cat((texts @ image, swapped @ image)) * scale
        total = total - row.log_softmax(0)[i] - (scale * images @ text).log_softmax(0)[i]
    return total / (2 * len(images))


@wrong("08-hard-negatives", "not used")
def negatives_forgotten(images, texts, swapped, scale):
    return losses.info_nce(images, texts, scale=scale)


@wrong("08-hard-negatives", "their picture counts as right")
def negatives_asking(images, texts, swapped, scale):
    logits = scale * images @ torch.cat((texts, swapped)).T
    target = torch.arange(len(images))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, torch.cat((target, target)))) / 2


@wrong("08-hard-negatives", "N + N texts")
def negatives_own(images, texts, swapped, scale):
    logits = scale * images @ texts.T
    row = torch.cat((logits, scale * torch.einsum("nd,nd->n", images, swapped)[:, None]), dim=1)
    target = torch.arange(len(images))
    return (F.cross_entropy(row, target) + F.cross_entropy(logits.T, target)) / 2


@wrong("08-hard-negatives", "come first")
def negatives_first(images, texts, swapped, scale):
    logits, target = scale * images @ torch.cat((swapped, texts)).T, torch.arange(len(images))
    return (F.cross_entropy(logits, target) + F.cross_entropy(scale * texts @ images.T, target)) / 2


@wrong("08-hard-negatives", "Only the pictures ask")
def negatives_one_way(images, texts, swapped, scale):
    logits = scale * images @ torch.cat((texts, swapped)).T
    return -logits.log_softmax(1).diagonal().mean()


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("08"))


def test_references_are_those_of_the_library():
    images, texts, swapped = (F.normalize(torch.randn(6, 5), dim=1) for _ in range(3))
    cosines = images @ texts.T
    assert torch.allclose(find("08-info-nce").reference(20 * cosines), losses.info_nce(images, texts, scale=20.0))
    found = find("08-sigmoid-loss").reference(cosines, 10.0, -10.0)
    torch.testing.assert_close(found, losses.sigmoid_loss(images, texts, scale=10.0, bias=-10.0))
    found = find("08-hard-negatives").reference(images, texts, swapped, 20.0)
    torch.testing.assert_close(found, losses.info_nce(images, texts, scale=20.0, negatives=swapped))
    for k in (1, 3):
        assert find("08-recall-at-k").reference(cosines, k) == pytest.approx(metrics.recall_at_k(cosines, k=k))


def test_the_temperature_stands_still_where_nothing_tells_pairs_apart():
    """All cosines equal: sharpening moves no probability, so the gradient is zero, whatever the scale."""
    reference = find("08-temperature-gradient").reference
    for scale in (1.0, 14.0, 100.0):
        found = reference(torch.full((5, 5), 0.3, dtype=torch.float64), torch.tensor(math.log(scale)).double())
        assert found == pytest.approx(0, abs=1e-12)
