"""captioner: a small network that writes a sentence about a picture.

On scenes, each of the five captions of a picture is as good a target as the others, and no scene comes twice. Words
and patches begin in one space: the picture side starts as the recipe `patches` left it, and each noun starts as the
vector of the thing that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mmcourse.datasets import SceneBatch, lexicon, make_scenes, rate_captions
from mmcourse.encoders.patches import PatchEncoder
from mmcourse.interpret import pointing as peak_inside
from mmcourse.losses import IGNORED, cross_entropy
from mmcourse.models.captioner import Caption, Captioner, CaptionerConfig
from mmcourse.models.picture_decoder import EYES, PictureDecoder
from mmcourse.recipes.data.captions import LONGEST, CaptionBatch, Drawn, FreshScenes, Texts, collect
from mmcourse.recipes.data.worlds import CONTEXT, scene_tokenizer
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, Trained
from mmcourse.recipes.one_picture import open_both
from mmcourse.recipes.patches import COVERED, load_patches
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Checkpointing, Computing, fit

P = TypeVar("P", bound=PictureDecoder)

BATCH = 64  # pictures
EACH = 2  # captions of each scene in a step
LEARNING_RATE = 2e-3
VOCABULARY = 8_000  # words of a folder at most
SAVE_EVERY = 50  # steps
SCENES = 2_000  # of each split that the finished model is measured on


def loss(model: nn.Module, batch: CaptionBatch) -> Tensor:
    return cross_entropy(model(batch.images, batch.inputs), batch.targets, ignore_index=IGNORED)


@torch.no_grad()
def align(model: Captioner, patches: PatchEncoder) -> Captioner:
    """Starts pictures and words in one space; returns the model.

    The convolutional network and the first channels of the patches become those of `patches`, and each noun (singular
    and plural) begins as the vector of what it names. Attention to patches begins as a search for what is alike: all
    heads compare by what is seen, and what is found is handed on unchanged, part by part, *what* and *where*.
    """
    seen, width = model.config.seen, model.config.width
    model.cnn.load_state_dict(patches.cnn.state_dict())
    model.narrow.weight[:seen], model.narrow.bias[:seen] = patches.narrow.weight, patches.narrow.bias
    table, ids = model.embedding.weight, model.tokenizer.ids
    for noun, vector in zip(lexicon(), patches.noun_vectors(), strict=True):
        for word in (noun.name, noun.plural):
            if word in ids:
                table[ids[word], :seen] = vector * table.std()
    look = torch.eye(seen, width).repeat(-(-width // seen), 1)[:width]  # channel i is compared as channel i mod seen
    cross = [block.cross_attention for block in model.decoder.blocks]
    for attention in cross + [block.attention for block in model.encoder.blocks]:
        for linear, start in zip(
            (attention.query, attention.key, attention.value, attention.out),
            (look, look, *[torch.eye(width)] * 2),
            strict=True,
        ):
            linear.weight.copy_(start)
            nn.init.zeros_(linear.bias)
    return model


@torch.no_grad()
def hand_on(writer: Captioner, model: P) -> P:
    """Starts another model where the captioner ended, its picture side frozen; returns the model.

    Parts that both have begin as the captioner's, and so do the words that both know.
    """
    for name in (*EYES, "decoder", "positions"):
        getattr(model, name).load_state_dict(getattr(writer, name).state_dict())
    for name in EYES:
        getattr(model, name).requires_grad_(False)
    table, ids = model.embedding.weight, model.tokenizer.ids
    for word, index in writer.tokenizer.ids.items():
        if word in ids:
            table[ids[word]] = writer.embedding.weight[index]
    return model


def train(
    *,
    steps: int,
    checkpoint: Path,
    data: str | Path = "scenes",
    batch_size: int = BATCH,
    mixed_precision: bool | None = None,
) -> Made:
    """Trains on new scenes, on glyphs or on the pictures of a folder."""
    collection, notes = collect(data), ()
    facts = {"batch_size": batch_size, "each": EACH, "mixed_precision": mixed_precision}
    if collection is None:
        tokenizer, longest = scene_tokenizer(), CONTEXT
        batches: Callable[[int], CaptionBatch] = FreshScenes(tokenizer, size=batch_size, each=EACH)
    else:
        texts, notes, facts = collection.train(), collection.notes, facts | collection.facts
        tokenizer = WordTokenizer.train(texts.texts, VOCABULARY)
        longest = min(
            LONGEST, max(len(tokenizer.encode(text, add_special=True, spelled=False)) for text in texts.texts)
        )
        batches = Drawn(tokenizer, *texts, size=batch_size, longest=longest)
    config = {"model": asdict(CaptionerConfig(max_length=longest)), "vocabulary": tokenizer.vocabulary}
    seed_everything(0)
    model = align(build(config)[0], load_patches())
    history = fit(
        model, loss, batches, steps=steps, learning_rate=LEARNING_RATE,
        checkpoint=Checkpointing(checkpoint, SAVE_EVERY, facts), computing=Computing(mixed_precision=mixed_precision),
        description="captioner",
    )  # fmt: skip
    return Made(model, config, history.seconds, notes)


def build(config: Facts) -> tuple[Captioner, WordTokenizer]:
    tokenizer = WordTokenizer(config["vocabulary"])
    return Captioner(CaptionerConfig(**config["model"]), tokenizer), tokenizer


def evaluate(trained: Trained, *, data: str | Path = "scenes") -> Quality:
    """On scenes, the greedy captions that are not true; otherwise the loss on what was held out."""
    collection = collect(data)
    return (
        evaluate_scenes(trained.model) if collection is None else evaluate_texts(trained.model, collection.held_out())
    )


def evaluate_scenes(model: Captioner) -> Quality:
    rates, points = {}, []
    for split in ("val", "compositional"):
        scenes, texts = [], []
        for start in range(0, SCENES, 250):
            batch = make_scenes(250, split=split, start=start, masks=True)
            captions = [caption.text for caption in model.generate(batch.images)]
            points += pointing(model, batch, captions) if split == "val" else []
            scenes, texts = scenes + list(batch.scenes), texts + captions
        rates[split] = rate_captions(scenes, texts)
    more = {
        f"{name} in {split}": getattr(rates[split], name) for split in rates for name in ("hallucinated", "unparseable")
    }
    more |= {
        "not true in compositional": 1 - rates["compositional"].true,
        "nouns pointed at": sum(points) / max(len(points), 1),
    }
    return Quality("greedy captions that are not true", 1 - rates["val"].true, 0.01, {**more, "scenes": SCENES})


@torch.no_grad()
def evaluate_texts(model: Captioner, held_out: Texts) -> Quality:
    """The loss a token, and the same with each text beside the picture of another one: what pictures are worth."""
    moved = held_out._replace(images=held_out.images.roll(1, dims=0))  # each text beside the picture of another
    batches, others = (
        Drawn(model.tokenizer, *texts, size=BATCH, longest=model.config.max_length) for texts in (held_out, moved)
    )
    generator = torch.Generator().manual_seed(0)
    sums = torch.zeros(3, dtype=torch.float64)
    for rows in torch.arange(len(held_out.texts)).split(BATCH):
        both = [each.rows(rows, generator) for each in (batches, others)]
        sums += torch.tensor([loss(model, batch).item() for batch in both] + [1.0]) * len(rows)
    value, exchanged, _ = (sums / sums[2]).tolist()
    more = {"with another picture beside each text": exchanged, "texts": len(held_out.texts)}
    return Quality("loss a token on pictures that were held out", value, None, more)


def caption_image(path: str | Path, *, model: str | Path | None = None, **options: Any) -> Caption:
    """Writes a sentence about a picture file of any size and kind.

    Args:
        model: a file that `mmcourse train captioner` wrote, or a folder of `Captioner.save`; by default the captioner
            that comes with the course.
        **options: of `Captioner.generate`.
    Raises:
        RecipeError: the picture or the model cannot be read; one sentence.
    """
    image, writer = open_both(path, model, RECIPE, Captioner)
    return writer.generate(image[None], **options)[0]


def pointing(
    model: Captioner, batch: SceneBatch, texts: list[str], *, layer: int = -1, head: int | None = None
) -> list[bool]:
    """For each noun in the texts that its scene shows: whether attention, when it was written, peaks on such an object.

    Args:
        batch: scenes with masks.
        texts: one for each.
        layer, head: of the decoder, see `Captioner.word_maps`.
    """
    nouns = {word: noun.name for noun in lexicon() for word in (noun.name, noun.plural)}
    hits = []
    for scene, image, masks, text in zip(batch.scenes, batch.images, batch.masks, texts, strict=True):
        words, maps = model.word_maps(image, text, layer=layer, head=head)
        for word, weights in zip(words, maps, strict=True):
            named = [index for index, thing in enumerate(scene.objects) if thing.noun == nouns.get(word)]
            if named:
                mask = masks[named].any(dim=0)
                hits.append(bool(peak_inside(weights[None].cpu(), mask[None], share=COVERED)))
    return hits


RECIPE = Recipe(
    name="captioner",
    about="writes a sentence about a scene, or about pictures like your own",
    steps=4_000,
    train=train,
    build=build,
    evaluate=evaluate,
    worlds=("scenes", "glyphs"),
    options=frozenset({"batch_size", "mixed_precision"}),
    processes=False,  # batch normalisation
)
