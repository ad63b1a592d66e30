"""04-patchify: cut pictures into patches in reading order."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import vit


def _cut(images, size):
    """(B, C, H, W) -> (B, rows, columns, C, size, size)."""
    return images.unflatten(-1, (-1, size)).unflatten(-3, (-1, size)).permute(0, 2, 4, 1, 3, 5)


def patchify(images, size):
    return _cut(images, size).flatten(3).flatten(1, 2)


def _images_and_size(size, *shape):
    return lambda generator: (torch.randn(shape, generator=generator), size)


def _reordered(*order):
    """The axes after the batch in another order: 1 rows, 2 columns, 3 channels, 4 and 5 inside the patch."""
    return lambda images, size: _cut(images, size).permute(0, *order).flatten(3).flatten(1, 2)


EXERCISE = Exercise(
    id="04-patchify",
    title="A picture as a sentence of patches",
    goal="cut pictures into patches in reading order",
    stars=2,
    minutes=10,
    points=2,
    reference=patchify,
    ready_made=(vit.patchify,),
    cases=(
        Case(name="one gray picture of 4 × 4, patches of 2", inputs=_images_and_size(2, 1, 1, 4, 4)),
        Case(name="colored pictures, wider than high", inputs=_images_and_size(4, 2, 3, 8, 12)),
        Case(name="higher than wide", inputs=_images_and_size(3, 2, 3, 12, 6)),
    ),
    mistakes=(
        Mistake(
            message="A reshape alone reads the pixels row by row, so a “patch” is a strip of the picture. Split height "
            "and width, move the axes with `permute`, and flatten then.",
            answer=lambda images, size: images.reshape(len(images), -1, images.shape[1] * size * size),
        ),
        Mistake(
            message="The last two axes are exchanged: `F.unfold` gives (B, C·s·s, P), but we want (B, P, C·s·s).",
            answer=lambda images, size: F.unfold(images, size, stride=size),
        ),
        Mistake(
            message="The patches run down the columns. Reading order is row by row.",
            answer=_reordered(2, 1, 3, 4, 5),
        ),
        Mistake(
            message="Inside each patch the pixels are transposed: rows come before columns.",
            answer=_reordered(1, 2, 3, 5, 4),
        ),
        Mistake(
            message="The colors stand last inside each patch. Keep (C, s, s), as in a kernel: then a kernel, "
            "flattened, is a row of the patch embedding.",
            answer=_reordered(1, 2, 4, 5, 3),
        ),
        Mistake(
            message="Each “patch” takes every n-th pixel of the whole picture. Split an axis of length rows · s into "
            "(rows, s), in this order.",
            answer=lambda images, size: (
                images.unflatten(-1, (size, -1))
                .unflatten(-3, (size, -1))
                .permute(0, 3, 5, 1, 2, 4)
                .flatten(3)
                .flatten(1, 2)
            ),
        ),
        Mistake(
            message="Rows and columns of the grid are still apart. Flatten them: (B, P, C·s·s).",
            answer=lambda images, size: _cut(images, size).flatten(3),
        ),
        Mistake(
            message="The patches are not flattened. Flatten each to one vector: (B, P, C·s·s).",
            answer=lambda images, size: _cut(images, size).flatten(1, 2),
        ),
        Mistake(
            message="The batch is mixed into the patches. Keep B as the first axis.",
            answer=lambda images, size: patchify(images, size).flatten(0, 1),
        ),
    ),
    hints=(
        "An axis of length H is rows · s: `images.unflatten(2, (-1, s))` splits it, here and for the width.",
        "Then the axes are (B, C, rows, s, columns, s). Bring them to (B, rows, columns, C, s, s).",
        "`.permute(0, 2, 4, 1, 3, 5)`, then flatten the last three, then rows with columns.",
    ),
)
