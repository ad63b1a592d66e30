"""Which chapter needs which: what the heads say, what the map in chapter 00 shows, and where it draws them."""

import doctest
import itertools
import re
import sys

import nbformat
import pytest

from mmcourse.content import content_dir
from mmcourse.course.author.needs import needed, places, read_heads, without_detours
from mmcourse.course.errors import CourseError

SKIPPING = {"00": (), "01": ("00",), "02": ("00", "01"), "03": ("00",), "04": ("00", "02", "03"), "05": ("01", "04")}


def upstream(needs):
    """Of each chapter all that lies before it, found by adding steps until nothing is new."""
    every = {number: set(direct) for number, direct in needs.items()}
    for _ in every:
        every = {number: direct.union(*(every[one] for one in direct)) for number, direct in every.items()}
    return every


def shown():
    """The needs that the stored map of chapter 00 tells in its text alternative."""
    (path,) = (content_dir("chapters") / "solutions").glob("00_*.ipynb")
    cells = [cell for cell in nbformat.read(path, 4).cells if "read_heads()" in cell.source]
    (alt,) = (output.data["text/plain"] for cell in cells for output in cell.outputs)
    return {number: tuple(before.split(" and ")) for number, before in re.findall(r"(\d\d) needs ([\d and]*\d)", alt)}


def test_the_docstrings():
    assert doctest.testmod(sys.modules["mmcourse.course.author.needs"]) == (0, 3)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("**You need** chapter 01's softmax.", ("01",)),
        ("**You need** chapters 02 and\n04. **Time**: 65 minutes.", ("02", "04")),
        ("**You need** section 3 of chapter 00.\n\n05", ("00",)),
        ("**You need** chapter 01's block. Chapter 03 helps.", ("01",)),
        ("**You need** chapter 08, and this one, 09.", ("08",)),
        ("Nothing.", ()),
    ],
)
def test_what_a_chapter_needs(text, numbers):
    assert needed(text, "09") == numbers


def test_every_chapter_but_the_first_needs_another():
    heads = read_heads()
    assert [*heads] == [f"{number:02d}" for number in range(len(heads))]
    assert [number for number, head in heads.items() if not head.needs] == ["00"]
    assert heads["06"] == ("Fusion by MLP", ("02", "04", "05"))


def test_the_map_in_chapter_00_shows_what_the_chapters_say():
    """Where this fails for a new chapter, `mmcourse build 00 --force` draws the map again."""
    needs = {number: head.needs for number, head in read_heads().items()}
    arrows = shown()
    assert upstream({"00": (), **arrows}) == upstream(needs)
    assert all(set(before) <= set(needs[number]) for number, before in arrows.items())


def test_a_detour_less_keeps_what_lies_upstream_and_no_arrow_can_go():
    for needs in (SKIPPING, {number: head.needs for number, head in read_heads().items()}):
        fewer = without_detours(needs)
        assert upstream(fewer) == upstream(needs)
        for number, direct in fewer.items():
            for one in direct:
                cut = fewer | {number: tuple(other for other in direct if other != one)}
                assert upstream(cut) != upstream(needs), (number, one)
    assert without_detours(SKIPPING)["04"] == ("02", "03")
    assert without_detours(SKIPPING)["05"] == ("04",)


def test_a_chapter_stands_below_what_it_needs_and_on_nobody():
    for needs in (SKIPPING, without_detours({number: head.needs for number, head in read_heads().items()})):
        place = places(needs)
        assert [*place] == sorted(needs)
        assert all(place[one][1] < place[number][1] for number, direct in needs.items() for one in direct)
        for row in {y for _, y in place.values()}:
            columns = sorted(x for x, y in place.values() if y == row)
            assert all(right - left == 1 for left, right in itertools.pairwise(columns))
        columns = [x for x, _ in place.values()]
        assert max(columns) == -min(columns)  # the widest row is in the middle
    assert places({}) == {}


def write(folder, **texts):
    (folder / "source").mkdir()
    for name, text in texts.items():
        (folder / "source" / f"{name[1:]}.py").write_text(text, "utf-8")
    return folder


HEAD = (
    "# ---\n# jupyter:\n# ---\n\n# %% [markdown]\n# # {} · A title\n#\n# **You need** {}\n#\n# **Time**: 99 minutes.\n"
)


def test_heads_are_read_from_the_sources_alone(tmp_path):
    cell = "\n# %%\nprint('**You need** chapter 07')\n"
    folder = write(tmp_path, _00_a=HEAD.format("00", "Python.") + cell, _01_b=HEAD.format("01", "chapter 00.") + cell)
    assert read_heads(folder) == {"00": ("A title", ()), "01": ("A title", ("00",))}


def test_a_need_that_does_not_come_before_is_refused(tmp_path):
    folder = write(tmp_path, _00_a=HEAD.format("00", "Python."), _01_b=HEAD.format("01", "chapter 02."))
    with pytest.raises(CourseError, match=r"^01_b\.py needs chapter 02, which does not come before it$"):
        read_heads(folder)


def test_a_chapter_without_a_heading_is_refused(tmp_path):
    with pytest.raises(CourseError, match=r"^00_a\.py has no heading; begin its first text with # 00 · and the title$"):
        read_heads(write(tmp_path, _00_a="# %% [markdown]\n# Nothing.\n"))
