"""Charts: attention maps, small matrices with their numbers, curves and bars."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from mmcourse.viz.style import (
    BLUE,
    COLORS,
    GRAY,
    INK,
    LINES,
    PALE,
    SIGNED,
    VERMILLION,
    WEIGHTS,
    WIDTH,
    array,
    latin,
    new_axes,
    new_grid,
    top_of,
)

Matrix = Tensor | np.ndarray | Sequence[Sequence[float]]
Values = Tensor | np.ndarray | Sequence[float]


def attention_map(
    weights: Matrix,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    top: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Attention weights (T, S) as shades, one row for each token that asks; `rows` and `columns` name the tokens.

    The darkest shade is the largest weight, or `top`, which makes several maps comparable.
    """
    grid = _matrix("weights", weights)
    tall, wide = grid.shape
    cell = min(0.36, 5.6 / wide, 6.0 / tall)  # inches
    ax = new_axes(ax, (2.4 + max(2.0, cell * wide), 1.4 + max(1.2, cell * tall)), layout="compressed")
    shades = ax.imshow(grid, cmap=WEIGHTS, vmin=0, vmax=top_of(grid) if top is None else top, aspect="equal")
    _name_cells(ax, grid.shape, rows, columns if columns is not None or tall != wide else rows)
    ax.set(xlabel="looks at", ylabel="token that asks", title=latin("title", title))
    ax.figure.colorbar(shades, ax=ax, label="weight", shrink=0.9, pad=0.02).outline.set_visible(False)
    return ax.figure


def attention_heads(
    weights: Tensor | np.ndarray,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """The maps (H, T, S) of several heads side by side, all with one scale of shades."""
    maps = array(weights)
    if maps.ndim != 3:
        raise ValueError(f"weights must have shape (heads, T, S), got {maps.shape}; take one batch entry, weights[0]")
    count, tall, wide = maps.shape
    titles = [f"head {number}" for number in range(count)] if titles is None else titles
    named = rows is not None or columns is not None
    across = min(count, 4 if not named or wide <= 8 else 2)  # names need about 0.2 inches each
    down = math.ceil(count / across)
    side = min(6.2 / across, 3.0)
    figure, grid = new_grid(down, across, (WIDTH, down * (side * tall / wide + 0.35) + 0.8), title=title)
    for index, axes in enumerate(grid):
        if index >= count:
            axes.set_axis_off()
            continue
        shades = axes.imshow(maps[index], cmap=WEIGHTS, vmin=0, vmax=top_of(maps), aspect="equal")
        names = columns if columns is not None or tall != wide else rows
        first, last = index % across == 0, index + across >= count
        _name_cells(axes, (tall, wide), rows if first else None, names if last else None)
        axes.tick_params(labelleft=first, labelbottom=last)
        axes.set_title(latin("titles", titles[index]))
    figure.supxlabel("looks at", fontsize=11)
    figure.supylabel("token that asks", fontsize=11)
    figure.colorbar(
        shades, ax=list(grid), label="weight", pad=0.01, fraction=0.03, aspect=25 * down
    ).outline.set_visible(False)
    return figure


def heat(
    matrix: Matrix,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    title: str | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    digits: int = 2,
    ax: Axes | None = None,
) -> Figure:
    """A small matrix with the number in every cell: blue shades up, vermillion down; −∞ (masked) cells are gray."""
    grid = _matrix("matrix", matrix)
    tall, wide = grid.shape
    ax = new_axes(ax, (min(WIDTH, 1.6 + 0.72 * wide), min(7.0, 1.1 + 0.45 * tall)))
    finite = np.where(np.isfinite(grid), grid, 0.0)
    top, signed = max(abs(finite).max(initial=0.0), 1e-12), bool((finite < 0).any())
    ax.set_facecolor(PALE)
    shown = np.ma.masked_invalid(grid)
    shades = ax.imshow(shown, cmap=SIGNED if signed else WEIGHTS, vmin=-top if signed else 0, vmax=top, aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        dark = np.isfinite(value) and np.dot(shades.to_rgba(value)[:3], (0.299, 0.587, 0.114)) < 0.55
        color = "white" if dark else INK
        ax.text(column, row, _number(value, digits), ha="center", va="center", color=color, fontsize=10)
    _name_cells(ax, grid.shape, rows, columns, letters=8)
    ax.set(xlabel=latin("xlabel", xlabel), ylabel=latin("ylabel", ylabel), title=latin("title", title))
    return ax.figure


def curves(
    lines: Mapping[str, Values | tuple[Values, Values]],
    *,
    xlabel: str = "step",
    ylabel: str = "loss",
    baseline: Mapping[str, float] | None = None,
    title: str | None = None,
    log: bool = False,
    logx: bool = False,
    markers: bool = False,
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One line for each label: its values, or a tuple (xs, values); `baseline` draws named level lines."""
    if not lines:
        raise ValueError("lines is empty; give at least one label with its values")
    ax, places = new_axes(ax, (WIDTH, 3.0)), set()
    for number, (label, values) in enumerate(lines.items()):
        pair = isinstance(values, tuple) and len(values) == 2 and np.ndim(array(values[0])) == 1
        ys = array(values[1] if pair else values)
        xs = array(values[0]) if pair else np.arange(len(ys))
        places |= set(xs.tolist())
        style = LINES[number % len(LINES)]
        marker = "os^Dv"[number % 5] if markers else None
        ax.plot(xs, ys, color=COLORS[number % len(COLORS)], ls=style, marker=marker, label=latin("label", label))
    if log:
        ax.set_yscale("log")
    if logx:
        ax.set_xscale("log")
        ticks = sorted(places)
        if len(ticks) <= 8:  # the measured places rather than powers of ten
            ax.set_xticks(ticks, [f"{x:,g}" for x in ticks])
            ax.xaxis.set_minor_locator(NullLocator())
    _levels(ax, baseline)
    ax.grid(axis="y")
    ax.set(xlabel=latin("xlabel", xlabel), ylabel=latin("ylabel", ylabel), title=latin("title", title))
    if len(lines) > 1 or next(iter(lines), ""):
        ax.legend()
    if ylim is not None:
        ax.set_ylim(*ylim)
    return ax.figure


def bars(
    values: Mapping[str, float],
    *,
    xlabel: str | None = None,
    ylabel: str | None = None,
    baseline: Mapping[str, float] | None = None,
    title: str | None = None,
    digits: int = 2,
    highlight: str | None = None,
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One bar for each label with its number above; `baseline` draws named level lines; `highlight` names one bar."""
    ax = new_axes(ax, (WIDTH, 3.0))
    names, heights = [latin("label", name) for name in values], [float(value) for value in values.values()]
    if highlight is not None and highlight not in values:
        raise ValueError(f"highlight must be one of the labels {list(values)}, got {highlight!r}")
    colors = [VERMILLION if name == highlight else BLUE for name in values]
    drawn = ax.bar(range(len(names)), heights, color=colors, width=0.7)
    if len(names) <= 16:
        texts = [_number(height, digits) for height in heights]
        if len(names) > 8:  # a row of zeros would only be noise
            texts = [text if float(text.replace("−", "-").replace(",", "")) else "" for text in texts]
        ax.bar_label(drawn, texts, fontsize=10, padding=2)
        ax.margins(y=0.14)
    slanted = sum(map(len, names)) > 72 or max(map(len, names), default=0) * len(names) > 96
    turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    ax.set_xticks(range(len(names)), names, parse_math=False, **turned)
    ax.tick_params(axis="x", length=0)
    if min(heights, default=0) < 0:
        ax.axhline(0, color=GRAY, lw=1)
    _levels(ax, baseline)
    ax.set(xlabel=latin("xlabel", xlabel), ylabel=latin("ylabel", ylabel), title=latin("title", title))
    if ylim is not None:
        ax.set_ylim(*ylim)
    return ax.figure


def dots(
    values: Mapping[str, Sequence[float]],
    *,
    ylabel: str | None = None,
    baseline: Mapping[str, float] | None = None,
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """One dot for each run of each label, and a short line at their mean: what another seed would have given."""
    ax = new_axes(ax, (WIDTH, 3.0))
    for place, (name, runs) in enumerate(values.items()):
        heights = [float(run) for run in runs]
        if not heights:
            raise ValueError(f"values must hold at least one run of each label, got none of {name!r}")
        ax.plot([place] * len(heights), heights, "o", color=BLUE, alpha=0.7)
        ax.plot([place - 0.2, place + 0.2], [sum(heights) / len(heights)] * 2, color=VERMILLION)
    ax.set_xticks(range(len(values)), [latin("label", name) for name in values], parse_math=False)
    _levels(ax, baseline)
    ax.set(ylabel=latin("ylabel", ylabel))
    if ylim is not None:
        ax.set_ylim(*ylim)
    return ax.figure


def _matrix(name: str, values: Matrix) -> np.ndarray:
    grid = array(values)
    if grid.ndim != 2 or not grid.size:
        raise ValueError(f"{name} must be a matrix with two dimensions, got shape {grid.shape}; pick one head or entry")
    return grid


def _number(value: float, digits: int) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    whole = float(value).is_integer() and abs(value) >= 10
    rounded = round(value, digits) + 0.0  # + 0.0 turns −0.00 into 0.00
    return (f"{value:,.0f}" if whole else f"{rounded:,.{digits}f}").replace("-", "−")


def _name_cells(
    ax: Axes,
    shape: tuple[int, int],
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
    *,
    letters: int = 3,
) -> None:
    """Tokens at the edges of a map, or numbers where there are none; names of more `letters` under it are turned."""
    ax.tick_params(length=0)
    for axis, names, count, which in ((ax.yaxis, rows, shape[0], "rows"), (ax.xaxis, columns, shape[1], "columns")):
        if names is None:
            axis.set_ticks(range(0, count, math.ceil(count / 12)))
            continue
        if len(names) != count:
            raise ValueError(f"{which} has {len(names)} names for {count} {which} of weights; give one for each")
        axis.set_ticks(range(count), [latin(which, name) for name in names], parse_math=False)
        if which == "columns" and max(map(len, names)) > letters:
            ax.tick_params(axis="x", rotation=90)


def _levels(ax: Axes, levels: Mapping[str, float] | None) -> None:
    for label, value in (levels or {}).items():
        ax.axhline(float(value), color=GRAY, lw=1.5, ls=(0, (4, 3)), zorder=3)
        text = textwrap.fill(latin("baseline", label), 12)
        where = {"xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        ax.annotate(text, (1, float(value)), color=INK, **where)
