"""Pictures as tensors: files of whatever kind, upright, in three colors of eight bits, and of any size; and what comes
next: colors as numbers for a network, and the share of each of its cells that an object covers.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch.nn import functional as F

ROOM = 4_000_000  # numbers of a picture that are resized at a time
TURNS = {  # what brings a picture upright, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path) -> torch.Tensor:
    """A picture file as uint8 (3, H, W): turned upright as its EXIF data say, transparency laid on white.

    Raises:
        OSError: the file is missing, damaged or no picture.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")  # about odd metadata; what matters here is whether the pixels can be read
            pixels = np.asarray(_rgb(_upright(picture)))  # (H, W, 3)
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's many readers raise many kinds of error for damaged files
        raise OSError(f"picture {str(path)!r} cannot be read: {_reason(error)}") from error
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _upright(picture: Image.Image) -> Image.Image:
    """Turned as its EXIF data say. `ImageOps.exif_transpose` also writes them anew, which odd tags of others break."""
    turn = TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    return picture if turn is None else picture.transpose(turn)


def _rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I") or picture.mode == "F":  # more than 8 bits: Pillow would clip instead of scaling
        picture = Image.fromarray(_eight_bits(np.asarray(picture, dtype=np.float64), picture.mode))
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def _eight_bits(values: np.ndarray, mode: str) -> np.ndarray:
    """Values (H, W) of more than 8 bits as uint8: scaled by the least range that holds them, so never all black.

    Raises:
        ValueError: there is no finite number among them.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("it holds no finite number")
    low, most = min(float(finite.min()), 0.0), float(finite.max())
    if mode == "F":
        top = 1.0 if 1 / 255 <= most <= 1 else most
    elif mode == "I":  # 32 bits, of which many programs fill 8 or 16
        top = next((limit for limit in (255.0, 65535.0) if most <= limit), most)
    else:
        top = 65535.0
    spread = top - low or 1.0
    values = np.nan_to_num(values, nan=low, posinf=top, neginf=low).clip(low, top)
    return ((values - low) * (255 / spread)).round().astype(np.uint8)


def unreadable(path: Path) -> str | None:
    """None if the picture goes through all that `read_image` does, otherwise why not."""
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            picture.draft("RGB", (1, 1))  # JPEG then decodes at an eighth of its size: the same errors, much sooner
            _rgb(_upright(picture))
    except Exception as error:  # see read_image
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    return "no picture of a kind that Pillow reads" if isinstance(error, UnidentifiedImageError) else str(error)


def square(image: torch.Tensor, size: int) -> torch.Tensor:
    """A picture uint8 (3, H, W) of any size as a square (3, size, size): squeezed, nothing is cut off.

    Rows are resized a few at a time, then columns: a large picture is never there as a whole in floating point.
    """
    rows = max(ROOM // (3 * image.shape[-1]), 1)
    parts = [_resized(part, (part.shape[1], size)) for part in image.split(rows, dim=1)]  # each (3, rows, size)
    return _resized(torch.cat(parts, dim=1), (size, size)).round().clamp(0, 255).to(torch.uint8)


def _resized(image: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(image[None].float(), shape, mode="bilinear", antialias=True)[0]


def centered(images: torch.Tensor) -> torch.Tensor:
    """Colors from 0 to 255 as floating-point numbers from −1 to 1, of any shape.

    >>> centered(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    return images.float() / 127.5 - 1


def covered(masks: torch.Tensor, grid: Sequence[int]) -> torch.Tensor:
    """The share of each cell that a mask covers: bool (…, H, W) -> (…, rows, columns), from 0 to 1.

    Args:
        grid: rows and columns of the cells, such as those of the patches of a network.

    >>> covered(torch.tensor([[[True, False, False, False]] * 2]), (1, 2))
    tensor([[[0.5000, 0.0000]]])
    """
    return F.adaptive_avg_pool2d(masks.float(), tuple(grid))
