"""A class that makes every known mistake: the grader names each of them, and the report counts them.

A known mistake is an object; a submission is text. The text is what stands behind `answer=` in the exercise's module,
with the functions and imports of that module which it uses, in a function of its own, so that the answer may have the
name of one of them: `attention = mistaken()`. The first student makes the first mistake of every exercise, and so on.
"""

from __future__ import annotations

import ast
import csv
import io
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

from mmcourse.content import content_dir
from mmcourse.course import exercises
from mmcourse.course.author.build import registry
from mmcourse.course.author.source import chapter_sources
from mmcourse.course.grading import grade_submissions
from mmcourse.course.grading.answer import extract, tamper
from mmcourse.course.grading.submission import course_chapter
from mmcourse.course.teacher.report import MOST_MISTAKES, examine, lines, mistakes, read_grades

ROOM = Path(exercises.__file__).parent
CHAPTERS = [path.stem for path in chapter_sources(content_dir("chapters"))]
LATER = [pytest.param(name, marks=pytest.mark.exhaustive) for name in CHAPTERS if name != "01_attention"]
COPIES = 2  # further students who make the first mistakes


class Text(NamedTuple):
    """What an exercise's module says of a mistake: the expression of its answer, and where it stands."""

    module: str
    answer: ast.expr


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOM / f"{module}.py").read_text(encoding="utf-8"))


def texts(exercise_id: str) -> list[Text]:
    """The known mistakes of an exercise in their order, as its module has them."""
    module = f"ch{exercise_id[:2]}/{exercise_id[3:].replace('-', '_')}"
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EXERCISE":
            calls = next(keyword.value for keyword in node.value.keywords if keyword.arg == "mistakes").elts
            return [Text(module, {part.arg: part.value for part in one.keywords}["answer"]) for one in calls]
    raise LookupError(f"{module} holds no exercise")


def helpers(module: str, names: set[str]) -> list[ast.stmt]:
    """The statements of the module, and of its neighbors, that these names need, in the order in which they run."""
    chosen: dict[str, set[int]] = {}
    waiting = [(module, name) for name in names]
    seen = set()
    while waiting:
        place, name = waiting.pop()
        if (place, name) in seen:
            continue
        seen.add((place, name))
        for number, statement in enumerate(tree(place).body):
            if name not in set(extract.bound(statement)):
                continue
            if isinstance(statement, ast.ImportFrom) and statement.module.startswith(exercises.__name__ + "."):
                waiting.append((statement.module[len(exercises.__name__) + 1 :].replace(".", "/"), name))
            else:
                chosen.setdefault(place, set()).add(number)
                waiting += [(place, other) for other in extract.used(statement)]
    found = [tree(place).body[n] for place in sorted(chosen, key=module.__eq__) for n in sorted(chosen[place])]
    bound = Counter(name for one in found if not isinstance(one, ast.ImportFrom) for name in extract.bound(one))
    assert max(bound.values(), default=1) == 1, f"two modules bind one of {sorted(bound)} for {sorted(names)}"
    return found


def as_cell(text: Text, name: str) -> str:
    """The text of a cell whose answer makes the mistake."""
    body = [*helpers(text.module, extract.used(text.answer)), ast.Return(text.answer)]
    function = ast.parse("def mistaken(): ...")
    function.body[0].body = body
    return f"{ast.unparse(ast.fix_missing_locations(function))}\n\n\n{name} = mistaken()"


def hand_in(folder: Path, chapter: str) -> dict[tuple[str, str], str]:
    """Writes the notebooks of the class; returns what each student is to be told about which exercise."""
    known = registry(chapter[:2])
    answers = course_chapter(chapter[:2]).answers
    blank = nbformat.read(content_dir("chapters") / f"{chapter}.ipynb", as_version=4)
    told = {}
    most = max(len(exercise.mistakes) for exercise in known.values())
    for student, number in enumerate([*range(most), *[0] * COPIES]):
        notebook = nbformat.from_dict(blank)
        for exercise, name in answers.items():
            found = texts(exercise)
            assert len(found) == len(known[exercise].mistakes) > 0
            if number < len(found):
                next(cell for cell in notebook.cells if cell.id == exercise).source = as_cell(found[number], name)
                told[f"student-{student:02d}", exercise] = " ".join(known[exercise].mistakes[number].message.split())
        place = folder / f"student-{student:02d}"
        place.mkdir(parents=True)
        nbformat.write(notebook, place / f"{chapter}.ipynb")
    return told


@pytest.mark.slow
@pytest.mark.parametrize("chapter", ["01_attention", *LATER])
def test_every_known_mistake_is_named(chapter, tmp_path):
    told = hand_in(tmp_path / "class", chapter)
    assert Counter(exercise for _, exercise in told) == {
        exercise.id: len(exercise.mistakes) + COPIES for exercise in registry(chapter[:2]).values()
    }
    out = tmp_path / "grades.csv"
    grade_submissions([tmp_path / "class"], out, workers=2)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["student"], row["exercise"]): row["mistake"] for row in rows if row["mistake"]}
    assert found == told
    written = [row for row in rows if (row["student"], row["exercise"]) in told]
    assert [row for row in written if row["points"] == row["max_points"]] == []
    assert {row["status"] for row in rows if row not in written} == {"unwritten"}
    assert {row["tampering"].split(" (")[0] for row in rows} <= {"", tamper.WORDS["ready-made"]}
    check_report(out, Counter((exercise, said) for (_, exercise), said in told.items()))


def check_report(grades: Path, made: Counter[tuple[str, str]]) -> None:
    """The report of these grades counts every mistake as often as it was made and tells the most frequent ones."""
    report = examine(*read_grades(grades))
    table = list(csv.DictReader(io.StringIO(mistakes(report))))
    assert {(row["exercise"], row["mistake"]): int(row["count"]) for row in table} == made
    text = lines(report)
    start = text.index("The most frequent mistakes:") + 1
    shown = text[start : start + MOST_MISTAKES]
    assert [int(line.split()[0]) for line in shown] == sorted(made.values(), reverse=True)[:MOST_MISTAKES]
    assert set(shown) <= {f"{count:>4} × {exercise}: {said}" for (exercise, said), count in made.items()}
