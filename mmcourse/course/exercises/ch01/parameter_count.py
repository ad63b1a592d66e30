"""01-parameter-count: count the parameters of multi-head attention."""

from __future__ import annotations

from mmcourse.course.exercise import Case, Exercise, Mistake

EXERCISE = Exercise(
    id="01-parameter-count",
    title="How many numbers does it learn?",
    goal="count the parameters of multi-head attention",
    stars=1,
    minutes=5,
    points=1,
    reference=4 * (512 * 512 + 512),
    nothing_ready="a number to work out",
    cases=(Case(name="width 512, 8 heads, with biases", inputs=lambda generator: (), probe=lambda answer: answer),),
    mistakes=(
        Mistake(
            message="The biases are missing: each linear map also has one bias for each output channel.",
            answer=4 * 512 * 512,
        ),
        Mistake(
            message="One map is missing: besides query, key and value there is the output map after merging.",
            answer=3 * (512 * 512 + 512),
        ),
        Mistake(
            message="One map and the biases are missing: there is an output map too, and each map has biases.",
            answer=3 * 512 * 512,
        ),
        Mistake(
            message="You multiplied by the number of heads. The heads share the 512 channels, so their number does "
            "not change the count.",
            answer=8 * 4 * (512 * 512 + 512),
        ),
        Mistake(
            message="Each head reads all 512 channels, not its own 64 alone: a map of one head is 512 × 64.",
            answer=8 * 4 * (64 * 64 + 64),
        ),
        Mistake(
            message="That is a single map. There are four: query, key, value and output.",
            answer=512 * 512 + 512,
        ),
    ),
    hints=(
        "A linear map from 512 to 512 channels has a 512 × 512 matrix and 512 biases.",
        "There are four such maps: query, key, value and output.",
        "The heads only cut the 512 channels into eight pieces; they add nothing.",
    ),
)
