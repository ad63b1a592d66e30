"""12-drop-captions: teach one network both the velocity of a sentence and that of no sentence."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def drop_captions(texts, chances, share):
    return ["" if chances[place] < share else text for place, text in enumerate(texts)]


_COLORS = ("red", "green", "blue", "yellow", "white")
_THINGS = ("ball", "star", "tree", "boat", "cat", "house")


def _sentences(count, generator):
    colors = torch.randint(len(_COLORS), (count,), generator=generator).tolist()
    things = torch.randint(len(_THINGS), (count,), generator=generator).tolist()
    return [f"a {_COLORS[color]} {_THINGS[thing]}" for color, thing in zip(colors, things, strict=True)]


def _inputs(count, share):
    def inputs(generator):
        return _sentences(count, generator), torch.rand(count, generator=generator), share

    return inputs


def _eighths(generator):
    """Chances that are eighths, so that some are the share itself."""
    chances = torch.arange(8).repeat(3)[torch.randperm(24, generator=generator)] / 8
    return _sentences(24, generator), chances, 0.25


def _none(generator):
    """A share of 0, and a chance of 0."""
    chances = torch.rand(6, generator=generator)
    chances[int(torch.randint(6, (1,), generator=generator))] = 0
    return _sentences(6, generator), chances, 0.0


def _put(other):
    """What `other` says of a place stands where a sentence is dropped."""

    def answer(texts, chances, share):
        return [other(texts, place) if chances[place] < share else text for place, text in enumerate(texts)]

    return answer


def _where(drops):
    """Nothing stands where `drops` says so, one truth value for each place."""

    def answer(texts, chances, share):
        dropped = drops(texts, chances, share)
        return ["" if dropped[place] else text for place, text in enumerate(texts)]

    return answer


EXERCISE = Exercise(
    id="12-drop-captions",
    title="Drop some captions",
    goal="teach one network both the velocity of a sentence and that of no sentence",
    stars=1,
    minutes=6,
    points=1,
    reference=drop_captions,
    nothing_ready="one line of a training loop, which no function of the library does alone",
    cases=(
        Case(name="40 sentences, a share of 0.3", inputs=_inputs(40, 0.3)),
        Case(name="24 sentences, some chances are the share itself", inputs=_eighths),
        Case(name="a share of 0 drops nothing", inputs=_none),
        Case(name="a share of 1 drops all", inputs=_inputs(5, 1.0)),
    ),
    mistakes=(
        Mistake(
            message="What should be dropped is kept. A sentence goes where its chance is below the share.",
            answer=_where(lambda texts, chances, share: chances >= share),
        ),
        Mistake(
            message="Chances equal to the share are dropped, too. Below means smaller.",
            answer=_where(lambda texts, chances, share: chances <= share),
        ),
        Mistake(
            message="The dropped sentences are taken out of the list, so that the others no longer fit their pictures. "
            'Put "" in their places.',
            answer=lambda texts, chances, share: [text for text in drop_captions(texts, chances, share) if text],
        ),
        Mistake(
            message='None stands for a dropped sentence, and a tokenizer cannot read it. Put the empty sentence, "".',
            answer=_put(lambda texts, place: None),
        ),
        Mistake(
            message='A word stands for a dropped sentence. Put the empty sentence, "".',
            answer=_put(lambda texts, place: "<unk>"),
        ),
        Mistake(
            message="Another picture's sentence stands for a dropped one: that teaches what is not so. Put the empty "
            'sentence, "".',
            answer=_put(lambda texts, place: texts[place - 1]),
        ),
        Mistake(
            message="The first sentences of every batch are dropped. Let the chance of each sentence say.",
            answer=_where(lambda texts, chances, share: torch.arange(len(texts)) < round(share * len(texts))),
        ),
        Mistake(
            message="The same number is dropped from every batch, those with the smallest chances. Compare each chance "
            "with the share alone.",
            answer=_where(lambda texts, chances, share: chances.argsort().argsort() < round(share * len(texts))),
        ),
        Mistake(
            message="The first chance decides for the whole batch. Each sentence has a chance of its own.",
            answer=_where(lambda texts, chances, share: (chances[:1] < share).expand(len(texts))),
        ),
        Mistake(
            message="New random numbers are drawn here. Use the chances that are given, so that a run can be repeated.",
            answer=_where(lambda texts, chances, share: torch.rand(len(texts)) < share),
        ),
        Mistake(
            message="The share is read as percent. It is a number from 0 to 1, like the chances.",
            answer=_where(lambda texts, chances, share: 100 * chances < share),
        ),
        Mistake(
            message="These say which sentences go. Return the sentences.",
            answer=lambda texts, chances, share: (chances < share).tolist(),
        ),
    ),
    hints=(
        "The list stays as long as it is: every picture keeps a place, with its sentence or with an empty one.",
        'Go through sentences and chances side by side; what has a chance below the share becomes `""`.',
        '`["" if chance < share else text for text, chance in zip(texts, chances, strict=True)]`.',
    ),
)
