"""00-count-true: Use the world's own judge and read its three verdicts: true, false, unparseable.."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.datasets import Scene, Verdict, caption_is_true, captions, sample_scene


def count_true(scene: Scene, sentences: list[str]) -> int:
    """The reference for `00-count-true`."""
    return sum(1 for sentence in sentences if caption_is_true(scene, sentence))


def _unparseable(verdict: Verdict) -> bool:
    return verdict.truth.value == "unparseable"


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


EXERCISE = Exercise(
    id="00-count-true",
    title="Count the true sentences",
    goal="Use the world's own judge and read its three verdicts: true, false, unparseable.",
    stars=1,
    minutes=6,
    points=2,
    reference=count_true,
    nothing_ready="the judge of the world is to be called; counting its verdicts is the exercise",
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
