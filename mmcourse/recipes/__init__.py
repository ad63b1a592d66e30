"""Recipes: how the small trained models of the course were made, so that anybody can make them again.

`mmcourse train NAME` follows a recipe; `load_trained(NAME)` reads what came out. The files that come with the course
lie in `data/checkpoints`, each listed in a manifest with its checksum, its command, its time and its measured quality.

>>> load_trained("tiny-lm").facts["quality"]["value"] < 0.01
True
"""

from mmcourse.files import sha256
from mmcourse.recipes.captioner import caption_image
from mmcourse.recipes.drawing.sentences import Drawing, draw_texts
from mmcourse.recipes.engine.base import OPTIONS, Made, Quality, Recipe, RecipeError, Trained
from mmcourse.recipes.engine.bundled import read_manifest
from mmcourse.recipes.engine.following import Finished, bundle, follow
from mmcourse.recipes.registry import RECIPES, find, load_trained
from mmcourse.recipes.seeing.talking import Conversation, Said, talk
from mmcourse.recipes.vqa import answer_image

__all__ = [
    "OPTIONS",
    "RECIPES",
    "Conversation",
    "Drawing",
    "Finished",
    "Made",
    "Quality",
    "Recipe",
    "RecipeError",
    "Said",
    "Trained",
    "answer_image",
    "bundle",
    "caption_image",
    "draw_texts",
    "find",
    "follow",
    "load_trained",
    "read_manifest",
    "sha256",
    "talk",
]
