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


# --- more of each, right


def by_nested_loops(image):
    height, width, colors = image.shape
    values = [[[image[y, x, c].item() / 255 for x in range(width)] for y in range(height)] for c in range(colors)]
    return torch.tensor(values)


def by_einsum(image):
    return torch.einsum("hwc->chw", image.to(torch.float32)) / 255


def by_two_transposes(image):
    return image.transpose(1, 2).transpose(0, 1) / 255


def counted_with_numpy(scene, sentences):
    return np.sum([bool(caption_is_true(scene, s)) for s in sentences], dtype=np.int64)


def counted_by_truth(scene, sentences):
    return [caption_is_true(scene, s).truth.value for s in sentences].count("true")


def counted_down(scene, sentences):
    return len(sentences) - sum(not caption_is_true(scene, s) for s in sentences)


def counted_by_recursion(scene, sentences):
    if not sentences:
        return 0
    return bool(caption_is_true(scene, sentences[0])) + counted_by_recursion(scene, sentences[1:])


def best_by_numpy(scores):
    return scores.numpy().argmax(axis=1)


def best_by_topk(scores):
    return scores.topk(1, dim=1).indices.squeeze(1)


def best_as_list(scores):
    return [row.index(max(row)) for row in scores.tolist()]


# --- more of each, wrong


def keeps_large_values_in_numpy(image):
    return np.transpose(image.numpy(), (2, 0, 1)).astype(np.float32)


def mirrors_in_numpy(image):
    return np.transpose(image.numpy() / 255.0, (2, 1, 0)).astype(np.float32)


def divides_the_bytes(image):
    return (torch.movedim(image, -1, 0) // 255).to(torch.float32)


def counts_the_list(scene, sentences):
    return len([caption_is_true(scene, s) for s in sentences])


def compares_with_the_word(scene, sentences):
    return [caption_is_true(scene, s) for s in sentences].count("true")


def counts_a_set(scene, sentences):
    return sum(bool(caption_is_true(scene, s)) for s in dict.fromkeys(sentences))


def columns_in_numpy(scores):
    return np.argmax(scores.numpy(), axis=0)


def worst_by_sorting(scores):
    return scores.sort(dim=1).indices[:, 0]


def one_place_in_numpy(scores):
    return int(np.argmax(scores.numpy()))


def largest_without_sign(scores):
    return scores.abs().topk(1, dim=1).indices[:, 0]


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
    ("00-numbers", np.float32(12288)),
    ("00-to-tensor", by_nested_loops),
    ("00-to-tensor", by_einsum),
    ("00-to-tensor", by_two_transposes),
    ("00-count-true", counted_with_numpy),
    ("00-count-true", counted_by_truth),
    ("00-count-true", counted_down),
    ("00-count-true", counted_by_recursion),
    ("00-chance", np.int32(200)),
    ("00-best-sentence", best_by_numpy),
    ("00-best-sentence", best_by_topk),
    ("00-best-sentence", best_as_list),
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
    ("00-numbers", torch.tensor(64 * 64), "number of pixels"),
    ("00-to-tensor", keeps_large_values_in_numpy, "from 0 to 255"),
    ("00-to-tensor", mirrors_in_numpy, "changed places"),
    ("00-to-tensor", divides_the_bytes, "Whole-number division"),
    ("00-count-true", counts_the_list, "counted every sentence"),
    ("00-count-true", compares_with_the_word, "without a comparison"),
    ("00-count-true", counts_a_set, "repeated sentence once"),
    ("00-chance", np.array(400.0), "two different answers"),
    ("00-best-sentence", columns_in_numpy, "searched down the columns"),
    ("00-best-sentence", worst_by_sorting, "worst sentence"),
    ("00-best-sentence", one_place_in_numpy, "Without dim"),
    ("00-best-sentence", largest_without_sign, "absolute value"),
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
