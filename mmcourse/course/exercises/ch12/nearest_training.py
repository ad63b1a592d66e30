"""12-nearest-training: find the training picture that a drawing is nearest to."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def nearest_training(drawn, training):
    ours, theirs = drawn.flatten(1).float(), training.flatten(1).float()
    found = torch.stack([(theirs - row).square().mean(dim=1).sqrt() for row in ours]).min(dim=1)
    return found.indices, found.values


def _inputs(count, stored, side, *, copies=0):
    def inputs(generator):
        training = torch.randint(256, (stored, 3, side, side), generator=generator, dtype=torch.uint8)
        drawn = torch.randint(256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
        drawn[: count // 2] = drawn[: count // 2] // 4  # some are dark, as pictures may be
        for row in range(copies):
            drawn[row] = training[(3 * row + 1) % stored]
        return drawn, training

    return inputs


def _twins(generator):
    training = torch.randint(256, (6, 3, 4, 4), generator=generator, dtype=torch.uint8)
    training[4] = training[1]
    return training[torch.tensor([4, 2])], training


def _table(drawn, training, *, change=lambda x: x.double(), measure=None):
    """All distances (N, M), of pictures that were changed first, by another measure of their differences."""
    ours, theirs = change(drawn).flatten(1), change(training).flatten(1)
    measure = (lambda gap: gap.square().mean(dim=-1).sqrt()) if measure is None else measure
    return torch.stack([measure(theirs - row) for row in ours])


def _found(table):
    found = table.double().min(dim=1)
    return found.indices, found.values


def _by(*, change=lambda x: x.double(), measure=None):
    return lambda drawn, training: _found(_table(drawn, training, change=change, measure=measure))


def _farthest(drawn, training):
    found = _table(drawn, training).max(dim=1)
    return found.indices, found.values


def _turned(drawn, training):
    found = _table(drawn, training).min(dim=0)
    return found.indices, found.values


def _last_of_equal(drawn, training):
    table = _table(drawn, training)
    best = table.min(dim=1).values
    return len(training) - 1 - (table == best[:, None]).flip(1).int().argmax(dim=1), best


EXERCISE = Exercise(
    id="12-nearest-training",
    title="The nearest training picture",
    goal="find the training picture that a drawing is nearest to",
    stars=2,
    minutes=12,
    points=2,
    reference=nearest_training,
    nothing_ready="neighbors by other distances exist; the point is this one, on pictures as they are stored",
    cases=(
        Case(name="four drawings, seven training pictures", inputs=_inputs(4, 7, 4), rtol=1e-4),
        Case(name="nine drawings, five training pictures", inputs=_inputs(9, 5, 6), rtol=1e-4),
        Case(name="copies have the distance 0", inputs=_inputs(4, 8, 5, copies=2), rtol=1e-4, atol=0.2),
        Case(name="of equal pictures the first", inputs=_twins, rtol=1e-4, atol=0.2),
    ),
    mistakes=(
        Mistake(
            message="uint8 numbers wrap round: 5 − 3 and 3 − 5 are 2 and 254. Convert to float before you subtract.",
            answer=_by(change=lambda x: x, measure=lambda gap: (-gap).double().square().mean(dim=-1).sqrt()),
        ),
        Mistake(
            message="uint8 numbers wrap round: 3 − 5 is 254 there. Convert to float before you subtract.",
            answer=_by(change=lambda x: x, measure=lambda gap: gap.double().square().mean(dim=-1).sqrt()),
        ),
        Mistake(
            message="uint8 numbers wrap round, in the difference and in its square. Convert to float first.",
            answer=_by(change=lambda x: x, measure=lambda gap: gap.square().double().mean(dim=-1).sqrt()),
        ),
        Mistake(
            message="This is the mean absolute difference. Square, take the mean, then the root.",
            answer=_by(measure=lambda gap: gap.abs().mean(dim=-1)),
        ),
        Mistake(
            message="The root is missing.",
            answer=_by(measure=lambda gap: gap.square().mean(dim=-1)),
        ),
        Mistake(
            message="The squares are added up and not averaged, so the distance depends on the size of the pictures.",
            answer=_by(measure=lambda gap: gap.square().sum(dim=-1).sqrt()),
        ),
        Mistake(
            message="The largest difference of a single number is taken. Take the root of the mean square of all.",
            answer=_by(measure=lambda gap: gap.abs().amax(dim=-1)),
        ),
        Mistake(
            message="For each training picture the nearest drawing is found. It is asked for the other way round.",
            answer=_turned,
        ),
        Mistake(message="This is the farthest training picture.", answer=_farthest),
        Mistake(
            message="Only the first channel is compared. A picture has three.",
            answer=_by(change=lambda x: x[:, :1].double()),
        ),
        Mistake(
            message="The numbers were divided by 255. Measure on the scale of the pictures, 0 to 255.",
            answer=_by(change=lambda x: x.double() / 255),
        ),
        Mistake(
            message="Every picture is brought to mean 0 first, so a dark copy counts as a copy. Compare them as they "
            "are.",
            answer=_by(change=lambda x: x.double() - x.double().mean(dim=(1, 2, 3), keepdim=True)),
        ),
        Mistake(
            message="Of equal pictures the last is taken. Take the one with the smaller number.", answer=_last_of_equal
        ),
        Mistake(
            message="The two results are in the other order: first the numbers.",
            answer=lambda drawn, training: nearest_training(drawn, training)[::-1],
        ),
    ),
    hints=(
        "`flatten(1).double()` makes each picture a row of numbers that can be subtracted.",
        "For one drawing: `(theirs - row).square().mean(dim=1).sqrt()` holds its distances to all training pictures.",
        "Stack these rows to (N, M); `.min(dim=1)` gives values and indices, of equal ones the first.",
    ),
)
