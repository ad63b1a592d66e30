"""00-numbers: Say how much a model receives when you show it one color picture.."""

from __future__ import annotations

from mmcourse.course.exercise import Case, Exercise, Mistake

EXERCISE = Exercise(
    id="00-numbers",
    title="How many numbers is a picture?",
    goal="Say how much a model receives when you show it one color picture.",
    stars=1,
    minutes=2,
    points=1,
    reference=64 * 64 * 3,
    nothing_ready="a number to work out",
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
