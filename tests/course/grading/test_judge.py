"""Answers beyond the border: right ones get what they earn, however they are written, and mistakes are named."""

from __future__ import annotations

import dataclasses
import re
import socket
import threading

import pytest

from mmcourse.content import content_dir
from mmcourse.course.exercise import grade
from mmcourse.course.exercises import all_exercises, find
from mmcourse.course.grading import collection, submission
from mmcourse.course.grading.answer import tamper
from mmcourse.course.grading.answer.worker import Worker
from mmcourse.course.grading.judge.judge import DRAWS, with_inputs
from mmcourse.course.grading.judge.proxies import Link
from mmcourse.course.learner.workspace import chapter_paths

EXERCISES = all_exercises()
MASK = "torch.ones(length, length, dtype=torch.bool).tril()"
UNUSUAL = {
    "a lambda": f"build_causal_mask = lambda length: {MASK}",
    "a class": "class build_causal_mask:\n    def __new__(cls, length):\n        return " + MASK,
    "an object": "class Build:\n    def __call__(self, length):\n        return "
    + MASK
    + "\nbuild_causal_mask = Build()",
    "partial": "from functools import partial\ndef f(a, length):\n    return "
    + MASK
    + "\nbuild_causal_mask = partial(f, 1)",
    "a module": "class Build(torch.nn.Module):\n    def forward(self, length):\n        return "
    + MASK
    + "\nbuild_causal_mask = Build()",
    "loops": "def build_causal_mask(length):\n    rows = []\n    for i in range(length):\n        rows.append([])\n"
    "        for j in range(length):\n            rows[-1].append(j <= i)\n    return torch.tensor(rows)",
    "numpy": "import numpy as np\ndef build_causal_mask(length):\n"
    "    return torch.from_numpy(np.tri(length, dtype=bool))",
    "a decorator": "def twice(f):\n    return lambda length: f(length) & f(length)\n"
    "@twice\ndef build_causal_mask(length):\n    return " + MASK,
    "helpers and tests of one's own": "def lower(i, j):\n    return j <= i\n\ndef build_causal_mask(length):\n"
    "    return torch.tensor([[lower(i, j) for j in range(length)] for i in range(length)])\n\n"
    "print(build_causal_mask(3))\nassert build_causal_mask(3).sum() == 6",
    "a test that fails": f"def build_causal_mask(length):\n    return {MASK}\n\nassert build_causal_mask(3).sum() == 7",
    "magic": f"%time 1\n!ls\ndef build_causal_mask(length):\n    return {MASK}\nget_ipython().run_line_magic('x', '')",
    "a check of one's own": "from mmcourse.course import check, hint\n"
    f"def build_causal_mask(length):\n    return {MASK}\n"
    "check('01-causal-mask', build_causal_mask)\nhint('01-causal-mask')",
    "warnings and prints": "import sys, warnings\ndef build_causal_mask(length):\n    warnings.warn('hm')\n"
    f"    print('oh', file=sys.stderr)\n    return {MASK}",
    "much output": f"def build_causal_mask(length):\n    print('x' * 40_000)\n    return {MASK}",
    "random numbers": "import random\ndef build_causal_mask(length):\n    torch.rand(9), random.random()\n"
    f"    return {MASK}",
    "threads": "from concurrent.futures import ThreadPoolExecutor\ndef build_causal_mask(length):\n"
    f"    with ThreadPoolExecutor(2) as pool:\n        return pool.submit(lambda: {MASK}).result()",
    "files": "import torch, tempfile\ndef build_causal_mask(length):\n    with tempfile.TemporaryFile() as file:\n"
    f"        torch.save({MASK}, file)\n        file.seek(0)\n        return torch.load(file)",
    "compared with the library": "from mmcourse.attention import causal_mask\ndef build_causal_mask(length):\n"
    f"    return {MASK}\nassert (build_causal_mask(4) == causal_mask(4)).all()",
    "the name of another": f"def my_mask(length):\n    return {MASK}",
}


@pytest.mark.parametrize("text", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_answers_get_what_they_earn(verdict, text):
    found = verdict(text)
    assert (found.status, found.points) == ("done", 1), found


def test_a_helper_from_a_cell_of_ones_own_is_found(verdict):
    own = ("seen = []\ndef lower(i, j):\n    return limit(j) <= i", "def limit(j):\n    return j\n1 / 0")
    text = "def build_causal_mask(length):\n    n = range(length)\n"
    found = verdict(text + "    return torch.tensor([[lower(i, j) for j in n] for i in n])", own=own)
    assert (found.status, found.points) == ("done", 1)
    assert any("`lower`" in remark for remark in found.remarks)


ELSEWHERE = {
    "a star import": (("from math import *",), "prod([1, 1]) == 1"),
    "a list filled in a loop": (("rows = []", "for n in range(9):\n    rows.append(n)"), "rows[8] == 8"),
    "a dictionary": (("rows = {}\nrows['a'] = 1",), "rows['a'] == 1"),
    "an attribute": (("class Rows: pass", "rows = Rows()", "rows.first = 1"), "rows.first == 1"),
    "a constant changed later": (("n = 1", "n += 1", "for i in range(3):\n    n = n + i"), "n == 5"),
    "a branch that is not taken": (("n = 4", "if n > 9:\n    n = 5"), "n == 4"),
    "a counter": (("from collections import Counter\nrows = Counter()", "rows.update('aab')"), "rows['a'] == 2"),
    "a tensor changed in place": (("rows = torch.zeros(2)", "rows.add_(1)", "rows[0] = 3"), "rows.sum() == 4"),
    "a magic in front": (("%time n = 4",), "n == 4"),
    "a line magic above": (("%matplotlib inline\n%load_ext autoreload\nn = 4",), "n == 4"),
    "globals": (("globals()['n'] = 4",), "n == 4"),
    "globals, updated": (("globals().update(n=4, m=5)",), "n + m == 9"),
    "globals in a function": (("def make(name):\n    globals()[name] = 4", "make('n')"), "n == 4"),
    "exec": (("exec('n = 4')",), "n == 4"),
    "exec of a text from elsewhere": (("text = 'n = 4'", "exec(text)"), "n == 4"),
    "exec in a loop": (("for i in range(3):\n    exec(f'n{i} = {i}')",), "n0 + n1 + n2 == 3"),
    "a star import of one's own course": (("from mmcourse.attention import *",), "callable(split_heads)"),
    "a list filled by a function": (("rows = []", "def fill(n):\n    rows.append(n)", "fill(4)"), "rows == [4]"),
    "a global of a function": (("n = 1", "def more():\n    global n\n    n += 3", "more()"), "n == 4"),
    "a global made by a function": (("def make():\n    global n\n    n = 4", "make()"), "n == 4"),
    "setattr": (("class Rows: pass", "setattr(Rows, 'first', 4)"), "Rows.first == 4"),
    "setdefault in a loop": (
        ("rows = {}", "for w in 'aab':\n    rows.setdefault(w, []).append(1)"),
        "len(rows['a']) == 2",
    ),
    "a default dictionary": (
        ("from collections import defaultdict\nrows = defaultdict(int)", "for w in 'aab':\n    rows[w] += 1"),
        "rows['a'] == 2",
    ),
}


@pytest.mark.parametrize(("own", "true"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_an_answer_uses_is_as_the_cells_above_left_it(verdict, own, true):
    found = verdict(f"def build_causal_mask(length):\n    assert {true}\n    return {MASK}", own=own)
    assert (found.status, found.points) == ("done", 1), found


def test_part_of_the_checks_gives_part_of_the_points(verdict):
    right = "scores = q @ k.mT / q.shape[-1] ** 0.5\n    w = scores.masked_fill(~mask, -1e9).softmax(-1)\n"
    found = verdict(f"def masked_attention(q, k, v, mask):\n    {right}    return w @ v", "01-masked-attention")
    assert (found.status, found.passed, found.points) == ("wrong", 2, 2)
    assert "blocked weights to 0" in found.mistake


def test_a_table_of_the_examples_is_not_enough(verdict):
    text = "TABLE = {n: torch.tensor([[j <= i for j in range(n)] for i in range(n)]) for n in (1, 4, 7)}\n"
    found = verdict(f"import torch\n{text}def build_causal_mask(length):\n    return TABLE[length]")
    assert (found.points, found.hidden) == (0, (0, 1)), found
    assert all(ok for _, ok, _ in found.cases)


def test_checks_before_a_loop_count(verdict):
    found = verdict(f"def build_causal_mask(length):\n    while length == 7: pass\n    return {MASK}")
    assert (found.status, found.passed, found.limit) == ("stopped", 1, "time")
    assert re.search(r"within (2|8) seconds", found.message)  # 8 where the machine had other work


def test_an_error_is_told_with_the_learners_line(verdict):
    found = verdict("def build_causal_mask(length):\n    print('before')\n    return torch.ones(length).foo()")
    assert found.status == "error"
    assert found.message.startswith("AttributeError: 'Tensor' object has no attribute 'foo'")
    assert "line 3: `return torch.ones(length).foo()`" in found.message
    assert found.output.startswith("before")


def test_values_and_blanks(verdict):
    assert verdict("parameters = (\n    4 * 512 * 513\n)", "01-parameter-count").points == 1
    assert verdict("parameters = 4 * 512 * 512", "01-parameter-count").mistake
    assert verdict("parameters = (\n    ...  # YOUR ANSWER HERE\n)", "01-parameter-count").status == "unwritten"
    blank = 'def build_causal_mask(length):\n    """True."""\n    # YOUR CODE HERE\n    raise NotImplementedError'
    assert verdict(blank).status == "unwritten"


def test_the_ready_made_function_is_noticed_under_any_name(verdict):
    ways = (
        "F.scaled_dot_product_attention(q, k, v)",
        "getattr(F, 'scaled_dot' + '_product_attention')(q, k, v)",
        "torch._C._nn.scaled_dot_product_attention(q, k, v)",
        "getattr(torch.ops.aten, 'scaled_dot' + '_product_attention')(q, k, v)",
        "torch.nn.functional.__dict__['scaled_dot_' + 'product_attention'](q, k, v)",
        "__import__('mmcourse.attention').attention.attention(q, k, v).output",
    )
    for way in ways:
        found = verdict(f"def scaled_attention(q, k, v):\n    return {way}", "01-scaled-attention")
        assert (found.status, found.points) == ("forbidden", 0), way
        assert "ready-made" in found.tampering[0]


# --- every exercise and every known mistake, over the border


@pytest.fixture
def beyond():
    """`beyond(answer)` puts an answer behind a socket, with a thread in the place of a process."""
    open_links = []

    def put(answer):
        ours, theirs = socket.socketpair()
        worker = Worker(theirs)
        worker.before = tamper.libraries()
        worker.kept.append(answer)
        thread = threading.Thread(target=worker.run, daemon=True)
        thread.start()
        reading, writing = socket.socketpair()
        link = Link(ours, reading.detach(), seconds=60, most_output=1 << 20)
        open_links.append((link, ours, writing, thread, theirs))
        return link.stand_in(0, "answer") if callable(answer) else answer

    yield put
    for link, ours, writing, thread, theirs in open_links:
        ours.close()
        thread.join(10)
        for one in (writing, theirs, socket.socket(fileno=link.output)):
            one.close()


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_an_answer_over_the_border_gets_the_same_verdict(exercise, beyond):
    """The reference is right, and every known mistake is wrong in the same way as beside the checks."""
    fresh = with_inputs(exercise, "another draw")
    fresh = dataclasses.replace(fresh, cases=fresh.cases[::DRAWS], mistakes=())
    for answer in (exercise.reference, *(mistake.answer for mistake in exercise.mistakes)):
        here, there = grade(fresh, answer), grade(fresh, beyond(answer))
        assert (there.status, there.points) == (here.status, here.points)
        assert [case[:2] for case in there.cases] == [case[:2] for case in here.cases]
        if here.status == "wrong":  # of an error the wording has another line
            assert there.cases == here.cases


def test_a_mistake_is_named_over_the_border(beyond):
    exercise = find("01-causal-mask")
    fresh = with_inputs(exercise, "another draw")
    for mistake in exercise.mistakes:
        assert grade(fresh, beyond(mistake.answer)).message == mistake.message


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_the_verdict_does_not_hang_on_the_draw(exercise):
    """A right answer is right on any inputs, and a known mistake never gets full marks."""
    fresh = dataclasses.replace(with_inputs(exercise, "one more draw"), mistakes=())
    assert grade(fresh, exercise.reference).status == "done"
    assert not [mistake.message for mistake in exercise.mistakes if grade(fresh, mistake.answer).status == "done"]


def test_every_exercise_is_graded_from_the_solved_notebooks(the_judge):
    """What the chapters solve is done, each with full marks, and nothing about it is suspicious."""
    seen = set()
    for path in chapter_paths():
        course = submission.course_chapter(path.stem[:2])
        solved = content_dir("chapters") / "solutions" / path.name
        cells, remarks, digest = submission.read(collection.Submission(student="", name="", path=solved))
        assert not remarks
        for work in submission.collect(cells, course):
            found = the_judge.grade(work, course, digest)
            assert (found.status, found.points) == ("done", find(work.exercise).points), found
            assert (found.tampering, found.remarks, found.output) == ((), (), ""), found
            seen.add(work.exercise)
    chapters = {path.stem[:2] for path in chapter_paths()}
    assert seen == {exercise.id for exercise in EXERCISES if exercise.chapter in chapters}


# --- cells under the id of another exercise

ATTEND = "def attend_one(q, k, v):\n    return (k @ q).softmax(-1) @ v"
SCALED = "def scaled_attention(q, k, v):\n    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v"
STUB = "def {0}(q, k, v):\n    # YOUR CODE HERE\n    raise NotImplementedError"
FIRST, SECOND = "01-attend-one", "01-scaled-attention"


def works(*cells):
    """What a submission with these cells, each an id and its text, has for the first two exercises of chapter 01."""
    course = submission.course_chapter("01")
    start = submission.Cell(kind="code", id=course.code[0].id, text=course.code[0].text)
    own = [submission.Cell(kind="code", id=name, text=text) for name, text in cells]
    found = {work.exercise: work for work in submission.collect([start, *own], course)}
    return course, found[FIRST], found[SECOND]


EXCHANGED = {
    "both": ([(FIRST, SCALED), (SECOND, ATTEND)], (1, 2)),
    "only the dearer one is written": ([(FIRST, SCALED), (SECOND, STUB.format("attend_one"))], (0, 2)),
    "only the cheaper one is written": ([(FIRST, STUB.format("scaled_attention")), (SECOND, ATTEND)], (1, 0)),
    "the dearer one twice": ([(FIRST, SCALED), (SECOND, SCALED)], (0, 2)),
    "the cheaper one twice": ([(FIRST, ATTEND), (SECOND, ATTEND)], (1, 0)),
    "the cheaper one under both ids, below": ([(FIRST, ATTEND), (SECOND, SCALED), (SECOND, ATTEND)], (1, 2)),
    "a blank cell of its own": ([(FIRST, SCALED), (SECOND, STUB.format("scaled_attention"))], (0, 2)),
    "an answer under another name": ([(FIRST, ATTEND), (SECOND, SCALED.replace("scaled", "my"))], (1, 2)),
}


@pytest.mark.parametrize(("cells", "points"), EXCHANGED.values(), ids=EXCHANGED)
def test_exchanged_ids_gain_nothing_and_lose_nothing(the_judge, cells, points):
    course, first, second = works(*cells)
    assert tuple(the_judge.grade(work, course, "x").points for work in (first, second)) == points
    remarks = " ".join((*first.remarks, *second.remarks))
    strange = any(f"def {name}" in text for (own, text) in cells for name in NAMES if NAMES[name] != own)
    assert strange == ("which is the answer of" in remarks or "exchanged" in remarks), remarks


NAMES = {"attend_one": FIRST, "scaled_attention": SECOND}


@pytest.mark.parametrize("chapter", sorted({exercise.chapter for exercise in EXERCISES}))
def test_the_answer_of_one_exercise_earns_nothing_as_another(chapter):
    """Which checks an answer meets hangs on the exercise alone, so a dear answer in a cheap cell is a wrong one."""
    here = [exercise for exercise in EXERCISES if exercise.chapter == chapter]
    for exercise in here:
        fresh = dataclasses.replace(with_inputs(exercise, "exchanged", exercise.fresh), mistakes=())
        for other in here:
            points = grade(fresh, other.reference).points
            assert points == (exercise.points if other is exercise else 0), (exercise.id, other.id)


def test_other_inputs_for_another_salt():
    exercise = find("01-attend-one")
    draws = [with_inputs(exercise, salt).cases[0] for salt in ("one", "one", "two")]
    import torch

    first, same, other = (case.inputs(torch.Generator().manual_seed(3))[0] for case in draws)
    assert first.equal(same)
    assert not first.equal(other)
    assert dataclasses.replace(exercise).cases[0].name == draws[0].name
