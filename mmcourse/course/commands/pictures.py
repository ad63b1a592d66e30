"""The commands that find pictures, and the one that draws them."""

from __future__ import annotations

import argparse
import itertools
import sys
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

    draw = add("draw", _draw, "draw what a sentence says")
    draw.add_argument("sentences", nargs="*", help='such as "a large dog at the top left on a pink background"')
    draw.add_argument("--words", action="store_true", help="list what can be drawn")
    draw.add_argument("--count", type=int, help="drawings of each sentence (default: 1)")
    draw.add_argument("--seed", type=int, help="another one gives other drawings (default: 0)")
    draw.add_argument("--guidance", type=float, help="how much the sentence is exaggerated (default: 2)")
    draw.add_argument("--steps", type=int, help="steps from noise to the drawing (default: 20)")
    draw.add_argument("--model", type=Path, help="a file of `mmcourse train text2image` (default: the course's own)")
    draw.add_argument("--out", type=Path, help="the PNG file (default: drawing.png here, or the next free name)")


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


def _draw(options: argparse.Namespace) -> int:
    if not options.words and not options.sentences:
        raise CourseError('what shall be drawn? Give a sentence, such as "a large cat at the left", or --words')
    file = _free(Path("drawing.png")) if options.out is None else expanded(options.out)
    if file.exists():
        raise CourseError(f"{file} is there already; give another name with --out")
    from mmcourse import recipes, viz  # imports torch and matplotlib
    from mmcourse.recipes.drawing import sentences
    from mmcourse.viz.style import png

    if options.words:
        print(sentences.vocabulary())
        return 0
    names = ("count", "seed", "model", "guidance", "steps")
    asked = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    try:
        drawn = recipes.draw_texts(options.sentences, **asked)
    except recipes.RecipeError as error:
        raise CourseError(str(error)) from None
    for each in drawn:
        verdict = {True: "true", False: "not true", None: "nobody can say whether that is true"}[each.true]
        print(f"{each.text}\n    the reader sees {sentences.describe(each.seen)}: {verdict}")
    large = [each.image.repeat_interleave(8, 1).repeat_interleave(8, 2) for each in drawn]
    write_in_one_step(file, png(viz.gallery(large, [each.text for each in drawn], columns=4)))
    print(f"The drawings: {file}")
    if not all(sentences.stood_in_training(each.text) for each in drawn):
        print(
            "Only sentences that say size, thing, place and background of one thing stood in training.", file=sys.stderr
        )
    return 0


def _free(path: Path) -> Path:
    """The path, or where it is taken the next one that is not: drawing-2.png."""
    further = (path.with_stem(f"{path.stem}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], further) if not name.exists())


def _place(options: argparse.Namespace) -> Path:
    from mmcourse import album

    if options.out is not None:
        return expanded(options.out)
    return album.album_folder(expanded(options.folder), work_of(options) / INDEXES)
