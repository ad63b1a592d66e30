"""The commands that find pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmcourse.course.commands import Add, with_work, work_of
from mmcourse.course.errors import CourseError
from mmcourse.files import expanded, write_in_one_step

INDEXES = "indexes"  # in the learner's folder


def add_commands(add: Add) -> None:
    """Adds the commands with their options."""
    index = with_work(add("index", _index, "look at every picture of a folder once, so that they can be searched"))
    index.add_argument("folder", type=Path, help="the folder of pictures; nothing is written into it")
    index.add_argument("--out", type=Path, help="the folder of the index (default: indexes, in your work folder)")
    search = with_work(add("search", _search, "find pictures of an indexed folder by a sentence or by a picture"))
    search.add_argument("folder", type=Path, help="the folder of pictures")
    search.add_argument("sentence", nargs="?", help='what to look for, such as "a red car"')
    search.add_argument("--image", type=Path, help="look for pictures like this one")
    search.add_argument("-k", type=int, default=12, help="how many to show (default: 12)")
    search.add_argument("--out", type=Path, help="the folder of the index, where `mmcourse index --out` put it")
    search.add_argument("--sheet", type=Path, help="the contact sheet, a PNG file (default: finds.png in the index)")


def _index(options: argparse.Namespace) -> int:
    from mmcourse import album
    from mmcourse.recipes import RecipeError  # imports torch

    try:
        done = album.make_album(options.folder, _place(options))
    except RecipeError as error:
        raise CourseError(str(error)) from None
    for skipped in done.skipped:
        print(f"left out: {skipped}")
    print(f"{done.pictures:,} pictures, {done.new:,} of them new: {done.folder}")
    print(f'Now: mmcourse search {options.folder} "a sentence"')
    return 0


def _search(options: argparse.Namespace) -> int:
    if options.k < 1:
        raise CourseError(f"-k must be at least 1, got {options.k}")
    from mmcourse import (
        album,
        viz,  # imports torch and matplotlib
    )
    from mmcourse.pictures import read_image, square
    from mmcourse.recipes import RecipeError
    from mmcourse.viz.style import png

    place = _place(options)
    try:
        found = album.search_album(options.folder, place, text=options.sentence, image=options.image, k=options.k)
    except RecipeError as error:
        raise CourseError(str(error)) from None
    there = [find for find in found if find.path.is_file()]
    for number, find in enumerate(found, start=1):
        gone = "" if find.path.is_file() else "  (no longer there)"
        print(f"{number:>3}  {find.score:5.2f}  {find.path.relative_to(expanded(options.folder)).as_posix()}{gone}")
    if there:
        sheet = place / "finds.png" if options.sheet is None else expanded(options.sheet)
        shown = [square(read_image(find.path), 160) for find in there]
        figure = viz.gallery(shown, [f"{find.score:.2f} {find.path.name}" for find in there], columns=4)
        sheet.parent.mkdir(parents=True, exist_ok=True)
        write_in_one_step(sheet, png(figure))
        print(f"The pictures side by side: {sheet}")
    print(album.HONEST)
    return 0


def _place(options: argparse.Namespace) -> Path:
    from mmcourse import album

    if options.out is not None:
        return expanded(options.out)
    return album.album_folder(expanded(options.folder), work_of(options) / INDEXES)
