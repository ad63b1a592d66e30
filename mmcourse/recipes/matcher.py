"""matcher: a network that says whether a sentence is true of a scene, over the frozen patches of the recipe `patches`.

It begins with what can be had alone, what is there and where, and only then has to tell who is left of whom: without
the easy statements the hard ones give no foothold. Nouns begin as the vectors of their classes, and positions are as
large as what the patches show.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.datasets import Scene, Truth, caption_is_true, lexicon, make_scenes
from mmcourse.encoders.patches import PatchEncoder
from mmcourse.models.matcher import Matcher, MatcherConfig
from mmcourse.recipes.data.statements import KINDS, statement, swapped, true_sentence
from mmcourse.recipes.data.worlds import scene_tokenizer
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.recipes.patches import load_patches
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Checkpointing, fit

SCENES, EACH = 24, 4  # of a step, and statements about each
EASY = {"noun": 0.2, "place": 0.3, "size": 0.25, "background": 0.25}
ALL = {"place": 0.1, "size": 0.1, "background": 0.1, "relation": 0.25, "comparison": 0.15, "caption": 0.3}
BEGIN = 400  # steps of easy statements
STEPS = 2_000
MEASURED = 2_000  # scenes of a split
WIDTH = 64
MODEL = {
    "image_options": {"width": WIDTH},
    "text_options": {"width": WIDTH, "depth": 0},
    "fusion_options": {
        "heads": 1, "depth": 2, "self_attention": True, "identity_start": True, "grid": [8, 8], "position_size": 2.0,
    },
    "width": WIDTH,
}  # fmt: skip


class StatementBatches:
    """`batches(step)`: scenes that no other step sees, as patches, with statements about them.

    Args:
        eye: the frozen network that turns pictures into patches.
        begin: how many steps the easy statements have for themselves.
    """

    def __init__(self, eye: PatchEncoder, tokenizer: WordTokenizer, *, begin: int = BEGIN) -> None:
        self.eye, self.tokenizer, self.begin = eye, tokenizer, begin

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Patches (B, P, C), ids (B, L), mask (B, L), and 1 for true and 0 for false (B,)."""
        chance, kinds = random.Random(step), EASY if step < self.begin else ALL
        batch = make_scenes(SCENES, start=step * SCENES)
        said = [statement(scene, kinds, chance) for scene in batch.scenes for _ in range(EACH)]
        ids, mask = self.tokenizer.encode_batch([text for text, _ in said])
        return see(self.eye, batch.images, repeat=EACH), ids, mask, torch.tensor([float(true) for _, true in said])


@torch.no_grad()
def see(eye: PatchEncoder, images: Tensor, *, repeat: int = 1) -> Tensor:
    """The patches of each picture, one below the other `repeat` times: (N · repeat, P, C)."""
    return torch.cat([eye.tokens(part) for part in images.split(250)]).repeat_interleave(repeat, dim=0)


@torch.no_grad()
def align(matcher: Matcher, eye: PatchEncoder) -> None:
    """Nouns begin as the vectors of their classes; what attention finds is handed on unchanged."""
    table = matcher.text_encoder.embedding.weight
    for noun, vector in zip(lexicon(), eye.noun_vectors(), strict=True):
        for word in (noun.name, noun.plural):
            table[matcher.tokenizer.ids[word]] = vector
    for layer in matcher.fusion.layers:
        for attention in (layer["text"].attention, layer["text"].own_attention):
            for linear in (attention.value, attention.out):
                nn.init.eye_(linear.weight)
                nn.init.zeros_(linear.bias)


def loss(model: Matcher, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
    """How surprised the matcher is by what is true and what is false."""
    *read, true = batch
    return F.binary_cross_entropy_with_logits(model(*read), true)


def train(*, steps: int, checkpoint: Path | None = None, seed: int = 0) -> Made:
    """Trains a matcher; another `seed` begins with other weights and ends with other figures."""
    tokenizer = scene_tokenizer()
    eye = load_patches()
    config = {"model": asdict(MatcherConfig(**MODEL)), "vocabulary": tokenizer.vocabulary}
    seed_everything(seed)
    matcher = build(config)[0]
    align(matcher, eye)
    history = fit(
        matcher, loss, StatementBatches(eye, tokenizer), steps=steps, learning_rate=3e-3,
        seed=seed, checkpoint=None if checkpoint is None else Checkpointing(checkpoint), description="matcher",
    )  # fmt: skip
    return Made(matcher, config, history.seconds)


def build(config: Facts) -> tuple[Matcher, WordTokenizer]:
    tokenizer = WordTokenizer(config["vocabulary"])
    return Matcher(MatcherConfig(**config["model"]), tokenizer), tokenizer


class SwapPairs(NamedTuple):
    """Two sentences for each of some pictures: the first is true, the second has its two things swapped and is false.

    Both things are in the picture, so only the order of the words tells which sentence is meant.
    """

    pictures: Tensor  # int64 (N,), which scene of the batch
    true: list[str]
    false: list[str]


def swap_pairs(scenes: Sequence[Scene], *, seed: int = 0) -> SwapPairs:
    """One pair for each scene that has two different things, one of them left of, right of, above or below the other.

    Scenes in which the swapped sentence is true as well (a cat on each side of a dog) are left out.
    """
    chance, rows, true, false = random.Random(seed), [], [], []
    for row, scene in enumerate(scenes):
        text = true_sentence(scene, "relation", chance)
        other = None if text is None else swapped(text)
        if other is not None and caption_is_true(scene, other).truth is Truth.FALSE:
            rows.append(row)
            true.append(text)
            false.append(other)
    return SwapPairs(torch.tensor(rows), true, false)


def swap_accuracy(true_scores: Tensor, false_scores: Tensor) -> float:
    """The share of pairs whose true sentence has the higher score; equal scores count as wrong.

    >>> swap_accuracy(torch.tensor([0.9, 0.2, 0.5]), torch.tensor([0.1, 0.3, 0.5]))
    0.3333333333333333
    """
    if true_scores.shape != false_scores.shape or true_scores.dim() != 1 or not len(true_scores):
        shapes = f"{tuple(true_scores.shape)} and {tuple(false_scores.shape)}"
        raise ValueError(f"true_scores and false_scores must be (N,) with N ≥ 1, got {shapes}")
    return (true_scores > false_scores).double().mean().item()


def evaluate(trained: Trained) -> Quality:
    """How often a sentence with its two things swapped scores as high as the true one, on validation scenes."""
    model, eye, more = trained.model, load_patches(), {}
    for split in ("val", "compositional"):
        batch = make_scenes(MEASURED, split=split)
        patches, pairs = see(eye, batch.images), swap_pairs(batch.scenes)
        sides = (model.match(patches[pairs.pictures], texts) for texts in (pairs.true, pairs.false))
        more[f"swapped in {split}"] = 1 - swap_accuracy(*sides)
        more[f"pairs in {split}"] = len(pairs.true)
        for kind in KINDS:
            more[f"{kind} right in {split}"] = _right(model, patches, batch.scenes, kind)
    return Quality("swapped relations that score no lower than the true ones", more.pop("swapped in val"), 0.05, more)


def _right(model: Matcher, patches: Tensor, scenes: Sequence[Scene], kind: str) -> float:
    """The share of statements of one kind, one about each scene that has any, that are called what they are."""
    chance, rows, said = random.Random(1), [], []
    for row, scene in enumerate(scenes):
        if true_sentence(scene, kind, chance) is not None:
            rows.append(row)
            said.append(statement(scene, {kind: 1.0}, chance))
    found = model.match(patches[rows], [text for text, _ in said]) > 0
    return (found == torch.tensor([true for _, true in said])).double().mean().item()


RECIPE = Recipe(
    name="matcher",
    about="a network that says whether a sentence is true of a scene",
    steps=STEPS,
    train=train,
    build=build,
    evaluate=evaluate,
)
