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

from mmcourse.errors import OneSentence
from mmcourse.files import expanded, write_in_one_step
from mmcourse.tokenizer import Tokenizer

Facts = dict[str, Any]
KEY = "mmcourse"  # one entry of metadata: safetensors writes several in no particular order
FORMAT = 1
WORD = 40  # letters of a folder's name in that of its files, which may have 255 bytes
OPTIONS = ("batch_size", "mixed_precision", "chunk")  # what a recipe's training may let one choose


class RecipeError(OneSentence, RuntimeError):
    """A trained model cannot be made or read; one sentence that says what to do."""


class Trained(NamedTuple):
    """A model that is ready to use: in evaluation mode, float32, on the CPU; and what is known about it."""

    model: nn.Module
    tokenizer: Tokenizer | None
    facts: Facts


class Made(NamedTuple):
    """What training gives: the model, what `Recipe.build` needs to build it again (JSON), and how long it took.

    `notes` are lines for the final report, such as which pictures of a folder could not be read.
    """

    model: nn.Module
    config: Facts
    seconds: float
    notes: tuple[str, ...] = ()


class Quality(NamedTuple):
    """How good a trained model is: a measured value that must be `at_most` so much, and further numbers beside it.

    `at_most` is None where nobody can know what to expect: on data of the learner's own.
    """

    measure: str
    value: float
    at_most: float | None
    more: dict[str, float]

    @property
    def met(self) -> bool:
        return self.at_most is None or self.value <= self.at_most


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A small model of the course and how it is trained.

    Args:
        name: the name of its file.
        about: one line for the list.
        steps: how long the bundled file was trained.
        train: `train(steps=, checkpoint=)` -> Made; goes on from `checkpoint` where there is one, as `fit` does.
            With `worlds` it is also given `data=`, and those of its `options` that were asked for.
        build: `build(config)` -> the model without its weights, and its tokenizer if it has one.
        evaluate: `evaluate(trained)` -> Quality, always on the same data; with `worlds` it is also given `data=`.
        worlds: what the model can be trained on beside a folder of pictures with texts, the recipe's own world first:
            `data` is one of these names or the folder's Path. Empty: it is trained on its own data alone.
        options: which of `OPTIONS` its `train` takes.
        processes: whether several processes together train what one would.
    """

    name: str
    about: str
    steps: int
    train: Callable[..., Made]
    build: Callable[[Facts], tuple[nn.Module, Tokenizer | None]]
    evaluate: Callable[..., Quality]
    worlds: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    processes: bool = True


def file_name(name: str) -> str:
    return f"{name}.safetensors"


def choose_data(recipe: Recipe, data: str | Path | None) -> str | Path | None:
    """The data to train on: a name among the recipe's worlds, a folder's path, or None if the recipe has no choice.

    Raises:
        RecipeError: the recipe has no choice, or there is neither a world nor a folder of that name.
    """
    if data is None or data in recipe.worlds:
        return data or next(iter(recipe.worlds), None)
    if not recipe.worlds:
        raise RecipeError(f"{recipe.name} is trained on its own data alone; leave --data out")
    folder = expanded(data)
    if not os.path.isdir(folder):  # nor is a name too long for the disk
        choices = ", ".join(recipe.worlds)
        raise RecipeError(f"--data must be {choices} or a folder with pictures and metadata.jsonl, got {str(data)!r}")
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError:
        raise RecipeError(f"the name of the folder {str(folder)!r} is not UTF-8 text; rename it") from None
    return folder


def run_name(recipe: Recipe, data: str | Path | None) -> str:
    """What the files of a run are called: data other than the recipe's own gets a name of its own."""
    if data is None or data == recipe.worlds[0]:
        return recipe.name
    if isinstance(data, str):
        return f"{recipe.name}-{data}"
    where = data.resolve()
    word = "".join(letter if letter.isalnum() else "-" for letter in where.name[:WORD])
    return f"{recipe.name}-{word}-{hashlib.sha256(str(where).encode()).hexdigest()[:6]}"


def check_options(recipe: Recipe, options: dict[str, Any]) -> None:
    """Raises a RecipeError for an option that the recipe does not take, or a number below 1."""
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if name not in recipe.options:
            known = ", ".join(f"--{each.replace('_', '-')}" for each in sorted(recipe.options)) or "none of its kind"
            raise RecipeError(f"{recipe.name} has no {flag}; it has {known}")
        if value < 1:
            raise RecipeError(f"{flag} must be at least 1, got {value}")


def write_trained(path: Path, recipe: Recipe, made: Made, *, steps: int) -> None:
    """Writes a trained model in one step; the same model gives the same bytes."""
    weights = {name: value.detach().cpu().half().contiguous() for name, value in made.model.state_dict().items()}
    facts = {"format": FORMAT, "recipe": recipe.name, "steps": steps, "config": made.config}
    write_in_one_step(path, save(weights, metadata={KEY: json.dumps(facts, ensure_ascii=False)}))


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
