"""03-top-p: drop the unlikely tail, however many tokens that is."""

from __future__ import annotations

import torch

from mmcourse import decoding
from mmcourse.course.exercise import Case, Exercise, Mistake


def keep_top_p(logits, p):
    ranked, order = logits.sort(dim=-1, descending=True)
    probabilities = ranked.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    return torch.empty_like(logits).scatter(-1, order, ranked.masked_fill(before >= p, -torch.inf))


def _logits(rows, size, p, spread=2.0):
    return lambda generator: (spread * torch.randn(rows, size, generator=generator), p)


def _kept(keep):
    """Filters by keep(sorted probabilities, their sum up to and with each, p), which says what of the sorted stays."""

    def answer(logits, p):
        ranked, order = logits.sort(dim=-1, descending=True)
        chances = ranked.softmax(dim=-1)
        staying = keep(chances, chances.cumsum(dim=-1), p)
        return torch.empty_like(logits).scatter(-1, order, ranked.masked_fill(~staying, -torch.inf))

    return answer


def _sorted_order(logits, p):
    return keep_top_p(logits.sort(dim=-1, descending=True).values, p)


def _unsorted(logits, p):
    chances = logits.softmax(dim=-1)
    return logits.masked_fill(chances.cumsum(dim=-1) - chances >= p, -torch.inf)


def _misplaced(logits, p):
    """What is dropped in the sorted row is dropped at the same places of the unsorted one."""
    chances = logits.sort(dim=-1, descending=True).values.softmax(dim=-1)
    return logits.masked_fill(chances.cumsum(dim=-1) - chances >= p, -torch.inf)


EXERCISE = Exercise(
    id="03-top-p",
    title="Keep the nucleus",
    goal="drop the unlikely tail, however many tokens that is",
    stars=3,
    minutes=15,
    points=3,
    reference=keep_top_p,
    ready_made=(decoding.filter_logits,),
    cases=(
        Case(name="eight tokens, p = 0.8", inputs=_logits(1, 8, 0.8)),
        Case(name="three rows, each with a nucleus of its own", inputs=_logits(3, 12, 0.6)),
        Case(name="p so small that the likeliest token alone stays", inputs=_logits(2, 6, 0.01)),
        Case(name="nearly equal logits, p = 0.95", inputs=_logits(2, 10, 0.95, spread=0.2)),
    ),
    mistakes=(
        Mistake(
            message="The token that reaches p is dropped, so less than p is left, and for a small p nothing at all. "
            "Drop a token when the *likelier ones* already add up to p.",
            answer=_kept(lambda chances, sums, p: sums < p),
        ),
        Mistake(
            message="One token too many stays. Stop as soon as the sum has reached p.",
            answer=_kept(lambda chances, sums, p: sums - chances - chances.roll(1, -1) < p),
        ),
        Mistake(
            message="Tokens are added up in the order of the vocabulary. Sort them first, the likeliest in front.",
            answer=_unsorted,
        ),
        Mistake(
            message="The rows come back sorted, so the ids are lost. Put every logit back into its place: "
            "`scatter(-1, order, …)`.",
            answer=_sorted_order,
        ),
        Mistake(
            message="The tail was found among the sorted logits, and dropped at the same places of the unsorted ones. "
            "Bring it back to the old order: `scatter(-1, order, …)`.",
            answer=_misplaced,
        ),
        Mistake(
            message="Each probability is compared with p by itself. It is their running sum that has to reach p.",
            answer=_kept(lambda chances, sums, p: chances >= p),
        ),
        Mistake(
            message="The unlikely tail is kept and the nucleus dropped.",
            answer=_kept(lambda chances, sums, p: sums - chances >= p),
        ),
        Mistake(
            message="The dropped logits are 0, and exp(0) = 1 is a good chance. Set them to −∞.",
            answer=lambda logits, p: keep_top_p(logits, p).nan_to_num(neginf=0.0),
        ),
        Mistake(
            message="These are probabilities. Return logits, with −∞ for what is dropped.",
            answer=lambda logits, p: keep_top_p(logits, p).softmax(dim=-1),
        ),
        Mistake(
            message="The share p of the *tokens* is kept. Keep as many as their probabilities need to add up to p.",
            answer=_kept(lambda chances, sums, p: torch.arange(sums.shape[-1]).expand_as(sums) < p * sums.shape[-1]),
        ),
    ),
    hints=(
        "`ranked, order = logits.sort(dim=-1, descending=True)`, then softmax and cumsum of the ranked ones.",
        "The sum of the likelier ones, without the token itself, is `cumsum − probability`; it is 0 for the first. "
        "Drop where it is at least p.",
        "`torch.empty_like(logits).scatter(-1, order, ranked)` puts the ranked logits back into their places.",
    ),
)
