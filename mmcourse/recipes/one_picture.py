"""One picture of the reader's own, and the model that is to look at it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from mmcourse.datasets import read_image, square
from mmcourse.files import expanded
from mmcourse.models.base import SavedModel
from mmcourse.recipes.data.captions import SIDE
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Recipe, RecipeError

M = TypeVar("M", bound=SavedModel)

EXAMPLE = "what is at the center?"
HONEST = (
    "The model learned from scenes of up to three small drawings, of 64 kinds, on a plain background. Photographs and "
    "whatever else it has never seen, and it says something about them all the same."
)


def open_picture(path: str | Path) -> Tensor:
    """A picture file of any size and kind as uint8 (3, H, W).

    Raises:
        RecipeError: it cannot be read; one sentence.
    """
    try:
        return read_image(expanded(path))
    except FileNotFoundError:
        raise RecipeError(f"there is no picture {str(path)!r}") from None
    except OSError as error:
        raise RecipeError(str(error)) from None


def check_question(question: str) -> None:
    """Raises RecipeError for a question without words."""
    if not question.strip(" \t\n?.!"):
        raise RecipeError(f'the question is empty; ask for example "{EXAMPLE}"')


def open_both(path: str | Path, model: str | Path | None, recipe: Recipe, kind: type[M]) -> tuple[Tensor, M]:
    """A picture file of any size and kind as uint8 (3, 64, 64), and a model.

    Args:
        model: a file that `mmcourse train` wrote, or a folder of `save`; by default the one that comes with the course.
        recipe, kind: how such a model is made, and its class.
    Raises:
        RecipeError: the picture or the model cannot be read; one sentence.
    """
    return square(open_picture(path), SIDE), open_model(model, recipe, kind)


def open_model(model: str | Path | None, recipe: Recipe, kind: type[M]) -> M:
    """A model of a recipe, see `open_both`.

    Raises:
        RecipeError: it cannot be read; one sentence.
    """
    try:
        if model is not None and os.path.isdir(expanded(model)):
            return kind.load(model)
        return bundled.load(recipe, path=model).model
    except (OSError, ValueError) as error:
        raise RecipeError(str(error)) from None
