"""What converts exactly to the asked value is accepted, in every exercise alike."""

import dataclasses
import inspect

import numpy as np
import pytest
import torch

from mmcourse.course.exercise import call, grade
from mmcourse.course.exercises import all_exercises

EXERCISES = [
    exercise
    for exercise in all_exercises()
    if inspect.isfunction(exercise.reference) and all(case.probe is call for case in exercise.cases)
]
FORMS = {
    "lists and Python's numbers": lambda x: x.tolist(),
    "NumPy arrays": lambda x: x.detach().numpy(),
    "tensors in double precision": lambda x: x.double() if x.is_floating_point() else x,
}


def converted(value, form):
    if isinstance(value, torch.Tensor):
        return form(value)
    if isinstance(value, (list, tuple)):
        return [converted(item, form) for item in value]
    return value


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_another_form_of_the_right_value_passes(exercise, form):
    result = grade(exercise, lambda *inputs: converted(exercise.reference(*inputs), FORMS[form]))
    assert result.status == "done", result.message


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_plain_numbers_come_as_numpy_scalars_and_tensors_too(exercise):
    """Where the right value is one number, or a list of numbers, a tensor and a NumPy value are as good."""

    def numbers(make):
        def answer(*inputs):
            value = exercise.reference(*inputs)
            return make(value) if isinstance(value, (bool, int, float)) else value

        return answer

    for make in (np.array, torch.tensor, lambda value: np.array(value)[()]):
        plain = dataclasses.replace(exercise, mistakes=())
        assert grade(plain, numbers(make)).status == "done"


def test_most_exercises_are_asked():
    assert len(EXERCISES) > 40
