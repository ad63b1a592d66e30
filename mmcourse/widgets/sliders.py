"""Sliders for figures: `explore` draws a figure at once and again whenever a slider moves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
from matplotlib.figure import Figure

from mmcourse.viz import show
from mmcourse.widgets.look import described, panel, show_widget

Range = tuple[float, ...] | Sequence[str] | bool


def explore(function: Callable[..., Figure], *, alt: str | None = None, **controls: Range) -> None:
    """Shows the figure that `function` returns, with a control for each of its arguments named here.

    The first figure stands in the notebook as a picture, so that the page reads well where nothing runs. Sliders take
    the keyboard: Tab goes to the next one, the left and right arrows move it, a first letter chooses from a list, and
    the space bar ticks a box.

    Args:
        function: returns a matplotlib figure; the defaults of its arguments are where the controls start.
        alt: text alternative of the first figure; by default it names the function and its values.
        controls: for each argument (lowest, highest, step) or (lowest, highest, step, start), all whole numbers for a
            slider over whole numbers; a list of choices; a text to begin with; or True or False for a box to tick.
    Raises:
        ValueError: a range is not one, or `function` has no such argument.
    """
    widgets = make_controls(function, controls)
    output = ipywidgets.Output()

    def draw() -> None:
        values = {name: widget.value for name, widget in widgets.items()}
        settings = ", ".join(f"{name} = {value}" for name, value in values.items())
        figure = function(**values)
        label = alt if alt is not None else f"{function.__name__.replace('_', ' ')} with {settings}"
        with output:  # a figure that could not be drawn has raised before, where the reader sees it
            output.clear_output(wait=True)
            show(figure, label)

    box = panel(*widgets.values(), output, name="explore")
    names = ", ".join(widgets)
    show_widget(box, f"[controls: {names}; they move the figure while the notebook runs]")
    draw()
    for widget in widgets.values():
        widget.observe(lambda _: _guarded(draw, output), "value")


def make_controls(function: Callable[..., Figure], controls: dict[str, Range]) -> dict[str, ipywidgets.Widget]:
    """One widget for each argument, starting at the argument's own default if the range names no start."""
    parameters = inspect.signature(function).parameters
    if not controls:
        raise ValueError("explore needs at least one control, such as heads=(1, 8, 1)")
    made = {}
    for name, given in controls.items():
        if name not in parameters:
            raise ValueError(f"{function.__name__} has no argument {name!r}; it has: {', '.join(parameters)}")
        default = parameters[name].default
        made[name] = _control(name, given, None if default is inspect.Parameter.empty else default)
    return made


def _control(name: str, given: Range, default: Any) -> ipywidgets.Widget:
    look = described(name)
    if isinstance(given, bool):
        return ipywidgets.Checkbox(value=given if default is None else bool(default), indent=False, **look)
    if isinstance(given, str):  # it draws again with Enter, not at every letter
        return ipywidgets.Text(value=given if default is None else default, continuous_update=False, **look)
    if isinstance(given, list) and given:
        start = default if default in given else given[0]
        return ipywidgets.Dropdown(options=given, value=start, **look)
    numbers = isinstance(given, tuple) and all(isinstance(x, (int, float)) for x in given)
    if not numbers or len(given) not in (3, 4) or given[0] >= given[1] or given[2] <= 0:
        raise ValueError(f"{name} must be (lowest, highest, step) or (lowest, highest, step, start), got {given!r}")
    low, high, step = given[:3]
    start = given[3] if len(given) == 4 else low if default is None else default
    if not low <= start <= high:
        raise ValueError(f"{name} starts at {start}, which is not between {low} and {high}")
    whole = all(isinstance(x, int) for x in (low, high, step, start))
    slider = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
    return slider(value=start, min=low, max=high, step=step, **look)


def _guarded(draw: Callable[[], None], output: ipywidgets.Output) -> None:
    """Draws again; an error of the function shows where the figure was, because no cell is running that could."""
    try:
        draw()
    except Exception as error:
        with output:
            output.clear_output(wait=True)
            print(f"{type(error).__name__}: {error}")
