"""Makes data/cures.csv: what each cure for swapped relations costs and reaches, three seeds each.

    python data/make_cures.py

Every model looks through the frozen patches of the recipe `patches` at the same 4,000 training scenes. No learning rate
was tuned. That the matcher hears relations alone, with another noun, word or order where they are false, was decided
after a first run had been measured on these same test scenes, as were the numbers of steps: bear it in mind where
figures lie close together. A quarter of an hour on one busy thread; each row is written at once.
"""

from __future__ import annotations

import csv
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmcourse.attention import sinusoidal_positions_2d
from mmcourse.datasets import Scene, caption_is_true, captions, make_scenes
from mmcourse.fusion.late_interaction import late_interaction
from mmcourse.metrics import recall_at_k
from mmcourse.models import CLIP, CLIPConfig, Matcher, MatcherConfig, rerank
from mmcourse.models.parts import TransformerPart
from mmcourse.recipes import matcher
from mmcourse.recipes.data.statements import Statement, statement, swapped
from mmcourse.recipes.data.worlds import scene_tokenizer
from mmcourse.runtime import seed_everything
from mmcourse.train import fit
from mmcourse.transformer import Block

SEEDS = (0, 1, 2)
FIELDS = ("cure", "seed", "steps", "seconds", "swap", "recall_1", "recall_1_twins")
SCENES, GALLERY, PAIRS = 4000, 500, 1500
EYE = matcher.load_patches()
WORDS = scene_tokenizer()
TRAIN, TEST = make_scenes(SCENES), make_scenes(PAIRS, split="test")
SEEN, TEST_SEEN = matcher.see(EYE, TRAIN.images), matcher.see(EYE, TEST.images)
SWAPS = matcher.swap_pairs(TEST.scenes)
SIDEWAYS = [
    place for place, row in enumerate(SWAPS.pictures.tolist()) if row < GALLERY and " of a " in SWAPS.true[place]
]
QUERIES = [SWAPS.true[place] for place in SIDEWAYS]  # "left of" and "right of"
# Every picture of the gallery, and every one of them as a mirror shows it: the same things, left and right exchanged.
TWINS = matcher.see(EYE, torch.cat([TEST.images[:GALLERY], TEST.images[:GALLERY].flip(-1)]))


def mirrored(scene: Scene) -> Scene:
    """What the mirror image shows, as far as sentences without sizes in pixels are concerned."""
    things = tuple(replace(thing, cell=3 * thing.row + 2 - thing.column) for thing in scene.objects)
    return replace(scene, objects=things)


SHOWN = [*TEST.scenes[:GALLERY], *map(mirrored, TEST.scenes[:GALLERY])]
RELEVANT = torch.tensor([[bool(caption_is_true(scene, text)) for scene in SHOWN] for text in QUERIES])

Similarity = Callable[[Tensor, list[str]], Tensor]  # patches (N, P, C) and M texts -> (N, M)


class LatePair(nn.Module):
    """Patches that know their place and each other, words that do; they meet in one product each."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.register_buffer("positions", 2 * sinusoidal_positions_2d(8, 8, width))
        self.block = Block(width, 4)
        self.words = TransformerPart(vocabulary_size=len(WORDS), width=width, depth=2)
        self.log_scale = nn.Parameter(torch.tensor(3.0))

    def compare(self, patches: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        seen = F.normalize(self.block(patches + self.positions), dim=-1)
        said = F.normalize(self.words(ids, mask).tokens, dim=-1)
        return late_interaction(seen, said, mask)


def pair_batches(step: int, size: int = 128) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Patches, their captions, and the captions with their things swapped, those that can be."""
    chance = random.Random(step)
    rows = [chance.randrange(SCENES) for _ in range(size)]
    texts = [chance.choice(captions(TRAIN.scenes[row])) for row in rows]
    turned = [
        other
        for row, text in zip(rows, texts, strict=True)
        if (other := swapped(text)) is not None and not caption_is_true(TRAIN.scenes[row], other)
    ]
    return SEEN[rows], *WORDS.encode_batch(texts), *WORDS.encode_batch(turned or ["a cat"])


def towers(seed: int, *, negatives: bool, steps: int = 500) -> tuple[nn.Module, int, float, Similarity]:
    """Two towers; that of pictures reads all 64 patches in their order."""
    seed_everything(seed)
    options = {"image_options": {"width": 64 * 64}, "text_options": {"width": 128, "depth": 2}}
    model = CLIP(CLIPConfig(image="features", text="transformer", **options, width=128, hidden=256), WORDS)

    def loss(model: CLIP, batch: tuple[Tensor, ...]) -> Tensor:
        patches, ids, mask, *turned = batch
        features = model(patches.flatten(1), ids, mask)
        return model.loss(features, negatives=model.encode_text(*turned) if negatives else None)

    history = fit(model, loss, pair_batches, steps=steps, learning_rate=1e-3, seed=seed, description=None)
    compare = lambda patches, texts: model.embed_images(patches.flatten(1)) @ model.embed_texts(texts).T  # noqa: E731
    return model, steps, history.seconds, compare


def late(seed: int, *, steps: int = 300) -> tuple[nn.Module, int, float, Similarity]:
    """Late interaction, with swapped captions as hard negatives."""
    seed_everything(seed)
    model = LatePair()

    def loss(model: LatePair, batch: tuple[Tensor, ...]) -> Tensor:
        patches, ids, mask, *turned = batch
        scale = model.log_scale.exp().clamp(max=100)
        right = scale * model.compare(patches, ids, mask)
        wrong = scale * model.compare(patches, *turned)
        targets = torch.arange(len(right))
        both = F.cross_entropy(torch.cat([right, wrong], dim=1), targets) + F.cross_entropy(right.T, targets)
        return both / 2

    history = fit(model, loss, pair_batches, steps=steps, learning_rate=2e-3, seed=seed, description=None)

    @torch.no_grad()
    def compare(patches: Tensor, texts: list[str]) -> Tensor:
        ids, mask = WORDS.encode_batch(texts)
        return torch.cat([model.eval().compare(part, ids, mask) for part in patches.split(100)])

    return model, steps, history.seconds, compare


def match(seed: int, *, order_only: bool, steps: int = 900) -> tuple[Matcher, int, float]:
    """The matcher, on relations alone: false ones have another noun, another word, or only the other order."""
    seed_everything(seed)
    model = Matcher(MatcherConfig(**matcher.MODEL), WORDS)
    matcher.align(model, EYE)
    pairs = matcher.swap_pairs(TRAIN.scenes, seed=seed)  # scenes of which a sentence and its swapped one can be told

    def say(place: int, chance: random.Random) -> Statement:
        if not order_only:
            return statement(TRAIN.scenes[pairs.pictures[place]], {"relation": 1.0}, chance)
        if chance.random() < 0.5:
            return Statement(pairs.true[place], True)
        return Statement(pairs.false[place], False)

    def batches(step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        chance = random.Random(step)
        places = [chance.randrange(len(pairs.true)) for _ in range(matcher.SCENES)]
        said = [say(place, chance) for place in places for _ in range(matcher.EACH)]
        true = torch.tensor([float(each.true) for each in said])
        patches = SEEN[pairs.pictures[places]].repeat_interleave(matcher.EACH, dim=0)
        return patches, *WORDS.encode_batch([each.text for each in said]), true

    history = fit(model, matcher.loss, batches, steps=steps, learning_rate=3e-3, seed=seed, description=None)
    return model, steps, history.seconds


def swap_of(model: Matcher | None, compare: Similarity | None) -> float:
    patches = TEST_SEEN[SWAPS.pictures]
    if compare is None:
        sides = [model.match(patches, texts) for texts in (SWAPS.true, SWAPS.false)]
    else:  # in parts: a table of all with all is mostly not asked for
        parts = range(0, len(SWAPS.true), 50)
        cut = lambda texts, i: compare(patches[i : i + 50], texts[i : i + 50]).diagonal()  # noqa: E731
        sides = [torch.cat([cut(texts, i) for i in parts]) for texts in (SWAPS.true, SWAPS.false)]
    return matcher.swap_accuracy(*sides)


def recalls(similarity: Tensor) -> tuple[float, float]:
    """Recall@1 among the pictures, and among pictures and mirror images: (queries, 2 · GALLERY) -> two numbers."""
    plain = recall_at_k(similarity[:, :GALLERY], RELEVANT[:, :GALLERY], k=1)
    return plain, recall_at_k(similarity, RELEVANT, k=1)


def main(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)

        def row(cure: str, seed: int, steps: int, seconds: float, *values: float) -> None:
            writer.writerow([cure, seed, steps, round(seconds), *(f"{value:.3f}" for value in values)])
            file.flush()

        for seed in SEEDS:
            _, steps, seconds, compare = towers(seed, negatives=False)
            found = compare(TWINS, QUERIES).T
            row("two towers", seed, steps, seconds, swap_of(None, compare), *recalls(found))
            judge, more, longer = match(seed, order_only=False)
            swap = swap_of(judge, None)
            row("matcher alone", seed, more, longer, swap, *recalls(judge.scores(TWINS, QUERIES).T))
            begin, ask = time.perf_counter(), Reranker(judge)
            plain = recall_at_k(rerank(found[:, :GALLERY], ask), RELEVANT[:, :GALLERY], k=1)
            twins = recall_at_k(rerank(found, ask), RELEVANT, k=1)
            asked = time.perf_counter() - begin
            row("two towers, then the matcher", seed, steps + more, seconds + longer + asked, swap, plain, twins)
            blind, more, longer = match(seed, order_only=True)
            values = recalls(blind.scores(TWINS, QUERIES).T)
            row("matcher, wrong order only", seed, more, longer, swap_of(blind, None), *values)
            _, steps, seconds, compare = towers(seed, negatives=True)
            values = recalls(compare(TWINS, QUERIES).T)
            row("two towers, swapped captions as negatives", seed, steps, seconds, swap_of(None, compare), *values)
            _, steps, seconds, compare = late(seed)
            values = recalls(compare(TWINS, QUERIES).T)
            row(
                "late interaction, swapped captions as negatives", seed, steps, seconds, swap_of(None, compare), *values
            )


class Reranker:
    """What `rerank` asks: the matcher's scores of one query with some pictures."""

    def __init__(self, judge: Matcher) -> None:
        self.judge = judge

    def __call__(self, query: int, items: Tensor) -> Tensor:
        return self.judge.match(TWINS[items], [QUERIES[query]] * len(items))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("cures.csv"))
