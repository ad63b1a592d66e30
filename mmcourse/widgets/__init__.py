"""Things to play with in a notebook: sliders for a figure, and a captioner for your own pictures.

Each draws its first picture at once, so that the page reads well where nothing runs.
"""

from mmcourse.widgets.playground import caption_playground
from mmcourse.widgets.sliders import explore, make_controls

__all__ = ["caption_playground", "explore", "make_controls"]
