"""13-invented: count the things that captions name and their pictures do not show.

As in the program of its authors (github.com/LisaAnne/Hallucination, utils/chair.py) a thing that a caption names twice
counts twice, above and below the line; and a caption that names nothing is a caption.
"""

from __future__ import annotations

from collections import Counter

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def invented(named, shown):
    strange = [sum(noun not in there for noun in nouns) for nouns, there in zip(named, shown, strict=True)]
    mentions = sum(len(nouns) for nouns in named)
    return sum(strange) / mentions if mentions else 0.0, sum(count > 0 for count in strange) / len(named)


NOUNS = ("cat", "dog", "cup", "bus", "tree", "ball", "bed", "hat", "key", "pear", "ship", "sock")


def _inputs(pictures, *, silent=()):
    """The first caption invents, with repeats; the second repeats what is there; others do as it comes."""

    def inputs(generator):
        def pick(count, among):
            return [among[index] for index in torch.randint(len(among), (count,), generator=generator).tolist()]

        named, shown = [], []
        for number in range(pictures):
            order = torch.randperm(len(NOUNS), generator=generator).tolist()
            there, others = [NOUNS[i] for i in order[:3]], [NOUNS[i] for i in order[3:]]
            if number == 0:
                nouns = [there[0], others[0], others[1], others[0]]
            elif number == 1:
                nouns = [there[1], there[1], there[0], there[1]]
            else:
                nouns = pick(1 + number % 3, there * 3 + others)
            named.append([] if number in silent else nouns)
            shown.append(there)
        return named, shown

    return inputs


def _counted(*, named=None, shown=None, mentions=None, captions=None):
    """The same of other captions or pictures, or other shares of (strange things of each caption, named, shown)."""

    def answer(said, there):
        nouns = said if named is None else named(said)
        seen = there if shown is None else shown(there)
        right = invented(nouns, seen)
        strange = [[noun for noun in row if noun not in own] for row, own in zip(nouns, seen, strict=True)]
        first = right[0] if mentions is None else mentions(strange, nouns, seen)
        return first, right[1] if captions is None else captions(strange, nouns, seen)

    return answer


def _share(part, whole):
    return part / whole if whole else 0.0


def _size(rows):
    return sum(map(len, rows))


def _mean_of_captions(strange, named, shown):
    return sum(_share(len(wrong), len(nouns)) for wrong, nouns in zip(strange, named, strict=True)) / len(named)


def _missed(strange, named, shown):
    missed = [set(there) - set(nouns) for nouns, there in zip(named, shown, strict=True)]
    return _share(_size(missed), _size(shown))


def _by_counts(strange, named, shown):
    more = [Counter(nouns) - Counter(there) for nouns, there in zip(named, shown, strict=True)]
    return _share(sum(extra.total() for extra in more), _size(named))


EXERCISE = Exercise(
    id="13-invented",
    title="What nobody drew",
    goal="count the things that captions name and their pictures do not show",
    stars=2,
    minutes=12,
    points=2,
    reference=invented,
    ready_made=(metrics.invented,),
    cases=(
        Case(name="eight captions", inputs=_inputs(8)),
        Case(name="20 captions", inputs=_inputs(20)),
        Case(name="some captions name nothing", inputs=_inputs(9, silent=(3, 5, 6))),
        Case(name="no caption names anything", inputs=_inputs(4, silent=range(4))),
    ),
    mistakes=(
        Mistake(
            message="Repeats are left out. A thing that a caption names twice counts twice.",
            answer=_counted(named=lambda said: [sorted(set(nouns)) for nouns in said]),
        ),
        Mistake(
            message="The share is taken in each caption, and then the mean. Count over all captions, then divide once.",
            answer=_counted(mentions=_mean_of_captions),
        ),
        Mistake(
            message="This counts what the captions leave out. Count what they name and the picture does not show.",
            answer=_counted(mentions=_missed),
        ),
        Mistake(
            message="A repeat of what is there counts as invented. A thing that is shown may be named again.",
            answer=_counted(mentions=_by_counts),
        ),
        Mistake(
            message="A thing counts as shown where any picture shows it. Each caption has its own picture.",
            answer=_counted(shown=lambda there: [[noun for row in there for noun in row]] * len(there)),
        ),
        Mistake(
            message="The invented things are divided by the things shown. Divide by the things named.",
            answer=_counted(mentions=lambda strange, named, shown: _share(_size(strange), _size(shown))),
        ),
        Mistake(
            message="The first number is the share of what is really there. Count what is not.",
            answer=_counted(
                mentions=lambda strange, named, shown: 1 - _share(_size(strange), _size(named)) if any(named) else 0.0
            ),
        ),
        Mistake(
            message="The second number is the share of captions that invent nothing. Count those that do.",
            answer=_counted(captions=lambda strange, named, shown: strange.count([]) / len(named)),
        ),
        Mistake(
            message="Captions that name nothing are left out. They are captions that invent nothing.",
            answer=_counted(
                captions=lambda strange, named, shown: _share(sum(map(bool, strange)), sum(map(bool, named)))
            ),
        ),
        Mistake(
            message="Only captions that invent all they name count. One invented thing is enough.",
            answer=_counted(
                captions=lambda strange, named, shown: (
                    sum(bool(wrong) and wrong == nouns for wrong, nouns in zip(strange, named, strict=True))
                    / len(named)
                )
            ),
        ),
        Mistake(
            message="The second number is how many things a caption invents. Count every such caption once.",
            answer=_counted(captions=lambda strange, named, shown: _size(strange) / len(named)),
        ),
        Mistake(
            message="The two results are in the other order: first the share of things, then that of captions.",
            answer=lambda named, shown: invented(named, shown)[::-1],
        ),
    ),
    hints=(
        "For each caption and its picture, count the nouns that are `not in` the list of what is shown.",
        "The sum of these counts, over the number of all named nouns, is the first share; none named gives 0.0.",
        "The second is the number of captions whose count is above 0, over all captions.",
    ),
)
