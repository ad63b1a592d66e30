"""Chapter 10's graders: right answers pass however they are written, wrong ones hear the name of their mistake."""

import math

import numpy as np
import pytest
import torch
from answers import Answers
from torch.nn import functional as F

from mmcourse import metrics
from mmcourse.course.exercises import all_exercises, find
from mmcourse.datasets import make_scenes, questions
from mmcourse.recipes.data.questions import question_batch
from mmcourse.recipes.vqa import untrained

ANSWERS = Answers()
right, wrong = ANSWERS.right, ANSWERS.wrong


# --- 10-at-the-end ------------------------------------------------------------------------------------------------


@right("10-at-the-end")
def end_with_gather(features, ends):
    index = ends[:, None, None].expand(-1, 1, features.shape[2])
    return features.gather(1, index).squeeze(1)


@right("10-at-the-end")
def end_with_a_loop(features, ends):
    return torch.stack([row[int(end)] for row, end in zip(features, ends, strict=True)])


@right("10-at-the-end")
def end_by_one_hot(features, ends):
    return (F.one_hot(ends, features.shape[1]).to(features)[:, None] @ features)[:, 0]


@wrong("10-at-the-end", "The last column is taken")
def end_last(features, ends):
    return features[:, features.shape[1] - 1]


@wrong("10-at-the-end", "one column too early")
def end_early(features, ends):
    return torch.stack([row[end - 1] for row, end in zip(features, ends.tolist(), strict=True)])


@wrong("10-at-the-end", "Every row is read at every end")
def end_everywhere(features, ends):
    return features.index_select(1, ends)


@wrong("10-at-the-end", "words up to the question mark are averaged")
def end_mean(features, ends):
    mask = torch.arange(features.shape[1]) <= ends[:, None]
    return (features * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


# --- 10-answer-targets --------------------------------------------------------------------------------------------


@right("10-answer-targets")
def targets_with_a_loop(tokens, ends, pad_id):
    targets = torch.full((len(tokens), tokens.shape[1] - 1), -100)
    for row, end in enumerate(ends.tolist()):
        for place in range(end, tokens.shape[1] - 1):
            if tokens[row, place + 1] != pad_id:
                targets[row, place] = tokens[row, place + 1]
    return tokens[:, :-1], targets


@right("10-answer-targets")
def targets_with_where(tokens, ends, pad_id):
    place = torch.arange(1, tokens.shape[1])[None]
    owed = (place > ends[:, None]) & (tokens[:, 1:] != pad_id)
    return tokens[:, :-1], torch.where(owed, tokens[:, 1:], torch.tensor(-100))


@right("10-answer-targets")
def targets_of_lists(tokens, ends, pad_id):
    rows = [
        [-100 if place < end or token == pad_id else token for place, token in enumerate(row[1:])]
        for row, end in zip(tokens.tolist(), ends.tolist(), strict=True)
    ]
    return tokens[:, :-1], torch.tensor(rows)


@wrong("10-answer-targets", "The question is owed, too")
def targets_of_chapter_09(tokens, ends, pad_id):
    wanted = tokens[:, 1:]
    return tokens[:, :-1], torch.where(wanted == pad_id, -100, wanted)


@wrong("10-answer-targets", "first word of the answer is ignored")
def targets_late(tokens, ends, pad_id):
    owed = (torch.arange(tokens.shape[1] - 1) > ends[:, None]) & (tokens[:, 1:] != pad_id)
    return tokens[:, :-1], torch.where(owed, tokens[:, 1:], -100)


@wrong("10-answer-targets", "Padding is owed")
def targets_with_padding(tokens, ends, pad_id):
    return tokens[:, :-1], tokens[:, 1:].masked_fill(torch.arange(tokens.shape[1] - 1)[None] < ends[:, None], -100)


@wrong("10-answer-targets", "return the inputs first")
def targets_swapped(tokens, ends, pad_id):
    return targets_with_where(tokens, ends, pad_id)[::-1]


# --- 10-mean-over-kinds -------------------------------------------------------------------------------------------


@right("10-mean-over-kinds")
def kinds_with_a_dict(right, kinds):
    found = {}
    for value, kind in zip(right.tolist(), kinds, strict=True):
        found.setdefault(kind, []).append(value)
    return sum(sum(values) / len(values) for values in found.values()) / len(found)


@right("10-mean-over-kinds")
def kinds_with_numpy(right, kinds):
    kinds = np.array(kinds)
    return float(np.mean([right.numpy()[kinds == kind].mean() for kind in np.unique(kinds)]))


@right("10-mean-over-kinds")
def kinds_with_weights(right, kinds):
    weight = torch.tensor([1 / kinds.count(kind) for kind in kinds], dtype=torch.float64)
    return (weight * right).sum() / weight.sum()


@wrong("10-mean-over-kinds", "mean over all questions")
def kinds_ignored(right, kinds):
    return right.float().mean()


@wrong("10-mean-over-kinds", "Divide by the number of kinds")
def kinds_added(right, kinds):
    return sum(right[[other == kind for other in kinds]].float().mean() for kind in set(kinds))


@wrong("10-mean-over-kinds", "worst kind alone")
def kinds_worst(right, kinds):
    return min(right[[other == kind for other in kinds]].float().mean() for kind in set(kinds))


@wrong("10-mean-over-kinds", "the share of wrong answers")
def kinds_wrong(right, kinds):
    return 1 - kinds_with_a_dict(right, kinds)


# --- 10-two-experts -----------------------------------------------------------------------------------------------


@right("10-two-experts")
def experts_with_probabilities(logits, prior, answers, floor):
    both = logits.exp() * torch.maximum(prior, torch.tensor(floor))
    chosen = (both / both.sum(dim=1, keepdim=True))[torch.arange(len(answers)), answers]
    return -chosen.log().mean()


@right("10-two-experts")
def experts_by_log_softmax(logits, prior, answers, floor):
    both = (logits + torch.where(prior < floor, floor, prior).log()).log_softmax(dim=-1)
    return F.nll_loss(both, answers)


@right("10-two-experts")
def experts_with_normalized_logits(logits, prior, answers, floor):
    return F.cross_entropy(logits.log_softmax(dim=1) + prior.clamp_min(floor).log(), answers)


@wrong("10-two-experts", "The reader has no say")
def experts_one(logits, prior, answers, floor):
    return -logits.log_softmax(dim=1)[torch.arange(len(answers)), answers].mean()


@wrong("10-two-experts", "Probabilities are added to logits")
def experts_added(logits, prior, answers, floor):
    return F.cross_entropy(prior.clamp(min=floor) + logits, answers)


@wrong("10-two-experts", "The floor is missing")
def experts_bottomless(logits, prior, answers, floor):
    return F.nll_loss((logits + torch.log(prior)).log_softmax(1), answers)


@wrong("10-two-experts", "makes the likely answers unlikely")
def experts_divided(logits, prior, answers, floor):
    return F.cross_entropy(logits - torch.log(prior.clamp(min=floor)), answers)


# --- 10-vqa-accuracy ----------------------------------------------------------------------------------------------


@right("10-vqa-accuracy")
def vqa_by_counting(answer, people):
    same, everybody = people.count(answer), len(people)
    return (same * min(1, (same - 1) / 3) + (everybody - same) * min(1, same / 3)) / everybody


@right("10-vqa-accuracy")
def vqa_by_library(answer, people):
    return metrics.vqa_accuracy([answer], [people]).mean


@right("10-vqa-accuracy")
def vqa_with_a_generator(answer, people):
    votes = [text == answer for text in people]
    return np.mean([min(1.0, (sum(votes) - vote) / 3) for vote in votes])


@wrong("10-vqa-accuracy", "leaves out each of them in turn")
def vqa_at_once(answer, people):
    return min(1.0, sum(text == answer for text in people) / 3)


@wrong("10-vqa-accuracy", "The share of people who agree")
def vqa_share(answer, people):
    return sum(text == answer for text in people) / len(people)


@wrong("10-vqa-accuracy", "One who agrees is enough")
def vqa_any(answer, people):
    return 1.0 if answer in people else 0.0


@wrong("10-vqa-accuracy", "The limit of 1 is missing")
def vqa_unlimited(answer, people):
    votes = [text == answer for text in people]
    return sum((sum(votes) - vote) / 3 for vote in votes) / len(votes)


# --- 10-risk-at-coverage ------------------------------------------------------------------------------------------


@right("10-risk-at-coverage")
def risk_with_sorted(confidence, right, coverage):
    ranked = sorted(zip(confidence.tolist(), right.tolist(), strict=True), reverse=True)
    number = math.ceil(coverage * len(ranked))
    return sum(not good for _, good in ranked[:number]) / number


@right("10-risk-at-coverage")
def risk_with_topk(confidence, right, coverage):
    best = confidence.topk(math.ceil(coverage * len(confidence))).indices
    return (~right[best]).float().mean()


@right("10-risk-at-coverage")
def risk_by_library(confidence, right, coverage):
    return metrics.risk_coverage(confidence, right).risk[math.ceil(coverage * len(right)) - 1]


@wrong("10-risk-at-coverage", "The risk is the share that is wrong")
def risk_accuracy(confidence, right, coverage):
    best = confidence.topk(math.ceil(coverage * len(confidence))).indices
    return right[best].double().mean()


@wrong("10-risk-at-coverage", "The least sure answers are given")
def risk_of_the_unsure(confidence, right, coverage):
    worst = confidence.argsort()[: math.ceil(coverage * len(confidence))]
    return 1 - right[worst].double().mean()


@wrong("10-risk-at-coverage", "Round up")
def risk_rounded_down(confidence, right, coverage):
    best = confidence.argsort(descending=True)[: math.floor(coverage * len(confidence))]
    return 1 - right[best].double().mean()


@wrong("10-risk-at-coverage", "a limit on the confidence")
def risk_by_threshold(confidence, right, coverage):
    return (~right[confidence >= coverage]).double().mean()


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("10"))


def test_references_are_those_of_the_library():
    """Where the library has the same thing, the exercise's reference is it, on inputs that no case has."""
    generator = torch.Generator().manual_seed(1)
    confidence, good = torch.rand(50, generator=generator), torch.rand(50, generator=generator) < 0.6
    curve = metrics.risk_coverage(confidence, good)
    for number in (1, 7, 30, 50):
        found = find("10-risk-at-coverage").reference(confidence, good, (number - 0.5) / 50)
        assert found.item() == pytest.approx(curve.risk[number - 1].item())
    kinds = [("a", "b", "c")[int(index)] for index in torch.randint(3, (50,), generator=generator)]
    library = metrics.accuracy_by_kind(good, kinds)
    wanted = sum(kind.accuracy for kind in library.values()) / len(library)
    assert find("10-mean-over-kinds").reference(good, kinds).item() == pytest.approx(wanted)
    for same in range(11):
        people = ["yes"] * same + ["no"] * (10 - same)
        found = find("10-vqa-accuracy").reference("yes", people)
        assert found == pytest.approx(metrics.vqa_accuracy(["yes"], [people]).mean)


def test_targets_are_those_that_the_model_learns_from():
    model, _ = untrained()
    scene = make_scenes(1).scenes[0]
    asked = questions(scene)
    batch = question_batch(model, torch.zeros(1, 4, 128), asked)
    rows = [[*model.question_ids(q.text), *model.tokenizer.encode(q.answer), model.tokenizer.eos_id] for q in asked]
    tokens = torch.tensor([row + [0] * (max(map(len, rows)) - len(row)) for row in rows])
    inputs, targets = find("10-answer-targets").reference(tokens, batch.ends, model.tokenizer.pad_id)
    assert torch.equal(targets, batch.targets)
    read = inputs.masked_fill(inputs == model.tokenizer.eos_id, model.tokenizer.pad_id)
    assert torch.equal(read, batch.tokens)
