"""A solved notebook as the parts of a page: its text, its code, what it printed, and its pictures as files.

The answers of exercises are folded away. Widgets need a kernel; a sentence stands in their place, and the figure that
they move stays as it was stored.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections.abc import Mapping
from typing import NamedTuple

from nbformat import NotebookNode

from mmcourse.course.author.needs import needed
from mmcourse.course.author.source import BEGIN, END
from mmcourse.course.site.markdown import Page, Section, escaped, inline_formula, preformatted, python
from mmcourse.course.teacher.leaks import HIDDEN

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PROGRESS = re.compile(r"\d+%\|")  # the bar of a training, which no reader of a page waits for
_STYLE = re.compile(r' style="([^"]*)"')
_MATH = re.compile(r"\$([^$<\n]+)\$")
_VERDICTS = {"#009E73": "right", "#D55E00": "wrong"}  # the colors of a check's result, by class here, for the contrast
PICTURES = "pictures"


class Figure(NamedTuple):
    """A figure of a chapter: its name on the page, its number in the chapter, and its text alternative."""

    name: str
    number: int
    alt: str


class Exercise(NamedTuple):
    """A place where the learner writes: its id, and its heading if it is a written question."""

    id: str
    title: str

    @property
    def anchor(self) -> str:
        return f"exercise-{self.id}"


class ChapterPage(NamedTuple):
    """A chapter as HTML, and what other pages say about it."""

    name: str  # such as 01_attention
    title: str
    body: str
    sections: tuple[Section, ...]
    figures: tuple[Figure, ...]
    exercises: tuple[Exercise, ...]
    needs: tuple[str, ...]
    pictures: dict[str, bytes]  # by the path below the site

    @property
    def number(self) -> str:
        return self.name[:2]

    @property
    def file(self) -> str:
        return f"{self.name}.html"


def chapter_page(name: str, notebook: NotebookNode, links: Mapping[str, str]) -> ChapterPage:
    """The page of a solved notebook.

    Args:
        links: where the links between notebooks lead on the site.
    Raises:
        ValueError: a picture has no text alternative, or a formula holds a command that is not known.
    """
    writer = _Writer(name, Page(links))
    body = "".join(writer.cell(cell) for cell in notebook.cells)
    texts = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    sections = tuple(writer.page.sections)
    title = next((section.title for section in sections if section.level == 1), name)
    return ChapterPage(
        name, title, body, sections, tuple(writer.figures), tuple(writer.exercises),
        needed("\n\n".join(texts), name[:2]), writer.pictures,
    )  # fmt: skip


class _Writer:
    """Turns cells into HTML and collects what they hold."""

    def __init__(self, name: str, page: Page) -> None:
        self.number = name[:2]
        self.page = page
        self.figures: list[Figure] = []
        self.exercises: list[Exercise] = []
        self.pictures: dict[str, bytes] = {}
        self.sounds = 0

    def cell(self, cell: NotebookNode) -> str:
        tags = cell.metadata.get("tags", [])
        if HIDDEN in tags:
            return ""
        if cell.cell_type == "markdown":
            body = self.page.rendered(cell.source)
            if "written" not in tags:
                return body
            title = next((re.sub(r"^.*?· ", "", section.title) for section in self.page.sections[::-1]), cell.id)
            self.exercises.append(Exercise(cell.id, title))
            return f'<div id="{self.exercises[-1].anchor}">{body}</div>\n'
        if cell.cell_type != "code" or not cell.source.strip():
            return ""
        code = python(cell.source)
        if "exercise" in tags:
            self.exercises.append(Exercise(cell.id, ""))
            answer = "\n".join(line for line in cell.source.splitlines() if line.strip() not in (BEGIN, END))
            code = f"<details><summary>An answer to <code>{cell.id}</code></summary>{python(answer)}</details>\n"
        outputs = "".join(map(self.output, cell.outputs))
        name = f' id="{self.exercises[-1].anchor}"' if "exercise" in tags else ""
        return f'<div class="cell"{name}>{code}{outputs}</div>\n'

    def output(self, output: NotebookNode) -> str:
        if output.output_type == "stream":
            return self.printed(output.text)
        if output.output_type == "error":
            return self.printed("\n".join(output.traceback))
        data = output.data
        if "image/png" in data:
            return self.picture(data["image/png"], output.metadata.get("image/png", {}), data.get("text/plain", ""))
        if "text/html" in data:
            return f'<div class="result">{self.named_sounds(_restyled(data["text/html"]))}</div>\n'
        text = data.get("text/plain", "")
        if _PROGRESS.search(text):
            return ""
        if re.fullmatch(r"\[\w+: .*\]", text, re.DOTALL):
            return f'<p class="left-out">Left out on this page: {escaped(text[1:-1])}.</p>\n'
        return self.printed(text)

    def named_sounds(self, fragment: str) -> str:
        """The same, every player of a sound with a name that a screen reader can say."""

        def named(match: re.Match) -> str:
            self.sounds += 1
            return f'{match[0]} aria-label="Sound {int(self.number)}.{self.sounds}"'

        return re.sub(r"<audio\b", named, fragment)

    def printed(self, text: str) -> str:
        text = _ANSI.sub("", text).rstrip("\n")
        return preformatted(text, escaped(text), "What the code printed", "printed") if text.strip() else ""

    def picture(self, data: str, details: Mapping, text: str) -> str:
        """A figure, numbered; or the picture of a measured claim, which says the same as its text and has no number."""
        content = base64.b64decode(data)
        across, down = struct.unpack(">II", content[16:24])  # the header of a PNG
        alt = " ".join(details.get("alt", "").split())
        if not alt:
            raise ValueError(f"a picture of chapter {self.number} has no text alternative; show it with viz.show")
        path = f"{PICTURES}/{self.number}-{len(self.pictures) + 1}.png"
        self.pictures[path] = content
        width = details.get("width", across)
        image = (
            f'<img src="{path}" alt="{html.escape(alt)}" width="{width}" height="{round(width * down / across)}" '
            'loading="lazy">'
        )
        if not text.startswith("[figure:"):
            return f'<div class="claim">{image}</div>\n'
        figure = Figure(f"figure-{len(self.figures) + 1}", len(self.figures) + 1, alt)
        self.figures.append(figure)
        caption = f'<a href="{path}">Figure {int(self.number)}.{figure.number} in full size</a>'
        return f'<figure id="{figure.name}">{image}<figcaption>{caption}</figcaption></figure>\n'


def _restyled(fragment: str) -> str:
    """The HTML of a result, its colors replaced by classes and its formulas set."""

    def dressed(match: re.Match) -> str:
        kind = next((kind for color, kind in _VERDICTS.items() if color in match[1]), None)
        return f' class="{kind}"' if kind else ""

    pieces = re.split(r"(<code>.*?</code>)", _STYLE.sub(dressed, fragment), flags=re.DOTALL)
    return "".join(
        piece if place % 2 else _MATH.sub(lambda match: inline_formula(html.unescape(match[1])), piece)
        for place, piece in enumerate(pieces)
    )
