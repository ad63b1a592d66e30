"""`mmcourse release`: what is handed out, and when nothing is."""

import nbformat
import pytest

from mmcourse.course import cli
from mmcourse.course.errors import CourseError
from mmcourse.course.teacher.release import release


def test_the_blank_notebooks_without_hidden_cells_and_the_glossary(course, exercises, tmp_path):
    written = release(tmp_path / "out", chapters_dir=course, exercises=exercises)
    assert [path.name for path in written] == ["01_tiny.ipynb", "glossary.md"]
    cells = {cell.id: cell for cell in nbformat.read(written[0], as_version=4).cells}
    assert "01-unseen" not in cells
    assert {"01-double", "01-double-check", "01-why"} <= set(cells)
    assert "secret" not in written[0].read_text("utf-8")
    assert cells["01-double"].source == "def double(number):\n    # YOUR CODE HERE\n    raise NotImplementedError"


def test_a_second_time_nothing_changes_and_a_changed_file_is_kept(course, exercises, tmp_path):
    release(tmp_path / "out", chapters_dir=course, exercises=exercises)
    assert release(tmp_path / "out", chapters_dir=course, exercises=exercises) == []
    path = tmp_path / "out" / "01_tiny.ipynb"
    path.write_text("mine")
    (tmp_path / "out" / "glossary.md").unlink()
    with pytest.raises(CourseError, match=r"01_tiny\.ipynb is there already and differs"):
        release(tmp_path / "out", chapters_dir=course, exercises=exercises)
    assert path.read_text() == "mine"
    assert not (tmp_path / "out" / "glossary.md").exists()


def test_a_leak_stops_it_before_anything_is_written(course, exercises, tmp_path, blank):
    blank.cells[0].source += "\n\nHint: `return secret_of_doubling`"
    nbformat.write(blank, course / "01_tiny.ipynb")
    with pytest.raises(CourseError, match=r"a solution would be handed out: 01_tiny\.ipynb, cell .*01-double"):
        release(tmp_path / "out", chapters_dir=course, exercises=exercises)
    assert not (tmp_path / "out").exists()


def test_a_line_of_the_hidden_checks_stops_it(course, exercises, tmp_path):
    hidden = tmp_path / "mine.py"
    hidden.write_text('CASES = {}\ncheck("01-double", double)\n')  # the chapter tells the second line itself
    assert release(tmp_path / "out", hidden=hidden, chapters_dir=course, exercises=exercises)
    (course / "glossary.md").write_text("# Glossary\n\n    CASES = {}\n")
    with pytest.raises(CourseError, match=r"glossary\.md, its text: holds a line of the hidden checks"):
        release(tmp_path / "more", hidden=hidden, chapters_dir=course, exercises=exercises)


@pytest.mark.parametrize("change", ["missing", "changed"])
def test_a_chapter_that_is_not_built_is_not_handed_out(course, exercises, tmp_path, change):
    if change == "missing":
        (course / "01_tiny.ipynb").unlink()
    else:
        with (course / "source" / "01_tiny.py").open("a") as file:
            file.write("# And more.\n")
    with pytest.raises(CourseError, match="run `mmcourse build 01`"):
        release(tmp_path / "out", chapters_dir=course, exercises=exercises)


def test_the_command_writes_one_real_chapter(tmp_path, capsys):
    assert cli.main(["release", str(tmp_path / "out"), "--chapters", "00"]) == 0
    assert "00_start_here.ipynb" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00_start_here.ipynb", "glossary.md"]


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert cli.main(["release", str(tmp_path / "out"), "--chapters", "77"]) == 2
    assert "there is no chapter '77'" in capsys.readouterr().err
