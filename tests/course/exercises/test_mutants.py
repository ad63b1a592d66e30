"""Every reference solution with one small change: its checks reject it, or one line here says why it is as good."""

import dataclasses
import inspect

import pytest
import torch
from mutants import EndlessError, mutants

from mmcourse.course.exercise import grade
from mmcourse.course.exercises import all_exercises

PACKAGE = "mmcourse.course.exercises"
WRITTEN = [exercise for exercise in all_exercises() if inspect.isfunction(exercise.reference)]

SYMMETRIC = "equal: both orders give the same"
TWO_DIMENSIONS = "equal: the text gives two dimensions, so the last one is dim 1"
DEFAULT = "equal: the default of the library is this very value"
NUMBER = "equal: a tensor that holds one number converts exactly"
DIVIDES = "equal: a division or a factor makes floating-point numbers of whole ones"
UNSIGNED = "equal: the size of the difference counts, not its sign"
LENGTH = "equal: the last step makes both of one length"
INT = "equal: the numbers of boxes and bins are far below 2³¹"
NO_BIN = "equal: empty bins are left out"
SHARDS = "equal: there are as many sizes as shards"
PICTURES = "equal: there are as many captions as pictures"
MISTAKES_ONLY = "equal: a mistake alone takes the other way"
SQUARE = "equal: there are as many rows as columns"
AXES = "equal: which of two exchanged axes is named first does not matter"

SURVIVORS = {
    "00-to-tensor": {"to_tensor:2: image.permute(2, 0, 1).float() -> image.permute(2, 0, 1)": DIVIDES},
    "01-scaled-attention": {"scaled_attention:1: k.transpose(-2, -1) -> k.transpose(-1, -2)": AXES},
    "01-masked-attention": {"masked_attention:1: k.transpose(-2, -1) -> k.transpose(-1, -2)": AXES},
    "01-merge-heads": {"merge_heads:2: x.transpose(1, 2) -> x.transpose(2, 1)": AXES},
    "01-block": {
        "block:2: x + feed_forward(norm_2(x)) -> _in_place('iadd', x, feed_forward(norm_2(x)))": "equal: this x is its "
        "own sum, made in the line above",
    },
    "02-mean-surprise": {
        "picked:1: rows.gather(1, targets[:, None]).squeeze(1) -> rows.gather(1, targets[:, None])": "equal: the mean "
        "of a column is the mean of its numbers",
        "picked:1: 1 -> 0": "equal: as above, a column stays",
    },
    "02-cross-entropy": {
        "picked:1: rows.gather(1, targets[:, None]).squeeze(1) -> rows.gather(1, targets[:, None])": "equal: the mean "
        "of all differences aᵢ − bⱼ is the difference of the means",
        "picked:1: 1 -> 0": "equal: as above, a column stays",
    },
    "02-label-smoothing": {
        "smooth_targets:1: F.one_hot(targets, classes).float() -> F.one_hot(targets, classes)": DIVIDES,
    },
    "02-calibration-error": {
        "_bins:3: top if confidence is None else confidence -> top": MISTAKES_ONLY,
        "_bins:6: range(bins) -> range(bins + 1)": NO_BIN,
        "_bins:4: (confidence * bins).long() -> (confidence * bins).int()": INT,
        "_bins:9: confidence[held].mean() - right[held].mean() -> "
        "right[held].mean() - confidence[held].mean()": UNSIGNED,
    },
    "03-top-p": {
        "keep_top_p:1: logits.sort(dim=-1, descending=True) -> logits.sort(descending=True)": DEFAULT,
        "keep_top_p:1: -1 -> 1": TWO_DIMENSIONS,
        "keep_top_p:2: -1 -> 1": TWO_DIMENSIONS,
        "keep_top_p:3: -1 -> 1": TWO_DIMENSIONS,
        "keep_top_p:4: -1 -> 1": TWO_DIMENSIONS,
        "keep_top_p:4: torch.empty_like(logits) -> logits": "equal: every number is written over, in a copy",
        "keep_top_p:4: before >= p -> before > p": "equal up to rounding: sums of softmax do not hit p exactly",
    },
    "03-cached-step": {"cached_step:4: -1 -> 1": TWO_DIMENSIONS},
    "03-mask-tokens": {
        "mask_tokens:1: dice < 0.8 -> dice <= 0.8": "equal: where dice is 0.8, the stranger is written over it",
        "mask_tokens:1: 0.8 -> 0.84": "equal: from 0.8 on, the stranger is written over it",
    },
    "04-color-histogram": {
        "color_histogram:1: _joint(_boxes(image, bins), bins).float() -> _joint(_boxes(image, bins), bins)": DIVIDES,
        "color_histogram:1: 0 -> 1": "equal: all three colors have as many pixels",
        "_boxes:1: image.long() -> image.int()": INT,
    },
    "04-fair-scaling": {"fair_scaling:2: train - center -> center - train": UNSIGNED},
    "04-frozen-features": {
        "frozen_features:0: network -> network, changed in place": "equal: only the mode changes back, and the text "
        "leaves open in which one the network ends",
    },
    "05-longest-match": {
        "_longest_first:1: range(end, start, -1) -> range(end + 1, start, -1)": "equal: a slice ends with the word",
        "_longest_first:1: range(end, start, -1) -> range(end, start - 1, -1)": "equal: no vocabulary holds the empty "
        "piece",
    },
    "05-our-name": {"_renamed:8: number(inside[1]) -> inside[1]": MISTAKES_ONLY},
    "05-search": {
        "find_nearest:1: F.cosine_similarity(query[None], table) -> F.cosine_similarity(table, query[None])": SYMMETRIC,
    },
    "05-mean-cosine": {"mean_cosine:1: F.normalize(x, dim=1) -> F.normalize(x)": DEFAULT},
    "05-probe": {
        "_probe:1: _guesses(x, y, new_x, classes, **options) -> _guesses(x, y, new_x, classes)": MISTAKES_ONLY,
        "_guesses:1: (_with_one(x), _with_one(new_x)) if constant else (x, new_x) -> "
        "(_with_one(x), _with_one(new_x))": MISTAKES_ONLY,
        "_with_one:1: 1 -> 2 (no. 2)": "equal: a second column of ones shares the constant with the first",
    },
    "06-late-fusion": {"late_fusion:1: -1 -> 1": TWO_DIMENSIONS, "late_fusion:1: -1 -> 1 (no. 2)": TWO_DIMENSIONS},
    "06-gate": {"gate:1: -1 -> 1": TWO_DIMENSIONS},
    "06-scores-of-a-class": {
        "scores_of_a_class:2: 1 -> 2 (no. 3)": "equal: where both sums together are 1, nothing is right and above is 0",
    },
    "07-positions-2d": {
        "positions_2d:1: width // 2 -> width / 2": "equal: the width is even, and the library takes 4.0 for 4",
        "positions_2d:2: width // 2 -> width / 2": "equal: the width is even, and the library takes 4.0 for 4",
    },
    "07-identity-start": {"identity_start:6: (query, key) -> (key, query)": "equal: both maps are the identity"},
    "07-pointing-game": {
        "pointing_game:3: 0.25 -> 0.2375": "equal: no share of 16, 36 or 64 pixels lies between the two",
    },
    "08-similarity": {
        "similarities:1: F.normalize(images, dim=1) -> F.normalize(images)": DEFAULT,
        "similarities:1: F.normalize(texts, dim=1) -> F.normalize(texts)": DEFAULT,
    },
    "08-temperature-gradient": {
        "scale_gradient:3: (too_much * logits).sum().item() -> (too_much * logits).sum()": NUMBER,
        "scale_gradient:2: torch.eye(len(logits), dtype=logits.dtype) -> torch.eye(len(logits))": "equal: 0 and 1 are "
        "exact in every type, and the sum has the wider one",
    },
    "08-recall-at-k": {
        "recall_at_k:2: (rank <= k).double().mean().item() -> (rank <= k).double().mean()": NUMBER,
        "recall_at_k:2: (rank <= k).double() -> (rank <= k).float()": "equal within the tolerance of float32",
    },
    "08-prompt-ensemble": {
        "prompt_ensemble:1: F.normalize(F.normalize(features, dim=-1).mean(dim=1), dim=-1) -> "
        "F.normalize(F.normalize(features, dim=-1).mean(dim=1))": DEFAULT,
        "prompt_ensemble:1: F.normalize(features, dim=-1).mean(dim=1) -> "
        "F.normalize(features, dim=-1).sum(dim=1)": LENGTH,
        "prompt_ensemble:1: -1 -> 1": TWO_DIMENSIONS,
    },
    "09-greedy": {
        "greedy:5: ended = ended | (chosen == eos_id) -> ended |= chosen == eos_id": "equal: `ended` is its own",
        "greedy:3: -1 -> 1": TWO_DIMENSIONS,
    },
    "09-length-penalty": {
        "pick:3: int(scores.argmax()) -> scores.argmax()": NUMBER,
        "pick:3: scores.max().item() -> scores.max()": NUMBER,
    },
    "09-clipped-precision": {"clipped_precision:6: min(count, most[run]) -> min(most[run], count)": SYMMETRIC},
    "09-rouge-l": {
        "rouge_l:1: common(candidate, reference) -> common(reference, candidate)": SYMMETRIC,
        "common:1: 1 -> 2": "equal: the place more in the first row is never read",
        "common:5: max(row[place], new[place - 1]) -> max(new[place - 1], row[place])": SYMMETRIC,
        "f_beta:1: precision and recall -> precision or recall": "equal: one is 0 exactly where the other is",
    },
    "09-cider-weights": {
        "cider_1:5: _cosine(_vector(candidate, weights), _vector(reference, weights)) -> "
        "_cosine(_vector(reference, weights), _vector(candidate, weights))": SYMMETRIC,
        "cider_1:4: math.log(len(corpus) / max(1, pictures)) -> math.log2(len(corpus) / max(1, pictures))": "equal: a "
        "factor for all weights leaves the cosine as it is",
        "cider_1:4: len(corpus) / max(1, pictures) -> max(1, pictures) / len(corpus)": "equal: the sign of all weights "
        "leaves the cosine as it is",
        "cider_1:4: max(1, pictures) -> max(pictures, 1)": SYMMETRIC,
    },
    "10-vqa-accuracy": {
        "vqa_accuracy:4: min(1.0, others.count(answer) / 3) -> min(others.count(answer) / 3, 1.0)": SYMMETRIC,
    },
    "11-kmeans-step": {"kmeans_step:3: owner.unique() -> owner": "equal: a center is moved to the same mean again"},
    "11-code-scores": {"code_scores:2: codes.long() -> codes.int()": INT},
    "11-merge-shards": {
        "merge_shards:2: zip(found, sizes, strict=True) -> zip(found, sizes)": SHARDS,
        "merge_shards:2: True -> False": SHARDS,
    },
    "11-average-precision": {
        "average_precision:3: precision[right].mean().item() -> precision[right].mean()": NUMBER,
    },
    "13-probes": {
        "probe_scores:1: (said & true).sum().item() -> (said & true).sum()": NUMBER,
        "probe_scores:1: said.sum().item() -> said.sum()": NUMBER,
        "probe_scores:1: true.sum().item() -> true.sum()": NUMBER,
        "probe_scores:2: (said == true).sum().item() -> (said == true).sum()": NUMBER,
    },
    "13-invented": {
        "invented:1: zip(named, shown, strict=True) -> zip(named, shown)": PICTURES,
        "invented:1: True -> False": PICTURES,
    },
    "14-rollout": {"rollout:1: 1 -> 2": SQUARE},
    "14-causal-score": {
        "causal_score:1: (heat * masks).sum(dim=(1, 2)) -> (heat * masks).mean(dim=(1, 2))": "equal: each mask is as "
        "large as the picture, so the order of the masses stays",
    },
    "12-cloud-velocity": {"velocity:1: 1 - t -> t - 1": UNSIGNED},
    "12-order": {
        "order:4: apart @ y -> y @ apart": SYMMETRIC,
        "order:4: (apart @ y / (apart @ apart)).item() -> apart @ y / (apart @ apart)": NUMBER,
    },
    "12-nearest-training": {
        "nearest_training:1: drawn[:, None].float() - training -> training - drawn[:, None].float()": UNSIGNED,
    },
    "15-quantize": {
        "quantize:1: min(low, 0.0) -> min(0.0, low)": SYMMETRIC,
        "quantize:1: max(high, 0.0) -> max(0.0, high)": SYMMETRIC,
    },
    "15-distill": {
        "soft_loss:1: -1 -> 1": TWO_DIMENSIONS,
        "soft_loss:2: -1 -> 1": TWO_DIMENSIONS,
        "soft_loss:3: -1 -> 1": TWO_DIMENSIONS,
    },
    "15-power-law": {
        "power_law:3: apart @ y -> y @ apart": SYMMETRIC,
        "power_law:3: (apart @ y / (apart @ apart)).item() -> apart @ y / (apart @ apart)": NUMBER,
        "power_law:4: (y.mean() - slope * x.mean()).exp().item() -> (y.mean() - slope * x.mean()).exp()": NUMBER,
    },
    "16-spectrum": {
        "spectrum:4: torch.hypot(frame @ angles.cos(), frame @ angles.sin()) -> "
        "torch.hypot(frame @ angles.sin(), frame @ angles.cos())": SYMMETRIC,
    },
    "16-mel": {
        "mel_filters:5: torch.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)) -> "
        "torch.minimum((high - hertz) / (high - middle), (hertz - low) / (middle - low))": SYMMETRIC,
    },
    "16-pitch": {
        "pitch:1: int(spectrum.argmax()) -> spectrum.argmax()": NUMBER,
        "pitch:2: spectrum[k - 1:k + 2].log().tolist() -> spectrum[k - 1:k + 2].log()": NUMBER,
        "pitch:2: spectrum[k - 1:k + 2].log() -> spectrum[k - 1:k + 2].log2()": "equal: a factor for all three "
        "logarithms leaves the top of the parabola where it is",
    },
    "16-order": {
        "moves_first:1: places - places[:, :1] -> places[:, :1] - places": UNSIGNED,
        "moves_first:2: far.long() -> far.int()": "equal: 0 and 1 are exact in every type",
    },
    "16-three-ways": {"three_ways:1: F.normalize(each, dim=1) -> F.normalize(each)": DEFAULT},
}


@pytest.mark.parametrize("exercise", WRITTEN, ids=lambda exercise: exercise.id)
def test_the_checks_reject_every_change_that_matters(exercise):
    graded = dataclasses.replace(exercise, cases=(*exercise.cases, *exercise.fresh), mistakes=())
    every = list(mutants(exercise.reference, PACKAGE))
    assert len(every) >= 4
    survivors = {mutant.change for mutant in every if grade(graded, mutant.answer).status == "done"}
    assert survivors == set(SURVIVORS.get(exercise.id, ()))


def test_every_survivor_has_a_reason_and_an_exercise():
    assert SURVIVORS.keys() <= {exercise.id for exercise in WRITTEN}
    assert all(reason.startswith("equal") for changes in SURVIVORS.values() for reason in changes.values())


def helped(values, count):
    total, place = 0, 0
    while place < count:
        total = total + twice(values[place])
        place += 1
    return total


def twice(value):
    return 2 * value


def test_mutants_change_one_thing_and_reach_what_is_called():
    made = {mutant.change: mutant.answer for mutant in mutants(helped, __name__)}
    assert helped([1, 2, 3], 2) == 6
    assert made["helped:2: place < count -> place <= count"]([1, 2, 3], 2) == 12
    assert made["twice:1: 2 -> 3"]([1, 2, 3], 2) == 9
    assert made["helped:3: total = total + twice(values[place]) -> dropped"]([1, 2, 3], 2) == 0
    given = [1, 2, 3]
    assert made["helped:0: values -> values, changed in place"](given, 2) == 6
    assert given == []


def test_a_mutant_that_does_not_end_is_stopped():
    endless = next(mutant for mutant in mutants(helped, __name__) if mutant.change.startswith("helped:4: place += 1"))
    with pytest.raises(EndlessError):
        endless.answer(torch.ones(3), 2)
