"""14-causal-score: compare what a map gives each object with what the object really does to the score."""

from __future__ import annotations

import torch

from mmcourse import interpret, metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def causal_score(heat, masks, effects):
    mass = (heat * masks).sum(dim=(1, 2))
    ranks = torch.stack((mass, effects)).argsort().argsort()
    return torch.corrcoef(ranks)[0, 1]


def _inputs(down, across, *, faithful=0.7, cell=7):
    """A box in each cell of a grid, from 2 by 2 to 6 by 6; effects that go with its heat, beside some chance."""

    def inputs(generator):
        places = torch.arange(cell)
        heat = 0.1 * torch.randn(down, across, cell, cell, generator=generator)
        masks = torch.zeros(down * across, down, across, cell, cell, dtype=torch.bool)
        for number, (row, column) in enumerate(torch.cartesian_prod(torch.arange(down), torch.arange(across))):
            size = torch.randint(2, cell, (2, 1), generator=generator)
            begin = (torch.rand(2, 1, generator=generator) * (cell - size + 1)).long()
            inside = (places >= begin) & (places < begin + size)
            masks[number, row, column] = box = inside[0][:, None] & inside[1]
            level, peak = torch.rand(2, generator=generator)
            heat[row, column] += box * (2.4 * level - 1) * (1 + torch.rand(cell, cell, generator=generator))
            # something positive in each, so that no two objects are alike without what is negative
            top, left = begin.flatten()
            heat[row, column, top, left] = peak
        heat, masks = (each.transpose(-2, -3).flatten(-4, -3).flatten(-2, -1) for each in (heat, masks))
        mass = _mass(heat, masks)
        chance = torch.randn(len(masks), generator=generator)
        effects = faithful * mass / mass.abs().max() + (1 - faithful) * chance
        # cubed, so that no straight line leads from mass to effect
        return heat, masks, effects.pow(3)

    return inputs


def _ranks(numbers):
    return numbers.argsort().argsort().double()


def _correlation(a, b):
    return torch.corrcoef(torch.stack((a.double(), b.double())))[0, 1]


def _mass(heat, masks):
    return (heat * masks).sum(dim=(1, 2))


def _compared(*, mass=None, effects=None, joined=None):
    """The same of another mass of (heat, masks), of other effects, or with another comparison of (mass, effects)."""

    def answer(heat, masks, known):
        mine = _mass(heat, masks) if mass is None else mass(heat, masks)
        true = known if effects is None else effects(known)
        return _correlation(_ranks(mine), _ranks(true)) if joined is None else joined(mine, true)

    return answer


def _far_apart(mass, effects):
    """6 Σ d² / (n (n² − 1)), which is what the correlation lacks of 1."""
    count = len(mass)
    return 6 * (_ranks(mass) - _ranks(effects)).square().sum() / (count * (count**2 - 1))


def _kendall(mass, effects):
    i, j = torch.combinations(torch.arange(len(mass))).T
    return ((mass[i] - mass[j]).sign() * (effects[i] - effects[j]).sign()).double().mean()


EXERCISE = Exercise(
    id="14-causal-score",
    title="Does the map tell the truth?",
    goal="compare what a map gives each object with what the object really does to the score",
    stars=2,
    minutes=10,
    points=2,
    reference=causal_score,
    ready_made=(metrics.spearman, interpret.causal),
    cases=(
        Case(name="eight objects", inputs=_inputs(2, 4)),
        Case(name="twelve objects, a map that tells little", inputs=_inputs(4, 3, faithful=0.2)),
        Case(name="six objects", inputs=_inputs(2, 3, faithful=0.6)),
        Case(name="nine objects, a map that puts them in the true order", inputs=_inputs(3, 3, faithful=1.0)),
    ),
    mistakes=(
        Mistake(
            message="The numbers themselves are correlated. Compare the order alone: take their ranks first.",
            answer=_compared(joined=_correlation),
        ),
        Mistake(
            message="`argsort` says which object comes first, second and so on. The ranks are the `argsort` of that.",
            answer=_compared(joined=lambda mass, effects: _correlation(mass.argsort(), effects.argsort())),
        ),
        Mistake(
            message="Only the masses have ranks here. The effects need them, too.",
            answer=_compared(joined=lambda mass, effects: _correlation(_ranks(mass), effects)),
        ),
        Mistake(
            message="Only the effects have ranks here. The masses need them, too.",
            answer=_compared(joined=lambda mass, effects: _correlation(mass, _ranks(effects))),
        ),
        Mistake(
            message="This is the mean of the map in each object, which a large object gains nothing by. Its mass is "
            "the sum.",
            answer=_compared(mass=lambda heat, masks: _mass(heat, masks) / masks.sum(dim=(1, 2))),
        ),
        Mistake(
            message="The peak of the map in each object counts here. Its mass is the sum over all its pixels.",
            answer=_compared(mass=lambda heat, masks: heat.masked_fill(~masks, -torch.inf).amax(dim=(1, 2))),
        ),
        Mistake(
            message="Only what is positive in the map counts. Where it is negative it says that the score falls: let "
            "that count, too.",
            answer=_compared(mass=lambda heat, masks: _mass(heat.relu(), masks)),
        ),
        Mistake(
            message="The map loses its signs. Where it is negative it says that the score falls.",
            answer=_compared(mass=lambda heat, masks: _mass(heat.abs(), masks)),
        ),
        Mistake(
            message="The effects lose their signs. An object may well lower the score.",
            answer=_compared(effects=torch.abs),
        ),
        Mistake(
            message="One order is turned round, so a faithful map gets −1. Rank both from the smallest on.",
            answer=_compared(effects=lambda known: -known),
        ),
        Mistake(
            message="This is how far the ranks are apart: 0 where both orders are the same. The correlation is 1 minus "
            "that.",
            answer=_compared(joined=_far_apart),
        ),
        Mistake(
            message="This is the cosine of the ranks. A correlation takes their mean off first.",
            answer=_compared(
                joined=lambda mass, effects: torch.cosine_similarity(_ranks(mass), _ranks(effects), dim=0)
            ),
        ),
        Mistake(
            message="Pairs of objects are counted, which is Kendall's correlation. Spearman's is the correlation of "
            "the ranks.",
            answer=_compared(joined=_kendall),
        ),
    ),
    hints=(
        "`(heat * masks).sum(dim=(1, 2))` is (N,): what of the map lies in each object.",
        "`x.argsort().argsort()` are the ranks of x: 0 for the smallest number, N − 1 for the largest.",
        "`torch.corrcoef(torch.stack((a, b)))[0, 1]` is the correlation of a and b, here of both ranks.",
    ),
)
