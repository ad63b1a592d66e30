"""05-our-name: read a checkpoint of another library."""

from __future__ import annotations

import re

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake

_START = {
    "embeddings.word_embeddings": "embedding",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "segments",
    "embeddings.LayerNorm": "norm",
}


_PARTS = {
    "attention.self.query": "attention.query",
    "attention.self.key": "attention.key",
    "attention.self.value": "attention.value",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "feed_forward.expand",
    "output.dense": "feed_forward.contract",
    "output.LayerNorm": "feed_forward_norm",
}


def our_name(name):
    return _renamed(_PARTS)(name)


def _renamed(parts, *, start=_START, number=lambda layer: layer):
    """A translation from transformers' names: (module, layer, part) looked up, not replaced."""

    def answer(name):
        module, kind = name.rsplit(".", 1)
        inside = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)", module)
        if inside is None:
            return f"{start[module]}.{kind}"
        return f"blocks.{number(inside[1])}.{parts[inside[2]]}.{kind}"

    return answer


def _replaced(*pairs):
    """A translation by str.replace, one after the other."""

    def answer(name):
        for old, new in pairs:
            name = name.replace(old, new)
        return name

    return answer


def _all_pairs(*first):
    return (*first, ("encoder.layer.", "blocks."), *((old, new) for old, new in {**_START, **_PARTS}.items()))


_SWAPPED_KEYS = {
    **_PARTS,
    "attention.self.query": "attention.key",
    "attention.self.key": "attention.query",
}


_SWAPPED_NORMS = {
    **_PARTS,
    "attention.output.LayerNorm": "feed_forward_norm",
    "output.LayerNorm": "attention_norm",
}


_SWAPPED_LINEAR = {
    **_PARTS,
    "intermediate.dense": "feed_forward.contract",
    "output.dense": "feed_forward.expand",
}


def _names(*names):
    return lambda generator: ([f"{name}.{kind}" for name in names for kind in ("weight", "bias")],)


def _translate(answer, names):
    return [answer(name) for name in names]


def _without_kind(name):
    return our_name(name).rsplit(".", 1)[0]


def _names_of_chance(generator):
    """Every part of a block once, each in a layer of its own."""
    layers = torch.randperm(48, generator=generator).tolist()
    return _names(*(f"encoder.layer.{layer}.{part}" for layer, part in zip(layers, _PARTS, strict=False)))(generator)


EXERCISE = Exercise(
    id="05-our-name",
    title="The same weights under other names",
    goal="read a checkpoint of another library",
    stars=2,
    minutes=15,
    points=2,
    reference=our_name,
    nothing_ready="the library copies whole checkpoints and translates no single name to these",
    cases=(
        Case(name="the embeddings", inputs=_names(*_START), probe=_translate),
        Case(
            name="attention",
            inputs=_names(*(f"encoder.layer.0.{part}" for part in _PARTS if part.startswith("attention"))),
            probe=_translate,
        ),
        Case(
            name="the feed-forward network",
            inputs=_names(*(f"encoder.layer.3.{part}" for part in _PARTS if not part.startswith("attention"))),
            probe=_translate,
        ),
        Case(
            name="a network with more than ten layers",
            inputs=_names("encoder.layer.1.output.dense", "encoder.layer.11.attention.self.key"),
            probe=_translate,
        ),
    ),
    fresh=(Case(name="parts and layers of chance", inputs=_names_of_chance, probe=_translate),),
    mistakes=(
        Mistake(
            message="“output.dense” was replaced first, and it is also the end of “attention.output.dense”. Handle the "
            "longer name before the shorter one.",
            answer=_replaced(
                *_all_pairs(
                    ("output.dense", "feed_forward.contract"),
                )
            ),
        ),
        Mistake(
            message="“output.LayerNorm” was replaced first, and it is also the end of “attention.output.LayerNorm”. "
            "Handle the longer name before the shorter one.",
            answer=_replaced(*_all_pairs(("output.LayerNorm", "feed_forward_norm"))),
        ),
        Mistake(
            message="Both short names, “output.dense” and “output.LayerNorm”, were replaced first. They are also the "
            "ends of two names inside attention: handle the longer names before the shorter ones.",
            answer=_replaced(
                *_all_pairs(("output.dense", "feed_forward.contract"), ("output.LayerNorm", "feed_forward_norm"))
            ),
        ),
        Mistake(
            message="Query and key are exchanged. Both have the same shape, so loading says nothing; the attention "
            "scores are transposed.",
            answer=_renamed(_SWAPPED_KEYS),
        ),
        Mistake(
            message="The two norms of a block are exchanged. Both have the same shape, so loading says nothing; "
            "“output” without “attention” is the feed-forward network's.",
            answer=_renamed(_SWAPPED_NORMS),
        ),
        Mistake(
            message="The two linear maps of the feed-forward network are exchanged: “intermediate” widens, “output” "
            "brings back to C.",
            answer=_renamed(_SWAPPED_LINEAR),
        ),
        Mistake(
            message="The blocks are counted from 1. Both sides count from 0: layer 0 is block 0.",
            answer=_renamed(_PARTS, number=lambda layer: int(layer) + 1),
        ),
        Mistake(
            message="Only the first digit of the layer is used, so layer 11 lands in block 1.",
            answer=_renamed(_PARTS, number=lambda layer: layer[0]),
        ),
        Mistake(
            message="The ending .weight or .bias is lost. Keep it: both belong to the same part.",
            answer=_without_kind,
        ),
        Mistake(
            message="“encoder.layer.” is still there: it becomes “blocks.”.",
            answer=_replaced(*_START.items(), *_PARTS.items()),
        ),
        Mistake(
            message="“self” is still there: `attention.self.query` is `attention.query` here.",
            answer=_replaced(*(pair for pair in _all_pairs() if "self" not in pair[0])),
        ),
        Mistake(
            message="Word and segment embeddings are exchanged: “token_type” is the segment.",
            answer=_renamed(
                _PARTS,
                start={
                    **_START,
                    "embeddings.word_embeddings": "segments",
                    "embeddings.token_type_embeddings": "embedding",
                },
            ),
        ),
        Mistake(
            message="The embeddings are not renamed yet; the blocks are.",
            answer=_replaced(("encoder.layer.", "blocks."), *_PARTS.items()),
        ),
    ),
    hints=(
        "`name.replace(old, new)` for each row of the table, one after the other, is enough.",
        "The order matters: “attention.output.dense” ends with “output.dense”. Longer names first.",
        "`encoder.layer.` becomes `blocks.`; the number behind it stays as it is, and so does .weight or .bias.",
    ),
)
