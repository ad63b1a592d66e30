"""Chapter 14's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

from collections import Counter

import numpy as np
import pytest
import torch
from answers import Answers
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr
from sklearn.metrics import roc_curve
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn
from torch.nn import functional as F

from mmcourse import interpret, metrics
from mmcourse.course.exercise import grade
from mmcourse.course.exercises import all_exercises, find

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 14-integrated-gradients --------------------------------------------------------------------------------------


@right("14-integrated-gradients")
def integrated_with_a_loop(gradient, x, baseline, steps):
    total, at = torch.zeros_like(x), baseline + (x - baseline) / (2 * steps)
    for _ in range(steps):
        total += gradient(at)
        at = at + (x - baseline) / steps
    return total / steps * (x - baseline)


@right("14-integrated-gradients")
def integrated_step_by_step(gradient, x, baseline, steps):
    step = (x - baseline) / steps
    return sum(step * gradient(torch.lerp(baseline, x, (number + 0.5) / steps)) for number in range(steps))


@right("14-integrated-gradients")
def integrated_backwards(gradient, x, baseline, steps):
    shares = torch.linspace(1, 0, steps + 1)[1:] + 1 / (2 * steps)
    return torch.stack([gradient(s * x + (1 - s) * baseline) for s in shares]).mean(dim=0).mul(x - baseline)


@right("14-integrated-gradients")
def integrated_by_library(gradient, x, baseline, steps):
    class Score(torch.autograd.Function):
        """A score that is known by its gradient alone."""

        @staticmethod
        def forward(ctx, batch):
            ctx.save_for_backward(batch)
            return batch.flatten(1).sum(dim=1)

        @staticmethod
        def backward(ctx, above):
            return torch.stack([gradient(one.view_as(x)) for one in ctx.saved_tensors[0]]).view(1, 1, -1, 1)

    row = x.reshape(1, 1, -1, 1)
    return interpret.integrated_gradients(Score.apply, row, baseline=baseline.view_as(row), steps=steps).map.view_as(x)


def gradients_at(gradient, points):
    return torch.stack([gradient(point) for point in points])


@wrong("14-integrated-gradients", "Only the gradient at x")
def integrated_nowhere(gradient, x, baseline, steps):
    return gradient(x) * (x - baseline)


@wrong("14-integrated-gradients", "beginning of its step")
def integrated_from_the_left(gradient, x, baseline, steps):
    points = [baseline + (x - baseline) * step / steps for step in range(steps)]
    return gradients_at(gradient, points).mean(dim=0) * (x - baseline)


@wrong("14-integrated-gradients", "end of its step")
def integrated_from_the_right(gradient, x, baseline, steps):
    points = [torch.lerp(baseline, x, share) for share in torch.linspace(0, 1, steps + 1)[1:]]
    return gradients_at(gradient, points).mean(dim=0) * (x - baseline)


@wrong("14-integrated-gradients", "both ends among them")
def integrated_with_both_ends(gradient, x, baseline, steps):
    points = [torch.lerp(baseline, x, share) for share in torch.linspace(0, 1, steps)]
    return gradients_at(gradient, points).mean(dim=0) * (x - baseline)


def middles(x, baseline, steps):
    return [torch.lerp(baseline, x, (step + 0.5) / steps) for step in range(steps)]


@wrong("14-integrated-gradients", "how steep the way is")
def integrated_without_the_way(gradient, x, baseline, steps):
    return gradients_at(gradient, middles(x, baseline, steps)).mean(dim=0)


@wrong("14-integrated-gradients", "multiplied by x.")
def integrated_times_x(gradient, x, baseline, steps):
    return gradients_at(gradient, middles(x, baseline, steps)).mean(dim=0) * x


@wrong("14-integrated-gradients", "are added up. Take their mean")
def integrated_summed(gradient, x, baseline, steps):
    return gradients_at(gradient, middles(x, baseline, steps)).sum(dim=0) * (x - baseline)


@wrong("14-integrated-gradients", "begins at 0 and not")
def integrated_from_zero(gradient, x, baseline, steps):
    return gradients_at(gradient, middles(x, torch.zeros_like(x), steps)).mean(dim=0) * (x - baseline)


@wrong("14-integrated-gradients", "does not end at x")
def integrated_beyond(gradient, x, baseline, steps):
    return gradients_at(gradient, middles(baseline + x, baseline, steps)).mean(dim=0) * (x - baseline)


@wrong("14-integrated-gradients", "baseline is left out")
def integrated_without_baseline(gradient, x, baseline, steps):
    return integrated_step_by_step(gradient, x, torch.zeros_like(x), steps)


@wrong("14-integrated-gradients", "sign is turned")
def integrated_turned(gradient, x, baseline, steps):
    return integrated_step_by_step(gradient, baseline, x, steps)


@wrong("14-integrated-gradients", "ups and downs")
def integrated_of_sizes(gradient, x, baseline, steps):
    return gradients_at(gradient, middles(x, baseline, steps)).abs().mean(dim=0) * (x - baseline)


@wrong("14-integrated-gradients", "The result loses its sign")
def integrated_without_sign(gradient, x, baseline, steps):
    return integrated_step_by_step(gradient, x, baseline, steps).abs()


# --- 14-grad-cam --------------------------------------------------------------------------------------------------


@right("14-grad-cam")
def cam_with_einsum(features, gradients):
    return torch.einsum("chw,c->hw", features, gradients.flatten(1).mean(1)).clamp(min=0)


@right("14-grad-cam")
def cam_with_a_loop(features, gradients):
    total = torch.zeros(features.shape[1:])
    for channel, slope in zip(features, gradients, strict=True):
        total += channel * slope.mean()
    return torch.where(total > 0, total, 0.0)


@right("14-grad-cam")
def cam_as_a_convolution(features, gradients):
    weights = F.adaptive_avg_pool2d(gradients[None], 1)
    return F.conv2d(features[None], weights)[0, 0].relu()


@right("14-grad-cam")
def cam_with_numpy(features, gradients):
    return np.maximum(np.tensordot(gradients.numpy().mean(axis=(1, 2)), features.numpy(), axes=1), 0)


def mean_gradients(gradients):
    return gradients.mean(dim=(1, 2), keepdim=True)


@wrong("14-grad-cam", "still there, as negative numbers")
def cam_without_relu(features, gradients):
    return (mean_gradients(gradients) * features).sum(dim=0)


@wrong("14-grad-cam", "counts like what speaks for it")
def cam_of_sizes(features, gradients):
    return (mean_gradients(gradients) * features).sum(dim=0).abs()


@wrong("14-grad-cam", "Negative weights are set to 0")
def cam_of_positive_weights(features, gradients):
    return (mean_gradients(gradients).clamp(min=0) * features).sum(dim=0).clamp(min=0)


@wrong("14-grad-cam", "ReLU of its own")
def cam_of_positive_parts(features, gradients):
    return F.relu(mean_gradients(gradients) * features).sum(dim=0)


@wrong("14-grad-cam", "HiResCAM")
def cam_unpooled(features, gradients):
    return (gradients * features).sum(dim=0).relu()


@wrong("14-grad-cam", "of a channel are added up")
def cam_of_sums(features, gradients):
    return torch.einsum("chw,cij->hw", features, gradients).relu()


@wrong("14-grad-cam", "over channels, at each place")
def cam_pooled_over_channels(features, gradients):
    return (gradients.mean(dim=0) * features.sum(dim=0)).relu()


@wrong("14-grad-cam", "have one mean here")
def cam_of_one_weight(features, gradients):
    return (gradients.mean() * features.sum(dim=0)).relu()


@wrong("14-grad-cam", "exchanged")
def cam_exchanged(features, gradients):
    return (features.mean(dim=(1, 2))[:, None, None] * gradients).sum(dim=0).relu()


@wrong("14-grad-cam", "The mean over channels is taken")
def cam_of_mean(features, gradients):
    return (mean_gradients(gradients) * features).mean(dim=0).relu()


@wrong("14-grad-cam", "same for every class")
def cam_without_gradients(features, gradients):
    return features.sum(dim=0).clamp(min=0)


@wrong("14-grad-cam", "softmax")
def cam_of_softmax(features, gradients):
    return (mean_gradients(gradients).softmax(dim=0) * features).sum(dim=0).relu()


@wrong("14-grad-cam", "divided by its largest number")
def cam_scaled(features, gradients):
    found = cam_with_einsum(features, gradients)
    return found / found.max()


@wrong("14-grad-cam", "given features are changed")
def cam_in_place(features, gradients):
    return features.mul_(mean_gradients(gradients)).sum(dim=0).relu()


# --- 14-rollout ---------------------------------------------------------------------------------------------------


@right("14-rollout")
def rollout_by_library(maps):
    return interpret.rollout([layer[None] for layer in maps])[0]


@right("14-rollout")
def rollout_normalized(maps):
    mixed = maps.sum(dim=1) / maps.shape[1] + torch.eye(maps.shape[2])
    mixed = mixed / mixed.sum(dim=-1, keepdim=True)
    return torch.linalg.multi_dot([*mixed.flip(0)]) if len(mixed) > 1 else mixed[0]


@right("14-rollout")
def rollout_from_the_end(maps):
    found = None
    for layer in reversed(maps.double().unbind()):
        step = torch.lerp(torch.eye(len(layer[0]), dtype=layer.dtype), layer.mean(0), 0.5)
        found = step if found is None else found @ step
    return found


@right("14-rollout")
def rollout_by_hand(maps):
    heads, tokens = maps.shape[1:3]
    rows = torch.eye(tokens).tolist()
    for layer in maps.tolist():
        step = [[sum(h[i][j] for h in layer) / heads / 2 + (i == j) / 2 for j in range(tokens)] for i in range(tokens)]
        rows = [[sum(step[i][k] * rows[k][j] for k in range(tokens)) for j in range(tokens)] for i in range(tokens)]
    return rows


def steps_of(maps):
    return (maps.mean(dim=1) + torch.eye(maps.shape[-1])) / 2


def multiplied(steps):
    found = torch.eye(steps.shape[-1])
    for step in steps:
        found = step @ found
    return found


@wrong("14-rollout", "wrong way round")
def rollout_turned(maps):
    return multiplied(steps_of(maps).flip(0))


@wrong("14-rollout", "keeps nothing of its own")
def rollout_without_identity(maps):
    return multiplied(maps.mean(dim=1))


@wrong("14-rollout", "nothing is halved")
def rollout_unhalved(maps):
    return multiplied(2 * steps_of(maps))


@wrong("14-rollout", "Only the attention is halved")
def rollout_half_halved(maps):
    return multiplied(steps_of(maps) + torch.eye(maps.shape[-1]) / 2)


@wrong("14-rollout", "once, at the end")
def rollout_identity_at_the_end(maps):
    return multiplied(maps.mean(dim=1)) / 2 + torch.eye(maps.shape[-1]) / 2


@wrong("14-rollout", "place by place")
def rollout_elementwise(maps):
    return steps_of(maps).prod(dim=0)


@wrong("14-rollout", "mean of the layers")
def rollout_mean(maps):
    return steps_of(maps).mean(dim=0)


@wrong("14-rollout", "Only the last layer")
def rollout_of_the_last(maps):
    return steps_of(maps)[-1]


@wrong("14-rollout", "heads are added up")
def rollout_of_sums(maps):
    return multiplied((maps.sum(dim=1) + torch.eye(maps.shape[-1])) / 2)


@wrong("14-rollout", "more than 1. Take the mean")
def rollout_of_largest(maps):
    return multiplied((maps.max(dim=1).values + torch.eye(maps.shape[-1])) / 2)


@wrong("14-rollout", "made to sum to 1 again")
def rollout_of_largest_normalized(maps):
    return rollout_normalized(F.normalize(maps.amax(dim=1, keepdim=True), p=1, dim=-1))


@wrong("14-rollout", "Only the first head")
def rollout_of_first_head(maps):
    return rollout_normalized(maps[:, :1])


@wrong("14-rollout", "followed alone")
def rollout_of_each_head(maps):
    return sum(rollout_normalized(head[:, None]) for head in maps.unbind(dim=1)) / maps.shape[1]


@wrong("14-rollout", "exchanged")
def rollout_transposed(maps):
    return multiplied(steps_of(maps)).mT


# --- 14-deletion-curve --------------------------------------------------------------------------------------------


@right("14-deletion-curve")
def deletion_by_library(score, patches, importance):
    def of_images(images):
        return torch.stack([score(image.flatten(1).T) for image in images])

    images, maps = patches.T[None, :, None], importance[None, None]  # (1, C, 1, P) and (1, 1, P)
    found = interpret.deletion(of_images, images, maps, steps=len(patches))
    return found.scores[0], found.area[0]


@right("14-deletion-curve")
def deletion_by_ranks(score, patches, importance):
    ranks = importance.argsort(descending=True).argsort()
    scores = [score(patches * (ranks >= gone)[:, None]).item() for gone in range(len(patches) + 1)]
    return scores, np.mean([scores[:-1], scores[1:]])


@right("14-deletion-curve")
def deletion_by_limits(score, patches, importance):
    limits = [torch.inf, *sorted(importance.tolist(), reverse=True)]
    scores = torch.stack([score(torch.where(importance[:, None] >= limit, 0.0, patches)) for limit in limits])
    return scores, torch.trapezoid(scores, torch.linspace(0, 1, len(scores)))


def removed(score, patches, order, counts=None):
    """The scores with the first of `order` gone."""
    scores = []
    for count in range(len(patches) + 1) if counts is None else counts:
        left = patches.clone()
        left[order[:count]] = 0
        scores.append(score(left))
    return torch.stack(scores)


def with_area(scores):
    return scores, ((scores[1:] + scores[:-1]) / 2).sum() / max(len(scores) - 1, 1)


def falling(importance):
    return importance.argsort(descending=True)


@wrong("14-deletion-curve", "least important patches")
def deletion_from_the_least(score, patches, importance):
    return with_area(removed(score, patches, importance.sort().indices))


@wrong("14-deletion-curve", "in which they stand")
def deletion_in_order(score, patches, importance):
    return with_area(removed(score, patches, list(range(len(patches)))))


@wrong("14-deletion-curve", "speaks strongly against it")
def deletion_by_size(score, patches, importance):
    return with_area(removed(score, patches, falling(importance.square())))


@wrong("14-deletion-curve", "Ranks are taken for places")
def deletion_by_ranks_as_places(score, patches, importance):
    return with_area(removed(score, patches, (-importance).argsort().argsort()))


@wrong("14-deletion-curve", "put back")
def deletion_one_at_a_time(score, patches, importance):
    alone = [patches.index_fill(0, place, 0.0) for place in falling(importance)]
    return with_area(torch.stack([score(patches), *map(score, alone)]))


@wrong("14-deletion-curve", "insertion")
def deletion_the_other_way(score, patches, importance):
    scores, empty = [], torch.zeros_like(patches)
    for place in [None, *falling(importance).tolist()]:
        if place is not None:
            empty[place] = patches[place]
        scores.append(score(empty))
    return with_area(torch.stack(scores))


@wrong("14-deletion-curve", "whole picture is missing")
def deletion_without_the_first(score, patches, importance):
    scores = removed(score, patches, falling(importance), range(1, len(patches) + 1))
    return scores, torch.trapezoid(scores) / len(patches)


@wrong("14-deletion-curve", "nothing is left")
def deletion_without_the_last(score, patches, importance):
    scores = removed(score, patches, falling(importance), range(len(patches)))
    return scores, torch.trapezoid(scores) / len(patches)


@wrong("14-deletion-curve", "mean of all patches")
def deletion_with_the_mean(score, patches, importance):
    left, scores = patches.clone(), [score(patches)]
    for place in falling(importance):
        left[place] = patches.mean(dim=0)
        scores.append(score(left))
    return with_area(torch.stack(scores))


@wrong("14-deletion-curve", "counts in patches")
def deletion_in_patches(score, patches, importance):
    scores = removed(score, patches, falling(importance))
    return scores, scores.sum() - (scores[0] + scores[-1]) / 2


@wrong("14-deletion-curve", "there are P steps")
def deletion_by_too_many(score, patches, importance):
    scores = removed(score, patches, falling(importance))
    return scores, torch.trapezoid(scores) / (len(patches) + 1)


@wrong("14-deletion-curve", "mean of all scores")
def deletion_mean(score, patches, importance):
    scores = removed(score, patches, falling(importance))
    return scores, scores.mean()


@wrong("14-deletion-curve", "score at its beginning")
def deletion_from_the_left(score, patches, importance):
    scores = removed(score, patches, falling(importance))
    return scores, scores[:-1].sum() / len(patches)


@wrong("14-deletion-curve", "score at its end")
def deletion_from_the_right(score, patches, importance):
    scores = removed(score, patches, falling(importance))
    return scores, scores[1:].sum() / len(patches)


@wrong("14-deletion-curve", "given patches are changed")
def deletion_in_place(score, patches, importance):
    scores = [score(patches)]
    for place in falling(importance):
        patches[place].zero_()
        scores.append(score(patches))
    return with_area(torch.stack(scores))


# --- 14-causal-score ----------------------------------------------------------------------------------------------


def masses(heat, masks):
    return torch.stack([heat[mask].sum() for mask in masks])


@right("14-causal-score")
def causal_by_library(heat, masks, effects):
    return interpret.causal(heat[None], masks[None], effects[None]).spearman[0]


@right("14-causal-score")
def causal_by_scipy(heat, masks, effects):
    return spearmanr(masses(heat, masks), effects).statistic


@right("14-causal-score")
def causal_by_differences(heat, masks, effects):
    a, b = rankdata(masses(heat, masks)), rankdata(effects)
    return 1 - 6 * ((a - b) ** 2).sum() / (len(a) ** 3 - len(a))


@right("14-causal-score")
def causal_by_counting(heat, masks, effects):
    mass = torch.einsum("hw,nhw->n", heat, masks.float())
    a, b = ((x[:, None] > x).double().sum(dim=1) for x in (mass, effects))
    return F.cosine_similarity(a - a.mean(), b - b.mean(), dim=0)


@wrong("14-causal-score", "numbers themselves")
def causal_by_pearson(heat, masks, effects):
    return pearsonr(masses(heat, masks).double(), effects.double()).statistic


@wrong("14-causal-score", "The ranks are the `argsort` of that")
def causal_of_places(heat, masks, effects):
    return np.corrcoef(np.argsort(masses(heat, masks)), np.argsort(effects))[0, 1]


@wrong("14-causal-score", "Only the masses have ranks")
def causal_of_ranks_of_masses(heat, masks, effects):
    return np.corrcoef(rankdata(masses(heat, masks)), effects)[0, 1]


@wrong("14-causal-score", "Only the effects have ranks")
def causal_of_ranks_of_effects(heat, masks, effects):
    return np.corrcoef(masses(heat, masks), rankdata(effects))[0, 1]


@wrong("14-causal-score", "a large object gains nothing by")
def causal_of_means(heat, masks, effects):
    return metrics.spearman(torch.stack([heat[mask].mean() for mask in masks]), effects)


@wrong("14-causal-score", "The peak of the map")
def causal_of_peaks(heat, masks, effects):
    return metrics.spearman(torch.stack([heat[mask].max() for mask in masks]), effects)


@wrong("14-causal-score", "Only what is positive")
def causal_of_positive_heat(heat, masks, effects):
    return causal_by_library(heat.clamp(min=0), masks, effects)


@wrong("14-causal-score", "The map loses its signs")
def causal_of_sizes(heat, masks, effects):
    return causal_by_library(heat.abs(), masks, effects)


@wrong("14-causal-score", "The effects lose their signs")
def causal_of_sizes_of_effects(heat, masks, effects):
    return causal_by_library(heat, masks, effects.abs())


@wrong("14-causal-score", "turned round")
def causal_turned(heat, masks, effects):
    return -causal_by_library(heat, masks, effects)


@wrong("14-causal-score", "how far the ranks are apart")
def causal_distance(heat, masks, effects):
    return 1 - causal_by_differences(heat, masks, effects)


@wrong("14-causal-score", "cosine of the ranks")
def causal_of_cosine(heat, masks, effects):
    a, b = (x.argsort().argsort().float() for x in (masses(heat, masks), effects))
    return F.cosine_similarity(a, b, dim=0)


@wrong("14-causal-score", "Kendall")
def causal_by_kendall(heat, masks, effects):
    return kendalltau(masses(heat, masks), effects).statistic


# --- 14-membership ------------------------------------------------------------------------------------------------


@right("14-membership")
def members_with_a_loop(members, others):
    best = (None, -1.0)
    for threshold in sorted(members.tolist() + others.tolist()):
        found = sum(loss <= threshold for loss in members.tolist()) / len(members)
        false = sum(loss <= threshold for loss in others.tolist()) / len(others)
        if found - false > best[1]:
            best = (threshold, found - false)
    return best


@right("14-membership")
def members_by_searching(members, others):
    tried, own = members.unique(), members.sort().values
    found = torch.searchsorted(own, tried, right=True) / len(members)
    false = torch.searchsorted(others.sort().values, tried, right=True) / len(others)
    gain, best = (found - false).max(dim=0)
    return tried[best], gain


@right("14-membership")
def members_by_scikit_learn(members, others):
    truth = np.r_[np.ones(len(members)), np.zeros(len(others))]
    false, found, limits = roc_curve(truth, -np.r_[members.numpy(), others.numpy()], drop_intermediate=False)
    best = 1 + int(np.argmax((found - false)[1:]))  # the first limit lets nobody in
    return -limits[best], found[best] - false[best]


def tried(members, others, limits, says=torch.le):
    """The shares of members and of others that each limit lets in."""
    return [says(losses, limits[:, None]).double().mean(dim=1) for losses in (members, others)]


@wrong("14-membership", "A large loss is taken")
def members_of_large_losses(members, others):
    limits = members.sort().values
    found, false = tried(members, others, limits, torch.ge)
    return limits[(found - false).argmax()], (found - false).max()


@wrong("14-membership", "counts as no member")
def members_below(members, others):
    limits = members.sort().values
    found, false = tried(members, others, limits, torch.lt)
    return limits[(found - false).argmax()], (found - false).max()


@wrong("14-membership", "mean loss of members")
def members_by_the_mean(members, others):
    limit = members.mean()
    return limit, (members <= limit).double().mean() - (others <= limit).double().mean()


@wrong("14-membership", "lets everybody in")
def members_found(members, others):
    return members.max(), 1.0


@wrong("14-membership", "This is the accuracy")
def members_by_accuracy(members, others):
    limits = members.sort().values
    found, false = tried(members, others, limits)
    total = len(members) + len(others)
    accuracy = (found * len(members) + (1 - false) * len(others)) / total
    return limits[accuracy.argmax()], accuracy.max()


@wrong("14-membership", "has the best accuracy")
def members_by_threshold_of_accuracy(members, others):
    limit, _ = members_by_accuracy(members, others)
    found, false = tried(members, others, limit[None])
    return limit, (found - false)[0]


@wrong("14-membership", "mean of both accuracies")
def members_by_balanced_accuracy(members, others):
    limit, gain = members_by_searching(members, others)
    return limit, 0.5 + gain / 2


@wrong("14-membership", "sign is lost")
def members_by_size(members, others):
    limits = members.sort().values
    found, false = tried(members, others, limits)
    return limits[(found - false).abs().argmax()], (found - false).abs().max()


@wrong("14-membership", "sign is turned")
def members_turned(members, others):
    limits = members.sort().values
    found, false = tried(members, others, limits)
    return limits[(false - found).argmax()], (false - found).max()


@wrong("14-membership", "the largest is taken")
def members_by_the_last(members, others):
    limits = members.sort(descending=True).values
    found, false = tried(members, others, limits)
    return limits[(found - false).argmax()], (found - false).max()


@wrong("14-membership", "stands between two losses")
def members_between(members, others):
    losses = torch.cat((members, others)).sort().values
    limits = torch.cat(((losses + losses.roll(-1))[:-1] / 2, losses[-1:]))
    found, false = tried(members, others, limits)
    return limits[(found - false).argmax()], (found - false).max()


@wrong("14-membership", "Only losses of others")
def members_by_others(members, others):
    limits = others.sort().values
    found, false = tried(members, others, limits)
    return limits[(found - false).argmax()], (found - false).max()


@wrong("14-membership", "other order")
def members_swapped(members, others):
    return members_with_a_loop(members, others)[::-1]


# --- 14-reweight --------------------------------------------------------------------------------------------------


def pairs_of(labels, backgrounds):
    return list(zip(labels.tolist(), backgrounds.tolist(), strict=True))


@right("14-reweight")
def weights_by_scikit_learn(labels, backgrounds):
    return compute_sample_weight("balanced", [f"{a} {b}" for a, b in pairs_of(labels, backgrounds)])


@right("14-reweight")
def weights_with_a_counter(labels, backgrounds):
    pairs = pairs_of(labels, backgrounds)
    counts = Counter(pairs)
    return [len(pairs) / len(counts) / counts[pair] for pair in pairs]


@right("14-reweight")
def weights_by_bincount(labels, backgrounds):
    group = labels * (backgrounds.max() + 1) + backgrounds
    weights = 1 / group.bincount()[group]
    return weights / weights.mean()


@right("14-reweight")
def weights_by_comparing(labels, backgrounds):
    alike = (labels[:, None] == labels) & (backgrounds[:, None] == backgrounds)
    return F.normalize(1 / alike.sum(dim=1), p=1, dim=0) * len(labels)


def balanced(*parts):
    return torch.tensor(compute_sample_weight("balanced", np.stack(parts).T))


@wrong("14-reweight", "Only labels")
def weights_of_labels(labels, backgrounds):
    return balanced(labels)


@wrong("14-reweight", "Only backgrounds")
def weights_of_backgrounds(labels, backgrounds):
    return balanced(backgrounds)


@wrong("14-reweight", "multiplied. Count")
def weights_multiplied(labels, backgrounds):
    return balanced(labels, backgrounds)


@wrong("14-reweight", "brought to a mean of 1. Count")
def weights_multiplied_and_scaled(labels, backgrounds):
    weights = balanced(labels, backgrounds)
    return weights / weights.mean()


@wrong("14-reweight", "sum of both numbers")
def weights_of_sums(labels, backgrounds):
    return balanced(labels + backgrounds)


@wrong("14-reweight", "The weights are 1 / n")
def weights_unscaled(labels, backgrounds):
    pairs = pairs_of(labels, backgrounds)
    return torch.tensor([1 / pairs.count(pair) for pair in pairs])


@wrong("14-reweight", "The weights are N / n")
def weights_by_share(labels, backgrounds):
    pairs = pairs_of(labels, backgrounds)
    return torch.tensor([len(pairs) / pairs.count(pair) for pair in pairs])


@wrong("14-reweight", "sum to 1")
def weights_for_a_sampler(labels, backgrounds):
    return weights_by_bincount(labels, backgrounds) / len(labels)


@wrong("14-reweight", "Combinations that nobody has")
def weights_of_a_table(labels, backgrounds):
    table = torch.zeros(int(labels.max()) + 1, int(backgrounds.max()) + 1)
    table.index_put_((labels, backgrounds), torch.ones(len(labels)), accumulate=True)
    return len(labels) / table.numel() / table[labels, backgrounds]


@wrong("14-reweight", "grow with the group")
def weights_that_grow(labels, backgrounds):
    share = 1 / weights_by_bincount(labels, backgrounds)
    return share / share.mean()


@wrong("14-reweight", "root of the size")
def weights_by_root(labels, backgrounds):
    root = weights_by_bincount(labels, backgrounds).sqrt()
    return root / root.mean()


@wrong("14-reweight", "1 minus the share")
def weights_by_the_rest(labels, backgrounds):
    pairs = pairs_of(labels, backgrounds)
    rest = torch.tensor([1 - pairs.count(pair) / len(pairs) for pair in pairs])
    return rest / rest.mean()


@wrong("14-reweight", "one weight for each group")
def weights_of_groups(labels, backgrounds):
    counts = torch.tensor([number for _, number in sorted(Counter(pairs_of(labels, backgrounds)).items())])
    return len(labels) / len(counts) / counts


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("14"))


def integrated_in_a_batch(gradient, x, baseline, steps):
    return gradient(torch.stack(middles(x, baseline, steps))).mean(dim=0) * (x - baseline)


def deletion_that_cuts(score, patches, importance):
    return with_area(torch.stack([score(patches[falling(importance)][count:]) for count in range(len(patches) + 1)]))


@pytest.mark.parametrize(
    ("exercise_id", "words", "answer"),
    [
        ("14-integrated-gradients", "gradient wants one input like x", integrated_in_a_batch),
        ("14-deletion-curve", "score wants all patches", deletion_that_cuts),
    ],
)
def test_what_is_asked_wrongly_says_what_it_wants(exercise_id, words, answer):
    result = grade(find(exercise_id), answer)
    assert result.status == "error"
    assert words in result.message


def convolution():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(80, 2)).eval()


def test_attributions_are_those_of_the_library_and_add_up():
    network, generator = convolution(), torch.Generator().manual_seed(1)
    x, baseline = torch.randn(2, 3, 8, 8, generator=generator)
    score = lambda images: network(images)[:, 1]  # noqa: E731

    def gradient(image):
        leaf = image.clone().requires_grad_()
        return torch.autograd.grad(score(leaf[None]).sum(), leaf)[0]

    parts = find("14-integrated-gradients").reference(gradient, x, baseline, 64)
    known = interpret.integrated_gradients(score, x[None], baseline=baseline[None], steps=64)
    torch.testing.assert_close(parts.sum(dim=0), known.map[0], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        rise = score(x[None]) - score(baseline[None])
    assert parts.sum().item() == pytest.approx(rise.item(), abs=1e-3)


def test_a_heat_map_is_that_of_the_library():
    network, generator = convolution(), torch.Generator().manual_seed(2)
    image = torch.randn(1, 3, 8, 8, generator=generator)
    features = network[:3](image).detach().requires_grad_()
    (gradients,) = torch.autograd.grad(network[3:](features)[0, 1], features)
    small = find("14-grad-cam").reference(features[0].detach(), gradients[0])
    known = interpret.grad_cam(lambda images: network(images)[:, 1], image, layer=network[2])
    torch.testing.assert_close(interpret.enlarge(small[None], (8, 8)), known)
    assert known.any()


def test_rows_of_a_rollout_sum_to_1():
    maps = torch.randn(5, 3, 6, 6, generator=torch.Generator().manual_seed(3)).softmax(dim=-1)
    torch.testing.assert_close(find("14-rollout").reference(maps).sum(dim=1), torch.ones(6))


def test_a_map_in_the_true_order_has_a_perfect_score():
    masks = torch.eye(4, dtype=torch.bool)[:, None]  # one pixel each, in a picture of one row
    heat, effects = torch.tensor([[0.1, 3.0, -1.0, 0.5]]), torch.tensor([0.2, 90.0, -5.0, 0.3])
    score = find("14-causal-score").reference
    assert score(heat, masks, effects).item() == pytest.approx(1)
    assert score(heat, masks, -effects).item() == pytest.approx(-1)
    assert score(heat, masks, effects[[1, 0, 2, 3]]).item() == pytest.approx(1 - 6 * (4 + 4) / (4 * 15))


def test_membership_of_a_model_that_knows_nothing_and_of_one_that_knows_all():
    test = find("14-membership").reference
    assert [number.item() for number in test(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0, 5.0]))] == [2, 1]
    assert [number.item() for number in test(torch.tensor([5.0, 4.0]), torch.tensor([1.0, 3.0]))] == [5, 0]


def test_every_group_has_the_same_part_in_the_loss():
    labels, backgrounds = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 0, 1, 1, 1, 1])
    weights = find("14-reweight").reference(labels, backgrounds)
    torch.testing.assert_close(weights, torch.tensor([1, 1, 2, 2 / 3, 2 / 3, 2 / 3]))
