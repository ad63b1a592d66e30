"""The page that a learner gets back, as HTML and as Markdown: points, what failed and why, their own output."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from pathlib import Path
from typing import Any

from mmcourse.course.exercise.show import marked
from mmcourse.files import write_in_one_step

WORDS = {
    "done": "done",
    "wrong": "not right yet",
    "error": "stopped by an error",
    "unwritten": "not written yet",
    "missing": "its cell is missing",
    "damaged": "could not be read",
    "stopped": "ended by the grader",
    "forbidden": "not counted",
}
_COLORS = {"done": "#009E73", "unwritten": "#888888"}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "section{border-left:4px solid;padding:.2em 1em;margin:1.2em 0}h2{font-size:1.1em;margin:.2em 0;color:#222}"
    "section>*{color:#222}pre{background:#f3f3f3;padding:.6em;overflow:auto;white-space:pre-wrap}li{margin:.1em 0}"
    "ul{padding:0;list-style:none}"
    ".no{color:#b34a00}.yes{color:#00694d}"
)


def write(record: dict[str, Any], place: Path, taken: set[str]) -> None:
    """Writes the two pages of a submission below `place`; `taken` keeps the places of others, however alike."""
    inside = re.sub(r"\.ipynb$", "", record["file"], flags=re.IGNORECASE).split("/")
    student, name = _file_name(record["student"]), _file_name("-".join(inside))
    if (alike := _alike(f"{student}/{name}")) in taken:
        own = f"{record['student']}/{record['file']}/{len(taken)}"
        name = f"{name}-{hashlib.sha256(own.encode()).hexdigest()[:8]}"
    taken.update((alike, _alike(f"{student}/{name}")))
    for suffix, text in ((".html", page_html(record)), (".md", page_markdown(record))):
        write_in_one_step(place / student / f"{name}{suffix}", text.encode("utf-8", errors="replace"))


def _file_name(text: str) -> str:
    """A name that every file system takes: no separator, no ending of its own, at most 100 bytes."""
    name = re.sub(r"[^\w.\- ]", "_", text).encode()[:100].decode(errors="ignore").strip(" ")
    return name if name.strip(".") else "_"


def _alike(text: str) -> str:
    """The same text for names that some file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _points(items: list[dict[str, Any]]) -> str:
    most = sum(item["max_points"] for item in items)
    return f"{sum(item['points'] for item in items)} of {most} point{'' if most == 1 else 's'}"


def _total(record: dict[str, Any]) -> str:
    return _points(record["verdicts"]) if record["verdicts"] else "Nothing could be graded."


def _about(record: dict[str, Any]) -> list[str]:
    """What is said below the total, as sentences: what it leaves out, what is wrong with the file, remarks."""
    count = len(record["written"])
    questions = "1 written question: your teacher reads it"
    if count > 1:
        questions = f"{count} written questions: your teacher reads them"
    left_out = [f"the total leaves out {questions}"] if count else []
    problem = [record["problem"]] if record["problem"] else []
    return [_sentence(text) for text in (*left_out, *problem, *record["remarks"])]


def _sentence(text: str) -> str:
    """A text with a capital in front, unless it begins with a name of code, and with an end."""
    text = text[0].upper() + text[1:] if re.match(r"[a-z]+['’,]?( |$)", text) else text
    return text if text.endswith((".", "!", "?", "…", ")")) else f"{text}."


def _heading(record: dict[str, Any], verdict: dict[str, Any]) -> str:
    """Says which exercise it is and where in the chapter, so that its cell is found."""
    section = record.get("sections", {}).get(verdict["exercise"], "")
    place = f"{verdict['exercise']}, in “{section}”" if section else verdict["exercise"]
    return f"{verdict['title']} ({place}): {WORDS[verdict['status']]}, {_points([verdict])}"


def _question(record: dict[str, Any], name: str) -> str:
    title = record.get("titles", {}).get(name, "")
    named = f"“{title}” ({name}; " if title else f"{name} ("
    return f"Question {named}your teacher reads this)"


def _lines(verdict: dict[str, Any]) -> list[tuple[str, str]]:
    """What is said about one exercise, as (kind, text): checks, what is wrong, remarks."""
    lines = [("yes" if ok else "no", name) for name, ok, _ in verdict["cases"]]
    passed, everything = verdict["hidden"]
    if everything:
        of = "1 check that is not shown" if everything == 1 else f"{everything} checks that are not shown"
        lines.append(("yes" if passed == everything else "no", f"{passed} of {of}"))
    if verdict["message"]:
        lines.append(("text", _sentence(verdict["message"])))
    if verdict["limit"]:
        lines.append(("text", f"A limit was reached: {verdict['limit']}."))
    lines += [("text", f"Noticed: it {text}.") for text in verdict["tampering"]]
    said = [text for text in verdict["remarks"] if text != verdict["message"]]
    return lines + [("text", _sentence(text)) for text in said]


def page_html(record: dict[str, Any]) -> str:
    """The page as HTML, without scripts or outside files; all that learners wrote is escaped."""
    verdicts = record["verdicts"]
    title = html.escape(f"{record['chapter'] or record['file']}: {record['student']}")
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{title}</h1><p><b>{_total(record)}</b></p>")
    parts += [f"<p>{marked(text)}</p>" for text in _about(record)]
    for verdict in verdicts:
        color = _COLORS.get(verdict["status"], "#D55E00")
        name = html.escape(_heading(record, verdict))
        parts.append(f'<section style="border-color:{color}"><h2>{name}</h2>')
        lines = _lines(verdict)
        checks = [
            f'<li class="{kind}">{"✓" if kind == "yes" else "✗"} {marked(text)}'
            for kind, text in lines
            if kind != "text"
        ]
        parts.append(f"<ul>{''.join(checks)}</ul>" if checks else "")
        parts += [f"<p>{marked(text)}</p>" for kind, text in lines if kind == "text"]
        if verdict["output"]:
            parts.append(f"<p>Your output:</p><pre>{html.escape(verdict['output'])}</pre>")
        parts.append("</section>")
    for name, text in record["written"].items():
        said = f"<pre>{html.escape(text)}</pre>" if text else "<p>Nothing written.</p>"
        parts.append(f"<section><h2>{html.escape(_question(record, name))}</h2>{said}</section>")
    return "\n".join(parts) + "\n"


def page_markdown(record: dict[str, Any]) -> str:
    """The page as Markdown."""
    verdicts = record["verdicts"]
    lines = [
        f"# {_plain(record['chapter'] or record['file'])}: {_plain(record['student'])}",
        "",
        f"**{_total(record)}**",
    ]
    for text in _about(record):
        lines += ["", _plain(text)]
    for verdict in verdicts:
        lines += ["", f"## {_plain(_heading(record, verdict))}", ""]
        for kind, text in _lines(verdict):
            lines += ["", _plain(text)] if kind == "text" else [f"- {'✓' if kind == 'yes' else '✗'} {_plain(text)}"]
        if verdict["output"]:
            lines += ["", "Your output:", "", *_fenced(verdict["output"])]
    for name, text in record["written"].items():
        lines += ["", f"## {_plain(_question(record, name))}", ""]
        lines += _fenced(text) if text else ["Nothing written."]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text in which nothing starts a link, a picture or HTML; code in backticks stays."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:
        parts = ["ʼ".join(parts)]
    return "`".join(part if n % 2 else re.sub(r"([\\<>\[\]!*_#|])", r"\\\1", part) for n, part in enumerate(parts))


def _fenced(text: str) -> list[str]:
    """Text as a block of code, in a fence longer than any within it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return [f"{fence}text", text.rstrip("\n"), fence]
