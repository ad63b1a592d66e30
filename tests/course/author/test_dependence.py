"""Which outputs depend on the learner's answers."""

import pytest

from mmcourse.course.author.dependence import cells_behind, dependent_cells
from mmcourse.course.author.source import Cell

ANSWER = "def answer(x):\n    return x"


def dependent(*sources, answer=ANSWER):
    """The positions of the cells after the exercise that depend on it; `before:` cells stand in front of it."""
    front = [source.removeprefix("before:") for source in sources if source.startswith("before:")]
    back = [source for source in sources if not source.startswith("before:")]
    cells = [Cell(kind="code", source=source, id=f"front{n}") for n, source in enumerate(front)]
    cells.append(Cell(kind="code", source=answer, id="exercise", role="exercise", exercise="exercise"))
    cells += [Cell(kind="code", source=source, id=str(n)) for n, source in enumerate(back)]
    found = dependent_cells(cells)
    assert "exercise" in found
    return sorted(found - {"exercise"})


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["x = 1", "print(x)"], []),
        (["y = answer(2)", "x = 1", "print(y)", "print(x)"], ["0", "2"]),
        (["a = answer(1)", "b = a", "c = b", "print(c)"], ["0", "1", "2", "3"]),
        (["def use():\n    return answer(1)", "use()"], ["0", "1"]),
        (["f = lambda: answer(1)", "f()"], ["0", "1"]),
        (["[answer(i) for i in range(3)]"], ["0"]),
        (["class A:\n    def f(self):\n        return answer(1)", "A().f()"], ["0", "1"]),
        (["def f(answer):\n    return answer", "f(2)"], []),
        (["from library import answer", "answer(2)"], []),
        (["answer = 3\nprint(answer)", "print(answer)"], []),
        (["print(answer)\nanswer = 3"], ["0"]),
        (["if x:\n    answer = 3", "print(answer)"], ["1"]),
        (["values = []", "values.append(answer(1))", "print(values)"], ["1", "2"]),
        (["values = {}", "values['a'] = answer(1)", "print(values)"], ["1", "2"]),
        (["model.head.weight = answer(1)", "model(2)"], ["0", "1"]),
        (["import torch", "torch.manual_seed(answer(0))", "torch.arange(3)"], ["1"]),
        (["total = 0", "total += answer(1)", "print(total)"], ["1", "2"]),
        (["for i in range(3):\n    y = answer(i)", "print(y)", "print(i)"], ["0", "1", "2"]),
        (["i = answer(1)", "[i for i in range(3)]", "x = [i for i in range(3)]", "i"], ["0", "3"]),
        (["try:\n    x = 1\nexcept ValueError as answer:\n    pass", "answer"], ["1"]),
        (["def f(x=answer(1), *, y: int = 2):\n    return x", "f()"], ["0", "1"]),
        (["@answer\ndef f():\n    return 1"], ["0"]),
        (["class A(answer):\n    pass"], ["0"]),
        (["class A:\n    answer = 1\n    x = answer"], []),
        (["def f():\n    answer = 1\n    return answer", "f()"], []),
        (["[y := answer(1) for _ in range(2)]", "y"], ["0", "1"]),
        (["{k: answer(k) for k in range(3)}"], ["0"]),
        (["async def f():\n    return answer(1)"], ["0"]),
        (["import answer.part", "answer.part"], []),
        (["%timeit answer(1)"], ["0"]),
        (["a, (b, *c) = answer(1)", "print(c)"], ["0", "1"]),
        (["before:def use():\n    return answer(2)", "use()"], ["0", "front0"]),
        (["before:answer = 2\nprint(answer)"], []),
    ],
)
def test_cells_that_read_an_answer_depend_on_it(sources, expected):
    assert dependent(*sources) == expected


def test_imports_in_an_exercise_cell_are_no_answers():
    assert dependent("math.pi", "answer(1)", answer=f"import math\n\n{ANSWER}") == ["1"]


def test_what_an_answer_changes_inside_itself_is_nobody_elses():
    local = "def answer(x):\n    values = {}\n    values[x] = 1\n    values.update({})\n    return values"
    assert dependent("before:values = {}", "print(values)", answer=local) == []
    outer = "def answer(x):\n    values[x] = 1"
    assert dependent("before:values = {}", "print(values)", answer=outer) == ["0"]


def test_check_cells_always_depend():
    cells = [Cell(kind="code", source='check("a", 1)', id="a-check", role="check", exercise="a")]
    assert dependent_cells(cells) == {"a-check"}


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["import torch", "x = 1", "torch.tensor(2)"], [0]),
        (["x = 1", "y = x", "z = 3", "print(y)"], [0, 1]),
        (["x = 1", "x = 2", "print(x)"], [1]),
        (["x = []", "x.append(1)", "print(x)"], [0, 1]),
        (["x = 1", "y = 3", "if y:\n    x = 2", "print(x)"], [0, 1, 2]),
        (["import torch", "torch.manual_seed(0)", "torch.rand(1)"], [0]),
        (["def f():\n    return x", "x = 1", "f()"], [0, 1]),
        (["x = 1", "def f(x):\n    return x", "f(2)"], [1]),
        (["for i in range(3):\n    x = i", "print(x)"], [0]),
    ],
)
def test_what_must_run_before_a_cell(sources, expected):
    cells = [Cell(kind="code", source=source, id=str(n)) for n, source in enumerate(sources)]
    last = len(sources) - 1
    assert cells_behind(cells, {str(last)}) == {str(n) for n in [*expected, last]}
