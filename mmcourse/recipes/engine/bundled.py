"""The files that come with the course: where they lie, what is known about them, and how one is read."""

from __future__ import annotations

import json
from pathlib import Path

from mmcourse.content import content_dir
from mmcourse.files import expanded, sha256
from mmcourse.recipes.engine.base import Facts, Recipe, RecipeError, Trained, file_name, read_trained


def bundled_dir() -> Path:
    """The folder of the files that come with the course."""
    return content_dir("data") / "checkpoints"


def read_manifest() -> dict[str, Facts]:
    """What is known about each file in `data/checkpoints`, by the name of its recipe."""
    path = bundled_dir() / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def load(recipe: Recipe, *, path: str | Path | None = None) -> Trained:
    """What a recipe has made: the file at `path`, or the one that comes with the course; see `load_trained`."""
    if path is not None:
        return read_trained(expanded(path), recipe)
    name = recipe.name
    bundled, known = bundled_dir() / file_name(name), read_manifest().get(name)
    advice = f"install the course again, or make it with `mmcourse train {name}` and give its path"
    if known is None or not bundled.is_file():
        raise RecipeError(f"no trained {name} comes with this course; {advice}")
    if sha256(bundled) != known["sha256"]:
        raise RecipeError(f"the file {bundled} is damaged or was changed, the manifest names another; {advice}")
    trained = read_trained(bundled, recipe)
    return trained._replace(facts={**trained.facts, **known})
