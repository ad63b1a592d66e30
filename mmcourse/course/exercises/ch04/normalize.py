"""04-normalize: from 0–255 to what a pretrained network expects."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import pictures

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def prepare_image(image, mean, std):
    return (image / 255 - mean[:, None, None]) / std[:, None, None]


def _prepared(*shape):
    return lambda generator: (pictures(*shape)(generator), MEAN, STD)


def _columns(values):
    return values[:, None, None]


EXERCISE = Exercise(
    id="04-normalize",
    title="Ready for the network",
    goal="from 0–255 to what a pretrained network expects",
    stars=1,
    minutes=5,
    points=1,
    reference=prepare_image,
    nothing_ready="torchvision's normalize is a part; the scale before it is the exercise",
    cases=(
        Case(name="a picture of 8 × 6 pixels", inputs=_prepared(3, 8, 6)),
        Case(name="a picture that is 3 pixels wide", inputs=_prepared(3, 5, 3)),
        Case(name="a batch of 4", inputs=_prepared(4, 3, 7, 5)),
    ),
    mistakes=(
        Mistake(
            message="The pixels still run from 0 to 255. Divide by 255 first: mean and std are those of numbers in "
            "[0, 1].",
            answer=lambda x, m, s: (x.float() - _columns(m)) / _columns(s),
        ),
        Mistake(
            message="mean and std run along the width, not along the colors. PyTorch lines up the last dimension: give "
            "them the shape (3, 1, 1) first.",
            answer=lambda x, m, s: (x / 255 - m) / s,
        ),
        Mistake(
            message="The mean is subtracted, but nothing is divided by std.",
            answer=lambda x, m, s: x / 255 - _columns(m),
        ),
        Mistake(
            message="You multiply by std. A color that varies a lot has to be made smaller: divide.",
            answer=lambda x, m, s: (x / 255 - _columns(m)) * _columns(s),
        ),
        Mistake(
            message="The order is turned around: first subtract the mean, then divide all of it by std.",
            answer=lambda x, m, s: x / 255 / _columns(s) - _columns(m),
        ),
        Mistake(
            message="mean and std are taken from this picture. That erases its brightness and its tint. The network "
            "learned with one fixed mean and std: use those that are given.",
            answer=lambda x, m, s: (
                (x / 255 - (x / 255).mean(dim=(-2, -1), keepdim=True)) / (x / 255).std(dim=(-2, -1), keepdim=True)
            ),
        ),
        Mistake(
            message="The picture is normalized twice. Once is enough, and twice fails without an error.",
            answer=lambda x, m, s: (prepare_image(x, m, s) - _columns(m)) / _columns(s),
        ),
        Mistake(
            message="The colors are in the order blue, green, red. Ours are red, green, blue: do not flip them.",
            answer=lambda x, m, s: prepare_image(x.flip(-3), m, s),
        ),
        Mistake(
            message="You divide by 256. The brightest pixel is 255 and must become 1.",
            answer=lambda x, m, s: (x / 256 - _columns(m)) / _columns(s),
        ),
        Mistake(
            message="The colors stand last. PyTorch expects (…, 3, H, W), as the picture came.",
            answer=lambda x, m, s: prepare_image(x, m, s).movedim(-3, -1),
        ),
        Mistake(
            message="This scales to [−1, 1] and does not use mean and std. Some networks want that, this one does not.",
            answer=lambda x, m, s: x / 127.5 - 1,
        ),
    ),
    hints=(
        "Three steps in this order: divide by 255, subtract the mean, divide by std.",
        "mean has shape (3,), the picture (3, H, W). Colors must meet colors: `mean[:, None, None]` is (3, 1, 1).",
        "`(image / 255 - mean[:, None, None]) / std[:, None, None]`",
    ),
)
