"""The exercises of chapter 00: first steps, so that the way of working is familiar when the ideas get harder."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.datasets import Scene, Verdict, caption_is_true, captions, sample_scene


def to_tensor(image: Tensor) -> Tensor:
    """The reference for `00-to-tensor`: uint8 (H, W, 3) -> float32 (3, H, W) between 0 and 1."""
    return image.permute(2, 0, 1).float() / 255  # (H, W, C) -> (C, H, W)


def count_true(scene: Scene, sentences: list[str]) -> int:
    """The reference for `00-count-true`."""
    return sum(1 for sentence in sentences if caption_is_true(scene, sentence))


def best_sentence(scores: Tensor) -> Tensor:
    """The reference for `00-best-sentence`: scores (P, S) -> for each picture the number of its best sentence (P,)."""
    return scores.argmax(dim=1)


def _unparseable(verdict: Verdict) -> bool:
    return verdict.truth.value == "unparseable"


def _picture(rows: int, columns: int):
    # values stop below 255, so that dividing by the picture's own maximum is not mistaken for dividing by 255
    return lambda generator: (torch.randint(0, 200, (rows, columns, 3), generator=generator, dtype=torch.uint8),)


def _white(generator: torch.Generator) -> tuple[Tensor]:
    return (torch.full((4, 6, 3), 255, dtype=torch.uint8),)


def _sentences(kind: str):
    """Inputs for `00-count-true`: its own sentences, a stranger's, repeated ones, unreadable ones."""

    def inputs(generator: torch.Generator) -> tuple[Scene, list[str]]:
        first = int(torch.randint(0, 10_000, (), generator=generator))
        scene, stranger = (sample_scene(first + step, split="train", difficulty="standard") for step in (0, 1))
        own = list(captions(scene))
        foreign = [text for text in captions(stranger) if not caption_is_true(scene, text)]
        unreadable = ["what a nice picture", "", "la la la"]
        return (
            scene,
            {
                "own": [
                    *own[:3],
                    *foreign[:1],
                    f"a {scene.objects[0].noun}",
                ],  # the last is true and not among the five
                "foreign": own[:2] + foreign,
                "repeated": [own[0], own[0], own[1], *foreign[:3], own[0]],
                "unreadable": own[:2] + unreadable + foreign[:1],
                "none": [],
            }[kind],
        )

    return inputs


def _scores(pictures: int, sentences: int):
    return lambda generator: (torch.randn(pictures, sentences, generator=generator),)


def _negative_scores(generator: torch.Generator) -> tuple[Tensor]:
    return (-1 - torch.rand(5, 5, generator=generator),)


NUMBERS = Exercise(
    id="00-numbers",
    title="How many numbers is a picture?",
    goal="Say how much a model receives when you show it one color picture.",
    stars=1,
    minutes=2,
    points=1,
    reference=64 * 64 * 3,
    cases=(Case(name="the number of values in a 64×64 color picture", inputs=lambda generator: ()),),
    mistakes=(
        Mistake(
            message="That is the number of pixels. A color picture holds three numbers per pixel: red, green and blue.",
            answer=64 * 64,
        ),
        Mistake(
            message="That counts four numbers per pixel. The fourth, transparency, is in the drawings, but not in a "
            "scene.",
            answer=64 * 64 * 4,
        ),
        Mistake(
            message="That is one row of pixels only. A picture has as many rows as its height.",
            answer=64 * 3,
        ),
        Mistake(
            message="256 is how many values one number can take, not how many numbers there are. Leave it out.",
            answer=64 * 64 * 3 * 256,
        ),
        Mistake(
            message="That is the size in bits: each number is stored in 8 of them. Count the numbers.",
            answer=64 * 64 * 3 * 8,
        ),
        Mistake(
            message="You added height, width and channels. Every row has every column, and every pixel every "
            "channel: multiply.",
            answer=64 + 64 + 3,
        ),
    ),
    hints=(
        "Start with the pixels: how many rows, how many pixels in a row?",
        "Each pixel of a color picture is a mixture of red, green and blue light.",
        "Multiply three numbers: the rows, the pixels in a row, and the numbers in each pixel.",
    ),
)

TO_TENSOR = Exercise(
    id="00-to-tensor",
    title="From a stored picture to a tensor",
    goal="Turn pixels as files store them into numbers as networks want them.",
    stars=1,
    minutes=6,
    points=2,
    reference=to_tensor,
    cases=(
        Case(name="a picture of 5 rows and 7 columns", inputs=_picture(5, 7)),
        Case(name="a square picture of 6 rows and 6 columns", inputs=_picture(6, 6)),
        Case(name="a white picture becomes exactly 1 everywhere", inputs=_white),
    ),
    mistakes=(
        Mistake(
            message="The values still run from 0 to 255. Divide by 255, so that black is 0 and white is 1.",
            answer=lambda image: image.permute(2, 0, 1).float(),
        ),
        Mistake(
            message="The values and the axes are as stored, only the dtype changed. Move the colors to the front, "
            "then divide by 255.",
            answer=lambda image: image.float(),
        ),
        Mistake(
            message="The colors are still the last axis. PyTorch wants (channels, height, width): permute the axes.",
            answer=lambda image: image.float() / 255,
        ),
        Mistake(
            message="The shape is right and the picture is scrambled: reshape (or view) keeps the order of the "
            "numbers in "
            "memory and cuts it anew. Use permute, which moves the axes.",
            answer=lambda image: image.reshape(3, *image.shape[:2]).float() / 255,
        ),
        Mistake(
            message="Height and width changed places, so the picture lies on its side. The order is (channels, height, "
            "width): permute(2, 0, 1).",
            answer=lambda image: image.permute(2, 1, 0).float() / 255,
        ),
        Mistake(
            message="You divided by 256. The largest value a byte can hold is 255, so white would stay below 1.",
            answer=lambda image: image.permute(2, 0, 1).float() / 256,
        ),
        Mistake(
            message="You divided by this picture's own maximum. Then a dark picture and a bright one look the same "
            "to the "
            "model. Divide by 255, the same number for every picture.",
            answer=lambda image: image.permute(2, 0, 1).float() / image.max(),
        ),
        Mistake(
            message="Your values run from −1 to 1. Some networks want that, this exercise asks for 0 to 1.",
            answer=lambda image: image.permute(2, 0, 1).float() / 127.5 - 1,
        ),
        Mistake(
            message="Whole-number division (//) throws away everything below 1. Make the values float, then use /.",
            answer=lambda image: (image.permute(2, 0, 1) // 255).float(),
        ),
    ),
    hints=(
        "Two things change: the order of the axes and the range of the values.",
        "image.permute(2, 0, 1) puts the old axis 2 first. Look at the shape before and after.",
        "Values: convert with .float(), then divide by the largest value that a byte can hold.",
    ),
)

COUNT_TRUE = Exercise(
    id="00-count-true",
    title="Count the true sentences",
    goal="Use the world's own judge and read its three verdicts: true, false, unparseable.",
    stars=1,
    minutes=6,
    points=2,
    reference=count_true,
    cases=(
        Case(name="some of its own sentences and a stranger's", inputs=_sentences("own")),
        Case(name="two true sentences among false ones", inputs=_sentences("foreign")),
        Case(name="a sentence that comes three times counts three times", inputs=_sentences("repeated")),
        Case(name="sentences outside the grammar are not true", inputs=_sentences("unreadable")),
        Case(name="no sentence at all", inputs=_sentences("none")),
    ),
    mistakes=(
        Mistake(
            message="You counted every sentence. A verdict is always an object, also when it says false: ask "
            "whether it is "
            "true (`if caption_is_true(...)`), not whether it is there.",
            answer=lambda scene, sentences: len(sentences),
        ),
        Mistake(
            message="You looked each sentence up among the five captions. A scene has many more true sentences than "
            "these: ask caption_is_true.",
            answer=lambda scene, sentences: sum(text in captions(scene) for text in sentences),
        ),
        Mistake(
            message="You counted none. A verdict is an object that says why, so it never equals True or the text "
            "“true”: "
            "write `if caption_is_true(...)` without a comparison.",
            answer=lambda scene, sentences: 0,
        ),
        Mistake(
            message="You counted the sentences that are not true. Turn the condition around.",
            answer=lambda scene, sentences: sum(not caption_is_true(scene, text) for text in sentences),
        ),
        Mistake(
            message="You counted the unparseable sentences as true. What cannot be read has not been shown to be true: "
            "count only the verdict true.",
            answer=lambda scene, sentences: sum(
                bool(verdict) or _unparseable(verdict) for verdict in (caption_is_true(scene, t) for t in sentences)
            ),
        ),
        Mistake(
            message="You counted a repeated sentence once. Go through the list itself, not through a set of it.",
            answer=lambda scene, sentences: sum(bool(caption_is_true(scene, text)) for text in set(sentences)),
        ),
        Mistake(
            message="You stopped at the first true sentence. Return after the loop, not inside it.",
            answer=lambda scene, sentences: int(any(caption_is_true(scene, text) for text in sentences)),
        ),
        Mistake(
            message="That is the share of true sentences. The exercise asks for their number: do not divide.",
            answer=lambda scene, sentences: count_true(scene, sentences) / max(1, len(sentences)),
        ),
        Mistake(
            message="You returned the true sentences themselves. Return how many there are.",
            answer=lambda scene, sentences: [text for text in sentences if caption_is_true(scene, text)],
        ),
    ),
    hints=(
        "caption_is_true(scene, sentence) answers for one sentence. Go through the list with a loop.",
        "The verdict can stand in an if: it counts as True only when the sentence is true.",
        "Begin with count = 0, add 1 inside the if, and return count after the loop.",
    ),
)


CHANCE = Exercise(
    id="00-chance",
    title="What reading alone can reach",
    goal="Work out from the design of a data set what a model with one sense can reach, before training it.",
    stars=2,
    minutes=4,
    points=1,
    reference=200,
    cases=(Case(name="right answers of the best model that only reads", inputs=lambda generator: ()),),
    mistakes=(
        Mistake(
            message="For all of them the model would have to give one sentence two different answers. It sees the "
            "sentence "
            "alone, so its answer cannot change with the picture.",
            answer=400,
        ),
        Mistake(
            message="Three of four is what the best sum of two separate scores can reach. This model does not see the "
            "picture at all.",
            answer=300,
        ),
        Mistake(
            message="A quarter would mean that it is right on one pair of four. Saying “true” every time is already "
            "right "
            "whenever the sentence is true. How often is that?",
            answer=100,
        ),
        Mistake(
            message="It cannot be wrong every time: each sentence comes once with “true” and once with “false”, and "
            "the "
            "model's answer fits one of the two.",
            answer=0,
        ),
        Mistake(
            message="That is the share. The exercise asks for the number of right answers among the 400.",
            answer=0.5,
        ),
    ),
    hints=(
        "Take one block of four. Write down what the model says to sentence A and to sentence B.",
        "The model says the same to sentence A beside both pictures. For how many of these two is it right?",
        "The same holds for sentence B. So how many of the four are right, and how many blocks of four are in 400?",
    ),
)

BEST_SENTENCE = Exercise(
    id="00-best-sentence",
    title="Which sentence fits this picture best?",
    goal="Read a table of scores the right way round: this is retrieval.",
    stars=2,
    minutes=6,
    points=2,
    reference=best_sentence,
    cases=(
        Case(name="a table of 4 pictures and 4 sentences", inputs=_scores(4, 4)),
        Case(name="a table of 3 pictures and 6 sentences", inputs=_scores(3, 6)),
        Case(name="a table of 6 pictures and 3 sentences", inputs=_scores(6, 3)),
        Case(name="a table in which every score is negative", inputs=_negative_scores),
    ),
    mistakes=(
        Mistake(
            message="You searched down the columns: that finds the best picture for each sentence. Rows are "
            "pictures, so "
            "search along dim=1.",
            answer=lambda scores: scores.argmax(dim=0),
        ),
        Mistake(
            message="You returned the best scores themselves. Return where they stand: argmax, or .indices of max.",
            answer=lambda scores: scores.max(dim=1).values,
        ),
        Mistake(
            message="You returned the worst sentence of each picture. A high score means that they fit: argmax.",
            answer=lambda scores: scores.argmin(dim=1),
        ),
        Mistake(
            message="Without dim, argmax looks for one single place in the whole table. Say dim=1 for one answer "
            "per row.",
            answer=lambda scores: scores.argmax(),
        ),
        Mistake(
            message="You returned the whole ranking of each row, worst to best or best to worst. Keep the best "
            "place only.",
            answer=lambda scores: scores.argsort(dim=1, descending=True),
        ),
        Mistake(
            message="You returned the result of max as a pair of values and places. Return only the places: .indices.",
            answer=lambda scores: tuple(scores.max(dim=1)),
        ),
        Mistake(
            message="You took the best absolute value, so a strongly negative score wins. Negative means: does not "
            "fit.",
            answer=lambda scores: scores.abs().argmax(dim=1),
        ),
    ),
    hints=(
        "One row of the table belongs to one picture. The answer has one number per row.",
        "torch has a function for the place of the largest value: argmax. Its argument dim says along which axis.",
        "The axis that disappears is the one of the sentences, the last: dim=1.",
    ),
)

EXERCISES = (NUMBERS, TO_TENSOR, COUNT_TRUE, CHANCE, BEST_SENTENCE)
