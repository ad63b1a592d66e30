"""Exercises of chapter 05, second part: weights by name, search, the mean cosine, and a linear probe."""

from __future__ import annotations

import re

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake

# --- weights by name --------------------------------------------------------------------------------------------------

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


RENAME = Exercise(
    id="05-our-name",
    title="The same weights under other names",
    goal="read a checkpoint of another library",
    stars=2,
    minutes=15,
    points=2,
    reference=our_name,
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

# --- search -----------------------------------------------------------------------------------------------------------


def find_nearest(query, table, k):
    return F.cosine_similarity(query[None], table).topk(k).indices


def _by_score(score, *, largest=True):
    return lambda query, table, k: score(query, table).topk(k, largest=largest).indices


def _vectors(entries, width, k):
    """Vectors of very different lengths, so that a dot product finds others than the cosine."""

    def inputs(generator):
        lengths = torch.rand(entries, 1, generator=generator) * 4 + 0.2
        query, table = torch.randn(width, generator=generator), torch.randn(entries, width, generator=generator)
        return 3 * query, lengths * (table + 0.4), k

    return inputs


def _normalized_over_entries(query, table, k):
    return (F.normalize(table, dim=0) @ F.normalize(query, dim=0)).topk(k).indices


SEARCH = Exercise(
    id="05-search",
    title="Search by meaning",
    goal="the k nearest vectors by cosine",
    stars=2,
    minutes=10,
    points=2,
    reference=find_nearest,
    cases=(
        Case(name="the best of 20", inputs=_vectors(20, 8, 1)),
        Case(name="the best five of 50, in order", inputs=_vectors(50, 16, 5)),
        Case(name="all ten, in order", inputs=_vectors(10, 6, 10)),
    ),
    mistakes=(
        Mistake(
            message="This is the dot product: long vectors win, whatever they mean. Divide by the lengths.",
            answer=_by_score(lambda q, t: t @ q),
        ),
        Mistake(
            message="These are the nearest by Euclidean distance, which depends on lengths. Compare directions.",
            answer=_by_score(lambda q, t: (t - q).norm(dim=1), largest=False),
        ),
        Mistake(
            message="The farthest come first. A large cosine means alike: take the largest.",
            answer=_by_score(lambda q, t: F.cosine_similarity(q[None], t), largest=False),
        ),
        Mistake(
            message="The order is turned around: the best comes first.",
            answer=lambda q, t, k: find_nearest(q, t, k).flip(0),
        ),
        Mistake(
            message="These are the cosines. Return where they stand in the table.",
            answer=lambda q, t, k: F.cosine_similarity(q[None], t).topk(k).values,
        ),
        Mistake(
            message="The right entries, but sorted by their number. The best comes first.",
            answer=lambda q, t, k: find_nearest(q, t, k).sort().values,
        ),
        Mistake(
            message="The table is normalized over its entries (dim=0). Each row gets length 1: dim=1.",
            answer=_normalized_over_entries,
        ),
        Mistake(
            message="Only the best one is returned. k are asked for.",
            answer=lambda q, t, k: find_nearest(q, t, 1),
        ),
        Mistake(
            message="The absolute value is taken, so the very opposite counts as alike.",
            answer=_by_score(lambda q, t: F.cosine_similarity(q[None], t).abs()),
        ),
        Mistake(
            message="You divide by the sum of the absolute values. The length of a vector is the root of the sum of "
            "its squares.",
            answer=_by_score(lambda q, t: F.normalize(t, p=1, dim=1) @ q),
        ),
    ),
    hints=(
        "The cosine of two vectors is the dot product after both were scaled to length 1.",
        "`F.normalize(table, dim=1) @ F.normalize(query, dim=0)` gives all N cosines at once.",
        "`scores.topk(k).indices` gives the places of the k largest, the best first.",
    ),
)

# --- anisotropy -------------------------------------------------------------------------------------------------------


def mean_cosine(x):
    total = F.normalize(x, dim=1).sum(dim=0).square().sum()
    return (total - len(x)) / (len(x) * (len(x) - 1))


def _cosines(x):
    unit = F.normalize(x, dim=1)
    return unit @ unit.T


def _cloud(entries, width, shift):
    """Random vectors around a common one, with different lengths."""

    def inputs(generator):
        lengths = torch.rand(entries, 1, generator=generator) * 3 + 0.3
        return (lengths * (torch.randn(entries, width, generator=generator) + shift),)

    return inputs


def _absolute(x):
    return (_cosines(x).abs().sum() - len(x)) / (len(x) * (len(x) - 1))


MEAN_COSINE = Exercise(
    id="05-mean-cosine",
    title="How narrow is the cone?",
    goal="measure anisotropy",
    stars=2,
    minutes=10,
    points=2,
    reference=mean_cosine,
    cases=(
        Case(name="six vectors around zero", inputs=_cloud(6, 5, 0.0)),
        Case(name="40 vectors in a narrow cone", inputs=_cloud(40, 12, 2.0)),
        Case(name="two vectors", inputs=_cloud(2, 4, 0.5)),
    ),
    mistakes=(
        Mistake(
            message="Each vector is compared with itself, too: N cosines of 1 that say nothing. Leave them out.",
            answer=lambda x: _cosines(x).mean(),
        ),
        Mistake(
            message="The diagonal is left out of the sum, but you still divide by N². There are N(N − 1) pairs.",
            answer=lambda x: (_cosines(x).sum() - len(x)) / len(x) ** 2,
        ),
        Mistake(
            message="The diagonal is counted in the sum, but not in the number of pairs.",
            answer=lambda x: _cosines(x).sum() / (len(x) * (len(x) - 1)),
        ),
        Mistake(
            message="These are dot products: the lengths are still in them. Normalize the rows first.",
            answer=lambda x: (x.sum(dim=0).square().sum() - x.square().sum()) / (len(x) * (len(x) - 1)),
        ),
        Mistake(
            message="Only neighbors in the list are compared. Take all pairs of different rows.",
            answer=lambda x: F.cosine_similarity(x[:-1], x[1:]).mean(),
        ),
        Mistake(
            message="These are the cosines with the mean vector. Compare the vectors with each other.",
            answer=lambda x: F.cosine_similarity(x, x.mean(dim=0)[None]).mean(),
        ),
        Mistake(
            message="Absolute values are averaged, so opposite directions count as alike.",
            answer=_absolute,
        ),
        Mistake(
            message="The rows were centered first. That removes the cone that you are to measure.",
            answer=lambda x: mean_cosine(x - x.mean(dim=0)),
        ),
        Mistake(
            message="The columns are normalized (dim=0). A vector is a row: dim=1.",
            answer=lambda x: mean_cosine(x.T),
        ),
        Mistake(
            message="This is one minus the mean cosine, a distance.",
            answer=lambda x: 1 - mean_cosine(x),
        ),
        Mistake(
            message="Every pair is counted once, but divided by the number of pairs counted twice: half of it.",
            answer=lambda x: mean_cosine(x) / 2,
        ),
    ),
    hints=(
        "With rows of length 1, `x @ x.T` is the table of all cosines, (N, N).",
        "Its diagonal is 1. Take it away from the sum: `cosines.sum() - N`.",
        "There are N · (N − 1) pairs of different rows, each counted twice in the sum as well.",
    ),
)

# --- a linear probe ---------------------------------------------------------------------------------------------------


def probe_accuracy(x, y, new_x, new_y, classes):
    return _probe(x, y, new_x, new_y, classes)


def _with_one(x):
    return torch.cat([x, torch.ones(len(x), 1)], dim=1)


def _guesses(x, y, new_x, classes, *, constant=True):
    x, new_x = (_with_one(x), _with_one(new_x)) if constant else (x, new_x)
    weights = torch.linalg.lstsq(x, F.one_hot(y, classes).float()).solution
    return (new_x @ weights).argmax(dim=1)


def _probe(x, y, new_x, new_y, classes, **options):
    return (_guesses(x, y, new_x, classes, **options) == new_y).float().mean()


def _on_the_number(x, y, new_x, new_y, classes):
    weights = torch.linalg.lstsq(_with_one(x), y[:, None].float()).solution
    return ((_with_one(new_x) @ weights).squeeze(1).round() == new_y).float().mean()


def _clusters(samples, unseen, width, classes):
    """Noisy clusters far from zero, so that the constant and the unseen samples matter."""

    def inputs(generator):
        centers = torch.randn(classes, width, generator=generator)
        y, new_y = (torch.randint(classes, (count,), generator=generator) for count in (samples, unseen))
        x, new_x = (
            centers[labels] + 2.0 + torch.randn(len(labels), width, generator=generator) for labels in (y, new_y)
        )
        return x, y, new_x, new_y, classes

    return inputs


PROBE = Exercise(
    id="05-probe",
    title="A linear probe",
    goal="ask a layer what it knows",
    stars=3,
    minutes=15,
    points=3,
    reference=probe_accuracy,
    cases=(
        Case(name="three classes, 60 to fit, 203 unseen", inputs=_clusters(60, 203, 4, 3)),
        Case(name="five classes, 80 to fit, 307 unseen", inputs=_clusters(80, 307, 6, 5)),
        Case(name="two classes, 30 to fit, 211 unseen", inputs=_clusters(30, 211, 3, 2)),
    ),
    mistakes=(
        Mistake(
            message="This is the accuracy on the samples that the probe was fitted to. Ask the unseen ones.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, x, y, classes),
        ),
        Mistake(
            message="The probe was fitted to the unseen samples. It must not see them before it is asked.",
            answer=lambda x, y, new_x, new_y, classes: _probe(new_x, new_y, new_x, new_y, classes),
        ),
        Mistake(
            message="The constant 1 is missing, so every plane must go through zero. Put a column of ones beside the "
            "features, of both sets.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, new_x, new_y, classes, constant=False),
        ),
        Mistake(
            message="The probe predicts the class *number* and rounds. Class 2 is not twice class 1: fit one-hot "
            "targets and take the largest.",
            answer=_on_the_number,
        ),
        Mistake(
            message="This is the share of wrong answers.",
            answer=lambda x, y, new_x, new_y, classes: 1 - _probe(x, y, new_x, new_y, classes),
        ),
        Mistake(
            message="This is the number of right answers. Divide by how many were asked.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, new_x, new_y, classes) * len(new_y),
        ),
        Mistake(
            message="The smallest score is taken. The class with the largest score is the guess.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x, y, -new_x, new_y, classes),
        ),
        Mistake(
            message="Each set was centered by its own mean. The unseen samples must be moved by the mean of those that "
            "the probe was fitted to.",
            answer=lambda x, y, new_x, new_y, classes: _probe(x - x.mean(0), y, new_x - new_x.mean(0), new_y, classes),
        ),
    ),
    hints=(
        "`torch.cat([x, torch.ones(len(x), 1)], dim=1)` puts the constant beside the features.",
        "`torch.linalg.lstsq(X, F.one_hot(y, classes).float()).solution` is the weight matrix.",
        "The guess is the argmax of `New @ weights` over the classes; the accuracy is the mean of guess == new_y.",
    ),
)
