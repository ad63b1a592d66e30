"""Photographs that scikit-image and scikit-learn carry inside their packages: real pictures without a download.

The two packages change what they carry from version to version. A photograph that the installed version lacks is left
out here, never fetched.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from mmcourse.datasets.folder import read_image

PUBLIC = "public domain"
NO_KNOWN = "no known copyright restrictions"
# name: (file inside its package, title, credit, licence), as the packages' own documentation states them
SOURCES = {
    "cat": ("skimage/data/chelsea.png", "Chelsea the cat", "Stefan van der Walt", "CC0"),
    "coffee": ("skimage/data/coffee.png", "A cup of coffee", "Rachel Michetti, Pikolo Espresso Bar", "CC0"),
    "rocket": ("skimage/data/rocket.jpg", "Falcon 9 carries DSCOVR into space", "SpaceX", PUBLIC),
    "camera": ("skimage/data/camera.png", "A man with a camera on a tripod", "Lav Varshney", "CC0"),
    "astronaut": ("skimage/data/astronaut.png", "The astronaut Eileen Collins", "NASA", PUBLIC),
    "clock": ("skimage/data/clock_motion.png", "A wall clock, blurred by motion", "Stefan van der Walt", PUBLIC),
    "coins": ("skimage/data/coins.png", "Greek coins from Pompeii", "Brooklyn Museum", NO_KNOWN),
    "retina": ("skimage/data/retina.jpg", "The retina of a human eye", "Mikael Häggström", "CC0"),
    "tissue": (
        "skimage/data/ihc.png",
        "Colon glands, stained",
        "CMMI",
        NO_KNOWN,
    ),
    "galaxies": ("skimage/data/hubble_deep_field.jpg", "Hubble eXtreme Deep Field", "NASA", PUBLIC),
    "brick": ("skimage/data/brick.png", "A brick wall", "CC0 Textures", "CC0"),
    "grass": ("skimage/data/grass.png", "Grass", "linolafett", "CC0"),
    "gravel": ("skimage/data/gravel.png", "Gravel", "CC0 Textures", "CC0"),
    "motorcycle": (
        "skimage/data/motorcycle_left.png",
        "A motorcycle in a garage",
        "D. Scharstein and others, Middlebury Stereo Datasets 2014",
        "published for research; no licence stated",
    ),
    "palace": ("sklearn/datasets/images/china.jpg", "The Summer Palace in Beijing", "danielbuechele", "CC BY 2.0"),
    "flower": ("sklearn/datasets/images/flower.jpg", "A dahlia", "vultilion", "CC BY 2.0"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """One photograph: image uint8 (3, H, W), with the title, credit and licence to print beside it."""

    image: torch.Tensor
    title: str
    credit: str
    licence: str

    def __repr__(self) -> str:
        height, width = self.image.shape[1:]
        return f"Photo({self.title!r}, {width} × {height} pixels, by {self.credit}, {self.licence})"


def load_photos(*names: str) -> dict[str, Photo]:
    """The photographs that the installed packages carry, by name; with names, only those.

    Raises:
        KeyError: a name is not known, or its photograph is not in the installed version of its package.
    """
    here = {name: path for name in SOURCES if (path := _path(name)) is not None}
    missing = [name for name in names if name not in here]
    if missing:
        known = missing[0] in SOURCES
        reason = "is not in the installed version of its package" if known else "is not known"
        raise KeyError(f"photo {missing[0]!r} {reason}; there are: {', '.join(here)}")
    return {name: _photo(name, here[name]) for name in names or here}


def _photo(name: str, path: Path) -> Photo:
    _, title, credit, licence = SOURCES[name]
    return Photo(image=read_image(path), title=title, credit=credit, licence=licence)


def _path(name: str) -> Path | None:
    """Where the file lies, without importing its package (scikit-image alone takes a second)."""
    package, inside = SOURCES[name][0].split("/", 1)
    spec = find_spec(package)
    folders = [] if spec is None else spec.submodule_search_locations or []
    return next((path for folder in folders if (path := Path(folder) / inside).is_file()), None)
