"""10-vqa-accuracy: hold an answer against those of ten people."""

from __future__ import annotations

from mmcourse import metrics
from mmcourse.course.exercise import Case, Exercise, Mistake
from mmcourse.course.exercises.inputs import draw_words


def vqa_accuracy(answer, people):
    found = []
    for left_out in range(len(people)):
        others = people[:left_out] + people[left_out + 1 :]
        found.append(min(1.0, others.count(answer) / 3))
    return sum(found) / len(found)


def _people(answer, *counts):
    """An answer, and the answers of people: `(text, how many gave it)`."""
    return lambda generator: (answer, [text for text, count in counts for _ in range(count)])


WORDS = ("cat", "dog", "sofa")


def _crowd(generator):
    return draw_words(1, generator, WORDS)[0], draw_words(10, generator, WORDS)


EXERCISE = Exercise(
    id="10-vqa-accuracy",
    title="Ten people",
    goal="hold an answer against those of ten people",
    stars=2,
    minutes=10,
    points=2,
    reference=vqa_accuracy,
    ready_made=(metrics.vqa_accuracy,),
    cases=(
        Case(name="three of ten agree", inputs=_people("red", ("red", 3), ("orange", 7))),
        Case(name="one of ten agrees", inputs=_people("2", ("2", 1), ("3", 9))),
        Case(name="two of ten agree", inputs=_people("2", ("3", 8), ("2", 2))),
        Case(name="all agree", inputs=_people("yes", ("yes", 10))),
        Case(name="nobody agrees", inputs=_people("no", ("yes", 6), ("maybe", 4))),
        Case(name="four people, three agree", inputs=_people("cat", ("cat", 3), ("dog", 1))),
        Case(name="ten who each say one of three words", inputs=_crowd),
    ),
    mistakes=(
        Mistake(
            message="The share of people who agree is taken. With each person left out in turn, it is "
            "min(1, agreeing / 3) among the others.",
            answer=lambda answer, people: people.count(answer) / len(people),
        ),
        Mistake(
            message="min(1, agreeing / 3) over all people at once. The official measure leaves out each of them "
            "in turn, "
            "and takes the mean of the results.",
            answer=lambda answer, people: min(1.0, people.count(answer) / 3),
        ),
        Mistake(
            message="One who agrees is enough for a full point here. Three among the others are needed.",
            answer=lambda answer, people: float(answer in people),
        ),
        Mistake(
            message="Only the commonest answer counts. Any answer counts by how many gave it.",
            answer=lambda answer, people: float(answer == max(people, key=people.count)),
        ),
        Mistake(
            message="The limit of 1 is missing: ten who agree would give 3.",
            answer=lambda answer, people: (
                sum((people[:k] + people[k + 1 :]).count(answer) / 3 for k in range(len(people))) / len(people)
            ),
        ),
        Mistake(
            message="The results for the people left out are added up. Take their mean.",
            answer=lambda answer, people: sum(
                min(1.0, (people[:k] + people[k + 1 :]).count(answer) / 3) for k in range(len(people))
            ),
        ),
    ),
    hints=(
        "With three of ten who agree: leave out one of the three, and two are left. Leave out another, and it is "
        "three.",
        "For each person k the others are `people[:k] + people[k + 1 :]`.",
        "Each time min(1, others.count(answer) / 3); then the mean over k.",
    ),
)
