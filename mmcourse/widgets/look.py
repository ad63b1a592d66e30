"""How everything that can be moved looks: one panel, controls of one kind, and a ring around what has the keyboard."""

from __future__ import annotations

from typing import Any

import ipywidgets
from IPython import get_ipython
from IPython.display import display

VIEW = "application/vnd.jupyter.widget-view+json"
WIDE, NARROW = "480px", "200px"
STYLE = """<style>
.mm-panel { border: 1px solid var(--jp-border-color2, #bdbdbd); border-radius: 4px; padding: 8px; gap: 4px }
.mm-panel :focus-visible { outline: 3px solid #0072b2; outline-offset: 2px }
.mm-panel .noUi-connect { background: #0072b2 }
</style>"""


def panel(*children: ipywidgets.Widget, name: str) -> ipywidgets.VBox:
    """A framed column of widgets, with the CSS classes `mm-panel` and `mm-<name>`. Tab goes down it."""
    box = ipywidgets.VBox([*children, ipywidgets.HTML(STYLE, layout=ipywidgets.Layout(display="none"))])
    box.add_class("mm-panel")
    box.add_class(f"mm-{name}")
    return box


def described(name: str, *, width: str = WIDE) -> dict[str, Any]:
    """What every control is made with: its whole name beside it, and never wider than the page."""
    return {
        "description": name.replace("_", " "),
        "style": {"description_width": "initial"},
        "layout": ipywidgets.Layout(width=width, max_width="100%"),
    }


def show_widget(box: ipywidgets.Widget, text: str) -> None:
    """Shows a widget whose text form is the same on every machine, and is what a page without a kernel shows."""
    if get_ipython() is None:
        print(text)
        return
    display({VIEW: {"version_major": 2, "version_minor": 0, "model_id": box.model_id}, "text/plain": text}, raw=True)
