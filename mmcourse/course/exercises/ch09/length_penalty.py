"""09-length-penalty: choose among finished sentences of different lengths."""

from __future__ import annotations

import torch

from mmcourse.course.exercise import Case, Exercise, Mistake


def pick(token_scores, lengths, penalty):
    real = torch.arange(token_scores.shape[1]) < lengths[:, None]
    scores = (token_scores * real).sum(dim=1) / lengths**penalty
    return int(scores.argmax()), scores.max().item()


def _finished(lengths, penalty, typical):
    """Log-probabilities of finished sentences; what stands after the end of a row is rubbish."""

    def inputs(generator):
        shape = len(lengths), max(lengths)
        scores = -typical * (0.3 + torch.rand(shape, generator=generator))
        return scores, torch.tensor(lengths), penalty

    return inputs


def _picked(*, total=None, divide=None, choose=None, report=None):
    """Another sum over the words, another treatment of the length, another winner, or another score of it."""

    def answer(token_scores, lengths, penalty):
        real = torch.arange(token_scores.shape[1]) < lengths[:, None]
        sums = (token_scores * real).sum(dim=1) if total is None else total(token_scores, lengths, real)
        scores = sums / lengths**penalty if divide is None else divide(sums, lengths, penalty)
        best = int((scores if choose is None else choose(scores, sums)).argmax())
        return best, (scores if report is None else report(scores, sums))[best].item()

    return answer


EXERCISE = Exercise(
    id="09-length-penalty",
    title="Long sentences have many factors",
    goal="choose among finished sentences of different lengths",
    stars=2,
    minutes=8,
    points=2,
    reference=pick,
    nothing_ready="beam_search divides inside and takes no finished sentences",
    cases=(
        Case(name="penalty 1: the mean of a token", inputs=_finished([3, 9, 6, 12], 1.0, 0.6)),
        Case(name="penalty 0: the sum, short ones win", inputs=_finished([7, 3, 10], 0.0, 0.4)),
        Case(name="penalty 0.5: in between", inputs=_finished([4, 8, 5, 11, 2], 0.5, 0.8)),
        Case(name="penalty 2: long ones win", inputs=_finished([5, 4, 13, 9], 2.0, 0.7)),
    ),
    mistakes=(
        Mistake(
            message="What stands after the end of a sentence is counted. Sentence i has lengths[i] tokens; the rest of "
            "its row is padding.",
            answer=_picked(total=lambda scores, lengths, real: scores.sum(dim=1)),
        ),
        Mistake(
            message="The last token is left out. The end of the sentence has a probability, too.",
            answer=_picked(
                total=lambda scores, lengths, real: (
                    scores * (torch.arange(scores.shape[1]) < lengths[:, None] - 1)
                ).sum(dim=1)
            ),
        ),
        Mistake(
            message="The length does not matter here. Divide each sum by length ** penalty.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums),
        ),
        Mistake(
            message="The sums are multiplied by length ** penalty: that punishes long sentences twice. Divide.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums * lengths**penalty),
        ),
        Mistake(
            message="The sums are divided by length · penalty. The penalty is an exponent.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums / (lengths * max(penalty, 1e-9))),
        ),
        Mistake(
            message="This is always the mean. The exponent decides how much the length counts.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums / lengths),
        ),
        Mistake(
            message="This is the formula ((5 + length) / 6) ** penalty, which some systems use. Here it is "
            "length ** penalty.",
            answer=_picked(divide=lambda sums, lengths, penalty: sums / ((5 + lengths) / 6) ** penalty),
        ),
        Mistake(
            message="The winner is chosen before the lengths are taken into account. Compare the divided scores.",
            answer=_picked(choose=lambda scores, sums: sums),
        ),
        Mistake(
            message="The sentence with the lowest score is chosen. Scores are negative; the largest is the best.",
            answer=_picked(choose=lambda scores, sums: -scores),
        ),
        Mistake(
            message="The right sentence, but its plain sum. Return the score that won.",
            answer=_picked(report=lambda scores, sums: sums),
        ),
    ),
    hints=(
        "`torch.arange(T) < lengths[:, None]` is True where a token belongs to its sentence.",
        "Set the rest to 0, add up each row, divide by `lengths ** penalty`.",
        "`scores.argmax()` is the place of the winner, `scores.max()` its score.",
    ),
)
