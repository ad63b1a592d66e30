"""vlm: a language model that sees. It grew up on descriptions; now pictures stand where those stood.

The eyes are the captioner's and stay as they are, the language model is that of `answer-lm`, and between them a
projector makes four words of each of 16 squares of a picture. It begins aligned: where a thing stands, they lie near
"large cat top left". For the file that comes with the course all but the eyes learns; chapter 13 compares what may
learn.
"""

from __future__ import annotations

import math
import random
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from mmcourse.datasets import Scene, make_scenes
from mmcourse.lm import GPT
from mmcourse.models.vlm import IMAGE, VLM, Eyes, Lesson, VLMConfig, loss, merged
from mmcourse.pictures import covered
from mmcourse.recipes import captioner
from mmcourse.recipes.data.readings import NOTE, Shares, exchanges, note_words, noted
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.recipes.engine.parts import Part, fit_parts, planned
from mmcourse.recipes.seeing import answer_lm
from mmcourse.recipes.seeing.exam import SCENES, exam, mistakes
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer

SIZE = 16  # scenes of a step
PATCHES = 64  # of a picture of 64 × 64 pixels, as the captioner sees it
MERGE = 2  # side of the squares of patches that are projected together
LEARNING_RATE = 1e-3
PENALTY = 1.0  # of ridge regression, on weights of features of about size 1
IN_SIGHT = 0.06  # share of a square that a thing has to cover
# At first hard questions most of all, and then captions, which are learned last: who writes "a cat and a dog and a …"
# has to know what it has named already.
ASKED = Shares(
    told=0.03,
    described=0.25,
    kinds={"what": 4, "where": 1, "color": 0.5, "count": 6, "exists": 1, "relation": 4, "size": 1, "comparison": 2},
)
ASKED_LAST = Shares(
    told=0.25,
    described=0.35,
    kinds={"what": 3, "where": 1, "color": 0.5, "count": 3, "exists": 1, "relation": 2, "size": 2, "comparison": 4},
)
ASKED_AT_THE_END = Shares(
    told=0.15,
    described=0.6,
    kinds={"what": 3, "where": 1, "color": 0.5, "count": 3, "exists": 1, "relation": 2, "size": 4, "comparison": 6},
)
SMALL = 3e-4  # learning rate of the last part, which polishes
# What is asked, for how many steps, and at which learning rate.
LESSONS = (
    (ASKED, 1_800, LEARNING_RATE),
    (ASKED_LAST, 1_600, LEARNING_RATE),
    (ASKED_AT_THE_END, 900, LEARNING_RATE),
    (ASKED_AT_THE_END, 900, SMALL),
)
STEPS = sum(steps for _, steps, _ in LESSONS)
AWAY = 10_000_000  # number of the first scene to align on
LOOKED_AT = 1_500  # scenes that the projector is aligned on, none of which is trained on


class Lessons:
    """`batches(step)`: pictures of scenes that no other step sees, with some exchanges about each.

    Args:
        model: the one that is to learn; its eyes see the pictures.
        shares: what is asked how often.
    """

    def __init__(self, model: VLM, *, size: int = SIZE, shares: Shares = ASKED) -> None:
        self.model, self.size, self.shares = model, size, shares

    def __call__(self, step: int) -> Lesson:
        chance, batch = random.Random(step), make_scenes(self.size, start=step * self.size)
        turns = [exchanges(scene, chance, self.shares) for scene in batch.scenes]
        return Lesson(self.model.see(batch.images), self.model.pack_turns([IMAGE] * self.size, turns))


def untrained(seed: int = 0, *, language: GPT | None = None) -> tuple[VLM, Facts]:
    """A model whose parts are trained, but not together, and what it takes to build it again.

    Args:
        seed: for whatever is drawn afterwards.
        language: a language model that knows the same words; that of the recipe `answer-lm` by default.
    """
    seed_everything(seed)
    writer, reader = bundled.load(captioner.RECIPE).model, bundled.load(answer_lm.RECIPE)
    language, eyes = reader.model if language is None else language, Eyes.of(writer)
    size = VLMConfig(
        language=language.config,
        features=eyes.config.width,
        patches=PATCHES,
        merge=MERGE,
        spread=NOTE,
        projector="words",
        eyes=eyes.config,
    )
    words = {"vocabulary": reader.tokenizer.vocabulary, "special_tokens": reader.tokenizer.special_tokens}
    return align(VLM(size, reader.tokenizer, language_model=language, eyes=eyes)), {"model": asdict(size), **words}


@torch.no_grad()
def align(model: VLM) -> VLM:
    """Starts the projector so that a picture reads like notes about it; returns the model.

    By least squares: the words of a square with a thing in it are to be those of its note, "large cat top left", and
    elsewhere those of the background. It is the first stage of LLaVA's training, "feature alignment", in closed form:
    in this world it is known what stands where.
    """
    batch, config = make_scenes(LOOKED_AT, start=AWAY, masks=True), model.config
    seen = merged(model.see(batch.images), config.merge).flatten(0, 1)  # (N·S, F) of S squares a picture
    seen = torch.cat((seen, seen.new_ones(len(seen), 1)), dim=1)
    notes = [_notes(model, *each) for each in zip(batch.scenes, batch.masks, strict=True)]
    wanted = torch.cat(notes).flatten(1)  # (N·S, spread, C) -> (N·S, spread · C)
    normal = seen.T @ seen + PENALTY * torch.eye(seen.shape[1])
    weight, bias = torch.linalg.solve(normal, seen.T @ wanted).split([seen.shape[1] - 1, 1])
    model.projector.weight.copy_(weight.T)
    model.projector.bias.copy_(bias[0])
    return model


def _notes(model: VLM, scene: Scene, masks: Tensor) -> Tensor:
    """What each square of a picture should say, as embeddings (S, spread, C): means over words of the note."""
    side = math.isqrt(model.config.patches) // model.config.merge
    notes = [noted(thing) for thing in scene.objects] + [f"{scene.background} background"]
    share, most = covered(masks[: len(scene.objects)], (side, side)).flatten(1).max(dim=0)
    return torch.stack([_embedded(model, note) for note in notes])[most.where(share > IN_SIGHT, len(scene.objects))]


def _embedded(model: VLM, note: str) -> Tensor:
    """A note of `NOTE` words as (spread, C): the mean of all tokens of NOTE / spread neighboring words."""
    words, several = note_words(note), NOTE // model.config.spread
    parts = [" ".join(words[start : start + several]) for start in range(0, NOTE, several)]
    table, encode = model.language.table.weight, model.tokenizer.encode
    return torch.stack([table[encode(f" {part}")].mean(dim=0) for part in parts])


def train(*, steps: int, checkpoint: Path | None = None, seed: int = 0) -> Made:
    """Trains the projector and the language model on scenes of which none comes twice."""
    model, config = untrained(seed)
    parts = [Part(Lessons(model, shares=shares), most, learning_rate=rate) for shares, most, rate in LESSONS]
    seconds = fit_parts(model, loss, planned(steps, parts), checkpoint=checkpoint, seed=seed, description="vlm")
    return Made(model, config, seconds)


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
    steps=STEPS,
    train=train,
    build=build,
    evaluate=evaluate,
    processes=False,  # the eyes normalise by batches
)
