"""vqa: a network that answers questions about a scene, by choosing from a list and by writing.

It begins as the captioner: the eye stays as that left it, and the decoder, which could already say what is where, only
has to learn what is asked. No scene comes twice, and every kind of question is asked as often as the others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from mmcourse.datasets import Question, make_scenes, questions
from mmcourse.losses import IGNORED, cross_entropy
from mmcourse.models.captioner import Captioner
from mmcourse.models.vqa import METHODS, VQA, Answer, VQAConfig
from mmcourse.recipes import captioner
from mmcourse.recipes.data.questions import (
    FreshQuestions,
    QuestionBatch,
    draw_questions,
    question_words,
    wrong_by_kind,
)
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, RecipeError, Trained
from mmcourse.recipes.one_picture import check_question, open_both
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Checkpointing, fit

STEPS = 2_000
LEARNING_RATE = 2e-3
SCENES, EACH = 1_000, 8  # of each split that the finished model is measured on, and questions about each


def loss(model: VQA, batch: QuestionBatch) -> Tensor:
    """How surprised both ways of answering are by the right answers."""
    logits = model.both(batch.memory, batch.tokens, batch.ends)
    chosen = cross_entropy(logits.answers, batch.answers, ignore_index=IGNORED)
    return chosen + cross_entropy(logits.tokens, batch.targets, ignore_index=IGNORED)


@torch.no_grad()
def begin(model: VQA, writer: Captioner) -> VQA:
    """Starts as the captioner that is given, whose picture side is frozen; returns the model.

    Words that both know begin as the captioner's, and each answer of the list as the mean of its words.
    """
    captioner.hand_on(writer, model)
    table = model.embedding.weight
    for row, answer in zip(model.classifier.weight, model.config.answers, strict=True):
        row.copy_(table[model.tokenizer.encode(answer)].mean(dim=0))
    return model


def untrained(seed: int = 0) -> tuple[VQA, Facts]:
    """A model that has looked at pictures and read captions but no question, and what it takes to build it again.

    Another `seed` begins with other vectors for the words that no caption has, and ends with other figures.
    """
    seed_everything(seed)
    writer = bundled.load(captioner.RECIPE).model
    words = question_words()
    size = asdict(writer.config) | {"answers": list(words.answers)}
    config = {"model": size, "vocabulary": words.tokenizer.vocabulary}
    return begin(build(config)[0], writer), config


def train(*, steps: int, checkpoint: Path | None = None, seed: int = 0) -> Made:
    """Trains a model that answers; see `untrained`."""
    model, config = untrained(seed)
    history = fit(
        model, loss, FreshQuestions(model), steps=steps, learning_rate=LEARNING_RATE, seed=seed,
        checkpoint=None if checkpoint is None else Checkpointing(checkpoint, 50), description="vqa",
    )  # fmt: skip
    return Made(model, config, history.seconds)


def build(config: Facts) -> tuple[VQA, WordTokenizer]:
    tokenizer = WordTokenizer(config["vocabulary"])
    return VQA(VQAConfig(**config["model"]), tokenizer), tokenizer


def evaluate(trained: Trained) -> Quality:
    """The mean over all kinds of questions of how many are answered wrong from the list, on validation scenes."""
    model, more = trained.model, {}
    for split in ("val", "compositional"):
        batch, chance = make_scenes(SCENES, split=split), random.Random(0)
        asked = [draw_questions(questions(scene), EACH, chance) for scene in batch.scenes]
        memory, flat = model.remember(batch.images), [each for row in asked for each in row]
        for way in METHODS:
            found = answer_all(model, memory, asked, way)
            written = "" if way == "classify" else " in writing"
            more |= wrong_by_kind([one.text for one in found], flat, f"wrong{written} in {split}")
    value = more.pop("wrong in val")
    return Quality("questions answered wrong, mean over kinds", value, 0.04, more | {"scenes": SCENES})


def answer_all(
    model: VQA, images: Tensor, asked: Sequence[Sequence[Question]], method: Literal["classify", "write"] = "classify"
) -> list[Answer]:
    """The answers to several questions about each picture (or its memory), picture by picture."""
    rows = torch.tensor([row for row, about in enumerate(asked) for _ in about], dtype=torch.int64)
    return model.answer(images[rows], [each.text for about in asked for each in about], method=method)


def answer_image(
    path: str | Path,
    question: str,
    *,
    model: str | Path | None = None,
    method: Literal["classify", "write"] = "classify",
    threshold: float = 0.0,
) -> tuple[Answer, list[str]]:
    """Answers a question about a picture file of any size and kind.

    Args:
        model: a file that `mmcourse train vqa` wrote, or a folder of `VQA.save`; by default the one of the course.
        method, threshold: see `VQA.answer`.
    Returns:
        The answer, and the words of the question that the model has never read.
    Raises:
        RecipeError: the picture or the model cannot be read, or the question is too long; one sentence.
    """
    image, answerer = open_both(path, model, RECIPE, VQA)
    check_question(question)
    try:
        (answer,) = answerer.answer(image[None], [question], method=method, threshold=threshold)
    except ValueError as error:
        raise RecipeError(str(error)) from None
    return answer, answerer.unknown_words(question)


RECIPE = Recipe(
    name="vqa",
    about="answers questions about a scene",
    steps=STEPS,
    train=train,
    build=build,
    evaluate=evaluate,
    processes=False,  # batch normalisation
)
