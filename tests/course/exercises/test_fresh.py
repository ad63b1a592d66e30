"""No exercise can be answered by a table: whatever has inputs meets other ones in every submission."""

import dataclasses

import pytest
import torch

from mmcourse.course.exercise import grade
from mmcourse.course.exercises import all_exercises, find
from mmcourse.course.grading.codec import Encoder
from mmcourse.course.grading.judge.judge import with_inputs

EXERCISES = all_exercises()
NO_INPUTS = {
    "00-numbers": "one number is asked for, so there is nothing that it could depend on",
    "00-chance": "one number is asked for, so there is nothing that it could depend on",
    "01-parameter-count": "one number is asked for, so there is nothing that it could depend on",
    "02-perplexity": "one number is asked for, so there is nothing that it could depend on",
}


def drawn(exercise, salt):
    """The inputs of every check, as bytes."""
    found = []
    for case in with_inputs(exercise, salt, exercise.fresh).cases:
        encoder = Encoder(lambda value: 0, trusted=True)
        found.append((encoder.encode(case.inputs(torch.Generator().manual_seed(1))), encoder.raw))
    return found


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_inputs_are_fresh_for_every_submission(exercise):
    one, other = drawn(exercise, "one"), drawn(exercise, "other")
    assert one == drawn(exercise, "one")
    if exercise.id in NO_INPUTS:
        assert not any(case.inputs(torch.Generator()) for case in exercise.cases)
        return
    assert any(left != right for left, right in zip(one, other, strict=True))


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.fresh], ids=lambda exercise: exercise.id)
def test_fresh_checks_tell_right_from_wrong(exercise):
    """The reference passes them on many draws, and no known mistake passes all of the checks."""
    for number in range(20):
        salted = with_inputs(exercise, f"draw {number}", exercise.fresh)
        assert grade(dataclasses.replace(salted, mistakes=()), exercise.reference).status == "done"
        for mistake in exercise.mistakes:
            assert grade(dataclasses.replace(salted, mistakes=()), mistake.answer).status != "done", mistake.message


def test_the_exercises_without_inputs_exist():
    assert set(NO_INPUTS) <= {exercise.id for exercise in EXERCISES}
    assert find("01-causal-mask").fresh
