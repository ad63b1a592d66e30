"""What a recipe is, and the file that holds a trained model.

A file is safetensors: weights in half precision, and beside them, as JSON in its metadata, what it takes to build the
model and its tokenizer again. Nothing in it depends on when or how often a run was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from mmcourse.tokenizer import Tokenizer

Facts = dict[str, Any]
KEY = "mmcourse"  # one entry of metadata: safetensors writes several in no particular order
FORMAT = 1


class RecipeError(RuntimeError):
    """A trained model cannot be made or read; one sentence that says what to do."""

    def _render_traceback_(self) -> list[str]:
        return [f"RecipeError: {self}"]


class Trained(NamedTuple):
    """A model that is ready to use: in evaluation mode, float32, on the CPU; and what is known about it."""

    model: nn.Module
    tokenizer: Tokenizer | None
    facts: Facts


class Made(NamedTuple):
    """What training gives: the model, what `Recipe.build` needs to build it again (JSON), and how long it took."""

    model: nn.Module
    config: Facts
    seconds: float


class Quality(NamedTuple):
    """How good a trained model is: a measured value that must be `at_most` so much, and further numbers beside it."""

    measure: str
    value: float
    at_most: float
    more: dict[str, float]

    @property
    def met(self) -> bool:
        return self.value <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A small model of the course and how it is trained.

    Args:
        name: the name of its file.
        about: one line for the list.
        steps: how long the bundled file was trained.
        train: `train(steps=, checkpoint=)` -> Made; goes on from `checkpoint` where there is one, as `fit` does.
        build: `build(config)` -> the model without its weights, and its tokenizer if it has one.
        evaluate: `evaluate(trained)` -> Quality, always on the same data.
    """

    name: str
    about: str
    steps: int
    train: Callable[..., Made]
    build: Callable[[Facts], tuple[nn.Module, Tokenizer | None]]
    evaluate: Callable[[Trained], Quality]


def file_name(name: str) -> str:
    return f"{name}.safetensors"


def write_trained(path: Path, recipe: Recipe, made: Made, *, steps: int) -> None:
    """Writes a trained model in one step; the same model gives the same bytes."""
    weights = {name: value.detach().cpu().half().contiguous() for name, value in made.model.state_dict().items()}
    facts = {"format": FORMAT, "recipe": recipe.name, "steps": steps, "config": made.config}
    write_bytes(path, save(weights, metadata={KEY: json.dumps(facts, ensure_ascii=False)}))


def read_trained(path: Path, recipe: Recipe) -> Trained:
    """Reads what `write_trained` wrote.

    Raises:
        RecipeError: there is no such file, it is damaged, or it holds something else.
    """
    advice = f"make it again with `mmcourse train {recipe.name}`, or load_trained({recipe.name!r}) without a path"
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get(KEY, "{}"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except FileNotFoundError:
        raise RecipeError(f"there is no file {path}; {advice}") from None
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise RecipeError(f"the file {path} is damaged or no safetensors file ({error}); {advice}") from None
    if facts.get("format") != FORMAT or facts.get("recipe") != recipe.name:
        found = facts.get("recipe", "no model of this course")
        raise RecipeError(f"the file {path} holds {found}, not {recipe.name}; {advice}")
    try:
        model, tokenizer = recipe.build(facts["config"])
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"the file {path} does not fit the recipe {recipe.name} ({reason}); {advice}") from error
    return Trained(model.eval(), tokenizer, facts)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside `path`, then moves the file into place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
