"""Chapter 00: right answers written differently pass, wrong ones that learners really give are named."""

import numpy as np
import pytest
import torch
from answers import Answers

from mmcourse.course.exercise import grade
from mmcourse.course.exercises import all_exercises, find
from mmcourse.datasets import caption_is_true, captions

# --- 00-to-tensor: right


def by_channels(image):
    return torch.stack([image[..., 0], image[..., 1], image[..., 2]]) / 255.0


def by_numpy(image):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(image.numpy(), -1, 0))).to(torch.float32).mul(1 / 255)


def by_loop(image):
    result = torch.zeros(3, image.shape[0], image.shape[1])
    for channel in range(3):
        result[channel] = image[:, :, channel].to(torch.float32) / 255
    return result


# --- 00-to-tensor: wrong


def keeps_large_values(image):
    return torch.stack([image[..., c] for c in range(3)]).to(torch.float32)


def only_changes_dtype(image):
    return image.to(torch.float32)


def keeps_colors_last(image):
    return image.to(torch.float32).div(255)


def cuts_anew(image):
    height, width, _ = image.shape
    return image.contiguous().view(3, height, width) / 255.0


def lies_on_its_side(image):
    return image.swapaxes(0, 2) / 255.0


def divides_by_256(image):
    return torch.einsum("hwc->chw", image / 256.0)


def divides_by_its_maximum(image):
    values = torch.moveaxis(image, 2, 0).to(torch.float32)
    return values / values.max()


def from_minus_one(image):
    return (torch.moveaxis(image, 2, 0) / 255.0 - 0.5) / 0.5


def whole_numbers(image):
    return torch.moveaxis(image, 2, 0).div(255, rounding_mode="floor").to(torch.float32)


# --- 00-count-true: right


def filtered(scene, sentences):
    return len([s for s in sentences if caption_is_true(scene, s)])


def summed(scene, sentences):
    return sum(map(bool, (caption_is_true(scene, s) for s in sentences)))


def looped(scene, sentences):
    found, place = 0, 0
    while place < len(sentences):
        found += 1 if caption_is_true(scene, sentences[place]) else 0
        place += 1
    return found


# --- 00-count-true: wrong


def counts_all(scene, sentences):
    found = 0
    for s in sentences:
        if caption_is_true(scene, s) is not None:
            found += 1
    return found


def looks_up_the_five(scene, sentences):
    five = set(captions(scene))
    return len([s for s in sentences if s in five])


def compares_with_true(scene, sentences):
    return sum(1 for s in sentences if caption_is_true(scene, s) == True)  # noqa: E712  what learners write


def counts_the_others(scene, sentences):
    return len([s for s in sentences if not caption_is_true(scene, s)])


def counts_what_is_not_false(scene, sentences):
    found = 0
    for s in sentences:
        found += caption_is_true(scene, s).truth.value != "false"
    return found


def counts_each_once(scene, sentences):
    return len({s for s in sentences if caption_is_true(scene, s)})


def returns_inside_the_loop(scene, sentences):
    found = 0
    for s in sentences:
        if caption_is_true(scene, s):
            found += 1
            return found
    return found


def gives_a_share(scene, sentences):
    return summed(scene, sentences) / len(sentences) if sentences else 0.0


def gives_the_sentences(scene, sentences):
    return list(filter(lambda s: bool(caption_is_true(scene, s)), sentences))


# --- 00-best-sentence: right


def by_max(scores):
    return scores.max(dim=-1).indices


def by_sorting(scores):
    return scores.sort(dim=1, descending=True).indices[:, 0]


def by_rows(scores):
    return torch.tensor([max(range(len(row)), key=row.__getitem__) for row in scores.tolist()])


# --- 00-best-sentence: wrong


def down_the_columns(scores):
    return scores.T.max(dim=1).indices


def the_scores_themselves(scores):
    return scores.amax(dim=1)


def the_worst(scores):
    return (-scores).argmax(dim=1)


def one_for_the_whole_table(scores):
    return torch.argmax(scores.flatten())


def the_whole_ranking(scores):
    return scores.sort(dim=1, descending=True).indices


def both_results(scores):
    return torch.max(scores, dim=1)


def the_largest_magnitude(scores):
    return scores.square().max(dim=1).indices


RIGHT = [
    ("00-numbers", 12288),
    ("00-numbers", torch.zeros(64, 64, 3).numel()),
    ("00-numbers", np.prod([64, 64, 3])),
    ("00-to-tensor", by_channels),
    ("00-to-tensor", by_numpy),
    ("00-to-tensor", by_loop),
    ("00-count-true", filtered),
    ("00-count-true", summed),
    ("00-count-true", looped),
    ("00-chance", 200),
    ("00-chance", 400 / 2),
    ("00-best-sentence", by_max),
    ("00-best-sentence", by_sorting),
    ("00-best-sentence", by_rows),
]

WRONG = [
    ("00-numbers", 4096, "number of pixels"),
    ("00-numbers", 16384, "transparency"),
    ("00-numbers", 192, "one row of pixels"),
    ("00-numbers", 12288 * 256, "how many values one number can take"),
    ("00-numbers", 12288 * 8, "size in bits"),
    ("00-numbers", 131, "multiply"),
    ("00-to-tensor", keeps_large_values, "from 0 to 255"),
    ("00-to-tensor", only_changes_dtype, "only the dtype changed"),
    ("00-to-tensor", keeps_colors_last, "still the last axis"),
    ("00-to-tensor", cuts_anew, "scrambled"),
    ("00-to-tensor", lies_on_its_side, "changed places"),
    ("00-to-tensor", divides_by_256, "divided by 256"),
    ("00-to-tensor", divides_by_its_maximum, "own maximum"),
    ("00-to-tensor", from_minus_one, "from −1 to 1"),
    ("00-to-tensor", whole_numbers, "Whole-number division"),
    ("00-count-true", counts_all, "counted every sentence"),
    ("00-count-true", looks_up_the_five, "among the five captions"),
    ("00-count-true", compares_with_true, "without a comparison"),
    ("00-count-true", counts_the_others, "Turn the condition around"),
    ("00-count-true", counts_what_is_not_false, "unparseable sentences as true"),
    ("00-count-true", counts_each_once, "repeated sentence once"),
    ("00-count-true", returns_inside_the_loop, "first true sentence"),
    ("00-count-true", gives_a_share, "share of true sentences"),
    ("00-count-true", gives_the_sentences, "sentences themselves"),
    ("00-chance", 400, "two different answers"),
    ("00-chance", 300, "does not see the picture"),
    ("00-chance", 100, "A quarter"),
    ("00-chance", 0, "cannot be wrong every time"),
    ("00-chance", 0.5, "That is the share"),
    ("00-best-sentence", down_the_columns, "searched down the columns"),
    ("00-best-sentence", the_scores_themselves, "best scores themselves"),
    ("00-best-sentence", the_worst, "worst sentence"),
    ("00-best-sentence", one_for_the_whole_table, "Without dim"),
    ("00-best-sentence", the_whole_ranking, "whole ranking"),
    ("00-best-sentence", both_results, "pair of values and places"),
    ("00-best-sentence", the_largest_magnitude, "absolute value"),
]


ANSWERS = Answers()
for exercise_id, answer in RIGHT:
    ANSWERS.right(exercise_id)(answer)
for exercise_id, answer, words in WRONG:
    ANSWERS.wrong(exercise_id, words)(answer)


test_right_answers, test_wrong_answers, test_enough_answers = ANSWERS.tests(all_exercises("00"))


def test_no_two_mistakes_are_named_alike():
    for exercise in all_exercises("00"):
        assert len({mistake.message for mistake in exercise.mistakes}) == len(exercise.mistakes)


def unwritten(*arguments):
    """What the blank notebook holds."""
    raise NotImplementedError


@pytest.mark.parametrize("exercise_id", ["00-to-tensor", "00-count-true", "00-best-sentence"])
def test_blank_functions_are_unwritten(exercise_id):
    assert grade(find(exercise_id), unwritten).status == "unwritten"


@pytest.mark.parametrize("exercise_id", ["00-numbers", "00-chance"])
def test_blank_values_are_unwritten(exercise_id):
    assert grade(find(exercise_id), ...).status == "unwritten"
