"""10-mean-over-kinds: an average in which every kind of question counts the same."""

from __future__ import annotations

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def mean_over_kinds(right, kinds):
    found = []
    for kind in dict.fromkeys(kinds):
        mine = [other == kind for other in kinds]
        found.append(right[mine].float().mean())
    return torch.stack(found).mean()


def _answers(counts, share):
    """So many questions of each kind, in a mixed order; `share` of the first kind is right, ever less of the others."""

    def inputs(generator):
        kinds = [f"kind {number}" for number, count in enumerate(counts) for _ in range(count)]
        order = torch.randperm(len(kinds), generator=generator).tolist()
        kinds = [kinds[place] for place in order]
        luck = torch.rand(len(kinds), generator=generator)
        right = luck < torch.tensor([share / (1 + int(kind.split()[1])) for kind in kinds])
        right[kinds.index("kind 0")] = True
        right[kinds.index(f"kind {len(counts) - 1}")] = False
        return right, kinds

    return inputs


def _combined(combine):
    """Another way to combine the lists of right and wrong answers of each kind."""

    def answer(right, kinds):
        groups = {}
        for value, kind in zip(right.tolist(), kinds, strict=True):
            groups.setdefault(kind, []).append(float(value))
        return combine(list(groups.values()))

    return answer


EXERCISE = Exercise(
    id="10-mean-over-kinds",
    title="An average that hides nothing",
    goal="let every kind of question count the same",
    stars=1,
    minutes=6,
    points=1,
    reference=mean_over_kinds,
    ready_made=(metrics.accuracy_by_kind,),
    cases=(
        Case(name="many easy questions, few hard ones", inputs=_answers([40, 6], 0.95)),
        Case(name="three kinds", inputs=_answers([5, 20, 9], 0.9)),
        Case(name="one kind", inputs=_answers([2, 2], 0.9)),
    ),
    mistakes=(
        Mistake(
            message="That is the mean over all questions: a kind with many of them hides the others. Take the mean of "
            "each kind first, then the mean of those.",
            answer=lambda right, kinds: right.double().mean(),
        ),
        Mistake(
            message="The accuracies of the kinds are added up. Divide by the number of kinds.",
            answer=_combined(lambda groups: sum(sum(group) / len(group) for group in groups)),
        ),
        Mistake(
            message="The right answers of each kind are counted, and not divided by the questions of that kind.",
            answer=_combined(lambda groups: sum(map(sum, groups)) / len(groups)),
        ),
        Mistake(
            message="That is the worst kind alone. It is worth knowing, but the mean over kinds was asked for.",
            answer=_combined(lambda groups: min(sum(group) / len(group) for group in groups)),
        ),
        Mistake(
            message="That is the share of wrong answers.",
            answer=_combined(lambda groups: 1 - sum(sum(group) / len(group) for group in groups) / len(groups)),
        ),
    ),
    hints=(
        "Which kinds are there? `dict.fromkeys(kinds)` names each once.",
        "For one kind: which entries of `right` belong to it, and what is their mean?",
        "The last step is a plain mean of as many numbers as there are kinds.",
    ),
)
