"""One attempt at one check: the same inputs and the same chance for whoever answers."""

from __future__ import annotations

import warnings
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch

from mmcourse.course.exercise.compare import clone
from mmcourse.course.exercise.model import Exercise


class Outcome(NamedTuple):
    """What one run of a probe gave: a value or an exception, and the inputs as it left them."""

    value: Any
    error: Exception | None
    inputs: tuple


def attempt(exercise: Exercise, index: int, answer: Any) -> Outcome:
    """Runs one case on inputs of its own. Every answer meets the same inputs and the same random numbers."""
    case = exercise.cases[index]
    seed = zlib.crc32(f"{exercise.id}/{index}".encode())
    inputs = clone(case.inputs(torch.Generator().manual_seed(seed)))
    state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002  learners may use the global generator
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # a warning is stderr, which counts as a failure for nbgrader
            return Outcome(case.probe(answer, *inputs), None, inputs)
    except Exception as error:
        return Outcome(None, error, inputs)
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
