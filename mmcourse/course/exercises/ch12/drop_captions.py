"""12-drop-captions: teach one network both the velocity of a sentence and that of no sentence."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import draw_words

WORDS = ("a cat", "a dog on a pink background", "two apples", "a car left of a tree", "a large clock")


def drop_captions(texts, chances, share):
    return ["" if chance < share else text for text, chance in zip(texts, chances.tolist(), strict=True)]


def _inputs(count, share):
    def inputs(generator):
        chances = torch.rand(count, generator=generator)
        chances[:2] = torch.tensor([0.01, 0.99])  # so that there is always one of each kind
        return draw_words(count, generator, WORDS), chances[torch.randperm(count, generator=generator)], share

    return inputs


def _equal(generator):
    return draw_words(4, generator, WORDS), torch.tensor([0.5, 0.25, 0.75, 0.5]), 0.5


EXERCISE = Exercise(
    id="12-drop-captions",
    title="Dropped captions",
    goal="teach one network both the velocity of a sentence and that of no sentence",
    stars=1,
    minutes=6,
    points=1,
    reference=drop_captions,
    nothing_ready="the recipe does it among other things",
    cases=(
        Case(name="ten sentences, a third", inputs=_inputs(10, 0.33)),
        Case(name="eight sentences, two thirds", inputs=_inputs(8, 0.66)),
        Case(name="a chance equal to the share is not below it", inputs=_equal),
        Case(name="a share of 0 drops none", inputs=_inputs(5, 0.0)),
        Case(name="a share of 1 drops all", inputs=_inputs(5, 1.0)),
    ),
    mistakes=(
        Mistake(
            message="The wrong ones are dropped: a chance below the share means an empty sentence.",
            answer=lambda texts, chances, share: [
                text if chance < share else "" for text, chance in zip(texts, chances.tolist(), strict=True)
            ],
        ),
        Mistake(
            message="Dropped sentences are missing from the list, so sentences and pictures no longer belong "
            'together. Put "" in their place.',
            answer=lambda texts, chances, share: [
                text for text, chance in zip(texts, chances.tolist(), strict=True) if chance >= share
            ],
        ),
        Mistake(
            message='None is not a sentence. Put "" in its place, which the tokenizer can read.',
            answer=lambda texts, chances, share: [
                None if chance < share else text for text, chance in zip(texts, chances.tolist(), strict=True)
            ],
        ),
        Mistake(
            message='A blank is not the empty sentence. Put "" there.',
            answer=lambda texts, chances, share: [
                " " if chance < share else text for text, chance in zip(texts, chances.tolist(), strict=True)
            ],
        ),
        Mistake(
            message='A word such as <unk> is a sentence of its own. Put "" there.',
            answer=lambda texts, chances, share: [
                "<unk>" if chance < share else text for text, chance in zip(texts, chances.tolist(), strict=True)
            ],
        ),
        Mistake(
            message="The first chance decides for all. Each sentence has its own.",
            answer=lambda texts, chances, share: ["" if chances[0] < share else text for text in texts],
        ),
        Mistake(
            message="The first sentences are dropped, always the same number. Let each chance decide for its sentence.",
            answer=lambda texts, chances, share: [
                "" if row < share * len(texts) else text for row, text in enumerate(texts)
            ],
        ),
        Mistake(
            message="Exactly a share of the sentences is dropped, those with the smallest chances. Compare each chance "
            "with the share.",
            answer=lambda texts, chances, share: [
                "" if chances.argsort().argsort()[row] < round(share * len(texts)) else text
                for row, text in enumerate(texts)
            ],
        ),
        Mistake(
            message="Single words are dropped. It is the whole sentence that is shown or not.",
            answer=lambda texts, chances, share: [
                " ".join(text.split()[1:]) if chance < share else text
                for text, chance in zip(texts, chances.tolist(), strict=True)
            ],
        ),
        Mistake(
            message="Nothing is dropped.",
            answer=lambda texts, chances, share: list(texts),
        ),
        Mistake(
            message="These are the yes or no of dropping. Return the sentences.",
            answer=lambda texts, chances, share: (chances < share).tolist(),
        ),
    ),
    hints=(
        "Go through sentences and chances together, with `zip(texts, chances.tolist())`.",
        'Where the chance is below the share, put `""`; else keep the sentence.',
        'One line: `["" if chance < share else text for text, chance in zip(texts, chances.tolist())]`.',
    ),
)
