"""The recipes of the course by their names."""

from __future__ import annotations

from pathlib import Path

from mmcourse.recipes import captioner, clip, matcher, patches, tiny_lm, video_captioner, vqa
from mmcourse.recipes.drawing import scene_reader, text2image
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Recipe, RecipeError, Trained
from mmcourse.recipes.seeing import answer_lm, vlm

MODULES = (tiny_lm, patches, clip, captioner, matcher, vqa, scene_reader, text2image, answer_lm, vlm, video_captioner)
RECIPES: dict[str, Recipe] = {module.RECIPE.name: module.RECIPE for module in MODULES}


def find(name: str) -> Recipe:
    """The recipe with this name.

    Raises:
        RecipeError: there is none; the message names the choices.
    """
    if name not in RECIPES:
        raise RecipeError(f"there is no recipe {name!r}; the recipes are: {', '.join(RECIPES)}")
    return RECIPES[name]


def load_trained(name: str, *, path: str | Path | None = None) -> Trained:
    """A trained model of the course: its network in evaluation mode and float32, its tokenizer and facts about it.

    Args:
        name: of its recipe, such as "tiny-lm".
        path: a file that `mmcourse train` wrote; by default the one that comes with the course, whose checksum is
            compared with the manifest first. Its facts then also hold its `quality`, `seconds`, `command` and so on.
    Raises:
        RecipeError: an unknown name, or a file that is missing, damaged or changed; one sentence.
    """
    return bundled.load(find(name), path=path)
