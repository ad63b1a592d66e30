"""09-rouge-l: find the longest row of words that two sentences share, and make one number of it."""

from __future__ import annotations

from collections import Counter

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import WORDS, draw_words


def common(first, second):
    row = [0] * (len(second) + 1)
    for word in first:
        new = [0]
        for place, other in enumerate(second, 1):
            new.append(row[place - 1] + 1 if word == other else max(row[place], new[place - 1]))
        row = new
    return row[-1]


def f_beta(precision, recall, beta):
    return (1 + beta**2) * precision * recall / (recall + beta**2 * precision) if precision and recall else 0.0


def rouge_l(candidate, reference, beta):
    length = common(candidate, reference)
    return f_beta(length / len(candidate), length / len(reference), beta)


def _longest_run(first, second):
    row, best = [0] * (len(second) + 1), 0
    for word in first:
        row = [0] + [row[place] + 1 if word == other else 0 for place, other in enumerate(second)]
        best = max(best, *row)
    return best


def _bag(first, second):
    return sum((Counter(first) & Counter(second)).values())


def _first_come(first, second):
    """Takes the next place where each word stands, and never goes back."""
    place, length = 0, 0
    for word in first:
        if word in second[place:]:
            place = second.index(word, place) + 1
            length += 1
    return length


def _word_twice(first, second):
    """Grows along one row of the table, so that one word of the caption is matched again and again."""
    row = [0] * (len(second) + 1)
    for word in first:
        for place, other in enumerate(second, 1):
            row[place] = row[place - 1] + 1 if word == other else max(row[place], row[place - 1])
    return min(row[-1], len(second))


def _rouge(*, length=common, score=None):
    """ROUGE-L with another count of common words, or another score from (count, candidate, reference, beta)."""

    def answer(candidate, reference, beta):
        found = length(candidate, reference)
        precision, recall = found / len(candidate), found / len(reference)
        return f_beta(precision, recall, beta) if score is None else score(precision, recall, beta)

    return answer


def _two(first, second, beta):
    return lambda generator: (first.split(), second.split(), beta)


def _two_random(first, second, beta, words=WORDS):
    return lambda generator: (draw_words(first, generator, words), draw_words(second, generator, words), beta)


EXERCISE = Exercise(
    id="09-rouge-l",
    title="In the same order, with gaps",
    goal="find the longest row of words that two sentences share, and make one number of it",
    stars=3,
    minutes=18,
    points=3,
    reference=rouge_l,
    ready_made=(metrics.rouge_l,),
    cases=(
        Case(name="a word in between", inputs=_two("a cat on a sofa", "a black cat on a red sofa", 1.2)),
        Case(name="a dog first, a cat first", inputs=_two("a dog and a cat on a sofa", "a cat and a dog", 1.2)),
        Case(name="a trap for the hasty", inputs=_two("red a cat on a sofa", "a cat on a sofa the red", 1.2)),
        Case(name="nothing in common", inputs=_two("two dog", "a cat", 1.2)),
        Case(name="fourteen words and nine", inputs=_two_random(14, 9, 2.0, WORDS[:4])),
        Case(name="eight words and seventeen, β = 1/2", inputs=_two_random(8, 17, 0.5, WORDS[:3])),
    ),
    mistakes=(
        Mistake(
            message="Only an unbroken run counts here. The common words may have gaps between them; when two words "
            "differ, keep the better of “without this word” and “without that one”.",
            answer=_rouge(length=_longest_run),
        ),
        Mistake(
            message="The order is ignored: this counts words in common. They must stand in the same order in both.",
            answer=_rouge(length=_bag),
        ),
        Mistake(
            message="The first match is always taken, and it may be a bad one: “red” far at the end uses up all that "
            "stands before it. A table of all beginnings tries everything.",
            answer=_rouge(length=_first_come),
        ),
        Mistake(
            message="A word is matched more than once: when two words are equal, go on from the entry before *both* of "
            "them, one up and one to the left.",
            answer=_rouge(length=_word_twice),
        ),
        Mistake(
            message="Precision and recall are exchanged. Precision is the share of the caption, recall that of the "
            "reference.",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(recall, precision, beta)),
        ),
        Mistake(
            message="β is not squared: F = (1 + β²) P R / (R + β² P).",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(precision, recall, beta**0.5)),
        ),
        Mistake(
            message="This is the plain harmonic mean, β = 1. Use the β that is given.",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(precision, recall, 1.0)),
        ),
        Mistake(
            message="This is recall alone. F needs both.",
            answer=_rouge(score=lambda precision, recall, beta: recall),
        ),
        Mistake(
            message="This is precision alone. F needs both.",
            answer=_rouge(score=lambda precision, recall, beta: precision),
        ),
        Mistake(
            message="The factor 1 + β² is missing, so a perfect caption does not get 1.",
            answer=_rouge(score=lambda precision, recall, beta: f_beta(precision, recall, beta) / (1 + beta**2)),
        ),
        Mistake(
            message="This is the number of common words. Divide it by both lengths and combine the shares.",
            answer=lambda candidate, reference, beta: common(candidate, reference),
        ),
    ),
    hints=(
        "Keep a table: entry (i, j) is the answer for the first i words of one and the first j of the other.",
        "Equal words: entry (i − 1, j − 1) plus 1. Different words: the larger of (i − 1, j) and (i, j − 1).",
        "With l from the last entry: P = l / len(candidate), R = l / len(reference), F = (1 + β²) P R / (R + β² P), "
        "and 0 if l is 0.",
    ),
)
