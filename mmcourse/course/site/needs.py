"""Which chapter needs which, as a picture of arcs and in words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmcourse.course.site.chapter import ChapterPage

ROW, LEFT, WIDTH, TOP = 34, 130, 390, 20  # pixels: between two chapters, to their dots, across, above the first


def plain(title: str) -> str:
    """A title without its number and its tags."""
    return re.sub(r"^\d\d · ", "", re.sub(r"<[^>]+>", "", title))


def needs_svg(chapters: Sequence[ChapterPage]) -> str:
    """The chapters from top to bottom; an arc leads from each to those that build on it."""
    place = {chapter.number: TOP + ROW * row for row, chapter in enumerate(chapters)}
    arcs, names = [], []
    for chapter in chapters:
        end = place[chapter.number]
        for number in chapter.needs:
            if number in place:
                start = place[number]
                bend = LEFT - 1.33 * min(LEFT - 32, 10 + 10 * abs(end - start) / ROW)
                arcs.append(f'<path d="M{LEFT} {start}C{bend:.0f} {start} {bend:.0f} {end} {LEFT} {end}"/>')
        label = f"{chapter.number} {plain(chapter.title)}"
        names.append(f'<circle cx="{LEFT}" cy="{end}" r="5"/><text x="{LEFT + 14}" y="{end + 5}">{label}</text>')
    alt = "Arcs from each chapter to the later ones that build on it; the list below says the same in words."
    height = 2 * TOP + ROW * (len(chapters) - 1)
    return (
        f'<svg class="map" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{alt}">'
        f"{''.join(arcs)}{''.join(names)}</svg>\n"
    )


def needs_list(chapters: Sequence[ChapterPage]) -> str:
    """A sentence for each chapter: what it needs, and what needs it."""
    known = {chapter.number: chapter for chapter in chapters}

    def linked(numbers: Sequence[str]) -> str:
        found = [f'<a href="{known[n].file}">{n} {plain(known[n].title)}</a>' if n in known else n for n in numbers]
        return ", ".join(found) or "nothing"

    items = []
    for chapter in chapters:
        later = [other.number for other in chapters if chapter.number in other.needs]
        items.append(
            f'<dt><a href="{chapter.file}">{chapter.title}</a></dt>'
            f"<dd>needs {linked(chapter.needs)};<br>is needed by {linked(later)}.</dd>"
        )
    return f"<dl>{''.join(items)}</dl>\n"
