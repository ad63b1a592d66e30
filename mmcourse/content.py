"""Where the course's own files are: `chapters` and `data`, in the repository or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def content_dir(name: str) -> Path:
    """The folder `name` (`chapters` or `data`): beside the package in a clone, inside it in an installed wheel.

    Raises:
        FileNotFoundError: the installation is not complete.
    """
    for root in (PACKAGE.parent, PACKAGE / "_content"):
        if (root / name).is_dir() and (root / "chapters").is_dir():
            return root / name
    raise FileNotFoundError(f"the course folder {name!r} is missing from {PACKAGE}; install mmcourse again")


def tested_set() -> Path:
    """The file of the exact versions that the course was tested with, `constraints.txt`."""
    return content_dir("chapters").parent / "constraints.txt"


def repository() -> Path | None:
    """The root of the clone this package runs from, or None when it was installed from a wheel."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "chapters" / "source").is_dir() else None
