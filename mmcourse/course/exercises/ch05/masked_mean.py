"""05-masked-mean: mean pooling that does not see padding."""

from __future__ import annotations

import torch

from mmcourse import pooling
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.encoders import bert


def masked_mean(hidden, mask):
    return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _padded(lengths, width, *, noise=1.0):
    def inputs(generator):
        longest = max(lengths)
        mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
        hidden = torch.randn(len(lengths), longest, width, generator=generator)
        return torch.where(mask[..., None], hidden, noise * hidden), mask

    return inputs


EXERCISE = Exercise(
    id="05-masked-mean",
    title="The mean of what is there",
    goal="mean pooling that does not see padding",
    stars=1,
    minutes=5,
    points=1,
    reference=masked_mean,
    ready_made=(
        bert.pool,
        pooling.masked_mean,
    ),
    cases=(
        Case(name="two texts of the same length", inputs=_padded((4, 4), 3)),
        Case(name="five, two and three tokens", inputs=_padded((5, 2, 3), 4)),
        Case(name="loud padding", inputs=_padded((2, 6), 5, noise=100.0)),
    ),
    mistakes=(
        Mistake(
            message="This is the mean over all T places: padding is counted as if it were words.",
            answer=lambda h, m: h.mean(dim=1),
        ),
        Mistake(
            message="The padding is set to zero, but you still divide by T. Divide by the number of real tokens.",
            answer=lambda h, m: (h * m[..., None]).mean(dim=1),
        ),
        Mistake(
            message="This is the sum over the tokens. Divide by how many there are.",
            answer=lambda h, m: (h * m[..., None]).sum(dim=1),
        ),
        Mistake(
            message="The padding takes part in the sum, though you divide by the right number. Set it to zero first.",
            answer=lambda h, m: h.sum(dim=1) / m.sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="The mask is turned around: this is the mean of the padding. True = a token.",
            answer=lambda h, m: (h * ~m[..., None]).sum(dim=1) / (~m).sum(dim=1, keepdim=True),
        ),
        Mistake(
            message="You divide by the number of tokens in the whole batch. Each text has its own.",
            answer=lambda h, m: (h * m[..., None]).sum(dim=1) / m.sum(),
        ),
        Mistake(
            message="This is the first token. It is asked for the mean over all tokens.",
            answer=lambda h, m: h[:, 0],
        ),
        Mistake(
            message="This is the maximum over the tokens, not their mean.",
            answer=lambda h, m: h.masked_fill(~m[..., None], -torch.inf).amax(dim=1),
        ),
        Mistake(
            message="The mean runs over the texts of the batch (dim=0). Take it over the tokens of each text: dim=1.",
            answer=lambda h, m: (h * m[..., None]).sum(dim=0) / m.sum(dim=0)[:, None],
        ),
        Mistake(
            message="The result has a dimension too many, of size 1. Sum over the tokens without `keepdim`.",
            answer=lambda h, m: masked_mean(h, m)[:, None],
        ),
        Mistake(
            message="All vectors are scaled to length 1 at the end. That is a good idea for cosines, but the mean "
            "comes without it.",
            answer=lambda h, m: torch.nn.functional.normalize(masked_mean(h, m), dim=-1),
        ),
    ),
    hints=(
        "`mask[..., None]` has shape (B, T, 1), so that hidden (B, T, C) times it is zero at padding.",
        "The sum over the tokens is `.sum(dim=1)`, shape (B, C).",
        "`mask.sum(dim=1, keepdim=True)` counts the tokens of each text, shape (B, 1).",
    ),
)
