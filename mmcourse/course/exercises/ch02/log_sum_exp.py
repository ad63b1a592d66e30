"""02-log-sum-exp: a sum of exponentials that survives any finite input."""

from __future__ import annotations

import torch

from mmcourse import losses
from mmcourse.course.exercise import Case, Exercise, Mistake


def stable_log_sum_exp(z):
    top = z.max(dim=-1, keepdim=True).values
    return top.squeeze(-1) + (z - top).exp().sum(dim=-1).log()


def _rows(*levels, shape=(), apart=0.0):
    """Inputs: one row of five numbers for each level, around that level; the last number lies `apart` above them."""

    def inputs(generator):
        around = torch.tensor(levels)[:, None] + torch.randn(*shape, len(levels), 5, generator=generator)
        return (around + apart * torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0]),)

    return inputs


def _shifted_by(shift, *, back=True):
    """Log-sum-exp with some other shift than each row's own maximum."""

    def answer(z):
        m = shift(z)
        total = (z - m).exp().sum(dim=-1).log()
        return total + (m.squeeze(-1) if m.dim() == z.dim() else m) if back else total

    return answer


EXERCISE = Exercise(
    id="02-log-sum-exp",
    title="Log-sum-exp without overflow",
    goal="a sum of exponentials that survives any finite input",
    stars=2,
    minutes=10,
    points=2,
    reference=stable_log_sum_exp,
    ready_made=(
        torch.logsumexp,
        torch.Tensor.logsumexp,
        losses.log_sum_exp,
    ),
    cases=(
        Case(name="numbers of ordinary size", inputs=_rows(0.0, 1.0, -1.0)),
        Case(name="numbers near 1,000, where exp overflows", inputs=_rows(1000.0, 1000.0)),
        Case(name="numbers near −1,000, where exp is 0", inputs=_rows(-1000.0, -1000.0)),
        Case(name="one row near 500 and one near −500", inputs=_rows(500.0, -500.0, apart=300.0)),
        Case(name="more dimensions in front", inputs=_rows(0.0, 60.0, shape=(2, 3))),
    ),
    mistakes=(
        Mistake(
            message="This is the plain formula: exp overflows to ∞ above 88 and is 0 below −104. Subtract the maximum "
            "of each row first, and add it again at the end.",
            answer=lambda z: z.exp().sum(dim=-1).log(),
        ),
        Mistake(
            message="The maximum is subtracted, but never added again at the end.",
            answer=_shifted_by(lambda z: z.max(dim=-1, keepdim=True).values, back=False),
        ),
        Mistake(
            message="One maximum serves the whole tensor. A row far below it still ends at log 0: every row needs its "
            "own maximum, `z.max(dim=-1, keepdim=True)`.",
            answer=_shifted_by(lambda z: z.max()),
        ),
        Mistake(
            message="This is the maximum alone. The logarithm of the sum of exp(z − m) has to be added.",
            answer=lambda z: z.max(dim=-1).values,
        ),
        Mistake(
            message="The summed dimension is still there, with size 1. Sum without `keepdim`, and squeeze the maximum.",
            answer=lambda z: torch.logsumexp(z, dim=-1, keepdim=True),
        ),
        Mistake(
            message="The sum runs over the first dimension. Sum over the last one: dim=-1.",
            answer=lambda z: torch.logsumexp(z, dim=0),
        ),
        Mistake(
            message="This is the mean of the exponentials under the logarithm: log V too small. Sum them.",
            answer=lambda z: torch.logsumexp(z, dim=-1) - torch.tensor(z.shape[-1]).log(),
        ),
        Mistake(
            message="The sign of the shift is turned around: subtract the maximum inside, add it outside.",
            answer=lambda z: (z + z.max(dim=-1, keepdim=True).values).exp().sum(dim=-1).log() - z.max(dim=-1).values,
        ),
        Mistake(
            message="The sum is clipped, so it no longer overflows, but the answer is wrong. Shift the numbers by "
            "their maximum instead: that changes nothing.",
            answer=lambda z: z.clamp(-80, 80).exp().sum(dim=-1).log(),
        ),
    ),
    hints=(
        "A number that is subtracted inside the exp comes out of the logarithm: log Σ exp(z) = m + log Σ exp(z − m).",
        "`z.max(dim=-1, keepdim=True).values` is the maximum of every row, in a shape that can be subtracted from z.",
        "At the end the maximum has one dimension too many for the sum: `.squeeze(-1)` takes it away.",
    ),
)
