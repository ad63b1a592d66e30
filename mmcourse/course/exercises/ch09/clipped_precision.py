"""09-clipped-precision: count which runs of words a caption shares with its references, and no run too often."""

from __future__ import annotations

from collections import Counter

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import WORDS, draw_words


def runs(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def clipped_precision(candidate, references, n):
    found = runs(candidate, n)
    most = Counter()
    for words in references:
        most |= runs(words, n)
    total = sum(found.values())
    return sum(min(count, most[run]) for run, count in found.items()) / total if total else 0.0


def _said(candidate, references, n):
    """Fixed sentences; no chance in them."""
    return lambda generator: (candidate.split(), [words.split() for words in references], n)


def _babble(length, lengths, n, words=WORDS[:4]):
    def inputs(generator):
        return draw_words(length, generator, words), [draw_words(each, generator, words) for each in lengths], n

    return inputs


def _precision(*, cut=runs, allowed=None, count=None, whole=None):
    """Clipped precision with other runs, other limits for each run, another count of hits, or another total."""

    def answer(candidate, references, n):
        found, known = cut(candidate, n), [cut(words, n) for words in references]
        limit = {run: max(each[run] for each in known) for run in found} if allowed is None else allowed(found, known)
        hits = sum(min(number, limit[run]) for run, number in found.items()) if count is None else count(found, limit)
        total = sum(found.values()) if whole is None else whole(candidate, references, n, found)
        return hits / total if total else 0.0

    return answer


def _unordered(words, n):
    return Counter(tuple(sorted(words[i : i + n])) for i in range(len(words) - n + 1))


def _in_steps(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(0, len(words) - n + 1, n))


def _one_short(words, n):
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n))


def _mean_over_references(candidate, references, n):
    return sum(clipped_precision(candidate, [words], n) for words in references) / len(references)


EXERCISE = Exercise(
    id="09-clipped-precision",
    title="The the the the",
    goal="count which runs of words a caption shares with its references, without being fooled by repetition",
    stars=2,
    minutes=12,
    points=3,
    reference=clipped_precision,
    ready_made=(metrics.bleu,),
    cases=(
        Case(
            name="“the the the the” beside two references",
            inputs=_said("the the the the", ["the cat on the sofa", "the cat by a sofa"], 1),
        ),
        Case(name="single words, two references", inputs=_babble(9, [7, 10], 1)),
        Case(name="pairs, three references", inputs=_babble(16, [13, 18, 15], 2, WORDS[:3])),
        Case(name="runs of three", inputs=_babble(24, [20, 22], 3, WORDS[:3])),
        Case(name="a caption shorter than the run", inputs=_said("a cat", ["a cat on a sofa"], 3)),
    ),
    mistakes=(
        Mistake(
            message="A run counts as often as it is said, so “the the the the” scores 1. It counts at most as often "
            "as in the one reference that has it most often.",
            answer=_precision(count=lambda found, limit: sum(n for run, n in found.items() if limit[run])),
        ),
        Mistake(
            message="Every run counts once, however often it is said and found. Clip at the count in the reference, "
            "not at 1.",
            answer=_precision(count=lambda found, limit: sum(limit[run] > 0 for run in found)),
        ),
        Mistake(
            message="Repeated runs are thrown away on both sides: that is a precision of the vocabulary. Count them.",
            answer=_precision(
                count=lambda found, limit: sum(limit[run] > 0 for run in found),
                whole=lambda candidate, references, n, found: len(found),
            ),
        ),
        Mistake(
            message="The references are added up: what each says once may then be said as often as there are "
            "references. Take the one that has the run most often.",
            answer=_precision(allowed=lambda found, known: {run: sum(each[run] for each in known) for run in found}),
        ),
        Mistake(
            message="Only the first reference counts. A run may stand in any of them.",
            answer=_precision(allowed=lambda found, known: known[0]),
        ),
        Mistake(
            message="A run must stand in every reference here. One is enough: take the largest count.",
            answer=_precision(allowed=lambda found, known: {run: min(each[run] for each in known) for run in found}),
        ),
        Mistake(
            message="The precisions of the references are averaged. All references together set the limit of each run.",
            answer=_mean_over_references,
        ),
        Mistake(
            message="This is recall: the hits are divided by the runs of the references. Divide by the runs of the "
            "caption.",
            answer=_precision(
                whole=lambda candidate, references, n, found: sum(max(len(r) - n + 1, 0) for r in references)
            ),
        ),
        Mistake(
            message="The hits are divided by the number of words. A caption of c words has c − n + 1 runs of n.",
            answer=_precision(whole=lambda candidate, references, n, found: len(candidate)),
        ),
        Mistake(
            message="The order inside a run is lost: “a cat” is not “cat a”. Keep the run as it stands.",
            answer=_precision(cut=_unordered),
        ),
        Mistake(
            message="The runs do not overlap. Each word begins a run, as long as n words are left.",
            answer=_precision(cut=_in_steps),
        ),
        Mistake(
            message="The last run is missing: c words have c − n + 1 runs of n.",
            answer=_precision(cut=_one_short),
        ),
    ),
    hints=(
        "`Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))` counts the runs of one sentence.",
        "For each run of the caption: its count, but at most the largest count that it has in one reference.",
        "With `found`, the counts of the candidate, and `known`, a list with the counts of each reference: "
        "`sum(min(count, max(each[run] for each in known)) for run, count in found.items())`, divided by the number "
        "of runs in the caption, or 0 if it has none.",
    ),
)
