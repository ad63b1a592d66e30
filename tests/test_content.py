import csv
import re
from collections import Counter

import pytest

from mmcourse import content
from mmcourse.course.author.source import chapter_sources, read_chapter


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package folder as a wheel lays it out: the course's files inside it."""
    package = tmp_path / "site-packages" / "mmcourse"
    for name in ("chapters", "data"):
        (package / "_content" / name).mkdir(parents=True)
    monkeypatch.setattr(content, "PACKAGE", package)
    return package


def test_a_clone_has_its_files_beside_the_package():
    assert (content.content_dir("data") / "glyphs.csv").is_file()
    assert content.content_dir("chapters").parent == content.PACKAGE.parent == content.repository()


def test_a_wheel_has_its_files_inside_the_package(installed):
    assert content.content_dir("data") == installed / "_content" / "data"
    assert content.repository() is None


def test_a_foreign_data_folder_beside_the_package_is_not_taken(installed):
    (installed.parent / "data").mkdir()  # some other project's, in site-packages
    assert content.content_dir("data") == installed / "_content" / "data"


def test_an_incomplete_installation_says_so(installed):
    (installed / "_content" / "data").rmdir()
    with pytest.raises(FileNotFoundError, match=r"'data' is missing from .*mmcourse; install mmcourse again"):
        content.content_dir("data")


def test_the_table_of_readers_is_whole_and_its_chapter_still_has_the_place_where_the_world_is_made():
    with (content.content_dir("data") / "readers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seeds = Counter((row["reader"], row["seed"]) for row in rows)
    assert set(seeds.values()) == {1}
    assert {seed for _, seed in seeds} == {"0", "1", "2"}
    assert len(rows) == 3 * len({row["reader"] for row in rows}) == 12
    measured = ("exists", "where", "side", "relation", "new pairs")
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in measured)
    script = (content.content_dir("data") / "make_readers.py").read_text(encoding="utf-8")
    (last,) = re.findall(r'^LAST = "(.*)"', script, re.MULTILINE)
    cells = read_chapter(chapter_sources(content.content_dir("chapters"), "07")[0]).cells
    assert [cell.kind for cell in cells if cell.source.startswith(last)] == ["markdown"]
