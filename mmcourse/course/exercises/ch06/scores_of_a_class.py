"""06-scores-of-a-class: read three scores of one class off a confusion matrix."""

from __future__ import annotations

import torch

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake


def scores_of_a_class(confusion, c):
    right, named, there = confusion[c, c], confusion[:, c].sum(), confusion[c].sum()
    return right / named.clamp(min=1), right / there.clamp(min=1), 2 * right / (named + there).clamp(min=1)


def _plain(confusion, c):
    """Without care for a class that was never named or is not there."""
    right = confusion[c, c]
    precision, recall = right / confusion[:, c].sum(), right / confusion[c].sum()
    return precision, recall, 2 * precision * recall / (precision + recall)


def _confusion(classes, c, most=20):
    def inputs(generator):
        matrix = torch.randint(1, most, (classes, classes), generator=generator) + 10 * torch.eye(classes).long()
        return matrix, c

    return inputs


def _silent(generator):
    """Class 1 is there and was never named."""
    matrix, c = _confusion(4, 1)(generator)
    matrix[:, c] = 0
    return matrix, c


def _absent(generator):
    """Class 2 is not there, and was never named."""
    matrix, c = _confusion(3, 2)(generator)
    matrix[:, c] = matrix[c] = 0
    return matrix, c


def _rare(generator):
    """Class 0 is there once and was named once, rightly."""
    matrix, c = _confusion(3, 0)(generator)
    matrix[:, c] = matrix[c] = 0
    matrix[c, c] = 1
    return matrix, c


def _floats(answer, *inputs):
    """Three plain numbers, however they came."""
    return tuple(float(value) for value in answer(*inputs))


def _from(matrix, c, mean, scores=scores_of_a_class):
    precision, recall, _ = scores(matrix, c)
    return precision, recall, mean(precision, recall)


EXERCISE = Exercise(
    id="06-scores-of-a-class",
    title="Precision, recall, F1",
    goal="read three scores of one class off a confusion matrix",
    stars=2,
    minutes=10,
    points=2,
    reference=scores_of_a_class,
    ready_made=(metrics.precision_recall_f1,),
    cases=(
        Case(name="two classes, the second", inputs=_confusion(2, 1), probe=_floats),
        Case(name="five classes, the first", inputs=_confusion(5, 0), probe=_floats),
        Case(name="three classes, large counts", inputs=_confusion(3, 2, 900), probe=_floats),
        Case(name="a class that was never named", inputs=_silent, probe=_floats),
    ),
    fresh=(
        Case(name="a class that is there once and was named once", inputs=_rare, probe=_floats),
        Case(name="a class that is not there and was never named", inputs=_absent, probe=_floats),
    ),
    mistakes=(
        Mistake(
            message="A class that was never named divides 0 by 0, which is NaN. Its scores count as 0: keep what "
            "stands below the line at 1 or more, with `.clamp(min=1)`.",
            answer=lambda m, c: _plain(m, c),
        ),
        Mistake(
            message="Precision and recall are exchanged. Rows are the truth: a column holds all that was called this "
            "class (precision), a row all that is this class (recall).",
            answer=lambda m, c: scores_of_a_class(m.T, c),
        ),
        Mistake(
            message="Precision and recall are exchanged, and a class that was never named gives NaN. Rows are the "
            "truth: a column holds all that was called this class (precision), a row all that is this class (recall).",
            answer=lambda m, c: _plain(m.T, c),
        ),
        Mistake(
            message="F1 is taken as the plain mean. It is the harmonic mean, 2 · p · r / (p + r), which is low when "
            "either is low.",
            answer=lambda m, c: _from(m, c, lambda p, r: (p + r) / 2),
        ),
        Mistake(
            message="F1 is taken as the plain mean, and a class that was never named gives NaN. F1 is the harmonic "
            "mean, 2 · p · r / (p + r).",
            answer=lambda m, c: _from(m, c, lambda p, r: (p + r) / 2, _plain),
        ),
        Mistake(
            message="F1 is half as large as it should be: the 2 is missing.",
            answer=lambda m, c: _from(m, c, lambda p, r: (p * r / (p + r)).nan_to_num()),
        ),
        Mistake(
            message="F1 is taken as the product of precision and recall. It is 2 · p · r / (p + r).",
            answer=lambda m, c: _from(m, c, lambda p, r: p * r),
        ),
        Mistake(
            message="F1 is taken as the geometric mean. It is the harmonic mean, 2 · p · r / (p + r).",
            answer=lambda m, c: _from(m, c, lambda p, r: (p * r) ** 0.5),
        ),
        Mistake(
            message="All three are the accuracy, or divided by all samples. Precision divides by a column, recall by a "
            "row.",
            answer=lambda m, c: (m[c, c] / m.sum(),) * 3,
        ),
        Mistake(
            message="You divide by the wrong answers alone. The right ones belong below the line, too: TP / (TP + FP).",
            answer=lambda m, c: _odds(m, c),
        ),
        Mistake(
            message="These are the scores of another class. Class c stands in row c and column c, counted from 0.",
            answer=lambda m, c: scores_of_a_class(m, (c + 1) % len(m)),
        ),
        Mistake(
            message="These are the scores of another class. Class c stands in row c and column c, counted from 0.",
            answer=lambda m, c: scores_of_a_class(m, c - 1),
        ),
    ),
    hints=(
        "`confusion[c, c]` is right. Everything else in column c was called c and is not; everything else in row c is "
        "c and was missed.",
        "precision = right / sum of column c; recall = right / sum of row c.",
        "F1 = 2 · precision · recall / (precision + recall), which is 2 · right / (column sum + row sum). A class that "
        "was never named gets 0: `.clamp(min=1)` below the line.",
    ),
)


def _odds(matrix, c):
    right = matrix[c, c]
    precision, recall = right / (matrix[:, c].sum() - right), right / (matrix[c].sum() - right)
    return precision, recall, 2 * precision * recall / (precision + recall)
