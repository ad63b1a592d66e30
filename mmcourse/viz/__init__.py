"""Figures: one style for the whole course, readable at notebook width and by color-blind eyes.

Every function returns a matplotlib `Figure` that pyplot does not know, so it never shows twice by accident; `show`
displays it with a text alternative.
"""

from mmcourse.viz.charts import attention_heads, attention_map, bars, curves, dots, heat
from mmcourse.viz.pictures import gallery, overlay, scene
from mmcourse.viz.style import BLUE, GRAY, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILLION, show, use_style

__all__ = [
    "BLUE",
    "GRAY",
    "GREEN",
    "INK",
    "ORANGE",
    "PALE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "attention_heads",
    "attention_map",
    "bars",
    "curves",
    "dots",
    "gallery",
    "heat",
    "overlay",
    "scene",
    "show",
    "use_style",
]
