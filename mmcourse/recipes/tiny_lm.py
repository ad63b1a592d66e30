"""tiny-lm: a small GPT on the captions of the scenes, trained until it knows nearly all there is to know.

No caption is repeated: scene number i of the training split gives row i of the run. So the loss of training is an
estimate of the true loss, and the entropy of the captions, which is known exactly, is the floor it cannot go below.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from mmcourse.datasets import caption_entropy, caption_log_prob
from mmcourse.lm import GPT, IGNORED, GPTConfig, Shifted, shift
from mmcourse.losses import cross_entropy
from mmcourse.recipes.data.worlds import CONTEXT, scene_texts, scene_tokenizer
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Checkpointing, Mean, fit

BATCH = 64
BLOCK = 64  # batches that are made in one go, which is much quicker than one by one
SAVE_EVERY = 100  # steps
CAPTIONS = 50_000  # that the finished model is measured on


class FreshCaptions:
    """`batches(step)`: captions that no other step sees, as a pure function of the step."""

    def __init__(self, tokenizer: WordTokenizer) -> None:
        self.tokenizer = tokenizer
        self._block, self._rows = -1, torch.empty(0, 0, dtype=torch.int64)

    def __call__(self, step: int) -> Shifted:
        block, place = divmod(step, BLOCK)
        if block != self._block:
            rows = scene_texts(block * BLOCK * BATCH, BLOCK * BATCH)
            self._block, self._rows = block, self.tokenizer.encode_batch(rows, add_special=True).ids
        return shift(self._rows[place * BATCH : (place + 1) * BATCH], pad_id=self.tokenizer.pad_id)


def loss(model: nn.Module, batch: Shifted) -> Mean:
    """The mean surprise of the tokens that are no padding."""
    total = cross_entropy(model(batch.inputs), batch.targets, ignore_index=IGNORED, reduction="sum")
    return Mean(total, (batch.targets != IGNORED).sum())


def train(*, steps: int, checkpoint: Path) -> Made:
    """Trains on `steps` batches of new captions."""
    tokenizer = scene_tokenizer()
    config = GPTConfig(vocabulary_size=len(tokenizer), context=CONTEXT, width=64, heads=4, depth=2)
    seed_everything(0)
    model = GPT(config)
    # Far apart from the start: the 64 nouns behave so much alike that from GPT-2's 0.02 they move to one place, and
    # which of them never stand together (about 1.4 % of the loss) is not learned in thousands of steps.
    nn.init.normal_(model.embedding.weight, std=0.1)
    history = fit(
        model, loss, FreshCaptions(tokenizer), steps=steps, learning_rate=2e-3,
        checkpoint=Checkpointing(checkpoint, SAVE_EVERY), description="tiny-lm",
    )  # fmt: skip
    return Made(model, {"model": asdict(config), "vocabulary": tokenizer.vocabulary}, history.seconds)


def build(config: Facts) -> tuple[GPT, WordTokenizer]:
    return GPT(GPTConfig(**config["model"])), WordTokenizer(config["vocabulary"])


class Gap(NamedTuple):
    """A model's loss on a sample of captions beside the exact entropy, all in nats a token.

    Some captions are easier than others, so the plain mean wavers with the sample. The difference between the model's
    surprise and the exact one wavers far less; its mean over all captions is the Kullback–Leibler divergence.
    """

    plain: float  # mean loss over the tokens of the sample
    entropy: float  # exact, of all captions
    excess: float  # mean difference between the model's and the exact surprise
    error: float  # standard error of `excess`


@torch.no_grad()
def gap(trained: Trained, *, split: str, count: int, start: int = 0) -> Gap:
    """Compares a model with the exact probabilities of `count` captions of a split."""
    sample, entropy = scene_texts(start, count, split=split), caption_entropy()
    inputs, targets = shift(
        trained.tokenizer.encode_batch(sample, add_special=True).ids, pad_id=trained.tokenizer.pad_id
    )
    surprise = torch.cat(
        [
            cross_entropy(trained.model(x), y, ignore_index=IGNORED, reduction="none").double().sum(dim=1)
            for x, y in zip(inputs.split(512), targets.split(512), strict=True)
        ]
    )  # (count,)
    exact = torch.tensor([-caption_log_prob(text) for text in sample], dtype=torch.float64)
    difference = (surprise - exact) / entropy.tokens_per_caption
    return Gap(
        plain=(surprise.sum() / (targets != IGNORED).sum()).item(),
        entropy=entropy.per_token,
        excess=difference.mean().item(),
        error=(difference.std() / count**0.5).item(),
    )


def evaluate(trained: Trained) -> Quality:
    """How far the loss on captions of the validation split lies above their entropy."""
    found = gap(trained, split="val", count=CAPTIONS)
    more = {**found._asdict(), "captions": CAPTIONS}
    return Quality(
        "validation loss above the exact entropy, as a share of it", found.excess / found.entropy, 0.01, more
    )


RECIPE = Recipe(
    name="tiny-lm",
    about="a GPT on the captions of the scenes, close to their exact entropy",
    steps=12_000,
    train=train,
    build=build,
    evaluate=evaluate,
)
