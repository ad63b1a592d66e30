"""The test of the data names every kind of broken data, and nothing else."""

import csv

import pytest
import torch
from PIL import Image

from mmcourse.course.projects import checking
from mmcourse.course.projects.checking import check_data
from mmcourse.datasets import read_image

COLUMNS = ("file_name", "text", "label", "group")


def picture(path, seed, size=(40, 30)):
    pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(seed))
    Image.fromarray(pixels.to(torch.uint8).numpy()).save(path)


@pytest.fixture
def folder(tmp_path):
    """A sound folder: 24 pictures, two labels, six groups; returns its path and its rows."""
    rows = []
    for number in range(24):
        picture(tmp_path / f"{number}.png", number)
        row = (f"{number}.png", f"picture {number}", "even" if number % 2 == 0 else "odd", f"g{number // 4}")
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    write(tmp_path, rows)
    return tmp_path, rows


def write(path, rows, columns=COLUMNS):
    with (path / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


@pytest.mark.parametrize("kind", ["classify", "find"])
def test_a_sound_folder_has_no_problem(folder, kind):
    assert check_data(folder[0], kind=kind) == []


def cut_off(path, rows):
    (path / "3.png").write_bytes((path / "3.png").read_bytes()[:200])


def tiny(path, rows):
    picture(path / "3.png", 3, size=(40, 9))


def no_text(path, rows):
    rows[3]["text"] = " "


def no_file(path, rows):
    (path / "3.png").unlink()


def stranger(path, rows):
    picture(path / "new.png", 99)


def same_line(path, rows):
    rows.append(dict(rows[3]))


def two_labels(path, rows):
    rows.append({**rows[3], "text": "another text", "label": "even"})


def copied_over(path, rows):
    (path / "20.png").write_bytes((path / "2.png").read_bytes())


def copied_inside(path, rows):
    (path / "2.png").write_bytes((path / "0.png").read_bytes())


def copied_with_another_label(path, rows):
    (path / "1.png").write_bytes((path / "0.png").read_bytes())


def rare(path, rows):
    rows[3]["label"] = "strange"


def one_label(path, rows):
    for row in rows:
        row["label"] = "odd"


def no_label(path, rows):
    rows[3]["label"] = ""


def two_groups(path, rows):
    for number, row in enumerate(rows):
        row["group"] = f"g{number % 2}"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (cut_off, "3.png cannot be read: "),
        (tiny, "3.png is 40 × 9 pixels; the least is 16 on each side"),
        (no_text, "metadata.csv line 5 needs 'text' with some text, got ' '"),
        (no_file, "metadata.csv line 5 names the picture '3.png', which is missing; add it or remove the line"),
        (stranger, "new.png has no line in the table; add one or remove the picture"),
        (same_line, "3.png has two lines with the same text; remove one"),
        (two_labels, "3.png has two labels, 'odd' and 'even'; keep the right one"),
        (copied_over, "20.png shows the same picture as 2.png, and may stand in training and in the test, as their"),
        (copied_inside, "2.png shows the same picture as 0.png; keep one of them"),
        (copied_with_another_label, "1.png and 0.png show the same under the labels 'odd' and 'even'; keep the right"),
        (rare, "the label 'strange' has 1 pictures (3.png), needed are 6"),
        (one_label, "all pictures have the label 'odd', so there is nothing to tell apart; add a second label"),
        (no_label, "3.png need a label in the column 'label'"),
        (two_groups, "the column 'group' has 2 groups, needed are 5 to split them"),
    ],
)
def test_broken_data_is_named(folder, spoil, sentence):
    path, rows = folder
    spoil(path, rows)
    write(path, rows)
    problems = check_data(path)
    assert [problem for problem in problems if problem.startswith(sentence)], problems
    assert all("\n" not in problem for problem in problems)
    assert len(problems) <= 2


def test_several_problems_are_named_together(folder):
    path, rows = folder
    for spoil in (cut_off, stranger, rare):
        spoil(path, rows)
    rows[5]["label"] = "strange"
    write(path, rows)
    assert len(check_data(path)) == 3


def test_a_folder_without_labels_is_none_to_classify(folder):
    path, rows = folder
    write(path, rows, ("file_name", "text"))
    (problem,) = check_data(path)
    assert problem == "0.png, 1.png, 2.png and 21 more need a label in the column 'label'"
    assert check_data(path, kind="find") == []


def test_equal_texts_are_nothing_to_find(folder):
    path, rows = folder
    for row in rows:
        row["text"] = "a picture"
    write(path, rows)
    assert check_data(path, kind="find") == [
        "all texts are 'a picture', which tells no picture from another; give each its own"
    ]
    assert check_data(path) == []


def test_few_pictures_are_too_few(folder):
    path, rows = folder
    write(path, rows[:12])
    for number in range(12, 24):
        (path / f"{number}.png").unlink()
    assert any(problem.endswith("holds 12 pictures, needed are 20") for problem in check_data(path, kind="find"))


def test_no_folder_at_all(tmp_path):
    (problem,) = check_data(tmp_path / "nowhere")
    assert "is no folder" in problem


def test_an_unknown_kind(folder):
    with pytest.raises(ValueError, match="kind must be 'classify' or 'find', got 'guess'"):
        check_data(folder[0], kind="guess")


def test_what_a_picture_shows_counts_and_not_its_file(tmp_path):
    pixels = torch.zeros(20, 10, 3, dtype=torch.uint8)
    for name in ("a.png", "b.bmp"):
        Image.fromarray(pixels.numpy()).save(tmp_path / name)
    Image.fromarray(pixels.permute(1, 0, 2).contiguous().numpy()).save(tmp_path / "turned.png")
    digests = [checking.pixels_of(read_image(tmp_path / name)) for name in ("a.png", "b.bmp", "turned.png")]
    assert digests[0] == digests[1] != digests[2]
