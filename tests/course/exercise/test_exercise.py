"""Grading: what passes, what is named, what is said; and how a result looks."""

from __future__ import annotations

import dataclasses
import doctest
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from mmcourse.course import exercises
from mmcourse.course.errors import CourseError
from mmcourse.course.exercise import Case, Exercise, Mistake, compare, grade
from mmcourse.course.exercise.compare import difference
from mmcourse.course.exercise.show import result_html
from mmcourse.course.exercises import all_exercises, chapters, find, ids, outline
from mmcourse.course.learner import progress
from mmcourse.course.notebook import check, hint


def softmax(scores):
    return (scores - scores.amax(-1, keepdim=True)).exp() / (scores - scores.amax(-1, keepdim=True)).exp().sum(
        -1, keepdim=True
    )


SOFTMAX = Exercise(
    id="99-softmax",
    title="Softmax by <hand>",
    goal="turn scores into weights",
    stars=1,
    minutes=5,
    points=4,
    reference=softmax,
    cases=(
        Case(name="it is right on 3 rows of 4", inputs=lambda g: (torch.randn(3, 4, generator=g),)),
        Case(name="it survives large scores", inputs=lambda g: (torch.randn(2, 2, generator=g) * 300,)),
    ),
    mistakes=(
        Mistake(message="The sum runs over the wrong axis: use dim=-1.", answer=lambda s: s.softmax(0)),
        Mistake(message="The sum runs over the wrong axis: use dim=-1.", answer=lambda s: s.exp() / s.exp().sum(0)),
        Mistake(
            message="exp overflows: subtract the largest score first.",
            answer=lambda s: s.exp() / s.exp().sum(-1, keepdim=True),
        ),
    ),
    hints=("First hint.", "Second `hint`."),
)
NUMBER = Exercise(
    id="99-number", title="Count", goal="count", stars=1, minutes=2, points=1, reference=12,
    mistakes=(Mistake(message="Count the biases as well.", answer=9),),
)  # fmt: skip


@pytest.fixture(autouse=True)
def registry(monkeypatch, tmp_path):
    """The two exercises above stand in for the course's own; nothing is recorded outside tmp_path."""
    both = {exercise.id: exercise for exercise in (SOFTMAX, NUMBER)}
    monkeypatch.setattr(check, "find", both.__getitem__)
    monkeypatch.setattr(hint, "outline", both.__getitem__)
    monkeypatch.setattr(hint, "_given_here", {})
    monkeypatch.setenv("MMCOURSE_WORK", "")
    monkeypatch.delenv("MMCOURSE_REPORT", raising=False)


@pytest.mark.parametrize("answer", [lambda s: s.softmax(-1), lambda s: torch.softmax(s.double(), 1), softmax])
def test_right_answers_pass(answer):
    result = grade(SOFTMAX, answer)
    assert (result.status, result.passed, result.points, repr(result)) == ("done", 2, 4, "4")


def test_a_known_mistake_is_named_and_the_difference_is_described():
    result = grade(SOFTMAX, lambda s: s.exp() / s.exp().sum(dim=0))
    assert result.status == "wrong"
    assert "wrong axis" in result.message
    assert "12 of 12 numbers differ" in result.cases[0].message


def test_a_mistake_that_explains_one_of_two_failed_cases_is_not_named():
    """Both fail: the first as with the wrong axis, the second in a way of its own."""
    result = grade(SOFTMAX, lambda s: s.softmax(0) if s.shape == (3, 4) else s)
    assert (result.status, result.passed) == ("wrong", 0)
    assert result.message == result.cases[0].message
    assert "12 of 12 numbers differ" in result.message


def test_an_unknown_mistake_is_described_by_what_differs():
    result = grade(SOFTMAX, lambda s: 2 * s.softmax(-1))
    assert (result.status, result.passed) == ("wrong", 0)
    assert result.message == "every number is 2 times what it should be"


def test_partial_credit_and_nan_is_never_right():
    result = grade(SOFTMAX, lambda s: s.exp() / s.exp().sum(-1, keepdim=True))
    assert (result.status, result.passed, result.points) == ("wrong", 1, 2)
    assert "2 of 4 numbers are NaN" in result.cases[1].message
    assert result.message.startswith("exp overflows")  # "wrong axis" gives these NaN too, but fails in the first case
    assert difference(torch.tensor(torch.nan), torch.tensor(torch.nan)) is not None
    assert difference(torch.nan, torch.nan) is not None


def unwritten_body(scores):
    """Only a docstring."""


def raises_not_implemented(scores):
    raise NotImplementedError


def inner_stub(scores):
    return raises_not_implemented(scores)


@pytest.mark.parametrize(
    "answer", [unwritten_body, raises_not_implemented, inner_stub, ..., None, lambda s: ..., lambda s: None]
)
def test_unwritten_answers_take_one_line(answer):
    result = grade(SOFTMAX, answer)
    assert (result.status, result.points, result.cases) == ("unwritten", 0, ())
    assert "not written yet" in result_html(result)


def forgets_return(scores):
    scores.softmax(-1)


def test_a_forgotten_return_is_wrong_and_not_unwritten():
    result = grade(SOFTMAX, forgets_return)
    assert result.status == "wrong"
    assert "return" in result.message


def divides_by_a_name(scores):
    weights = scores.exp()
    return weights / total  # noqa: F821


def test_an_error_shows_type_message_and_the_learners_line_only():
    result = grade(SOFTMAX, divides_by_a_name)
    assert result.status == "error"
    assert result.message.startswith("NameError: name 'total' is not defined.")
    assert "return weights / total" in result.message
    assert "mmcourse" not in result.message
    assert "compare.py" not in result_html(result)
    assert "takes 0 positional arguments" in grade(SOFTMAX, lambda: 1).message


def test_what_torch_does_not_implement_is_an_error_and_not_an_unwritten_answer():
    result = grade(SOFTMAX, lambda s: (s > 0) @ (s > 0).mT)
    assert result.status == "error"
    assert "not implemented" in result.message


def test_a_mistake_that_raises_is_recognised_by_its_error():
    shapes = dataclasses.replace(
        SOFTMAX, mistakes=(Mistake(message="Keep the dimension.", answer=lambda s: s / s.sum(-1)),)
    )
    result = grade(shapes, lambda s: s.div(s.sum(1)))
    assert result.status == "error"
    assert result.message.endswith("Keep the dimension.")


def test_a_value_in_place_of_a_function_is_told():
    assert "without calling it" in grade(SOFTMAX, torch.zeros(3)).message


def shifts_in_place(scores):
    scores -= scores.amax(-1, keepdim=True)
    return scores.softmax(-1)


def test_changing_an_argument_in_place_is_told_and_spoils_nothing():
    result = grade(SOFTMAX, shifts_in_place)
    assert result.status == "wrong"
    assert "argument 1 was changed in place" in result.message
    shared = torch.randn(2, 2)
    exercise = dataclasses.replace(SOFTMAX, cases=(Case(name="shared", inputs=lambda g: (shared,)),))
    before = shared.clone()
    grade(exercise, shifts_in_place)
    assert torch.equal(shared, before)


@pytest.mark.parametrize("kind", [list, set])
def test_a_collection_that_comes_back_changed_is_told(kind):
    shared = kind("abc")

    def counts_by_taking_out(words):
        return sum(1 for _ in iter(lambda: words.pop() if words else None, None))

    exercise = dataclasses.replace(
        SOFTMAX, reference=len, mistakes=(), cases=(Case(name="three", inputs=lambda g: (shared,)),)
    )
    assert grade(exercise, lambda words: len(words)).status == "done"
    assert "argument 1 was changed in place" in grade(exercise, counts_by_taking_out).message
    assert shared == kind("abc")


def test_an_exercise_that_asks_for_a_change_in_place_accepts_it():
    def step(x):
        x.mul_(2)
        return x

    exercise = dataclasses.replace(SOFTMAX, reference=step, mistakes=())
    assert grade(exercise, step).status == "done"
    assert grade(exercise, lambda x: x * 2).status == "wrong"


@pytest.mark.parametrize(
    ("answer", "status"), [(12, "done"), (12.0, "done"), (torch.tensor(12), "done"), (9, "wrong"), ("12", "wrong")]
)
def test_plain_values(answer, status):
    assert grade(NUMBER, answer).status == status


def test_the_mistake_of_a_value_is_named():
    assert grade(NUMBER, 9).message == "Count the biases as well."
    assert "got 10" in grade(NUMBER, 10).message


def test_grading_is_repeatable_and_leaves_the_random_state_alone():
    exercise = dataclasses.replace(SOFTMAX, reference=lambda s: torch.rand(2), mistakes=())
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert grade(exercise, lambda s: torch.rand(2)).status == "done"
    assert torch.equal(torch.rand(1), expected)


def test_a_broken_reference_is_our_fault_and_raises():
    with pytest.raises(RuntimeError, match="reference fails"):
        grade(dataclasses.replace(SOFTMAX, reference=lambda s: 1 / 0), softmax)


class Pair(NamedTuple):
    output: torch.Tensor
    weights: torch.Tensor


def test_the_docstring_examples_run():
    outcome = doctest.testmod(compare)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (torch.zeros(2, 3), torch.zeros(3, 2), "axes swapped"),
        (torch.zeros(2), torch.zeros(3), "shape is (2,), expected (3,)"),
        (torch.zeros(2).long(), torch.zeros(2), "int64, expected floating-point numbers"),
        (torch.zeros(2), torch.zeros(2).bool(), "float32, expected true or false"),
        (np.zeros(2, dtype=int), torch.zeros(2), "int64, expected floating-point numbers"),
        (np.zeros(3), torch.zeros(2), "shape is (3,), expected (2,)"),
        (0.5, torch.zeros(2), "expected a tensor of shape (2,), got a float"),
        ([0.5, "x"], torch.zeros(2), "expected a tensor of shape (2,), got list"),
        ([[1.0], [1.0, 2.0]], torch.zeros(2, 1), "expected a tensor of shape (2, 1), got list"),
        ([[[0.0]]], torch.zeros(1, 1), "expected a tensor of shape (1, 1), got list"),
        (2.5, torch.tensor(2), "got 2.5, expected 2"),
        (2.000001, torch.tensor(2), "got 2.000001, expected 2"),
        ([1, 0], torch.tensor([True, False]), "int64, expected true or false"),
        (True, torch.tensor(1.0), "bool, expected floating-point"),
        (2**80, torch.tensor(1), "expected a tensor of shape (), got an int"),
        (Fraction(1, 2), torch.tensor(0.5), "got a Fraction"),
        (torch.tensor([1, 2]), [1, 3], "value 2: got 2"),
        (torch.zeros(2, 3), (torch.zeros(3),) * 2, "expected 2 values in a tuple, got a tensor"),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), "at [1]: got 2, expected 2.5"),
        (torch.tensor([1.0, 1.00002]), torch.tensor([1.0, 1.0]), "got 1.00002, expected 1"),
        (torch.tensor([1.0, torch.inf]), torch.tensor([1.0, 0.0]), "got inf, expected 0"),
        (torch.zeros(1), (torch.zeros(1),) * 2, "expected 2 values in a tuple"),
        ((1, 2, 3), (1, 2), "expected 2 values, got 3"),
        ((torch.zeros(1), torch.ones(1)), Pair(torch.zeros(1), torch.zeros(1)), "value weights: got 1"),
        ({"a": 1}, {"b": 1}, "keys ['b'], got the keys ['a']"),
        ({"a": (1, "x")}, {"a": (1, "y")}, "['a'], value 2: expected 'y', got 'x'"),
        (True, 1, "expected a number, got the truth value True"),
        (1, True, "expected True, got 1"),
        (None, 3, "return"),
        (torch.tensor([1j]), torch.tensor([2j]), "got"),
    ],
)
def test_differences_are_said(got, expected, words):
    assert words in difference(got, expected)


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (torch.zeros(2).double(), torch.zeros(2)),
        ([1, 2], (1, 2)),
        ((torch.ones(1), 2), Pair(torch.ones(1), 2)),
        (np.ones(2), np.ones(2)),
        (torch.tensor([torch.inf]), torch.tensor([torch.inf])),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
        (np.float64(2.0), 2.0),
        (0.5, torch.tensor(0.5)),
        (2, torch.tensor(2.0)),
        (2.0, torch.tensor(2)),
        (np.float32(0.5), torch.tensor(0.5)),
        (np.bool_(True), torch.tensor(True)),
        (np.ones(2), torch.ones(2)),
        (np.ones((2, 3))[::-1], torch.ones(2, 3)),
        (torch.ones(2, requires_grad=True), np.ones(2)),
        ([1, 2.5], torch.tensor([1.0, 2.5])),
        ([], torch.zeros(0)),
        ([[1, 2], (3, 4)], torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
        ([torch.tensor(1.0), np.float64(2.0), 3], torch.tensor([1.0, 2.0, 3.0])),
        ([torch.ones(2), torch.zeros(2)], torch.tensor([[1.0, 1.0], [0.0, 0.0]])),
        ([True, False], torch.tensor([True, False])),
        (torch.tensor([1, 2]), [1, 2]),
        (np.array([[1, 2]]), [(1, 2)]),
        (torch.tensor([True, False]), [True, False]),
        (np.array(True), True),
        (np.str_("red"), "red"),
        ({1, 2}, {2, 1}),
    ],
)
def test_equal_things_are_equal(got, expected):
    assert difference(got, expected) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "Softmax"}, "id is"),
        ({"stars": 4}, "stars"),
        ({"points": 0}, "points"),
        ({"cases": ()}, "cases is empty"),
    ],
)
def test_a_malformed_exercise_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(SOFTMAX, **change)


def test_html_is_escaped_and_says_how_to_get_help():
    page = result_html(grade(SOFTMAX, lambda s: "<script>alert(1)</script>"))
    assert "<script" not in page
    assert "Softmax by &lt;hand&gt;" in page
    assert "hint(&quot;99-softmax&quot;)" in page or 'hint("99-softmax")' in page
    assert page == result_html(grade(SOFTMAX, lambda s: "<script>alert(1)</script>"))


def test_check_records_progress_and_writes_the_report(monkeypatch, tmp_path):
    monkeypatch.setenv("MMCOURSE_WORK", str(tmp_path))
    monkeypatch.setenv("MMCOURSE_REPORT", str(tmp_path / "report"))
    assert check.check("99-softmax", lambda s: s.softmax(0)).status == "wrong"
    assert check.check("99-softmax", softmax).status == "done"
    entry = progress.load(tmp_path).entries["99-softmax"]
    assert (entry["done"], entry["tries"], entry["points"]) == (True, 2, 4)
    assert len((tmp_path / "report").read_text().splitlines()) == 2


def test_check_says_when_progress_cannot_be_saved(monkeypatch, tmp_path):
    (tmp_path / ".mmcourse").write_text("a file where the folder should be")
    monkeypatch.setenv("MMCOURSE_WORK", str(tmp_path))
    result = check.check("99-softmax", softmax)
    assert result.status == "done"
    assert "Progress was not saved" in result_html(result)


@pytest.mark.parametrize("recorded", [False, True])
def test_hints_come_one_at_a_time(monkeypatch, tmp_path, recorded):
    if recorded:
        monkeypatch.setenv("MMCOURSE_WORK", str(tmp_path))
    first, second, third = (hint.hint("99-softmax") for _ in range(3))
    assert "First" in repr(first)
    assert "Second" not in repr(first)
    assert "Second" in repr(second)
    assert "no more hints" not in repr(second)
    assert "no more hints" in repr(third)
    assert "mmcourse solution 99-softmax" in repr(third)
    assert "<code>hint</code>" in second._repr_html_()
    assert "no more hints" in repr(hint.hint("99-number"))


def test_the_real_registry_holds_together():
    known = all_exercises()
    assert all(find(exercise.id) is exercise for exercise in known)
    assert [exercise.id for exercise in known] == ids()
    for name in ("01-no-such-thing", "01", "", "77-nothing"):
        with pytest.raises(CourseError, match=f"no exercise '{name}'"):
            find(name)


@pytest.mark.parametrize("chapter", chapters())
def test_every_module_of_a_chapter_is_listed_in_its_order(chapter):
    folder = Path(exercises.__path__[0], f"ch{chapter}")
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules == {name[3:].replace("-", "_") for name in ids(chapter)}


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda exercise: exercise.id)
def test_what_is_read_without_importing_is_what_the_exercise_says(exercise):
    read = outline(exercise.id)
    assert read == (exercise.id, exercise.title, exercise.goal, exercise.hints)


def test_a_hint_needs_neither_torch_nor_another_exercise():
    """So it comes at once: torch alone takes longer to load than anybody waits for a hint."""
    code = "from mmcourse.course import cli\nimport sys\ncli.main(['hint', '05-probe'])\n"
    code += "assert 'torch' not in sys.modules\nassert not [name for name in sys.modules if '.exercises.ch05.' in name]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Hint 1: ")


def test_an_exercise_is_found_without_importing_the_others():
    code = "import sys\nfrom mmcourse.course.exercises import find\nfind('03-merge')\n"
    code += "print([name for name in sys.modules if '.exercises.ch' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wanted = ["mmcourse.course.exercises.ch03", "mmcourse.course.exercises.ch03.merge"]
    assert done.stdout.strip() == str(wanted)


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda exercise: exercise.id)
def test_every_reference_passes_its_own_checks(exercise):
    result = grade(exercise, exercise.reference)
    assert (result.status, result.points) == ("done", exercise.points)


MISTAKES = [
    pytest.param(exercise, mistake, id=f"{exercise.id}-{mistake.message[:40]}")
    for exercise in all_exercises()
    for mistake in exercise.mistakes
]
CANNOT_RUN = {  # mistakes that end in an error, mostly because shapes do not fit; each by how its message begins
    "04-normalize": ("mean and std run along the width",),
    "04-color-histogram": ("The arithmetic runs in uint8",),
    "04-residual-block": ("Both convolutions take the stride", "The way around does not take the stride"),
    "06-low-rank-bilinear": ("u and v are exchanged", "The matrices are not transposed"),
    "06-film": ("The weights are not transposed",),
    "07-words-ask-patches": ("The values come from the words", "The keys come from the words"),
    "07-co-attention": ("The arguments of the attentions are turned round",),
}


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_every_mistake_is_wrong_and_heard_by_its_own_name(exercise, mistake):
    result = grade(exercise, mistake.answer)
    if result.status == "error":
        assert mistake.message.startswith(CANNOT_RUN.get(exercise.id, ())), result.message
        assert result.message.endswith(f" {mistake.message}")  # after what Python or PyTorch says
    else:
        assert result.status == "wrong"
        assert result.message == mistake.message
