"""The text of a chapter as HTML: Markdown by mistune, formulas as MathML, code in colors by Pygments.

Links between notebooks become links between pages, headings get names that links can point to, what is wide scrolls
inside itself and can be reached by the keyboard, and Chinese is marked as Chinese for screen readers.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import NamedTuple

import mistune
from mistune.plugins.table import table as tables
from pygments import lex, token
from pygments.lexers import PythonLexer

from mmcourse.course.site.mathml import mathml

_CHINESE = re.compile(
    r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]*[\u3400-\u9fff][\u3000-\u303f\u3400-\u9fff\uff00-\uffef]*"
)
_BLOCK_MATH = r"^ {0,3}\$\$(?P<block_tex>[^$]+)\$\$[ \t]*(?:\n|$)"
_INLINE_MATH = r"\$\$(?P<shown_tex>[^$]+)\$\$|\$(?!\s)(?P<tex>(?:[^$\\\n]|\\.)+?)(?<!\s)\$"
_KINDS = (
    (token.Comment, "comment"),
    (token.String, "string"),
    (token.Number, "number"),
    (token.Keyword, "keyword"),
    (token.Operator.Word, "keyword"),
    (token.Name.Function, "name"),
    (token.Name.Class, "name"),
    (token.Name.Builtin, "name"),
    (token.Name.Decorator, "name"),
)
WIDE = 40  # letters of a line of code that fit on a phone; longer ones scroll
LONG = 22  # signs of a formula that fit there


class Section(NamedTuple):
    """A heading of a page, and the name that links to it."""

    name: str
    title: str  # HTML
    level: int


def escaped(text: str) -> str:
    """Text for HTML, its Chinese parts marked."""
    return _CHINESE.sub(r'<span lang="zh">\g<0></span>', html.escape(text, quote=False))


def wide(inner: str, what: str, kind: str = "wide") -> str:
    """What may be wider than the screen: it scrolls inside itself, by the keyboard too."""
    return f'<div class="{kind}" tabindex="0" role="group" aria-label="{what}">{inner}</div>\n'


def preformatted(text: str, inner: str, what: str, kind: str) -> str:
    """Lines that stay as they are; `inner` is their HTML."""
    scrolls = max(map(len, text.splitlines()), default=0) > WIDE
    more = f' tabindex="0" role="group" aria-label="{what}"' if scrolls else ""
    return f'<pre class="{kind}"{more}>{inner}</pre>\n'


def inline_formula(tex: str) -> str:
    """A formula in a line of text, which does not break; a long one scrolls inside itself."""
    formula = mathml(tex)
    if len(re.sub(r"<[^>]+>|&#x2061;", "", formula)) <= LONG:
        return formula
    return f'<span class="long" tabindex="0" role="group" aria-label="Formula">{formula}</span>'


def python(source: str) -> str:
    """Python code in colors."""
    parts = []
    for kind, text in lex(source, PythonLexer(stripnl=False, ensurenl=False)):
        name = next((name for parent, name in _KINDS if kind in parent), None)
        safe = html.escape(text, quote=False)
        parts.append(safe if name is None else f'<span class="{name}">{safe}</span>')
    return preformatted(source, f"<code>{''.join(parts)}</code>", "Code", "code")


class Page(mistune.HTMLRenderer):
    """Renders the texts of one page, and keeps its headings.

    Args:
        links: where a link of a notebook leads on the site, such as `01_attention.ipynb` to `01_attention.html`. A link
            between files that has no entry becomes plain text.
    """

    def __init__(self, links: Mapping[str, str]) -> None:
        super().__init__(escape=True)
        self.links = links
        self.sections: list[Section] = []
        self.markdown = mistune.Markdown(renderer=self, plugins=[tables, _mathematics])

    def rendered(self, source: str) -> str:
        """A piece of Markdown as HTML; its headings follow those of the pieces before."""
        return self.markdown(source)

    def text(self, text: str) -> str:
        return escaped(text)

    def heading(self, text: str, level: int, **attrs: str) -> str:
        words = re.sub(r"<math.*?</math>|<[^>]+>|&\w+;", "", text)
        base = "-".join(re.findall(r"[^\W_]+", words.lower())) or "section"
        taken = {"text", *(section.name for section in self.sections)}  # text is where a page begins
        name = next(name for name in (base, *(f"{base}-{n}" for n in range(2, 1000))) if name not in taken)
        self.sections.append(Section(name, text, level))
        return f'<h{level} id="{name}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        if re.match(r"[a-z]+:", url) is None:
            path, _, anchor = url.partition("#")
            if path not in self.links:
                return text
            url = self.links[path] + (f"#{anchor}" if anchor else "")
        return super().link(text, url, title)

    def block_code(self, code: str, info: str | None = None) -> str:
        code = code.rstrip("\n")
        return python(code) if info == "python" else preformatted(code, escaped(code), "Diagram or listing", "plain")

    def table(self, text: str) -> str:
        return wide(f"<table>{text}</table>", "Table")

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        name, scope = ("th", ' scope="col"') if head and text.strip() else ("td", "")
        return f"<{name}{scope}{f' class={align}' if align else ''}>{text}</{name}>"

    def display_math(self, tex: str) -> str:
        return wide(mathml(tex.strip(), display=True), "Formula", "formula")

    def shown_math(self, tex: str) -> str:
        """A displayed formula in the middle of a paragraph, where no block may stand."""
        return mathml(tex.strip(), display=True)

    def math(self, tex: str) -> str:
        return inline_formula(tex)


def _mathematics(markdown: mistune.Markdown) -> None:
    """Formulas between dollar signs, as Jupyter writes them: `$x$` and `$$x$$`."""

    def block(parser: mistune.BlockParser, match: re.Match, state: mistune.BlockState) -> int:
        state.append_token({"type": "display_math", "raw": match["block_tex"]})
        return match.end()

    def inline(parser: mistune.InlineParser, match: re.Match, state: mistune.InlineState) -> int:
        shown = match["shown_tex"]
        state.append_token({"type": "math" if shown is None else "shown_math", "raw": shown or match["tex"]})
        return match.end()

    markdown.block.register("display_math", _BLOCK_MATH, block, before="list")
    markdown.inline.register("math", _INLINE_MATH, inline, before="link")
