"""Checkpoints: everything a run is, in one file that is either whole or not there.

A file is written beside its place and moved into it in one step, so a run that is killed at any moment leaves the last
whole checkpoint. It is read without pickle's powers (`weights_only=True`), and its checksums are compared first.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import torch

from mmcourse.errors import OneSentence
from mmcourse.files import draft_of

State = dict[str, Any]
FORMAT = 1


class CheckpointError(OneSentence, RuntimeError):
    """A checkpoint cannot be used; one sentence that names the file and says what to do."""


def save_checkpoint(path: Path, state: State) -> None:
    """Writes `state` (tensors, numbers and texts in dicts, lists and tuples) to `path` in one step.

    Raises:
        CheckpointError: the file cannot be written; an earlier one stays as it was.
    """
    contents = io.BytesIO()
    torch.save({"format": FORMAT, **state}, contents)
    try:
        with draft_of(path) as draft, draft.open("wb") as file:
            file.write(contents.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # the move must not reach the disk before what is moved
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(
            f"the checkpoint {path} cannot be written ({reason}); free space or choose another path"
        ) from error


def load_checkpoint(path: Path) -> State | None:
    """What `save_checkpoint` wrote, or None where there is no file.

    Raises:
        CheckpointError: the file is damaged, or no checkpoint of this course.
    """
    advice = "delete it to start again from the first step, or put a copy of it back"
    try:
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise CheckpointError(f"the checkpoint {path} is damaged (in {bad}); {advice}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        return None
    except CheckpointError:
        raise
    except Exception as error:  # zipfile, pickle and torch raise a dozen kinds of error for a damaged file
        kind = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"the checkpoint {path} cannot be read ({kind}); {advice}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"the file {path} is no checkpoint of this course; choose another path")
    return state


def prepare(path: Path) -> None:
    """Makes the folder and clears what a run that was killed while it wrote has left there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{path.name}.*.part"):
            left.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CheckpointError(f"the folder {path.parent} cannot be used ({reason}); choose another path") from error
