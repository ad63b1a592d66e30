"""16-three-ways: put sounds, clips and texts into one space.

`three_ways(sounds, clips, texts, temperature)` of (B, D) each, row i of all three about the same thing, is the mean of
the InfoNCE losses of all three pairs. Each of them is chapter 08's: cosine similarities divided by the temperature, and
the mean of both directions. All pairs are compared, as by Guzhov et al., "AudioCLIP" (2021); ImageBind (Girdhar et al.,
2023) compares all others with pictures alone.
"""

from __future__ import annotations

import itertools

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake


def three_ways(sounds, clips, texts, temperature):
    sounds, clips, texts = (F.normalize(each, dim=1) for each in (sounds, clips, texts))
    target = torch.arange(len(texts))
    total = 0.0
    for one, other in ((sounds, clips), (sounds, texts), (clips, texts)):
        logits = one @ other.T / temperature
        total = total + F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
    return total / 6


def _inputs(count, width, temperature):
    """Rows of all lengths; the three agree more or less well with what they are about."""

    def inputs(generator):
        thing = torch.randn(count, width, generator=generator)
        off = [thing + noise * torch.randn(count, width, generator=generator) for noise in (0.5, 1.0, 2.0)]
        return *(each * (0.2 + 3 * torch.rand(count, 1, generator=generator)) for each in off), temperature

    return inputs


def _of_pair(one, other, temperature):
    logits, target = one @ other.T / temperature, torch.arange(len(one))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def _joined(*, ready=None, pair=None, pairs=None, result=None):
    """The same of other features, with another loss of a pair, over other pairs, or with another mean."""

    def answer(sounds, clips, texts, temperature):
        three = [F.normalize(each, dim=1) if ready is None else ready(each) for each in (sounds, clips, texts)]
        chosen = itertools.combinations(three, 2) if pairs is None else pairs(*three)
        losses = torch.stack([(_of_pair if pair is None else pair)(*two, temperature) for two in chosen])
        return losses.mean() if result is None else result(losses)

    return answer


def _one_way(one, other, temperature):
    return F.cross_entropy(one @ other.T / temperature, torch.arange(len(one)))


def _other_way(one, other, temperature):
    return _one_way(other, one, temperature)


def _closer(one, other, temperature):
    return (1 - (one * other).sum(dim=1)).mean() / temperature


def _triple(sounds, clips, texts, temperature):
    """All three at once: row i among all products of three."""
    three = [F.normalize(each, dim=1) for each in (sounds, clips, texts)]
    scores = torch.einsum("id,jd,kd->ijk", *three) / temperature
    target = torch.arange(len(texts))
    return F.cross_entropy(scores.diagonal(dim1=0, dim2=1).T, target)


EXERCISE = Exercise(
    id="16-three-ways",
    title="Three modalities, one space",
    goal="put sounds, clips and texts into one space",
    stars=2,
    minutes=10,
    points=2,
    reference=three_ways,
    nothing_ready="chapter 08's loss is a part; which pairs there are, and what is done before and after it, is the "
    "exercise",
    cases=(
        Case(name="six things, a temperature of 0.1", inputs=_inputs(6, 8, 0.1)),
        Case(name="nine things, a temperature of 0.5", inputs=_inputs(9, 5, 0.5)),
        Case(name="four things of four numbers, a temperature of 2", inputs=_inputs(4, 4, 2.0)),
        Case(name="one thing alone costs nothing", inputs=_inputs(1, 6, 0.1)),
    ),
    mistakes=(
        Mistake(
            message="The rows keep their lengths, and a long one is near to all. Bring each to length 1.",
            answer=_joined(ready=lambda each: each),
        ),
        Mistake(
            message="The columns are brought to length 1. It must be the rows: dim 1.",
            answer=_joined(ready=lambda each: F.normalize(each, dim=0)),
        ),
        Mistake(
            message="The similarities are multiplied by the temperature. Divide them: a low temperature sharpens.",
            answer=_joined(pair=lambda one, other, temperature: _of_pair(one, other, 1 / temperature)),
        ),
        Mistake(
            message="The temperature is not used.",
            answer=_joined(pair=lambda one, other, temperature: _of_pair(one, other, 1.0)),
        ),
        Mistake(
            message="Each pair is asked in one direction only: which clip belongs to this sound? The columns ask the "
            "other way round.",
            answer=_joined(pair=_one_way),
        ),
        Mistake(
            message="Each pair is asked by its columns only: which sound belongs to this clip? The rows ask the other "
            "way round.",
            answer=_joined(pair=_other_way),
        ),
        Mistake(
            message="Both directions of a pair are added up. Take their mean.",
            answer=_joined(pair=lambda *two: 2 * _of_pair(*two)),
        ),
        Mistake(
            message="The three losses are added up. Take their mean.",
            answer=_joined(result=torch.sum),
        ),
        Mistake(
            message="A pair is missing, sounds and clips: they meet only through their texts. There are three pairs.",
            answer=_joined(pairs=lambda sounds, clips, texts: ((sounds, texts), (clips, texts))),
        ),
        Mistake(
            message="A pair is missing, sounds and texts: they meet only through the clips. There are three pairs.",
            answer=_joined(pairs=lambda sounds, clips, texts: ((sounds, clips), (clips, texts))),
        ),
        Mistake(
            message="A pair is missing, clips and texts: they meet only through the sounds. There are three pairs.",
            answer=_joined(pairs=lambda sounds, clips, texts: ((sounds, clips), (sounds, texts))),
        ),
        Mistake(
            message="Each modality is compared with itself as well, which every row wins. Only different ones count.",
            answer=_joined(pairs=lambda *three: itertools.combinations_with_replacement(three, 2)),
        ),
        Mistake(
            message="Each is compared with the mean of the other two. Compare all pairs, so that each two of them "
            "agree.",
            answer=_joined(
                pairs=lambda sounds, clips, texts: (
                    (sounds, (clips + texts) / 2),
                    (clips, (sounds + texts) / 2),
                    (texts, (sounds + clips) / 2),
                )
            ),
        ),
        Mistake(
            message="Only partners are pulled together. Without the others to choose from, all rows may become one "
            "and the same.",
            answer=_joined(pair=_closer),
        ),
        Mistake(
            message="The sign is missing: the loss is minus the log-probability of the right one.",
            answer=_joined(result=lambda losses: -losses.mean()),
        ),
        Mistake(
            message="This multiplies all three features, so that two of them may disagree if the third is large. "
            "Compare pairs.",
            answer=_triple,
        ),
    ),
    hints=(
        "`F.normalize(each, dim=1)` brings rows to length 1; `one @ other.T / temperature` are the logits of a pair, "
        "(B, B).",
        "`F.cross_entropy(logits, torch.arange(B))` asks the rows, and with `logits.T` the columns.",
        "There are three pairs of two directions each: the mean of six numbers.",
    ),
)
