"""02-perplexity: from probabilities to perplexity."""

from __future__ import annotations

import math

from mmcourse.course.exercise import Exercise, Mistake

_CHANCES = (1 / 2, 1 / 4, 1 / 8, 1 / 4)


EXERCISE = Exercise(
    id="02-perplexity",
    title="Perplexity by hand",
    goal="from probabilities to perplexity",
    stars=1,
    minutes=5,
    points=1,
    reference=4.0,
    nothing_ready="a number to work out",
    mistakes=(
        Mistake(
            message="This is the mean of 2, 4, 8 and 4. Perplexity is their geometric mean: take logarithms, average, "
            "and exponentiate.",
            answer=sum(1 / p for p in _CHANCES) / 4,
        ),
        Mistake(
            message="This is one over the mean probability. Average the logarithms, not the probabilities.",
            answer=4 / sum(_CHANCES),
        ),
        Mistake(
            message="This is the cross-entropy in nats. Perplexity is its exponential.",
            answer=-sum(math.log(p) for p in _CHANCES) / 4,
        ),
        Mistake(
            message="This is the cross-entropy in bits. Perplexity is 2 to that power.",
            answer=2.0,
        ),
        Mistake(
            message="Base 2 went in and base e came out: with bits, perplexity is 2 to the power of the mean.",
            answer=math.exp(2),
        ),
        Mistake(
            message="This is one over the likelihood of the whole sentence. Perplexity is for each word: take the "
            "fourth root.",
            answer=256.0,
        ),
        Mistake(
            message="This is the surprise of the whole sentence. Take the mean over the four words, then exponentiate.",
            answer=-sum(math.log(p) for p in _CHANCES),
        ),
        Mistake(
            message="The minus sign is missing, so you got one over the perplexity.",
            answer=0.25,
        ),
    ),
    hints=(
        "Write the surprise of each word in bits: ½ is 1 bit, ¼ is 2 bits, ⅛ is 3 bits.",
        "The mean surprise is (1 + 2 + 3 + 2) / 4 bits.",
        "Perplexity is 2 to the power of the mean in bits, which is e to the power of the mean in nats.",
    ),
)
