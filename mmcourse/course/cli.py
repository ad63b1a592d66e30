"""The `mmcourse` command. Mistakes of the person at the keyboard get one sentence on stderr and exit code 2."""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import mmcourse
from mmcourse.content import content_dir
from mmcourse.course import doctor, progress, workspace
from mmcourse.course.errors import CourseError
from mmcourse.course.grading import command
from mmcourse.course.teacher.command import add_commands
from mmcourse.files import expanded

if TYPE_CHECKING:
    from mmcourse import recipes

MARKS = {"done": "✓", "wrong": "✗", "error": "✗", "unwritten": "○", "missing": "?", "ok": "✓", "note": "·", "bad": "✗"}
_ALLOW = "; allow writing there or name another folder"
REMEDIES = {errno.ENOSPC: "; free some space", errno.EACCES: _ALLOW, errno.EPERM: _ALLOW, errno.EROFS: _ALLOW}
WORDS = {"error": "stopped by an error", "unwritten": "not written yet"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # an old Windows console has no ✓; it shows a ? instead of failing
            stream.reconfigure(errors="replace")
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 0
    try:
        return options.run(options)
    except CourseError as error:
        problem = str(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        problem = f"{where}{error.strerror or error}{REMEDIES.get(error.errno, '')}"
    except KeyboardInterrupt:
        problem = "stopped"
    print(f"mmcourse: {problem}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    about = "How language models and vision meet: a course of Jupyter notebooks."
    parser = argparse.ArgumentParser(prog="mmcourse", description=about)
    parser.add_argument("--version", action="version", version=f"mmcourse {mmcourse.__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="")

    def add(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.set_defaults(run=run)
        return command

    def with_work(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
        command.add_argument("--work", type=Path, help="your work folder (default: the one that `mmcourse lab` made)")
        return command

    start = add("lab", _lab, "open the course in JupyterLab; your copies of the chapters are made on the way")
    start.add_argument("work", nargs="?", type=Path, help="the folder for your work (default: work in the clone)")
    start.add_argument("--port", type=int, help="the port of the server (default: the first free one from 8888 on)")
    start.add_argument("--ip", default="localhost", help="the address to listen on; 0.0.0.0 inside a container")
    start.add_argument("--no-browser", dest="browser", action="store_false", help="only print the address")
    check = with_work(add("check", _check, "check your answers in a chapter"))
    check.add_argument("chapter", help="the chapter's number, such as 01")
    hint = with_work(add("hint", _hint, "show the next hint for an exercise"))
    hint.add_argument("exercise", help="the exercise's id, such as 01-causal-mask")
    solution = with_work(
        add("solution", _solution, "show a solution of an exercise (your progress notes that you looked)")
    )
    solution.add_argument("exercise", help="the exercise's id, such as 01-causal-mask")
    with_work(add("progress", _progress, "show what you have done in every chapter"))
    reset = with_work(add("reset", _reset, "take the course's version of a chapter; yours is kept under a dated name"))
    reset.add_argument("chapter", help="the chapter's number, such as 01")
    reset.add_argument("--beside", action="store_true", help="put it beside yours, which keeps its name")
    with_work(add("doctor", _doctor, "look for what could keep the course from working"))
    train = with_work(add("train", _train, "train a small model of the course; a stopped run goes on where it was"))
    train.add_argument("name", nargs="?", help="the recipe's name, such as tiny-lm; without it they are listed")
    train.add_argument("--list", action="store_true", help="list the recipes and how good their bundled files are")
    train.add_argument("--out", type=Path, help="the folder of the file (default: trained, in your work folder)")
    train.add_argument("--steps", type=int, help="how long to train (default: as long as the bundled file)")
    train.add_argument("--data", help="a world that the recipe names, or a folder of pictures with texts")
    train.add_argument("--batch-size", type=int, help="samples of a step, over all processes")
    train.add_argument("--chunk", type=int, help="how many of them in memory at once: the same result, more slowly")
    train.add_argument("--mixed-precision", action="store_const", const=True, help="compute in half precision")
    train.add_argument("--restart", action="store_true", help="begin again, in place of what is there from before")
    train.add_argument(
        "--bundle", action="store_true", help="replace the file that comes with the course (for authors)"
    )
    caption = add("caption", _caption, "write a sentence about a picture")
    caption.add_argument("image", type=Path, help="the picture's file, of any size")
    caption.add_argument("--model", type=Path, help="a file of `mmcourse train captioner` (default: the course's own)")
    command.arguments(add("grade", command.grade, "grade submissions, each answer in its own process (for teachers)"))
    add_commands(add)
    build = add("build", _build, "build the notebooks from their sources (for authors)")
    build.add_argument("chapter", nargs="?", help="only this chapter, such as 01")
    build.add_argument("--force", action="store_true", help="also those whose source did not change")
    return parser


def _work(options: argparse.Namespace) -> Path:
    return workspace.default_folder() if options.work is None else expanded(options.work)


def _lab(options: argparse.Namespace) -> int:
    bad = [finding for finding in (doctor.python(), *doctor.packages()) if finding.state == "bad"]
    if bad:
        raise CourseError("; ".join(f"{finding.name} {finding.value}: {finding.remedy}" for finding in bad))
    from mmcourse.course import lab  # imports torch

    return lab.lab(_work(options), port=options.port, ip=options.ip, browser=options.browser)


def _check(options: argparse.Namespace) -> int:
    from mmcourse.course import checkwork

    work = _work(options)
    path = work / workspace.chapter_path(options.chapter).name
    print(f"Running {path.name} from top to bottom, at the smallest budget …", flush=True)
    rows = checkwork.check_work(options.chapter, work)
    wide = max((len(row.exercise_id) for row in rows), default=0)
    for row in rows:
        print(_line(f"{MARKS[row.state]} {row.exercise_id:<{wide}}  ", WORDS.get(row.state, row.state), row.message))
    done = sum(row.state == "done" for row in rows)
    print(f"{done} of {len(rows)} exercises done.")
    return 0 if done == len(rows) else 1


def _hint(options: argparse.Namespace) -> int:
    from mmcourse.course.checks import hint  # imports torch

    _use_work(options)
    print(hint(options.exercise))
    return 0


def _solution(options: argparse.Namespace) -> int:
    from mmcourse.course import checkwork

    number, name = options.exercise[:2], options.exercise
    folder = content_dir("chapters") / "solutions"
    path = folder / workspace.chapter_path(number).name
    if not path.is_file():
        raise CourseError(f"chapter {number} has no solved notebook yet; `mmcourse build {number}` makes it")
    cells = {cell.get("id"): cell.source for cell in workspace.read_notebook(path).cells}
    if name not in cells:
        ids = list(checkwork.expected_checks(workspace.read_notebook(path)))
        raise CourseError(f"there is no exercise {name!r} in chapter {number}; it has: {', '.join(ids) or 'none'}")
    lines = [
        line for line in cells[name].splitlines() if line.strip() not in ("### BEGIN SOLUTION", "### END SOLUTION")
    ]
    print("\n".join(lines))
    _use_work(options)
    work = progress.work_folder()
    if work is not None:
        note = progress.record(work, name, solution=True)
        print(note or "(Your progress notes that you looked at this solution.)", file=sys.stderr)
    return 0


def _use_work(options: argparse.Namespace) -> None:
    """Lets `hint` and `solution` record in the work folder, if there is one yet."""
    work = _work(options)
    if (work / progress.STATE).is_dir():
        os.environ["MMCOURSE_WORK"] = str(work)


def _progress(options: argparse.Namespace) -> int:
    from mmcourse.course import checkwork

    found = progress.load(_work(options))
    if found.note:
        print(found.note)
    for path in workspace.chapter_paths():
        ids = list(checkwork.expected_checks(workspace.read_notebook(path)))
        done = sum(found.done(name) for name in ids)
        looked = sum(bool(found.entries.get(name, {}).get("solution")) for name in ids)
        bar = "█" * done + "░" * (len(ids) - done)
        seen = f", {looked} solution{'' if looked == 1 else 's'} seen" if looked else ""
        print(f"{path.stem:<24} {bar:<10} {done} of {len(ids)} done{seen}")
    return 0


def _reset(options: argparse.Namespace) -> int:
    print(workspace.reset(options.chapter, _work(options), beside=options.beside))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    findings = doctor.examine(_work(options))
    wide = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(_line(f"{MARKS[finding.state]} {finding.name:<{wide}}  ", finding.value, finding.remedy))
    bad = sum(finding.state == "bad" for finding in findings)
    print("Everything the course needs is here." if not bad else f"{bad} to mend, marked ✗ above.")
    return 1 if bad else 0


def _train(options: argparse.Namespace) -> int:
    from mmcourse import distributed, recipes  # imports torch
    from mmcourse.runtime import set_threads
    from mmcourse.train import CheckpointError, DivergedError

    if options.list or options.name is None:
        _list_recipes()
        return 0
    folder = _work(options) / "trained" if options.out is None else expanded(options.out)
    set_threads(1)  # small models gain little from more, and one thread gives the same numbers every time
    asked = {name: getattr(options, name) for name in ("data", *recipes.OPTIONS) if getattr(options, name) is not None}
    try:
        if options.bundle and asked:
            raise recipes.RecipeError(f"--bundle is for the recipe as it is; leave out {_flags(asked)}")
        recipe = recipes.find(options.name)
        done = recipes.follow(recipe, folder, steps=options.steps, restart=options.restart, **asked)
        if not distributed.is_main():
            return 0
        path = recipes.bundle(done) if options.bundle else done.path
    except distributed.ElsewhereError:
        return 2  # process 0 says why
    except (recipes.RecipeError, CheckpointError, DivergedError) as error:
        raise CourseError(str(error)) from None
    return _report(options.name, done, path)


def _report(name: str, done: recipes.Finished, path: Path) -> int:
    """What came out of a training; the exit code says whether it is good enough."""
    quality = done.quality
    verdict = "reached" if quality.met else "NOT reached"
    target = "" if quality.at_most is None else f"; the target, at most {quality.at_most:g}, is {verdict}"
    print("\n".join((f"{name}: {done.steps:,} steps in {done.seconds:.0f} s", *done.notes)))
    print(f"{quality.measure}: {quality.value:.4f}{target}")
    print(", ".join(f"{word} {value:.6g}" for word, value in quality.more.items()))
    content = path.read_bytes()
    print(f"{path}\nsha256 {hashlib.sha256(content).hexdigest()}, {len(content):,} bytes")
    return 0 if quality.met else 1


def _caption(options: argparse.Namespace) -> int:
    from mmcourse import recipes  # imports torch

    try:
        print(recipes.caption_image(expanded(options.image), model=options.model).text)
    except recipes.RecipeError as error:
        raise CourseError(str(error)) from None
    return 0


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _list_recipes() -> None:
    from mmcourse import recipes

    known = recipes.read_manifest()
    for name, recipe in recipes.RECIPES.items():
        facts = known.get(name)
        bundled = "no file of it comes with the course"
        if facts:
            quality = facts["quality"]
            bundled = f"{quality['measure']} {quality['value']:.4f}, {facts['seconds']} s on {facts['machine']}"
        if recipe.worlds:
            bundled += f"; --data {', '.join(recipe.worlds)} or a folder; {_flags(sorted(recipe.options))}"
        print(_line(f"{name}  ", recipe.about, bundled))


def _build(options: argparse.Namespace) -> int:
    from mmcourse.course.build import build  # imports the notebook machinery
    from mmcourse.course.notebook import BuildError

    try:
        written = build(options.chapter, force=options.force)
    except BuildError as error:
        raise CourseError(str(error)) from None
    print("\n".join(f"built {path.parent.name}/{path.name}" for path in written) or "Everything is up to date.")
    return 0


def _line(start: str, word: str, more: str) -> str:
    """One entry of a table, its text wrapped below itself."""
    width = max(60, min(120, shutil.get_terminal_size().columns))
    text = f"{word}: {more}" if more else word
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, width, initial_indent=start, subsequent_indent=" " * len(start), **options)


if __name__ == "__main__":
    sys.exit(main())
