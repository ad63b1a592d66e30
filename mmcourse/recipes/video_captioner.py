"""video-captioner: a small network that says what happens in a clip.

It begins as the captioner: what a frame shows it can see already, and what things are called it knows. Words for what
things do, and when, are new. No clip comes twice, and of the sentences that are true of a clip all are equally good.
"""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path

from mmcourse.datasets import Clip, clip_caption_is_true, clip_captions, make_clips, sample_clips
from mmcourse.models.video_captioner import VideoCaptioner, VideoCaptionerConfig
from mmcourse.recipes import captioner
from mmcourse.recipes.data.captions import CaptionBatch, pairs
from mmcourse.recipes.engine import bundled
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.recipes.engine.parts import Part, fit_parts, planned
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import Tokenizer, WordTokenizer

# Steps and learning rates: at first large steps, then smaller ones.
LESSONS = ((2_000, 2e-3), (700, 1e-3))
STEPS = sum(steps for steps, _ in LESSONS)
SIZE, EACH = 24, 3  # clips of a step, and sentences about each
READ = 10_000  # clips in whose captions every word comes
CLIPS = 500  # of each split that the finished model is measured on
# How sentences are found. Long ones about an order have many rivals, so each of them is less likely than a short one.
LIKELIEST = {"method": "beam", "beam_size": 4, "length_penalty": 0.0}
WAYS = {"likeliest": LIKELIEST, "word by word": {"method": "greedy"}}


def happenings(clip: Clip) -> list[str]:
    """The true captions that say what happens, and so not the first one, which says what there is."""
    return clip_captions(clip)[1:]


class FreshClips:
    """`batches(step)`: clips that no other step sees, with sentences drawn at random.

    Args:
        tokenizer: of the sentences.
        size: clips of a batch.
        each: sentences about each of them.
    """

    def __init__(self, tokenizer: Tokenizer, *, size: int = SIZE, each: int = EACH) -> None:
        self.tokenizer, self.size, self.each = tokenizer, size, each

    def __call__(self, step: int) -> CaptionBatch:
        chance, batch = random.Random(step), make_clips(self.size, start=step * self.size)
        choices = [happenings(clip) for clip in batch.clips]
        texts = [text for some in choices for text in chance.sample(some * self.each, self.each)]
        return CaptionBatch(batch.frames, *pairs(self.tokenizer, texts))


def untrained(seed: int = 0) -> tuple[VideoCaptioner, Facts]:
    """A model that can read pictures but has seen nothing move, and what it takes to build it again."""
    seed_everything(seed)
    writer = bundled.load(captioner.RECIPE).model
    words = WordTokenizer.train([text for clip in sample_clips(READ) for text in clip_captions(clip)])
    config = {"model": asdict(VideoCaptionerConfig(**asdict(writer.config))), "vocabulary": words.vocabulary}
    return captioner.hand_on(writer, build(config)[0]), config


def train(*, steps: int, checkpoint: Path | None = None, seed: int = 0) -> Made:
    """Trains all but the eyes, on clips of which none comes twice."""
    model, config = untrained(seed)
    batches = FreshClips(model.tokenizer)
    parts = planned(steps, [Part(batches, most, learning_rate=rate) for most, rate in LESSONS])
    seconds = fit_parts(model, captioner.loss, parts, checkpoint=checkpoint, seed=seed, description="video-captioner")
    return Made(model, config, seconds)


def build(config: Facts) -> tuple[VideoCaptioner, WordTokenizer]:
    tokenizer = WordTokenizer(config["vocabulary"])
    return VideoCaptioner(VideoCaptionerConfig(**config["model"]), tokenizer), tokenizer


def evaluate(trained: Trained) -> Quality:
    """The sentences that are not true of their clips: the likeliest as a whole, and those that grow word by word."""
    wrong = {}
    for split in ("val", "compositional"):
        batch = make_clips(CLIPS, split=split)
        memory = trained.model.watch(batch.frames)
        for way, options in WAYS.items():
            said = [caption.text for caption in trained.model.generate(memory, **options)]
            true = [bool(clip_caption_is_true(*each)) for each in zip(batch.clips, said, strict=True)]
            wrong[f"{way}, in {split}"] = 1 - sum(true) / CLIPS
    value = wrong.pop("likeliest, in val")
    return Quality("likeliest sentences that are not true", value, 0.03, wrong | {"clips": CLIPS})


RECIPE = Recipe(
    name="video-captioner",
    about="says what happens in a clip",
    steps=STEPS,
    train=train,
    build=build,
    evaluate=evaluate,
    processes=False,  # the eyes hold batch normalisation, as those of vlm do
)
