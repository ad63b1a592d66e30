"""Files that are either whole or not there: written beside their place and moved into it in one step.

A full disk or a run that is stopped at any moment leaves the earlier file as it was.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with a `~` at its beginning replaced by the home folder; the `~` of nobody stays as it is."""
    return Path(os.path.expanduser(path))  # Path.expanduser raises where there is no such user


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; what is there takes the place of `path` when the block ends without an error.

    A file, or a folder, which takes the place of nothing but an empty one.

    The name, `{name}.{process}-{random}.part`, is nobody else's; what a killed process leaves matches `{name}.*.part`.
    The folder must be there.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    try:
        yield draft
        os.replace(draft, path)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def write_in_one_step(path: Path, content: bytes | str) -> None:
    """Writes a whole file, text as UTF-8, and makes the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with draft_of(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def sha256(path: Path) -> str:
    """The checksum of a file, which may be larger than the memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
