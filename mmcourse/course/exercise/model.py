"""What is asked: an exercise, its checks, and the misunderstandings that are known by name. Nothing here computes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class NotAFunctionError(TypeError):
    """The answer is a value where a function or class was asked for."""


def call(answer: Any, *inputs: Any) -> Any:
    """The default probe: calls a function or class with the inputs; a plain value stands for itself."""
    if callable(answer):
        return answer(*inputs)
    if inputs:
        kind = type(answer).__name__
        raise NotAFunctionError(
            f"check was given a value ({kind}), not a function; hand over the function itself, without calling it"
        )
    return answer


def no_inputs(generator: torch.Generator) -> tuple:
    return ()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that is checked: `probe(answer, *inputs)` against `probe(reference, *inputs)` on fresh inputs."""

    name: str
    inputs: Callable[[torch.Generator], tuple] = no_inputs
    probe: Callable[..., Any] = call
    rtol: float = 1e-5
    atol: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A known misunderstanding: what to tell the learner, and what it computes (same signature as the reference)."""

    message: str
    answer: Any


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise. `cases` may be left out for a plain value, which is then compared as it is.

    Where a case is an example with fixed inputs, `fresh` holds further ones with random inputs, for grading alone: a
    table of the answers to the examples is no answer.

    `ready_made` are the functions that do the whole exercise in one call: the isolated grader sees them called under
    whatever name. Where there are none, `nothing_ready` says why.
    """

    id: str
    title: str
    goal: str
    stars: int
    minutes: int
    points: int
    reference: Any
    ready_made: tuple[Callable[..., Any], ...] = ()
    nothing_ready: str = ""
    cases: tuple[Case, ...] = (Case(name="it is the right value"),)
    fresh: tuple[Case, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    hints: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d\d-[a-z0-9-]+", self.id):
            raise ValueError(f"id is {self.id!r}; write chapter and name in small letters, such as 01-causal-mask")
        if self.stars not in (1, 2, 3):
            raise ValueError(f"exercise {self.id}: stars must be 1, 2 or 3, got {self.stars}")
        for name in ("minutes", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"exercise {self.id}: {name} must be at least 1, got {getattr(self, name)}")
        if not self.cases:
            raise ValueError(f"exercise {self.id}: cases is empty; give at least one Case")

    @property
    def chapter(self) -> str:
        return self.id[:2]
