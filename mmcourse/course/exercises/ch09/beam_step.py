"""09-beam-step: let all continuations of all beams compete, and remember whose child each winner is."""

from __future__ import annotations

import torch

from mmcourse import decoding
from mmcourse.course.exercise import Case, Exercise, Mistake


def beam_step(beams, scores, log_probs):
    totals = scores[:, None] + log_probs  # (K, V)
    best, index = totals.flatten().topk(len(beams))
    parent, token = index // log_probs.shape[1], index % log_probs.shape[1]
    return torch.cat((beams[parent], token[:, None]), dim=1), best


def _beams(count, length, size, *, dead=0):
    """Beams with scores that differ less than the next words do; the last `dead` of them are impossible."""

    def inputs(generator):
        beams = torch.randint(size, (count, length), generator=generator)
        scores = -5 + 1.5 * torch.randn(count, generator=generator)
        scores[count - dead :] = -torch.inf
        logits = 1.5 * torch.randn(count, size, generator=generator)
        return beams, scores, logits.log_softmax(dim=1)

    return inputs


def _stepped(*, totals=None, split=None, parents=None, largest=True):
    """A step with other totals, another reading of the index, or other parents for the new rows."""

    def answer(beams, scores, log_probs):
        size = log_probs.shape[1]
        summed = scores[:, None] + log_probs if totals is None else totals(scores, log_probs)
        best, index = summed.flatten().topk(len(beams), largest=largest)
        parent, token = (index // size, index % size) if split is None else split(index, size)
        parent = parent if parents is None else parents(parent)
        return torch.cat((beams[parent], token[:, None]), dim=1), best

    return answer


def _each_goes_on(beams, scores, log_probs):
    best, token = (scores[:, None] + log_probs).max(dim=1)
    order = best.argsort(descending=True)
    return torch.cat((beams[order], token[order, None]), dim=1), best[order]


def _each_in_place(beams, scores, log_probs):
    best, token = (scores[:, None] + log_probs).max(dim=1)
    return torch.cat((beams, token[:, None]), dim=1), best


def _likeliest_word_in_place(beams, scores, log_probs):
    """The same where a beam is possible; of an impossible one it takes the likeliest word and not the first."""
    best, token = log_probs.max(dim=1)
    return torch.cat((beams, token[:, None]), dim=1), scores + best


def _all_children(beams, scores, log_probs):
    count = len(beams)
    best, token = (scores[:, None] + log_probs).topk(min(count, log_probs.shape[1]), dim=1)
    rows = beams.repeat_interleave(best.shape[1], dim=0)
    return torch.cat((rows, token.flatten()[:, None]), dim=1), best.flatten()


def _worst_first(beams, scores, log_probs):
    rows, best = beam_step(beams, scores, log_probs)
    return rows.flip(0), best.flip(0)


EXERCISE = Exercise(
    id="09-beam-step",
    title="K beginnings, one word longer",
    goal="let all continuations of all beams compete, and remember whose child each winner is",
    stars=3,
    minutes=15,
    points=3,
    reference=beam_step,
    ready_made=(
        decoding.beam_search,
        decoding.beam_candidates,
    ),
    cases=(
        Case(name="four beams, four words", inputs=_beams(4, 3, 4)),
        Case(name="six beams, five words", inputs=_beams(6, 2, 5)),
        Case(name="two of five beams are impossible", inputs=_beams(5, 4, 5, dead=2)),
    ),
    mistakes=(
        Mistake(
            message="Every beam keeps exactly one child. Let all K · V continuations compete: a good beginning may "
            "have several among the best, a bad one none.",
            answer=_each_goes_on,
        ),
        Mistake(
            message="Every beam takes its own likeliest word: that is greedy decoding K times. Let all K · V "
            "continuations compete.",
            answer=_each_in_place,
        ),
        Mistake(
            message="Every beam takes its own likeliest word: that is greedy decoding K times. Let all K · V "
            "continuations compete.",
            answer=_likeliest_word_in_place,
        ),
        Mistake(
            message="All children are kept, so the beams become more at every step. Keep the K best of all.",
            answer=_all_children,
        ),
        Mistake(
            message="Only the last word is scored. Add the score of the beginning that it continues.",
            answer=_stepped(totals=lambda scores, log_probs: log_probs),
        ),
        Mistake(
            message="The scores are multiplied. Probabilities multiply, their logarithms add up.",
            answer=_stepped(totals=lambda scores, log_probs: scores[:, None] * log_probs),
        ),
        Mistake(
            message="The scores are added along the wrong axis: scores[k] belongs to row k of log_probs, so it needs "
            "the shape (K, 1).",
            answer=_stepped(
                totals=lambda scores, log_probs: (
                    log_probs + (scores.repeat(log_probs.shape[1])[: log_probs.numel()].view_as(log_probs))
                )
            ),
        ),
        Mistake(
            message="Parent and word are swapped. In a flat table of K rows with V entries, entry i is in row i // V "
            "and column i % V.",
            answer=_stepped(split=lambda index, size: (index % size, index // size)),
        ),
        Mistake(
            message="The index is divided by K. The rows of the table have V entries.",
            answer=lambda beams, scores, log_probs: _stepped(
                split=lambda index, size: ((index // len(beams)).clamp(max=len(beams) - 1), index % len(beams))
            )(beams, scores, log_probs),
        ),
        Mistake(
            message="The words are appended to the beams in their old order. Winner i continues beam parent[i]: take "
            "`beams[parent]`.",
            answer=_stepped(parents=lambda parent: torch.arange(len(parent))),
        ),
        Mistake(
            message="All winners continue the first beam. Take `beams[parent]`.",
            answer=_stepped(parents=lambda parent: torch.zeros_like(parent)),
        ),
        Mistake(
            message="The worst continuations are kept: log-probabilities are negative, and the largest is the best.",
            answer=_stepped(largest=False),
        ),
        Mistake(message="The best beam comes last. Sort the best to the front.", answer=_worst_first),
    ),
    hints=(
        "`scores[:, None] + log_probs` is the score of every continuation: (K, V).",
        "`.flatten().topk(K)` gives scores and flat indices; a row of the table has V entries.",
        "parent = index // V, token = index % V, then `torch.cat((beams[parent], token[:, None]), dim=1)`.",
    ),
)
