"""answer-lm: a GPT that reads what a scene shows, told in words, and answers questions about it; it never sees one.

A language model that sees can begin with it: what stands before a question is then a picture.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import nn

from mmcourse.attention import look_for_alike
from mmcourse.datasets import lexicon
from mmcourse.lm import GPT, GPTConfig
from mmcourse.models.vlm import VLM, VLMConfig
from mmcourse.recipes import tiny_lm
from mmcourse.recipes.data.readings import (
    ALL_ALIKE,
    COUNTS,
    HARD_ONES,
    LAST_ONES,
    LISTS,
    Readings,
    in_notes,
    reading_words,
)
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.recipes.engine.parts import Part, fit_parts, planned
from mmcourse.recipes.seeing.exam import SCENES, exam, mistakes
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer

# What is asked, and for how many steps; before COUNTS plurals are related to their singulars.
LESSONS = ((ALL_ALIKE, 3_000), (HARD_ONES, 3_200), (LISTS, 1_600), (COUNTS, 1_200), (LAST_ONES, 700))
STEPS = sum(steps for _, steps in LESSONS)
CONTEXT = 306  # tokens: notes and twelve of the longest exchanges take 305
BATCH = 20
LEARNING_RATE = 1e-3
BACK = [1, 2, 3, 4]  # tokens: how far the heads of the first block look back at the beginning
# What those of the second compare, see `look_for_alike`: "where is the cat?" asks with the token one back for places
# behind a cat, "what size is the cat?" for a cat itself; places have two words; the last is the induction head.
ALIKE = [(0, 0), (0, None), (1, 1), (None, 0)]


def train(*, steps: int, checkpoint: Path) -> Made:
    """Trains in parts, the learning rate up again at the beginning of each."""
    tokenizer = reading_words()
    size = GPTConfig(vocabulary_size=len(tokenizer), context=CONTEXT, width=128, heads=4, depth=3, rotary=True)
    config = {"model": asdict(size), "vocabulary": tokenizer.vocabulary, "special_tokens": tokenizer.special_tokens}
    seed_everything(0)
    model = new(config)
    relate = partial(relate_plurals, tokenizer=tokenizer)
    parts = [
        Part(Readings(tokenizer, size=BATCH, shares=shares), most, relate if shares is COUNTS else None)
        for shares, most in LESSONS
    ]
    seconds = fit_parts(
        model, tiny_lm.loss, planned(steps, parts), checkpoint=checkpoint, learning_rate=LEARNING_RATE,
        description="answer-lm",
    )  # fmt: skip
    return Made(model, config, seconds)


@torch.no_grad()
def new(config: Facts) -> GPT:
    """A model that has read nothing, begun so that it learns in thousands of steps what belongs together in a text.

    Its weights are larger than GPT-2's, and its words lie far apart: with a smaller table a step of the optimizer moves
    words by much of their size. Its first heads look back, its second ones look for what is alike, and what its
    feed-forward networks add, which means nothing yet, is small.
    """
    model = build(config)[0]
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=model.config.width**-0.5)
    nn.init.normal_(model.embedding.weight, std=0.3)
    for block in model.decoder.blocks:
        block.feed_forward.contract.weight *= 0.3
    first, second = (block.attention for block in model.decoder.blocks[:2])
    look_for_alike(first, second, BACK, ALIKE)
    return model


@torch.no_grad()
def relate_plurals(model: GPT, tokenizer: WordTokenizer) -> None:
    """Lays each plural beside its singular in the table of words, and all equally far.

    A reader knows these words by nothing but their use, and in 7,800 steps this one did not find out that "how many
    cats are there?" asks about what was noted as a cat. Tokenizers that split words give it away in their letters.
    """
    table, ids = model.embedding.weight, tokenizer.ids
    one, many = (torch.tensor([ids[getattr(noun, form)] for noun in lexicon()]) for form in ("name", "plural"))
    differ = one != many
    one, many = one[differ], many[differ]
    table[many] = table[one] + (table[many] - table[one]).mean(dim=0)


def build(config: Facts) -> tuple[GPT, WordTokenizer]:
    tokenizer = WordTokenizer(config["vocabulary"], config["special_tokens"])
    return GPT(GPTConfig(**config["model"])), tokenizer


def reader(trained: Trained) -> VLM:
    """The language model as a `VLM` that is shown no pictures."""
    model: GPT = trained.model
    return VLM(VLMConfig(language=model.config, features=1, patches=1), trained.tokenizer, language_model=model).eval()


def evaluate(trained: Trained) -> Quality:
    """The mean over all kinds of questions of how many it answers wrong after reading, on validation scenes."""
    chance, more, model = random.Random(0), {}, reader(trained)
    for split in ("val", "compositional"):
        sheet = exam(SCENES, split=split)
        told = [in_notes(scene, chance) for scene in sheet.scenes]
        more |= mistakes(model, None, sheet, begin=told, split=split)
    return Quality(
        "questions answered wrong, mean over kinds", more.pop("wrong in val"), 0.05, more | {"scenes": SCENES}
    )


RECIPE = Recipe(
    name="answer-lm",
    about="a GPT that answers questions about scenes that it reads in words",
    steps=STEPS,
    train=train,
    build=build,
    evaluate=evaluate,
)
