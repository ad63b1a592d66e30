"""Every exercise of every chapter can be graded apart: the solved notebook earns all points, the blank one none."""

from __future__ import annotations

import csv
import shutil

import pytest

from mmcourse.content import content_dir
from mmcourse.course.author.build import registry
from mmcourse.course.author.source import chapter_sources
from mmcourse.course.grading import grade_submissions

CHAPTERS = [path.stem for path in chapter_sources(content_dir("chapters"))]
LATER = [pytest.param(name, marks=pytest.mark.exhaustive) for name in CHAPTERS if name != "01_attention"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["01_attention", *LATER])
def test_solved_earns_every_point_and_blank_none(name, tmp_path):
    for student, folder in (("solved", "solutions"), ("blank", ".")):
        (tmp_path / "class" / student).mkdir(parents=True)
        shutil.copy(content_dir("chapters") / folder / f"{name}.ipynb", tmp_path / "class" / student)
    out = tmp_path / "grades.csv"
    grade_submissions([tmp_path / "class"], out, workers=2)
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["student"], row["exercise"]): (row["points"], row["max_points"], row["status"]) for row in rows}
    every = {exercise.id: str(exercise.points) for exercise in registry(name[:2]).values()}
    solved = {("solved", exercise): (points, points, "done") for exercise, points in every.items()}
    blank = {("blank", exercise): ("0", points, "unwritten") for exercise, points in every.items()}
    assert found == solved | blank
    assert [row["tampering"] for row in rows] == [""] * len(rows)
