"""00-to-tensor: Turn pixels as files store them into numbers as networks want them.."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcourse.course.exercise import Case, Exercise, Mistake


def to_tensor(image: Tensor) -> Tensor:
    """The reference for `00-to-tensor`: uint8 (H, W, 3) -> float32 (3, H, W) between 0 and 1."""
    return image.permute(2, 0, 1).float() / 255  # (H, W, C) -> (C, H, W)


def _picture(rows: int, columns: int):
    # values stop below 255, so that dividing by the picture's own maximum is not mistaken for dividing by 255
    return lambda generator: (torch.randint(0, 200, (rows, columns, 3), generator=generator, dtype=torch.uint8),)


def _white(generator: torch.Generator) -> tuple[Tensor]:
    return (torch.full((4, 6, 3), 255, dtype=torch.uint8),)


EXERCISE = Exercise(
    id="00-to-tensor",
    title="From a stored picture to a tensor",
    goal="Turn pixels as files store them into numbers as networks want them.",
    stars=1,
    minutes=6,
    points=2,
    reference=to_tensor,
    nothing_ready="torchvision's own takes NumPy arrays, and to watch it every answer would have to load torchvision",
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
