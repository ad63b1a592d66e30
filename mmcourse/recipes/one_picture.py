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


def open_both(path: str | Path, model: str | Path | None, recipe: Recipe, kind: type[M]) -> tuple[Tensor, M]:
    """A picture file of any size and kind as uint8 (3, 64, 64), and a model.

    Args:
        model: a file that `mmcourse train` wrote, or a folder of `save`; by default the one that comes with the course.
        recipe, kind: how such a model is made, and its class.
    Raises:
        RecipeError: the picture or the model cannot be read; one sentence.
    """
    try:
        image = square(read_image(path), SIDE)
        if model is not None and os.path.isdir(expanded(model)):
            return image, kind.load(model)
        return image, bundled.load(recipe, path=model).model
    except FileNotFoundError as error:
        missing = f"there is no picture {str(path)!r}" if error.filename else str(error)
        raise RecipeError(missing) from None
    except (OSError, ValueError) as error:
        raise RecipeError(str(error)) from None
