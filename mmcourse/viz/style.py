"""The look of every figure, and how it reaches the reader.

Colors are those of Okabe and Ito, "Color universal design" (2008); meaning never hangs on color alone. Text inside
figures is Latin only, because fonts for Chinese are not on every machine.
"""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
INK, GRAY, PALE = "#333333", "#767676", "#E6E6E6"
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK)
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), "-")
WEIGHTS = LinearSegmentedColormap.from_list("weights", ["#FFFFFF", "#9ECAE9", BLUE, "#00243D"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#7A2E00", VERMILLION, "#FFFFFF", BLUE, "#00243D"])
WIDTH, DPI, SHOWN_DPI = 8.0, 150, 100  # inches; pixels stored an inch; pixels shown an inch
STYLE = {
    "figure.figsize": (WIDTH, 3.0),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "axes.edgecolor": GRAY,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": PALE,
    "lines.linewidth": 2.0,
    "image.interpolation": "nearest",
    "axes.prop_cycle": mpl.cycler(color=COLORS),
}


def use_style() -> None:
    """Gives every matplotlib figure of this notebook the course's style."""
    plt.rcParams.update(STYLE)


def show(figure: Figure, alt: str) -> None:
    """Displays a figure as a picture with a text alternative, which is also what a reader without pictures gets."""
    if not alt.strip():
        raise ValueError("alt is empty; say in one sentence what the figure shows")
    plt.close(figure)
    text = f"[figure: {alt}]"
    if get_ipython() is None:
        print(text)
        return
    details = {"alt": alt, "width": round(figure.get_figwidth() * SHOWN_DPI)}
    display({"image/png": png(figure), "text/plain": text}, metadata={"image/png": details}, raw=True)


def png(figure: Figure) -> bytes:
    """The figure as PNG with at most 256 colors: a third of the size, and no reader sees the difference.

    The palette covers the colors that occur, however rare, so that a thin bright line keeps its color.
    """
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    with Image.open(stream) as pixels:
        few = pixels.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    stream = io.BytesIO()
    few.save(stream, format="png", optimize=True)
    return stream.getvalue()


def new_axes(ax: Axes | None, size: tuple[float, float], *, layout: str = "constrained") -> Axes:
    """The axes to draw in: those given, or those of a new figure."""
    if ax is not None:
        return ax
    with mpl.rc_context(STYLE):
        return Figure(figsize=size, layout=layout).add_subplot()


def new_grid(down: int, across: int, size: tuple[float, float], *, title: str | None) -> tuple[Figure, np.ndarray]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="compressed")
        if title:
            figure.suptitle(latin("title", title), fontsize=12)
        return figure, figure.subplots(down, across, squeeze=False).ravel()


def array(values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return np.asarray(values, dtype=float)


def top_of(grid: np.ndarray) -> float:
    return max(float(np.nanmax(grid)), 1e-12)


def latin(name: str, text: str | None) -> str:
    """The text, if it can be drawn everywhere."""
    text = "" if text is None else str(text)
    foreign = next((letter for letter in text if ord(letter) >= 0x2E80), None)
    if foreign is not None:
        raise ValueError(f"{name} holds {foreign!r}, which not every machine can draw; put it in the text beside")
    return text
