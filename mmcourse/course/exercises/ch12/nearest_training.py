"""12-nearest-training: find the training picture that a drawing comes nearest to."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def nearest_training(drawn, training):
    gaps = drawn[:, None].float() - training  # (N, M, 3, S, S); float less uint8 is float
    distances = gaps.flatten(2).square().mean(dim=2).sqrt()
    numbers = distances.argmin(dim=1)  # of equal ones the first
    return numbers, distances[torch.arange(len(drawn)), numbers]


def _draw(generator, *shape):
    return torch.randint(256, shape, generator=generator, dtype=torch.uint8)


def _near(known, drawings, size):
    """Half of the drawings are training pictures with some noise, in another order, the others are new."""

    def inputs(generator):
        training = _draw(generator, known, 3, size, size)
        copied = training[torch.randint(known, (drawings // 2,), generator=generator)].float()
        noisy = (copied + 40 * torch.randn(copied.shape, generator=generator)).clamp(0, 255).to(torch.uint8)
        return torch.cat((_draw(generator, drawings - drawings // 2, 3, size, size), noisy)), training

    return inputs


def _twins(generator):
    """Every training picture is there twice, and some drawings are copies."""
    half = _draw(generator, 5, 3, 4, 4)
    copies = half[torch.randperm(5, generator=generator)[:3]]
    return torch.cat((copies, _draw(generator, 4, 3, 4, 4))), torch.cat((half, half))


def _with(*, gaps=None, joined=None, picked=None, before=None):
    """A search with other differences, another distance, another choice, or something done to the pictures before."""

    def answer(drawn, training):
        left, right = (one.double() if before is None else before(one) for one in (drawn, training))
        apart = left[:, None] - right if gaps is None else gaps(drawn[:, None], training)
        distances = apart.flatten(2).square().mean(dim=2).sqrt() if joined is None else joined(apart)
        numbers = distances.argmin(dim=1) if picked is None else picked(distances)
        return numbers, distances.gather(1, numbers[:, None]).squeeze(1)

    return answer


def _standardized(pictures):
    flat = pictures.double().flatten(1)
    flat = (flat - flat.mean(dim=1, keepdim=True)) / flat.std(dim=1, keepdim=True)
    return flat.view(pictures.shape)


EXERCISE = Exercise(
    id="12-nearest-training",
    title="Is it a copy?",
    goal="find the training picture that a drawing comes nearest to",
    stars=2,
    minutes=12,
    points=2,
    reference=nearest_training,
    nothing_ready="torch.cdist is a part; no function of the library compares pictures number by number",
    cases=(
        Case(name="eight drawings, 20 training pictures", inputs=_near(20, 8, 4)),
        Case(name="larger pictures", inputs=_near(12, 5, 8)),
        Case(name="copies, and every training picture twice", inputs=_twins),
        Case(name="one drawing, one training picture", inputs=_near(1, 1, 3)),
    ),
    mistakes=(
        Mistake(
            message="The difference is taken in uint8, where 3 − 5 is 254. Make the pictures `.float()` first.",
            answer=_with(gaps=lambda drawn, training: (drawn - training).double()),
        ),
        Mistake(
            message="Difference and square are taken in uint8, where both wrap round at 256. Make the pictures "
            "`.float()` first.",
            answer=_with(
                gaps=lambda drawn, training: (drawn - training).square(),
                joined=lambda apart: apart.double().flatten(2).mean(dim=2).sqrt(),
            ),
        ),
        Mistake(
            message="This is the mean of the absolute differences. Square them, take the mean, then the root.",
            answer=_with(joined=lambda apart: apart.flatten(2).abs().mean(dim=2)),
        ),
        Mistake(
            message="The root is missing at the end.",
            answer=_with(joined=lambda apart: apart.flatten(2).square().mean(dim=2)),
        ),
        Mistake(
            message="The squares are added up. Take their mean, so that the size of the pictures does not count.",
            answer=_with(joined=lambda apart: apart.flatten(2).square().sum(dim=2).sqrt()),
        ),
        Mistake(
            message="The root is taken at every pixel. Take it once, of the mean over the whole picture.",
            answer=_with(joined=lambda apart: apart.square().mean(dim=2).sqrt().flatten(2).mean(dim=2)),
        ),
        Mistake(
            message="Only the first color is compared. All three count.",
            answer=_with(joined=lambda apart: apart[:, :, 0].flatten(2).square().mean(dim=2).sqrt()),
        ),
        Mistake(
            message="The search runs the other way: for each training picture its nearest drawing.",
            answer=lambda drawn, training: nearest_training(training, drawn),
        ),
        Mistake(
            message="These are the training pictures that differ most. Take the smallest distance.",
            answer=_with(picked=lambda distances: distances.argmax(dim=1)),
        ),
        Mistake(
            message="Of training pictures at the same distance the last one is named. Take the one with the smaller "
            "number.",
            answer=_with(picked=lambda distances: distances.shape[1] - 1 - distances.flip(1).argmin(dim=1)),
        ),
        Mistake(
            message="Each picture is brought to mean 0 and spread 1 first, which hides how bright it is. Compare the "
            "numbers as they are.",
            answer=_with(before=_standardized),
        ),
        Mistake(
            message="The pictures are divided by 255 first. Measure in steps of color, from 0 to 255.",
            answer=_with(before=lambda pictures: pictures.double() / 255),
        ),
    ),
    hints=(
        "uint8 knows no negative numbers: make both pictures `.float()` before anything else.",
        "`drawn[:, None] - training` has the shape (N, M, 3, S, S): each drawing beside each training picture.",
        "`….flatten(2).square().mean(dim=2).sqrt()` is (N, M); `argmin(dim=1)` gives the first of the smallest.",
    ),
)
