"""Every project is written, runs on its own pictures and on somebody else's, and overwrites nothing."""

import csv
import os
import subprocess
import sys

import nbformat
import pytest
import torch
from PIL import Image

from mmcourse.course import cli
from mmcourse.course.errors import CourseError
from mmcourse.course.projects import drawing, learning, writing
from mmcourse.course.projects.checking import check_data
from mmcourse.course.projects.project import NEEDS
from mmcourse.course.projects.topics import PROJECTS
from mmcourse.course.projects.writing import notebook_of, worked_out, write_project
from mmcourse.datasets import ImageFolder
from mmcourse.datasets.glyphs import glyph_table

SMALL = 48  # pictures: a third of what a learner gets


def run(notebook, folder, monkeypatch, change=lambda text: text):
    """The code cells one after the other, in this process and in the folder; returns what they leave behind."""
    monkeypatch.chdir(folder)
    names = {"__name__": "__main__"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(compile(change(cell.source), cell.id, "exec"), names)
    return names


@pytest.fixture
def quick(monkeypatch):
    """The smoke budget, and in place of the frozen network the colors of a coarse picture: a hundred times quicker."""

    def colors(images, name):
        small = torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 36).flatten(1)
        return small[:, :3888]

    monkeypatch.setenv("MMCOURSE_BUDGET", "smoke")
    monkeypatch.setattr(learning, "picture_features", colors)


def test_there_are_eleven_and_each_says_all_that_it_should():
    known = {row["name"] for row in glyph_table()}
    assert len(PROJECTS) == 11
    for name, project in PROJECTS.items():
        assert name == project.name
        assert tuple(sorted(project.needs)) == tuple(sorted(NEEDS))
        assert all(
            any(letter.isdigit() for letter in need.source)
            for need in project.needs.values()
            if "WCAG" not in need.source
        )
        assert {*project.around, *(thing for look in project.looks for thing in look.things)} <= known
        labels = {look.label for look in project.looks}
        assert {label for pair in project.prices for label in pair} <= labels
        assert len(labels) >= 2 or project.kind == "find"
    assert len(worked_out()) >= 3


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_is_written_and_runs(name, tmp_path, monkeypatch, quick, capsys):
    folder = write_project(name, tmp_path / "mine", count=SMALL, quiet=True, solved=name in worked_out())
    assert sorted(path.name for path in folder.iterdir()) == ["RUBRIC.md", "data", "project.ipynb", "test_data.py"]
    assert check_data(folder / "data", kind=PROJECTS[name].kind) == []
    assert len(ImageFolder(folder / "data", quiet=True)) == SMALL
    left = run(nbformat.read(folder / "project.ipynb", 4), folder, monkeypatch)
    assert all(0 <= value < 1000 for value in left["FIGURES"].values())
    card = (folder / "MODEL_CARD.md").read_text()
    assert PROJECTS[name].dear in card
    assert all(figure in card for figure in left["FIGURES"])
    assert "$" not in (folder / "RUBRIC.md").read_text()


def write_another(folder, labels):
    """Somebody else's folder: other labels, sizes and formats, several texts, no groups."""
    (folder / "deep").mkdir(parents=True)
    rows = []
    for number in range(30):
        label = labels[number % len(labels)]
        pixels = torch.randint(
            0, 256, (20 + number, 50 - number // 2, 3), generator=torch.Generator().manual_seed(number)
        )
        file = f"deep/{number}.{'png' if number % 2 else 'bmp'}"
        Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / file)
        rows += [
            {"file_name": file, "text": f"thing {number}, said {word}", "label": label} for word in ("so", "again")
        ]
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, ["file_name", "text", "label"])
        table.writeheader()
        table.writerows(rows)


@pytest.mark.parametrize("name", ["medicine", "shops", "search"])
@pytest.mark.parametrize("labels", [("tall", "short", "wide"), ("1", "2")], ids=["words", "numbers"])
def test_it_runs_on_another_folder(name, labels, tmp_path, monkeypatch, quick, capsys):
    write_another(tmp_path / "theirs", labels)
    notebook = notebook_of(PROJECTS[name])
    left = run(notebook, tmp_path, monkeypatch, lambda text: text.replace('FOLDER = "data"', 'FOLDER = "theirs"'))
    assert left["problems"] == []
    assert len(left["data"].images) == 30
    assert left["data"].labels == tuple(sorted(labels))
    zero_shot = "accuracy, zero-shot" in left["FIGURES"]
    assert zero_shot == (name != "search" and "1" not in labels)
    assert ("no words that clip could read" in capsys.readouterr().out) == (name != "search" and "1" in labels)


def test_the_notebook_of_every_project_differs_only_where_the_kind_does():
    """Code that is the same but for prices and words: one template, and none of the eleven has code of its own."""

    def code(project):
        cells = [cell.source for cell in notebook_of(project).cells if cell.cell_type == "code"]
        return [cell for cell in cells if "WORDS =" not in cell and "PRICES =" not in cell and project.name not in cell]

    for kind in ("classify", "find"):
        assert (
            len(
                {
                    "\n".join(code(project))
                    .replace(project.question, "")
                    .replace(project.dear, "")
                    .split("ASK_COSTS =")[0]
                    for project in PROJECTS.values()
                    if project.kind == kind
                }
            )
            == 1
        )


def test_every_figure_has_a_text_alternative():
    for project in PROJECTS.values():
        text = "\n".join(cell.source for cell in notebook_of(project).cells if cell.cell_type == "code")
        assert text.count("viz.show(") == text.count("alt=") > 3


def test_pictures_are_the_same_every_time_and_units_share_their_ground():
    first, again = ([*drawing.draw_project(PROJECTS["medicine"], 8)] for _ in range(2))
    assert all(torch.equal(a.image, b.image) and a[1:] == b[1:] for a, b in zip(first, again, strict=True))
    grounds = [each.image[:, :2].float().mean((1, 2)) for each in first]
    assert [each.group for each in first] == ["patient 1"] * 4 + ["patient 2"] * 4
    within = max((grounds[0] - each).abs().max() for each in grounds[1:4])
    assert within < 3 < (grounds[0] - grounds[4]).abs().max()
    with pytest.raises(ValueError, match="count must be at least 8, got 7"):
        [*drawing.draw_project(PROJECTS["medicine"], 7)]


def test_how_many_things_there_are_gives_no_label_away():
    project = PROJECTS["security"]
    cells = {look.label: set() for look in project.looks}
    laid = []
    original = drawing._lay
    try:
        drawing._lay = lambda *given: laid.append(given) or original(*given)
        for picture in drawing.draw_project(project, 120):
            cells[picture.label].add(len(laid))
            laid.clear()
    finally:
        drawing._lay = original
    assert cells["pass"] == cells["open"]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CourseError, match="is there already and not empty, and nothing is overwritten; name another"):
        write_project("medicine", tmp_path, count=SMALL, quiet=True)
    with pytest.raises(CourseError, match="nothing is overwritten"):
        write_project("medicine", tmp_path / "mine.txt", count=SMALL, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_that_is_stopped_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_pictures", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_project("medicine", tmp_path / "mine", quiet=True)
    assert not [*tmp_path.iterdir()]


def test_the_command_lists_and_writes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(writing.write_project, "__kwdefaults__", {"count": SMALL, "solved": False, "quiet": False})
    assert cli.main(["project"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name} " in said for name in PROJECTS)
    assert said.count("--solved") == len(worked_out())
    assert cli.main(["project", "games"]) == 0
    assert "wrote games; open games" in capsys.readouterr().out
    assert (tmp_path / "games" / "project.ipynb").is_file()
    assert cli.main(["project", "games"]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert cli.main(["project", "chess"]) == 2
    assert (
        capsys.readouterr().err == f"mmcourse: there is no project 'chess'; the projects are: {', '.join(PROJECTS)}\n"
    )
    assert cli.main(["project", "games", "elsewhere", "--solved"]) == 2
    assert f"games is not worked out; these are: {', '.join(worked_out())}" in capsys.readouterr().err


def test_the_test_that_is_written_fails_on_broken_data(tmp_path):
    folder = write_project("games", tmp_path / "games", count=SMALL, quiet=True)
    (folder / "data" / "001.png").write_bytes((folder / "data" / "000.png").read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_data.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 1
    assert "001.png shows the same picture as 000.png" in done.stdout
