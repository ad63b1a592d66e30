"""clip: two towers that bring pictures and texts into one space, on glyphs, scenes or a folder of pictures.

On glyphs and folders the towers are pretrained and frozen, so what they say is computed once; two small projections
learn. On scenes, which look like nothing that a pretrained network has seen, both towers learn from pixels and words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmcourse import distributed
from mmcourse.datasets import ImageFolder, caption_is_true, captions, load_glyphs, make_scenes
from mmcourse.encoders.features import extract_features
from mmcourse.encoders.pretrained import load_image_encoder, load_text_encoder
from mmcourse.metrics import retrieval
from mmcourse.models import CLIP, CLIPConfig, ClipFeatures
from mmcourse.recipes.data.folder import by_picture, open_folder
from mmcourse.recipes.data.worlds import scene_texts, scene_tokenizer
from mmcourse.recipes.engine.base import Facts, Made, Quality, Recipe, RecipeError, Trained
from mmcourse.runtime import seed_everything
from mmcourse.tokenizer import WordTokenizer
from mmcourse.train import Checkpointing, Computing, fit, in_chunks

WORLDS = ("glyphs", "scenes")
TOWERS = {"image": "efficientnet-lite0-maps", "text": "minilm"}
SCENES = 300  # of the validation split, to measure on
SAVE_EVERY = 50  # steps
FIRST = {1: "first of all", 5: "among the first five", 10: "among the first ten"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one kind of data is learned."""

    batch_size: int
    learning_rate: float
    weight_decay: float
    model: dict[str, Any]


FROZEN = Plan(
    batch_size=256, learning_rate=2e-3, weight_decay=0.1,
    model={"width": 384, "dropout": [0.6, 0.25], "standardize": True},
)  # fmt: skip
PIXELS = Plan(batch_size=128, learning_rate=1e-3, weight_decay=0.05, model={"width": 128})


class Pairs(NamedTuple):
    """Pictures with their texts, as the frozen towers see them."""

    images: Tensor  # (N, D)
    texts: Tensor  # (M, E)
    owners: Tensor  # int64 (M,): the picture of each text


class PairBatches:
    """`batches(step)`: every picture once an epoch, with one of its texts."""

    def __init__(self, pairs: Pairs, size: int) -> None:
        self.pairs, self.size = pairs, size
        self.order, self.first, self.counts = by_picture(pairs.owners, len(pairs.images))

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(step, len(self.pairs.images) // self.size)
        order = torch.randperm(len(self.pairs.images), generator=torch.Generator().manual_seed(epoch))
        rows = order[place * self.size : (place + 1) * self.size]
        chance = torch.rand(len(rows), generator=torch.Generator().manual_seed((1 << 32) + step))
        text = self.order[self.first[rows] + (chance * self.counts[rows]).long()]
        return self.pairs.images[rows], self.pairs.texts[text]


class SceneBatches:
    """`batches(step)`: scenes that no other step sees, each with one of its captions."""

    def __init__(self, tokenizer: WordTokenizer, size: int) -> None:
        self.tokenizer, self.size = tokenizer, size

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        start = step * self.size
        texts = scene_texts(start, self.size)
        return make_scenes(self.size, start=start).images, *self.tokenizer.encode_batch(texts)


def text_features(texts: list[str], name: str) -> Tensor:
    """What the frozen text tower says, (M, E)."""
    options = {"normalize": False, "description": _bar("Reading texts")}
    return extract_features(load_text_encoder(TOWERS["text"]), texts, name=f"clip-{name}-texts", **options)


def picture_features(pictures: Tensor | ImageFolder, name: str) -> Tensor:
    """What the frozen picture tower says, (N, D)."""
    return extract_features(
        load_image_encoder(TOWERS["image"]), pictures, name=f"clip-{name}", description=_bar("Looking")
    )


def glyph_pairs(part: str) -> Pairs:
    """The glyphs of a part of the published split, on white, with their names."""
    glyphs = load_glyphs(160, quiet=not distributed.is_main())
    images, texts = picture_features(glyphs.on("white"), "glyphs"), text_features(glyphs.names, "glyphs")
    rows = getattr(glyphs.split(), part)
    return Pairs(images[rows], texts[rows], torch.arange(len(rows)))


class FolderPairs(NamedTuple):
    """A folder as pairs, lines for the report, and facts that tell it from another folder."""

    train: Pairs
    held_out: Pairs
    notes: tuple[str, ...]
    facts: Facts


def folder_pairs(path: Path) -> FolderPairs:
    """The pictures of a folder with their texts; see `open_folder`."""
    folder = open_folder(path, quiet=not distributed.is_main())
    if len(set(folder.train.texts)) < 2:
        said = folder.train.texts[0][:40]
        raise RecipeError(f"all texts of {path} are {said!r}, which tells no picture from another; give each its own")
    name = f"folder-{folder.digest}"
    images = picture_features(folder.dataset, name)
    texts = text_features([record.text for record in folder.dataset.records], name)
    parts = []
    for part in (folder.train, folder.held_out):
        parts.append(Pairs(images[part.rows[part.first()]], texts[part.rows], part.owners))
    return FolderPairs(*parts, folder.notes, folder.facts())


def loss(model: CLIP, batch: tuple[Tensor, ...], *, chunk: int | None = None) -> Tensor:
    """The loss of the whole batch, of which each process holds some rows and `chunk` of them at a time in memory."""
    images = in_chunks(model.encode_image, batch[0], chunk=chunk)
    texts = in_chunks(model.encode_text, *batch[1:], chunk=chunk)
    features = ClipFeatures(distributed.gather(images), distributed.gather(texts), model.scale, model.bias)
    return model.loss(features)


def train(
    *,
    steps: int,
    checkpoint: Path | None = None,
    data: str | Path = "glyphs",
    batch_size: int | None = None,
    mixed_precision: bool | None = None,
    chunk: int | None = None,
) -> Made:
    """Trains two towers.

    Args:
        data: "glyphs", "scenes", or the path of a folder.
        batch_size: pairs of a step over all processes; by default that of the plan for this data, and in any case no
            more than there are.
        chunk: how many pairs each process computes at a time; see `mmcourse.train.in_chunks`.
    """
    plan, facts, notes, tokenizer = PIXELS if data == "scenes" else FROZEN, {}, (), None
    if data == "scenes":
        tokenizer = scene_tokenizer()
        size = _batch_size(batch_size or plan.batch_size, None)
        batches: Callable[[int], Any] = SceneBatches(tokenizer, size)
        model = CLIPConfig(image="vit", text="transformer", **plan.model)
    else:
        if data == "glyphs":
            pairs = glyph_pairs("train")
        else:
            pairs, _, notes, facts = folder_pairs(Path(data))
        size = _batch_size(batch_size or plan.batch_size, len(pairs.images))
        batches = PairBatches(pairs, size)
        widths = {f"{tower}_options": {"width": part.shape[-1]} for tower, part in zip(TOWERS, pairs[:2], strict=True)}
        model = CLIPConfig(image="features", text="features", **widths, **plan.model)
    config = {"model": asdict(model), "vocabulary": None if tokenizer is None else tokenizer.vocabulary}
    seed_everything(0)
    towers = build(config)[0]
    if data != "scenes":
        towers.measure(pairs.images, pairs.texts)
        nn.init.eye_(towers.text_projection[-1].weight)  # the common space begins as that of the text tower
    facts = {"batch_size": size, "mixed_precision": mixed_precision, **facts}
    history = fit(
        towers, lambda model, batch: loss(model, batch, chunk=chunk), batches, steps=steps,
        learning_rate=plan.learning_rate, weight_decay=plan.weight_decay,
        checkpoint=None if checkpoint is None else Checkpointing(checkpoint, SAVE_EVERY, facts),
        computing=Computing(mixed_precision=mixed_precision), description="clip",
    )  # fmt: skip
    return Made(towers, config, history.seconds, notes)


def build(config: Facts) -> tuple[CLIP, WordTokenizer | None]:
    words = config["vocabulary"]
    tokenizer = None if words is None else WordTokenizer(words)
    return CLIP(CLIPConfig(**config["model"]), tokenizer), tokenizer


def with_towers(model: CLIP) -> CLIP:
    """The same model with the frozen towers in front of its projections: it reads pictures and texts themselves."""
    if model.config.image != "features":
        return model
    whole = CLIP(replace(model.config, **TOWERS, image_options={}, text_options={}))
    whole.load_state_dict(model.state_dict(), strict=False)
    return whole.eval().to(model.device)


def evaluate(trained: Trained, *, data: str | Path = "glyphs") -> Quality:
    """How often a text does not find its picture among the first, on what was not trained on."""
    model = trained.model
    if data == "scenes":
        batch = make_scenes(SCENES, split="val")
        texts = [captions(scene)[0] for scene in batch.scenes]
        images, words = model.embed_images(batch.images), model.embed_texts(texts)
        relevant = torch.tensor([[bool(caption_is_true(scene, text)) for scene in batch.scenes] for text in texts])
    else:
        pairs = glyph_pairs("val") if data == "glyphs" else folder_pairs(Path(data)).held_out
        images, words = model.embed_images(pairs.images), model.embed_texts(pairs.texts)
        relevant = right_pictures(pairs)
    return measured(words @ images.T, relevant, at_most=0.4 if data == "glyphs" else None)


def right_pictures(pairs: Pairs) -> Tensor:
    """bool (texts, pictures): a text belongs to its own picture, and to every other one that has an equal text."""
    same = torch.unique(pairs.texts, dim=0, return_inverse=True)[1]  # equal texts have equal features, (M,)
    said = torch.zeros(int(same.max()) + 1, len(pairs.images), dtype=torch.bool)
    said[same, pairs.owners] = True
    return said[same]


def measured(similarity: Tensor, relevant: Tensor, *, at_most: float | None = None) -> Quality:
    """Retrieval both ways for similarity (texts, pictures), of which only what these data could miss is given.

    Among the first k there is a right one whatever a model does, where fewer than k are wrong.
    """
    sides = {"text to picture": (similarity, relevant), "picture to text": (similarity.T, relevant.T)}
    more: dict[str, float] = {}
    for name, (scores, right) in sides.items():
        ks = [k for k in FIRST if k <= int((~right).sum(1).max())]
        recall = retrieval(scores, right, ks=ks).recall if ks else {}
        more |= {f"{name}, recall@{k}": value for k, value in recall.items()}
    k = max((k for k in FIRST if f"text to picture, recall@{k}" in more), default=None)
    more |= {"pictures": similarity.shape[1], "texts": similarity.shape[0]}
    if k is None:
        return Quality("nothing to measure: all texts that were held out are equal", 0.0, at_most, more)
    missed = f"texts that do not find their picture {FIRST[k]}"
    return Quality(missed, 1 - more[f"text to picture, recall@{k}"], at_most, more)


def _batch_size(wanted: int, pairs: int | None) -> int:
    """The size of a batch that the processes can share."""
    count = distributed.world_size()
    if wanted % count:
        raise RecipeError(f"--batch-size must be a multiple of the {count} processes, got {wanted}")
    size = wanted if pairs is None else min(wanted, pairs - pairs % count)
    if size < 2:
        raise RecipeError(f"a batch needs two pairs or more, each the other's wrong answer; got {size}")
    return size


def _bar(text: str) -> str | None:
    return text if distributed.is_main() else None


RECIPE = Recipe(
    name="clip",
    about="two towers that bring pictures and texts into one space",
    steps=150,
    train=train,
    build=build,
    evaluate=evaluate,
    worlds=WORLDS,
    options=frozenset({"batch_size", "mixed_precision", "chunk"}),
)
