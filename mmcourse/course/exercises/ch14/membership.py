"""14-membership: find out by the loss alone who was among the training data.

Yeom et al., "Privacy risk in machine learning: analyzing the connection to overfitting" (2018), where the advantage of
such a test is what it says yes to among members, less what it says yes to among others.
"""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def membership(members, others):
    thresholds = members.sort().values
    found = (members <= thresholds[:, None]).float().mean(dim=1)
    false = (others <= thresholds[:, None]).float().mean(dim=1)
    advantage = found - false
    best = advantage.argmax()  # of equal ones the first
    return thresholds[best], advantage[best]


# There are 2ⁿ members and others everywhere: shares of them are exact, and equal advantages are equal in every type.
def _losses(members, others, *, gap, whole=False):
    """Losses above 0, those of others larger by a factor; `whole`: rounded, so that many are equal."""

    def inputs(generator):
        sizes = torch.randn(members + others, generator=generator).exp()
        if whole:
            sizes = (4 * sizes).ceil() / 4
        return sizes[:members], sizes[members:] * gap

    return inputs


def _equally_good(generator):
    """Two of four members are below all others, and two are above two of four."""
    losses = torch.rand(8, generator=generator).sort().values + 0.1
    mixed = torch.randperm(4, generator=generator)
    return losses[[0, 1, 4, 5]][mixed], losses[[2, 3, 6, 7]][mixed]


def _test(*, thresholds=None, caught=torch.le, gain=None, by=None, pick=torch.argmax, result=None):
    """Other thresholds, another test of (loss, threshold), another gain; chosen by another one, or otherwise."""

    def answer(members, others):
        limits = (members if thresholds is None else thresholds(members, others)).sort().values
        shares = [caught(each, limits[:, None]).double().mean(dim=1) for each in (members, others)]
        gains = (_advantage if gain is None else gain)(*shares, len(members), len(others))
        best = pick(gains if by is None else by(*shares, len(members), len(others)))
        return (limits[best], gains[best]) if result is None else result(limits[best], gains[best])

    return answer


def _advantage(found, false, members, others):
    return found - false


def _accuracy(found, false, members, others):
    return (found * members + (1 - false) * others) / (members + others)


def _between(members, others):
    """Half way between neighbors, where a threshold can stand as well."""
    losses = torch.cat((members, others)).sort().values
    return torch.cat(((losses[1:] + losses[:-1]) / 2, losses[-1:]))


EXERCISE = Exercise(
    id="14-membership",
    title="Was I in the training data?",
    goal="find out by the loss alone who was among the training data",
    stars=2,
    minutes=10,
    points=2,
    reference=membership,
    nothing_ready="no function of the library looks for members",
    cases=(
        Case(name="32 members, 16 others", inputs=_losses(32, 16, gap=3.0)),
        Case(name="16 members, 64 others, many losses are equal", inputs=_losses(16, 64, gap=2.0, whole=True)),
        Case(name="two thresholds are equally good", inputs=_equally_good),
        Case(name="members have the larger losses", inputs=_losses(16, 16, gap=0.25)),
    ),
    mistakes=(
        Mistake(
            message="A large loss is taken for a member. What was learned has a small one: loss ≤ threshold.",
            answer=_test(caught=torch.ge),
        ),
        Mistake(
            message="A loss that equals the threshold counts as no member. It must count: loss ≤ threshold.",
            answer=_test(caught=torch.lt),
        ),
        Mistake(
            message="The threshold is the mean loss of members. Try them all, and take the best.",
            answer=_test(thresholds=lambda members, others: members.mean()[None]),
        ),
        Mistake(
            message="Only found members count, so the threshold lets everybody in. Take the false alarms off.",
            answer=_test(gain=lambda found, false, *counts: found),
        ),
        Mistake(
            message="This is the accuracy, for which it matters how many there are of each. The advantage is the share "
            "of members found minus the share of others called members.",
            answer=_test(gain=_accuracy),
        ),
        Mistake(
            message="The threshold has the best accuracy, for which it matters how many there are of each. Take the "
            "one with the best advantage.",
            answer=_test(by=_accuracy),
        ),
        Mistake(
            message="This is the mean of both accuracies, from 0.5 on. The advantage is found − false, from 0 on.",
            answer=_test(gain=lambda found, false, *counts: (1 + found - false) / 2),
        ),
        Mistake(
            message="The sign is lost, so a test that is wrong about nearly everybody looks good.",
            answer=_test(gain=lambda found, false, *counts: (found - false).abs()),
        ),
        Mistake(
            message="The sign is turned: it is the share of members found minus that of others called members.",
            answer=_test(gain=lambda found, false, *counts: false - found),
        ),
        Mistake(
            message="Of equally good thresholds the largest is taken. Take the smallest.",
            answer=_test(pick=lambda advantage: len(advantage) - 1 - advantage.flip(0).argmax()),
        ),
        Mistake(
            message="The threshold stands between two losses. Take one of the losses themselves.",
            answer=_test(thresholds=_between),
        ),
        Mistake(
            message="Only losses of others are tried as thresholds. The best one is always the loss of a member.",
            answer=_test(thresholds=lambda members, others: others),
        ),
        Mistake(
            message="The two results are in the other order: first the threshold, then the advantage.",
            answer=_test(result=lambda threshold, advantage: (advantage, threshold)),
        ),
    ),
    hints=(
        "Sort the losses of members: each is a threshold to try, the smallest first.",
        "`(members <= thresholds[:, None]).float().mean(dim=1)` is the share found with each; the same with `others` "
        "is the share of false alarms.",
        "`argmax` of the difference is the place of the best threshold, of equal ones the first.",
    ),
)
