"""vlm: a language model that sees. It grew up on descriptions; now pictures stand where those stood.

The eyes are the captioner's and stay as they are, the language model is that of `answer-lm`, and between them a new
projector makes sixteen words of the 64 patches of a picture. For the file that comes with the course all but the eyes
learns; chapter 13 compares what may learn.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

from mmcourse.datasets import make_scenes
from mmcourse.lm import GPT
from mmcourse.models.vlm import IMAGE, VLM, Eyes, Lesson, VLMConfig, loss
from mmcourse.recipes import captioner
from mmcourse.recipes.data.readings import exchanges
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.recipes.seeing import answer_lm
from mmcourse.recipes.seeing.exam import SCENES, exam, mistakes
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Checkpointing, fit

SIZE = 32  # scenes of a step
PATCHES = 64  # of a picture of 64 × 64 pixels, as the captioner sees it
MERGE = 2  # side of the squares of patches that become one word
LEARNING_RATE = 1e-3


class Lessons:
    """`batches(step)`: pictures of scenes that no other step sees, with some exchanges about each.

    Args:
        model: the one that is to learn; its eyes see the pictures.
    """

    def __init__(self, model: VLM, *, size: int = SIZE) -> None:
        self.model, self.size = model, size

    def __call__(self, step: int) -> Lesson:
        chance, batch = random.Random(step), make_scenes(self.size, start=step * self.size)
        turns = [exchanges(scene, chance) for scene in batch.scenes]
        return Lesson(self.model.see(batch.images), self.model.pack_turns([IMAGE] * self.size, turns))


def untrained(seed: int = 0, *, language: GPT | None = None) -> tuple[VLM, Facts]:
    """A model whose parts are trained, all but the projector between them, and what it takes to build it again.

    Args:
        seed: where the projector comes from.
        language: a language model that knows the same words; that of the recipe `answer-lm` by default.
    """
    seed_everything(seed)
    writer, reader = bundled.load(captioner.RECIPE).model, bundled.load(answer_lm.RECIPE)
    language, eyes = reader.model if language is None else language, Eyes.of(writer)
    size = VLMConfig(
        language=language.config, features=eyes.config.width, patches=PATCHES, merge=MERGE, eyes=eyes.config
    )
    words = {"vocabulary": reader.tokenizer.vocabulary, "special_tokens": reader.tokenizer.special_tokens}
    return VLM(size, reader.tokenizer, language_model=language, eyes=eyes), {"model": asdict(size), **words}


def train(*, steps: int, checkpoint: Path | None = None, seed: int = 0) -> Made:
    """Trains the projector and the language model on scenes of which none comes twice."""
    model, config = untrained(seed)
    history = fit(
        model, loss, Lessons(model), steps=steps, learning_rate=LEARNING_RATE, seed=seed,
        checkpoint=None if checkpoint is None else Checkpointing(checkpoint, 50), description="vlm",
    )  # fmt: skip
    return Made(model, config, history.seconds)


def build(config: Facts) -> tuple[VLM, WordTokenizer]:
    tokenizer = WordTokenizer(config["vocabulary"], config["special_tokens"])
    return VLM(VLMConfig(**config["model"]), tokenizer), tokenizer


def evaluate(trained: Trained) -> Quality:
    """The mean over all kinds of questions of how many it answers wrong, on validation scenes."""
    model, more = trained.model, {}
    for split in ("val", "compositional"):
        sheet = exam(SCENES, split=split)
        more |= mistakes(model, model.see(make_scenes(SCENES, split=split).images), sheet, split=split)
    value = more.pop("wrong in val")
    return Quality("questions answered wrong, mean over kinds", value, 0.05, more | {"scenes": SCENES})


RECIPE = Recipe(
    name="vlm",
    about="a language model that sees: it describes scenes and answers questions about them",
    steps=3_000,
    train=train,
    build=build,
    evaluate=evaluate,
)
