"""`claim`: a sentence of the course that a number has to earn, shown beside what was measured.

The reader sees a gauge with the measured value; the text output holds only the name, the limit and the verdict, which
are the same on every machine, so that strict `pytest --nbval` passes although training drifts a little.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

from IPython import get_ipython
from IPython.display import display
from matplotlib import rc_context
from matplotlib.figure import Figure

from mmcourse.errors import OneSentence
from mmcourse.runtime import budget
from mmcourse.viz.style import GRAY, GREEN, INK, SHOWN_DPI, STYLE, VERMILLION, png

SIZE = 7.6, 0.96  # inches
LONGEST = 130  # characters that can be read in that width
SMALL, LOG_FROM = 0.01, 50  # a limit this small, or this many times above the value, is drawn on a logarithmic scale


class ClaimError(OneSentence, AssertionError):
    """A claim of the course does not hold for the number that was measured."""


def claim(
    name: str,
    value: float | Mapping[str, float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    near: float | None = None,
    tolerance: float | None = None,
) -> None:
    """Shows a measured value on a gauge, or several on one, and holds the course to what it says about them.

    Args:
        name: what was measured, as a noun that starts the sentence: `"recall accuracy"`.
        value: the measured number; a tensor with one element will do. A mapping holds several to the same limits: the
            gauge marks them all, and its bar and number are those of the one with the least room.
        at_least, at_most: the limits; one of them or both.
        near, tolerance: instead of limits, the expected value and how far off it may be.
    Raises:
        ClaimError: the claim does not hold (under the smoke budget it is shown and not judged).

    >>> claim("accuracy", 0.98, at_least=0.95)
    ✓ accuracy is at least 0.95
    >>> claim("difference to PyTorch", {"softmax": 2e-8, "its gradient": 4e-7}, at_most=1e-5)
    ✓ difference to PyTorch is at most 1e-05 for softmax · its gradient
    """
    limits = f"at_least={at_least}, at_most={at_most}, near={near}, tolerance={tolerance}"
    if (near is None) != (tolerance is None):
        raise ValueError(f"near and tolerance belong together, got {limits}; give both or neither")
    if (near is None) == (at_least is None and at_most is None):
        raise ValueError(f"claim needs at_least, at_most or both, or near with tolerance, got {limits}")
    measured = {word: _number(each) for word, each in value.items()} if isinstance(value, Mapping) else {}
    if isinstance(value, Mapping) and not measured:
        raise ValueError(f"claim about {name!r} has an empty mapping of values; give at least one")
    low, high = (at_least, at_most) if near is None else (near - tolerance, near + tolerance)
    worst = min(measured, key=lambda word: _room(measured[word], low, high), default="")
    tightest = measured[worst] if measured else _number(value)
    holds = _room(tightest, low, high) >= 0
    expected = _sentence(at_least, at_most, near, tolerance)
    judged = budget() != "smoke"
    verdict = ("✓" if holds else "✗") if judged else "○"
    each = f" for {' · '.join(measured)}" if measured else ""
    text = f"{verdict} {name} is {expected}{each}" + ("" if judged else " (not judged at smoke budget)")
    color = (GREEN if holds else VERMILLION) if judged else GRAY
    _show(text, name, tightest, low, high, color, tuple(measured.values()))
    if judged and not holds:
        of = f" for {worst}" if measured else ""
        raise ClaimError(f"{name} is {_short(tightest)}{of}, but it should be {expected}")


def _number(value: Any) -> float:
    return float(value.detach() if hasattr(value, "detach") else value)  # a loss may still carry its graph


def _room(value: float, low: float | None, high: float | None) -> float:
    """How far inside its limits a value is; below 0 where it is outside, or no number."""
    sides = [value - low] if low is not None else []
    sides += [high - value] if high is not None else []
    return -math.inf if math.isnan(value) else min(sides)


def _sentence(at_least: float | None, at_most: float | None, near: float | None, tolerance: float | None) -> str:
    if near is not None:
        return f"{_short(near)} to within {_short(tolerance)}" if tolerance else _short(near)
    if at_least is not None and at_most is not None:
        return f"between {_short(at_least)} and {_short(at_most)}"
    return f"at least {_short(at_least)}" if at_least is not None else f"at most {_short(at_most)}"


def _short(number: float) -> str:
    """Three significant digits, whole numbers in full: 0.95, 1e-05, 131,072."""
    whole = float(number).is_integer() and abs(number) < 1e15
    text = f"{int(number):,}" if whole else f"{number:.3g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def _show(
    text: str, name: str, value: float, low: float | None, high: float | None, color: str, others: Sequence[float]
) -> None:
    if get_ipython() is None:
        print(text)
        return
    picture = base64.b64encode(gauge(text, value, low, high, color, others)).decode()
    alt = f"Gauge: {name}, measured {_short(value)}. {text}"
    details = {"alt": alt, "width": round(SIZE[0] * SHOWN_DPI)}
    display({"image/png": picture, "text/plain": text}, metadata={"image/png": details}, raw=True)


def gauge(
    text: str, value: float, low: float | None, high: float | None, color: str, others: Sequence[float] = ()
) -> bytes:
    """The gauge as PNG: the allowed stretch as a band, the value as a bar with its number, `others` as marks."""
    with rc_context(STYLE):
        return png(_draw(text, value, low, high, color, others))


def _draw(
    text: str, value: float, low: float | None, high: float | None, color: str, others: Sequence[float]
) -> Figure:
    figure = Figure(figsize=SIZE, layout="none", facecolor="white")
    axes = figure.add_axes((0.02, 0.30, 0.78, 0.28))
    start, end, log = _scale(value, low, high, others)
    if log:
        axes.set_xscale("log")
    axes.set(xlim=(start, end), ylim=(0, 1), yticks=[])
    axes.axvspan(low if low is not None else start, high if high is not None else end, color=color, alpha=0.18, lw=0)
    shown = min(max(value, start), end) if not math.isnan(value) else start
    origin = start if log or start > 0 or end < 0 else 0.0
    axes.barh(0.5, shown - origin, left=origin, height=0.5, color=color)
    seen = [min(max(each, start), end) for each in others if not math.isnan(each)]
    axes.plot(seen, [0.5] * len(seen), "|", color=INK, markersize=11, clip_on=False)
    for limit in (low, high):
        if limit is not None:
            axes.axvline(limit, color=INK, lw=2)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRAY)
    axes.minorticks_off()
    axes.tick_params(labelsize=9, colors=INK, length=3)
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"  # the whole text is in the output beside it
    figure.text(0.02, 0.74, shown, fontsize=11 * min(1, 90 / max(len(shown), 1)), color=INK, parse_math=False)
    figure.text(0.985, 0.34, _short(value), fontsize=15, color=color, weight="bold", ha="right")
    return figure


def _scale(
    value: float, low: float | None, high: float | None, others: Sequence[float] = ()
) -> tuple[float, float, bool]:
    """The stretch of the axis, and whether it is logarithmic (for errors far below their limit)."""
    numbers = [number for number in (value, *others, low, high) if number is not None and math.isfinite(number)]
    error = low is None and high is not None and high > 0 and 0 <= value < math.inf and min(others, default=0) >= 0
    if error and (high <= SMALL or value < high / LOG_FROM):
        smallest = min((each for each in (value, *others) if each > 0), default=high * 1e-3)
        return min(smallest / 10, high / 1000), max(value, high) * 10, True
    if all(0 <= number <= 1 for number in numbers) and max(numbers) > 0.1:
        return 0.0, 1.0, False
    start, end = min(0.0, *numbers), max(0.0, *numbers)
    room = 0.12 * (end - start) or 1.0
    return start - (room if start < 0 else 0.0), end + (room if end > 0 or start == end else 0.0), False
