"""Right and wrong answers to exercises, collected as a test module writes them down, and what each must hear."""

import pytest

from mmcourse.course.exercise import grade
from mmcourse.course.exercises import find


class Answers:
    """`right` and `wrong` mark functions of a test module; `tests` makes of them what pytest runs there."""

    def __init__(self):
        self.right_rows, self.wrong_rows = [], []

    def right(self, exercise_id):
        """Marks a right answer, written in another way than the reference."""
        return lambda answer: self.right_rows.append((exercise_id, answer)) or answer

    def wrong(self, exercise_id, *words):
        """Marks a wrong answer, with words that the message must hold."""
        return lambda answer: self.wrong_rows.append((exercise_id, words, answer)) or answer

    def tests(self, exercises):
        """Three tests: right answers pass, wrong ones hear the name of their mistake, and `exercises` have enough."""

        @pytest.mark.parametrize(("exercise_id", "answer"), self.right_rows, ids=label)
        def right_answers_pass(exercise_id, answer):
            result = grade(find(exercise_id), answer)
            assert result.status == "done", result.message
            assert result.points == result.max_points

        @pytest.mark.parametrize(("exercise_id", "words", "answer"), self.wrong_rows, ids=label)
        def wrong_answers_are_named(exercise_id, words, answer):
            result = grade(find(exercise_id), answer)
            assert result.status == "wrong", result.message
            assert all(word in result.message for word in words), result.message

        def enough():
            for exercise in exercises:
                assert sum(exercise.id == row[0] for row in self.right_rows) >= 2, exercise.id
                assert sum(exercise.id == row[0] for row in self.wrong_rows) >= 4, exercise.id
                assert len(exercise.hints) == 3, exercise.id

        return right_answers_pass, wrong_answers_are_named, enough


def label(value):
    """The name of an answer in the list of tests; what has none, pytest names itself."""
    return getattr(value, "__name__", None)
