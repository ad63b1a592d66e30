"""03-shift: line up each token with the one that comes after it."""

from __future__ import annotations

import torch

from mmcourse import lm
from mmcourse.course.exercise import Case, Exercise, Mistake


def inputs_and_targets(tokens, pad_id):
    targets = tokens[:, 1:]
    return tokens[:, :-1], targets.masked_fill(targets == pad_id, -100)


def _padded(rows, length, pad_id):
    """Inputs: rows of different length that begin with 2 and end with 3, then padding."""

    def inputs(generator):
        tokens = torch.randint(4, 20, (rows, length), generator=generator)
        ends = torch.randint(2, length - 1, (rows,), generator=generator)
        place = torch.arange(length)
        tokens[:, 0] = 2
        tokens[place == ends[:, None]] = 3
        tokens[place > ends[:, None]] = pad_id
        return tokens, pad_id

    return inputs


def _other(inputs, targets):
    """Another pair of (inputs, targets), as functions of (tokens, targets without ignored ones, pad_id)."""
    return lambda t, pad_id: (inputs(t), targets(t, pad_id))


def _ignored(targets, pad_id):
    return targets.masked_fill(targets == pad_id, -100)


EXERCISE = Exercise(
    id="03-shift",
    title="Inputs and targets",
    goal="line up each token with the one that comes after it",
    stars=1,
    minutes=5,
    points=1,
    reference=inputs_and_targets,
    ready_made=(lm.shift,),
    cases=(
        Case(name="four captions of different length", inputs=_padded(4, 9, 0)),
        Case(name="one caption", inputs=_padded(1, 6, 0)),
        Case(name="another id for padding", inputs=_padded(3, 7, 1)),
    ),
    mistakes=(
        Mistake(
            message="Inputs and targets are the same tokens: the model is asked for what it has been given. Cut the "
            "first token off the targets and the last off the inputs.",
            answer=_other(lambda t: t[:, :-1], lambda t, pad_id: _ignored(t[:, :-1], pad_id)),
        ),
        Mistake(
            message="Inputs and targets are the same tokens, uncut. The target of a place is the token *after* it.",
            answer=_other(lambda t: t, _ignored),
        ),
        Mistake(
            message="The shift goes the wrong way: each target is the token before. Swap the two cuts.",
            answer=_other(lambda t: t[:, 1:], lambda t, pad_id: _ignored(t[:, :-1], pad_id)),
        ),
        Mistake(
            message="Padding is still among the targets: the model would be paid for predicting it. Set those targets "
            "to −100.",
            answer=_other(lambda t: t[:, :-1], lambda t, pad_id: t[:, 1:]),
        ),
        Mistake(
            message="The −100 stands in the inputs, where no embedding has that number. Only targets are ignored.",
            answer=_other(lambda t: _ignored(t[:, :-1], 0), lambda t, pad_id: t[:, 1:]),
        ),
        Mistake(
            message="−100 stands where the *input* is padding. The first padding after the end is then still a target: "
            "look at the targets themselves.",
            answer=_other(lambda t: t[:, :-1], lambda t, pad_id: t[:, 1:].masked_fill(t[:, :-1] == pad_id, -100)),
        ),
        Mistake(
            message="The rows are rolled, so the first token comes back as the last target. Cut instead.",
            answer=_other(lambda t: t, lambda t, pad_id: _ignored(t.roll(-1, 1), pad_id)),
        ),
        Mistake(
            message="The shift is two places: the model would have to guess the token after the next.",
            answer=_other(lambda t: t[:, :-2], lambda t, pad_id: _ignored(t[:, 2:], pad_id)),
        ),
        Mistake(
            message="The ends are ignored as well, so the model never learns to stop. Ignore padding alone.",
            answer=_other(
                lambda t: t[:, :-1], lambda t, pad_id: _ignored(t[:, 1:], pad_id).masked_fill(t[:, 1:] == 3, -100)
            ),
        ),
    ),
    hints=(
        "At each place the input is the token there and the target the one after it.",
        "`tokens[:, :-1]` and `tokens[:, 1:]` line them up.",
        "`targets.masked_fill(targets == pad_id, -100)` leaves the padding out of the loss.",
    ),
)
