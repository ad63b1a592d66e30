"""How a result looks: one line of plain text, or a small box of HTML without scripts or outside files."""

from __future__ import annotations

import html
from typing import Any

# Okabe–Ito colors that hold on light and dark ground; text keeps the theme's own color.
_COLORS = {"done": "#009E73", "wrong": "#D55E00", "error": "#D55E00", "unwritten": "#888888", "hint": "#0072B2"}
_BOX = "border-left:4px solid {color};background:rgba(127,127,127,.09);padding:.5em .9em;margin:.3em 0;line-height:1.5"


def summary(result: Any) -> str:
    """The first line of a result, as plain text."""
    if result.status == "unwritten":
        return f"○ {result.title}: not written yet."
    points = f"{result.points} of {result.max_points} point{'' if result.max_points == 1 else 's'}"
    passed = f"{result.passed} of {result.total} check{'' if result.total == 1 else 's'} passed"
    if result.status == "done":
        return f"✓ {result.title}: done, {passed}, {points}."
    return f"✗ {result.title}: {'not right yet' if result.status == 'wrong' else 'stopped by an error'}, {passed}."


def result_html(result: Any) -> str:
    """A result as a small piece of HTML without scripts or outside files; all text in it is escaped."""
    parts = [f"<b>{marked(summary(result))}</b>"]
    if result.status != "unwritten":
        parts += [_case_html(case.name, case.ok, case.message, result.message) for case in result.cases]
    if result.status in ("wrong", "error"):
        parts.append(f'<div style="margin-top:.4em">{marked(result.message)}</div>')
        parts.append(f'<div style="opacity:.75;margin-top:.4em">Stuck? <code>hint("{result.exercise_id}")</code></div>')
    if result.note:
        parts.append(f'<div style="opacity:.75">{marked(result.note)}</div>')
    return box(result.status, "".join(parts))


def _case_html(name: str, ok: bool, message: str, headline: str) -> str:
    color = _COLORS["done" if ok else "wrong"]
    said = "" if ok or message == headline else f": {marked(message)}"
    return f'<div><span style="color:{color};font-weight:bold">{"✓" if ok else "✗"}</span> {marked(name)}{said}</div>'


def box(kind: str, inner: str) -> str:
    return f'<div style="{_BOX.format(color=_COLORS[kind])}">{inner}</div>'


def marked(raw: str) -> str:
    """Escaped text; what stands between backticks becomes code."""
    parts = html.escape(raw).split("`")
    if len(parts) % 2 == 0:  # an odd backtick is only a backtick
        return html.escape(raw)
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
