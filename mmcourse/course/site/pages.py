"""The pages of the site: what stands around each, and those that gather what the chapters hold."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from mmcourse.course.exercise import Exercise
from mmcourse.course.exercise.show import marked
from mmcourse.course.site.chapter import ChapterPage
from mmcourse.course.site.markdown import Page, wide
from mmcourse.course.site.needs import needs_list, needs_svg, plain

TITLE = "How language models and vision meet"
STYLE = "style.css"
INDEX, MAP, EXERCISES, FIGURES, GLOSSARY = "index.html", "map.html", "exercises.html", "figures.html", "glossary.html"
GATHERED = {INDEX: "Contents", MAP: "Map", EXERCISES: "Exercises", FIGURES: "Figures", GLOSSARY: "Glossary"}


def page(title: str, body: str, file: str, chapters: Sequence[ChapterPage]) -> str:
    """A whole page: a link past the navigation, the pages, the progress through the chapters, and the text."""
    name = TITLE if file == INDEX else f"{plain(title)} · {TITLE}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STYLE}">
</head>
<body>
<a class="skip" href="#text">Skip to the text</a>
<header>
{_pages(file)}{_bar(file, chapters)}</header>
<main id="text">
{body}</main>
{_footer(file, chapters)}</body>
</html>
"""


def _current(here: bool) -> str:
    return ' aria-current="page"' if here else ""


def _pages(file: str) -> str:
    links = "".join(f'<li><a href="{to}"{_current(to == file)}>{name}</a></li>' for to, name in GATHERED.items())
    return f'<nav aria-label="Course"><ul>{links}</ul></nav>\n'


def _bar(file: str, chapters: Sequence[ChapterPage]) -> str:
    """The way through the chapters: those up to this one are filled."""
    files = [chapter.file for chapter in chapters]
    here = files.index(file) if file in files else -1
    steps = "".join(
        f"<li{' class=read' if place <= here else ''}>"
        f'<a href="{chapter.file}" aria-label="Chapter {chapter.number}, {plain(chapter.title)}"'
        f"{_current(place == here)}>{chapter.number}</a></li>"
        for place, chapter in enumerate(chapters)
    )
    return f'<nav aria-label="Chapters"><ol class="bar">{steps}</ol></nav>\n'


def _footer(file: str, chapters: Sequence[ChapterPage]) -> str:
    files = [chapter.file for chapter in chapters]
    links = ""
    if file in files:
        here = files.index(file)
        before = chapters[here - 1] if here else None
        after = chapters[here + 1] if here + 1 < len(chapters) else None
        links = "".join(
            f'<li>{word}: <a href="{other.file}">{other.title}</a></li>'
            for word, other in (("Before", before), ("Next", after))
            if other is not None
        )
        links = f'<nav aria-label="Neighboring chapters"><ul>{links}</ul></nav>\n' if links else ""
    said = "<p>This page needs no network. To run the code and have your answers checked, open the notebooks.</p>"
    return f"<footer>\n{links}{said}\n</footer>\n"


def chapter_body(chapter: ChapterPage) -> str:
    """The text of a chapter with its table of sections below the heading."""
    items = "".join(
        f'<li><a href="#{section.name}">{section.title}</a></li>' for section in chapter.sections if section.level == 2
    )
    if not items:
        return chapter.body
    folded = f"<details><summary>Sections of this chapter</summary><ul>{items}</ul></details>"
    head, mark, rest = chapter.body.partition("</h1>\n")
    return f'{head}{mark}<nav aria-label="Sections">{folded}</nav>\n{rest}'


def index_body(chapters: Sequence[ChapterPage], syllabus: str, links: Mapping[str, str]) -> str:
    """The first page; `syllabus` is the table of chapter 00 in Markdown, or empty."""
    if not syllabus:
        rows = "".join(f"| {one.number} | [{plain(one.title)}]({one.name}.ipynb) |\n" for one in chapters)
        syllabus = f"| | chapter |\n|---|---|\n{rows}"
    table = Page(links).rendered(syllabus)
    return f"""<h1>{TITLE}</h1>
<p>A course of notebooks to read: how a machine reads, how it sees, and what has to happen so that it can do both at
once. Every chapter stands here solved, with its figures and results; the answers to its exercises are folded away.</p>
<h2>The chapters</h2>
{table}<h2>What else is here</h2>
<ul>
<li><a href="{MAP}">Which chapter needs which</a></li>
<li><a href="{EXERCISES}">Every exercise</a></li>
<li><a href="{FIGURES}">Every figure</a></li>
<li><a href="{GLOSSARY}">Every term, in English and Chinese</a></li>
</ul>
"""


def map_body(chapters: Sequence[ChapterPage]) -> str:
    picture = needs_svg(chapters)
    return f"<h1>Which chapter needs which</h1>\n{picture}<h2>In words</h2>\n{needs_list(chapters)}"


def exercises_body(chapters: Sequence[ChapterPage], known: Mapping[str, Exercise]) -> str:
    """Every exercise and written question of the chapters, with what the exercises say of themselves."""
    parts = ["<h1>Every exercise</h1>\n<p>Stars say how hard an exercise is, from one to three.</p>\n"]
    for chapter in chapters:
        rows = []
        for exercise in chapter.exercises:
            about = known.get(exercise.id)
            title = exercise.title or (marked(about.title) if about else exercise.id)
            cells = f"{about.stars} of 3</td><td>{about.minutes}" if about else "written</td><td>"
            rows.append(f'<tr><td><a href="{chapter.file}#{exercise.anchor}">{title}</a></td><td>{cells}</td></tr>')
        if rows:
            head = '<tr><th scope="col">Exercise</th><th scope="col">Stars</th><th scope="col">Minutes</th></tr>'
            table = wide(f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>", "Exercises")
            parts.append(f"<h2>{chapter.title}</h2>\n{table}")
    return "".join(parts)


def figures_body(chapters: Sequence[ChapterPage]) -> str:
    parts = ["<h1>Every figure</h1>\n"]
    for chapter in chapters:
        items = "".join(
            f'<li><a href="{chapter.file}#{figure.name}">Figure {int(chapter.number)}.{figure.number}</a>: '
            f"{html.escape(figure.alt, quote=False)}</li>"
            for figure in chapter.figures
        )
        if items:
            parts.append(f"<h2>{chapter.title}</h2>\n<ul>{items}</ul>\n")
    return "".join(parts)


def syllabus_of(text: str, links: Mapping[str, str]) -> str:
    """The table of the chapters in the text of chapter 00, with the rows of those on the site; or nothing."""
    found = re.search(r"^\| \| chapter \|.*(?:\n\|.*)+", text, re.MULTILINE)
    if found is None:
        return ""
    head, line, *rows = found[0].splitlines()
    return "\n".join([head, line, *(row for row in rows if any(f"]({notebook})" in row for notebook in links))])
