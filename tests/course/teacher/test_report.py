"""`mmcourse report`: points, mistakes, telling exercises and the picture of classes small enough to check by hand."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from mmcourse.course import cli
from mmcourse.course.errors import CourseError
from mmcourse.course.exercises import all_exercises
from mmcourse.course.grading.run.report import COLUMNS as GRADES
from mmcourse.course.grading.run.report import rows as grade_rows
from mmcourse.course.teacher.report import (
    Entry,
    correlation,
    examine,
    heat_map,
    lines,
    mistakes,
    read_grades,
    row_names,
    table,
)

HEAD = b"student,file,chapter,exercise,status,points,max_points,mistake,tampering\n"


def entry(student, exercise, points, most=4, status=None, mistake="", tampering=""):
    status = status or ("done" if points == most else "wrong")
    return Entry(student, f"{exercise[:2]}_x", exercise, status, points, most, mistake, tampering)


def many(students):
    """A class in which three exercises go along with strength, `01-odd` goes against it and `01-same` does neither."""
    entries = []
    for number in range(students):
        strength = number * 4 // (students - 1)
        steps = {"telling": strength, "rest": strength, "more": strength, "same": 2, "odd": 4 - strength}
        for name, points in steps.items():
            entries.append(entry(f"student-{number:03d}", f"01-{name}", points))
    return entries


def write_grades(path, entries, damaged=0):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, GRADES, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(one._asdict() for one in entries)
        writer.writerows(
            {"student": "x", "file": f"{number}.ipynb", "status": "damaged", "points": 0} for number in range(damaged)
        )
    return path


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_points_counts_and_mistakes_of_each_exercise():
    entries = [
        entry("a", "01-one", 4),
        entry("b", "01-one", 1, mistake="Wrong axis."),
        entry("c", "01-one", 1, mistake="Wrong axis."),
        entry("d", "01-one", 0, mistake="No mask."),
        entry("a", "00-two", 0, most=2, status="unwritten"),
        entry("b", "00-two", 2, most=2),
    ]
    two, one = examine(entries).items
    assert (two.exercise, two.students, two.mean_points, two.share, two.done, two.not_written) == (
        *("00-two", 2, 1.0, 0.5, 1, 1),
    )
    assert (one.students, one.mean_points, one.share, one.done, one.not_written) == (4, 1.5, 0.375, 1, 0)
    assert one.mistakes == (("Wrong axis.", 2), ("No mask.", 1))
    assert examine(entries).students == ("a", "b", "c", "d")  # 4 of 6, 3 of 6, 1 of 4, 0 of 4


def test_correlation_is_that_of_numpy_and_none_where_it_says_nothing():
    generator = np.random.default_rng(0)
    pairs = generator.normal(size=(12, 2))
    assert correlation(pairs) == pytest.approx(np.corrcoef(pairs.T)[0, 1])
    assert correlation(pairs[:9]) is None
    assert correlation([(1.0, value) for value in range(12)]) is None


def test_exercises_that_separate_strong_from_weak():
    found = {item.exercise: item.discrimination for item in examine(many(30)).items}
    assert found["01-same"] is None
    assert found["01-odd"] == pytest.approx(-1)
    assert found["01-telling"] == found["01-rest"] == found["01-more"] == pytest.approx(1)
    said = "\n".join(lines(examine(many(30))))
    assert "These separate strong from weak best: 01-telling (1.00), 01-rest (1.00), 01-more (1.00)." in said
    assert "so look at the exercise: 01-odd (-1.00)." in said
    assert "from 10 students on" in "\n".join(lines(examine(many(9))))


def test_the_tables_name_every_exercise_and_every_mistake_that_the_course_knows():
    entries = [
        entry(f"{exercise.id} {number}", exercise.id, 0, exercise.points, mistake=" ".join(one.message.split()))
        for exercise in all_exercises()
        for number, one in enumerate(exercise.mistakes)
    ]
    report = examine(entries)
    assert {row["exercise"] for row in read(table(report))} == {exercise.id for exercise in all_exercises()}
    made = {(row["exercise"], row["mistake"]): int(row["count"]) for row in read(mistakes(report))}
    assert sum(made.values()) == len(entries)
    assert {(one.exercise, one.mistake) for one in entries} == set(made)


def test_the_rows_of_the_grader_are_understood(tmp_path):
    verdict = {
        **{"exercise": "01-causal-mask", "status": "wrong", "points": 1, "max_points": 3, "passed": 1, "total": 3},
        **{"cases": [("a", False, "no")], "hidden": (0, 0), "mistake": "=The mask is inverted.", "message": "no"},
        **{"seconds": 0.1, "limit": "", "tampering": ["patched torch"], "remarks": []},
    }
    record = {"student": "李雷", "file": "a.ipynb", "chapter": "01_attention", "problem": "", "remarks": []}
    damaged = {**record, "student": "b", "problem": "the file is damaged", "verdicts": []}
    nothing = {**verdict, "status": "damaged", "points": 0, "mistake": ""}
    unread = {**record, "student": "c", "problem": "the file is no JSON", "verdicts": [nothing, nothing]}
    path = tmp_path / "grades.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [GRADES, *grade_rows({**record, "verdicts": [verdict]}), *grade_rows(damaged), *grade_rows(unread)]
        )
    entries, count = read_grades(path)
    assert entries == [
        Entry("李雷", "01_attention", "01-causal-mask", "wrong", 1, 3, "=The mask is inverted.", "patched torch")
    ]
    assert count == 2
    said = "\n".join(lines(examine(entries, count)))
    assert "Tampering was noticed in 1 answers, by 李雷." in said
    assert "2 files could not be read" in said


def test_the_best_of_several_notebooks_counts(tmp_path):
    path = write_grades(tmp_path / "g.csv", [entry("a", "01-one", points) for points in (1, 3, 2)])
    assert [one.points for one in read_grades(path)[0]] == [3]


@pytest.mark.parametrize(("students", "named"), [(40, True), (41, False)])
def test_students_are_named_up_to_forty(students, named):
    entries = many(students)
    entries[0] = entries[0]._replace(tampering="patched torch")
    report = examine(entries)
    names = row_names(report.students)
    assert (len(names) == students) is named
    assert ("student-000" in "\n".join([*lines(report), *names])) is named
    assert "student-" not in table(report) + mistakes(report)


def test_names_that_not_every_machine_draws_are_numbered():
    assert row_names(["Ana", "李雷"]) == ["Ana", "student 2"]


@pytest.fixture
def drawn(monkeypatch):
    """What the last picture shows; it is drawn all the same."""
    from mmcourse import viz

    seen, heat = {}, viz.heat

    def draw(shares, **options):
        seen.update(shares=shares, **options)
        return heat(shares, **options)

    monkeypatch.setattr(viz, "heat", draw)
    return seen


@pytest.mark.parametrize(("students", "rows"), [(3, 3), (40, 40), (300, 10)])
def test_the_picture_of_a_class(students, rows, drawn):
    content = heat_map(examine(many(students)))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG"
        assert 300 < picture.width <= 1300
    assert drawn["shares"].shape == (rows, 5)
    assert drawn["columns"] == ["01-telling", "01-rest", "01-more", "01-same", "01-odd"]
    first, last = drawn["shares"][0], drawn["shares"][-1]
    assert first[0] > 0.7
    assert first[4] < 0.3
    assert last[0] == 0
    assert last[4] == 1


def test_many_exercises_are_drawn_by_chapter_and_what_is_not_handed_in_is_gray(drawn):
    entries = [entry("a", f"{chapter}-e{number}", 2) for chapter in ("00", "01") for number in range(6)]
    heat_map(examine([*entries, entry("b", "01-e0", 4)]))
    assert drawn["columns"] == ["00_x", "01_x"]
    assert drawn["rows"] == ["b", "a"]
    assert drawn["shares"].tolist() == [[-np.inf, 1.0], [0.5, 0.5]]
    assert "gray" in drawn["title"]


def test_the_command(tmp_path, capsys):
    grades = write_grades(tmp_path / "grades.csv", many(12), damaged=2)
    assert cli.main(["report", str(grades), "--out", str(tmp_path / "out")]) == 0
    assert "01-telling" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "grades-mistakes.csv",
        "grades-report.csv",
        "grades-report.png",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no column 'student'"),
        (b"student,points\na,1\n", "has no column 'file'"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
        (
            HEAD + b"a,f,01,01-x,done,1.5,2,,\n",
            "line 2",
        ),
        (
            HEAD + b"a,f,01,,damaged,0,,,\n",
            "no graded",
        ),
    ],
)
def test_what_is_no_table_of_grades_gets_one_sentence(tmp_path, content, words):
    (tmp_path / "grades.csv").write_bytes(content)
    with pytest.raises(CourseError, match=words):
        read_grades(tmp_path / "grades.csv")
