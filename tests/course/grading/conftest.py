"""A judge for the tests of the grader, started once, and short ways to ask it."""

import hashlib
import re

import pytest

from mmcourse.course.grading import submission
from mmcourse.course.grading.judge import judge
from mmcourse.course.grading.sandbox import Limits

SECONDS = 2.0  # for one answer: enough on a busy machine, and what a loop takes


@pytest.fixture(scope="session")
def the_judge():
    found = judge.Judge(Limits(seconds=SECONDS, memory=200, output=512, files=8), hidden={})
    found.lacking = found.wait()
    yield found
    found.nursery.close()


@pytest.fixture
def verdict(the_judge):
    """`verdict(cell, …)`: what the judge says about the text of one cell, graded as the exercise with this id."""

    def ask(text, exercise="01-causal-mask", **around):
        course = submission.course_chapter(exercise[:2])
        before = [{"name": cell.id, "origin": "course", "text": cell.text} for cell in course.code[:1]]
        before += [{"name": f"own {n}", "origin": "own", "text": own} for n, own in enumerate(around.pop("own", ()))]
        work = submission.Work(
            exercise=exercise,
            answer=course.answers[exercise],
            cell=re.sub(r"\n +\|", "\n", text),
            around={"before": before, "after": [], "spare": []},
        )
        return the_judge.grade(work, course, hashlib.sha256(text.encode()).hexdigest())

    return ask
