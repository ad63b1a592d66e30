"""The commands that train models and use them."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mmcourse.course.commands import Add, entry, with_work, work_of
from mmcourse.course.errors import CourseError
from mmcourse.files import expanded

if TYPE_CHECKING:
    from mmcourse import recipes
    from mmcourse.models.vqa import Answer


def add_commands(add: Add) -> None:
    """Adds the commands with their options."""
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
    ask = add("ask", _ask, "answer a question about a picture")
    ask.add_argument("image", type=Path, help="the picture's file, of any size")
    ask.add_argument("question", help='such as "what is at the center?"')
    ask.add_argument("--model", type=Path, help="a file of `mmcourse train vqa` (default: the course's own)")
    ask.add_argument(
        "--write", action="store_true", help="write the answer word by word, instead of choosing from a list"
    )
    chat = add("chat", _chat, "talk about a picture with a language model that sees it")
    chat.epilog = (
        "Without questions here, a conversation begins: a question a line; an empty line, Ctrl-D or Ctrl-C ends it. "
        "Every question is about the picture alone: the model does not remember earlier ones, nor what it said."
    )
    chat.add_argument("image", type=Path, help="the picture's file, of any size")
    chat.add_argument("questions", nargs="*", help='such as "what is at the center?" or "describe it"')
    chat.add_argument("--model", type=Path, help="a file of `mmcourse train vlm` (default: the course's own)")
    below = "say nothing below this probability (default: 0.5)"
    ask.add_argument("--threshold", type=float, default=0.5, help=below)
    chat.add_argument("--threshold", type=float, default=0.5, help=f"{below}; a description is always told")


def _train(options: argparse.Namespace) -> int:
    from mmcourse import distributed, recipes  # imports torch
    from mmcourse.runtime import set_threads
    from mmcourse.train import CheckpointError, DivergedError

    if options.list or options.name is None:
        _list_recipes()
        return 0
    folder = work_of(options) / "trained" if options.out is None else expanded(options.out)
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
        print(recipes.caption_image(options.image, model=options.model).text)
    except recipes.RecipeError as error:
        raise CourseError(str(error)) from None
    _be_honest(options.model)
    return 0


def _ask(options: argparse.Namespace) -> int:
    from mmcourse import recipes  # imports torch

    _check_threshold(options.threshold)
    way = "write" if options.write else "classify"
    try:
        answer, strange = recipes.answer_image(
            options.image, options.question, model=options.model, method=way, threshold=options.threshold
        )
    except recipes.RecipeError as error:
        raise CourseError(str(error)) from None
    _say(answer, strange)
    _be_honest(options.model)
    return 0


def _chat(options: argparse.Namespace) -> int:
    from mmcourse import recipes  # imports torch

    _check_threshold(options.threshold)
    try:
        conversation = recipes.talk(options.image, model=options.model)
        if not options.questions:
            return _converse(conversation, options)
        for question in options.questions:
            said = conversation.ask(question, threshold=options.threshold)
            _say(said, said.unknown)
    except recipes.RecipeError as error:
        raise CourseError(str(error)) from None
    _be_honest(options.model)
    return 0


def _converse(conversation: recipes.Conversation, options: argparse.Namespace) -> int:
    """Answers line by line; at a terminal with a prompt, otherwise with nothing but the answers on stdout."""
    from mmcourse.recipes import RecipeError
    from mmcourse.recipes.seeing.talking import EXAMPLES, SIDE

    if sys.stdin is None:
        raise CourseError("there is nothing to read questions from; give them behind the picture")
    terminal = sys.stdin.isatty()
    if terminal:
        with contextlib.suppress(ImportError):  # Windows has none
            import readline  # noqa: F401  arrow keys, for `input`
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")  # what is no text is a word that nobody has read
    width, height = conversation.size
    print(
        f"{options.image}: {width} × {height} pixels, which the model sees as {SIDE} × {SIDE}.\n"
        f"Ask for example: {' · '.join(EXAMPLES)}\nAn empty line ends the conversation.",
        file=None if terminal else sys.stderr,
    )
    _be_honest(options.model)
    try:
        while (question := input("> " * terminal)).strip():
            try:
                said = conversation.ask(question, threshold=options.threshold)
            except RecipeError as error:
                print(f"mmcourse: {error}", file=sys.stderr)
            else:
                _say(said, said.unknown)
    except (EOFError, KeyboardInterrupt):
        print(end="\n" * terminal)  # the prompt's line
    print(end="Goodbye.\n" * terminal)
    return 0


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise CourseError(f"--threshold must be from 0 to 1, got {threshold:g}")


def _say(answer: Answer | recipes.Said, unknown: list[str]) -> None:
    """An answer with its probability, and the words of the question that the model has never read."""
    guess = f"{answer.text or 'nothing'} ({answer.probability:.0%})"
    print(f"I do not know; my best guess is {guess}" if answer.abstains else guess)
    if unknown:
        print(f"I have never read {', '.join(map(repr, unknown))}, so this is about the other words of the question.")
    sys.stdout.flush()  # whoever reads the other end of a pipe waits for it


def _be_honest(model: Path | None) -> None:
    """Says what the model of the course has never seen; beside the output, which another program may read."""
    from mmcourse.recipes.one_picture import HONEST

    if model is None:
        print(HONEST, file=sys.stderr)


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
        print(entry(f"{name}  ", recipe.about, bundled))
