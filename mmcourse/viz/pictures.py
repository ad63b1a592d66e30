"""Pictures: galleries of right and wrong answers, attention laid over an image, and scenes with their boxes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from mmcourse.viz.style import GREEN, INK, VERMILLION, WIDTH, array, latin, new_axes, new_grid, top_of


def gallery(
    images: Tensor | Sequence[Tensor],
    titles: Sequence[str | None] | None = None,
    *,
    columns: int = 6,
    correct: Sequence[bool] | None = None,
    title: str | None = None,
) -> Figure:
    """Pictures in rows, each (3, H, W), (1, H, W) or (H, W), uint8 or 0 to 1; `correct` frames and marks answers."""
    count = len(images)
    for name, given in (("titles", titles), ("correct", correct)):
        if given is not None and len(given) != count:
            raise ValueError(f"{name} has {len(given)} entries for {count} images; give one for each image")
    if not count:
        raise ValueError("images is empty; a gallery needs at least one")
    across = min(columns, count)
    down = math.ceil(count / across)
    side = WIDTH / max(across, 4)
    letters = int(side * 11)  # about that many letters of size 10 fit above one picture
    texts = [textwrap.fill(text or "", letters) for text in titles] if titles is not None else [""] * count
    lines = max(text.count("\n") + 1 if text else 0 for text in texts)
    size = (side * across, down * (side + 0.19 * lines + 0.08) + (0.35 if title else 0))
    figure, grid = new_grid(down, across, size, title=title)
    for index, axes in enumerate(grid):
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set_visible(False)
        if index >= count:
            continue
        axes.imshow(_picture(images[index]), cmap="gray", vmin=0, vmax=1)
        mark = "" if correct is None else "✓ " if correct[index] else "✗ "
        color = INK if correct is None else "#00664A" if correct[index] else "#A84A00"
        axes.set_title(latin("titles", mark + texts[index]), fontsize=10, color=color, pad=3)
        if correct is not None:
            for spine in axes.spines.values():
                spine.set(visible=True, color=GREEN if correct[index] else VERMILLION, linewidth=3)
    return figure


def overlay(
    image: Tensor, weights: Tensor | np.ndarray, *, titles: Sequence[str] | None = None, columns: int = 5
) -> Figure:
    """A picture, and the same picture lit where the attention falls.

    Args:
        weights: (rows, columns) over the patches, or several such maps (n, rows, columns), one panel for each.
        titles: one for each map.
    """
    maps = array(weights)
    maps = maps[None] if maps.ndim == 2 else maps
    if maps.ndim != 3:
        raise ValueError(f"weights must have shape (rows, columns) or (n, rows, columns), got {maps.shape}")
    titles = ["attention"] if titles is None and len(maps) == 1 else titles
    if titles is not None and len(titles) != len(maps):
        raise ValueError(f"titles has {len(titles)} entries for {len(maps)} maps; give one for each map")
    picture = np.broadcast_to(np.atleast_3d(_picture(image)), (*_picture(image).shape[:2], 3))
    lit = [torch.from_numpy(_light(picture, grid)).permute(2, 0, 1) for grid in maps]
    names = ["picture", *(titles if titles is not None else [""] * len(maps))]
    return gallery([torch.from_numpy(picture.copy()).permute(2, 0, 1), *lit], names, columns=columns)


def scene(image: Tensor, scene: Any, *, title: str | None = None, ax: Axes | None = None) -> Figure:
    """A scene (3, 64, 64) drawn large, with the box and the noun of every object that its scene graph names."""
    ax = new_axes(ax, (4.0, 4.0 if title is None else 4.3))
    ax.imshow(_picture(image))
    for thing in scene.objects:
        left, top, right, bottom = thing.box
        corner, wide, tall = (left - 0.5, top - 0.5), right - left, bottom - top
        ax.add_patch(Rectangle(corner, wide, tall, fill=False, edgecolor="white", linewidth=4))
        ax.add_patch(Rectangle(corner, wide, tall, fill=False, edgecolor=INK, linewidth=1.5))
        frame = {"facecolor": "white", "edgecolor": INK, "pad": 1.5, "linewidth": 0.8}
        ax.text(left - 0.5, max(top - 0.5, 3.5), latin("noun", thing.noun), fontsize=10, va="bottom", bbox=frame)
    ax.set(xlabel="x in pixels", ylabel="y in pixels", title=latin("title", title))
    return ax.figure


def _picture(image: Tensor) -> np.ndarray:
    """(H, W, 3) or (H, W), 0 to 1."""
    pixels = image.detach().cpu()
    if pixels.dim() == 3 and pixels.shape[0] in (1, 3):
        pixels = pixels.permute(1, 2, 0).squeeze(-1)
    elif pixels.dim() != 2:
        raise ValueError(f"an image must have shape (3, H, W), (1, H, W) or (H, W), got {tuple(image.shape)}")
    values = array(pixels) / (255 if pixels.dtype == torch.uint8 else 1)
    return values.clip(0, 1)


def _light(picture: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The picture as it is where the map is highest, and dark where it is 0."""
    large = torch.from_numpy(grid / top_of(grid))[None, None].clamp(0, 1)
    share = torch.nn.functional.interpolate(large, size=picture.shape[:2], mode="nearest")[0, 0].numpy()[..., None]
    faint = 0.12 * picture.mean(-1, keepdims=True)
    return picture * share + faint * (1 - share)
