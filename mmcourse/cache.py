"""The data cache: things that are made once and read many times, as checked safetensors files.

A file is written beside its place and moved into it in one step, under a lock, with a checksum of its contents, so a
stopped run, two processes at once or a damaged disk never leave half a file that somebody later believes.
"""

from __future__ import annotations

import errno
import os
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mmcourse.files import draft_of, expanded

Tensors = dict[str, torch.Tensor]
LOCK_SECONDS = 600
DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


class CacheWarning(UserWarning):
    """The cache could not be used as asked; the data was made in memory instead."""


def cache_dir() -> Path:
    """The cache folder: `MMCOURSE_CACHE`, or the user's cache folder of this operating system. Not created here."""
    chosen = os.environ.get("MMCOURSE_CACHE")
    return expanded(chosen) if chosen else user_cache_path("mmcourse", appauthor=False)


def load_or_build(name: str, key: str, build: Callable[[], Tensors]) -> Tensors:
    """Reads `name` from the cache, or builds and stores it.

    Args:
        name: file name without ending, such as `glyphs-96`.
        key: everything the contents depend on (versions, sizes); a file with another key is rebuilt.
        build: makes the tensors; called at most once, by one process at a time. Its own errors pass through.
    Returns:
        The tensors by name. A missing, damaged or outdated file repairs itself. Where nothing can be written (a
        read-only folder, a full disk) the tensors are returned all the same and a `CacheWarning` says why.
    """
    path = cache_dir() / f"{name}.safetensors"
    tensors = _read(path, key)
    if tensors is not None:
        return tensors
    lock = FileLock(f"{path}.lock", timeout=LOCK_SECONDS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, Timeout, NotImplementedError) as error:  # the last: a file system without locks
        return _uncached(build(), path, error)
    try:
        tensors = _read(path, key)  # another process may have built it while this one waited
        if tensors is None:
            tensors = build()
            _write(path, key, tensors)
        return tensors
    except OSError as error:
        if tensors is None:  # an error of `build` itself
            raise
        return _uncached(tensors, path, error)
    finally:
        lock.release()


def writable(folder: Path | None = None) -> str | None:
    """None if files can be written to the cache folder, otherwise one sentence that says why not and what to do."""
    folder = cache_dir() if folder is None else folder
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"x" * 4096)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return _cannot_write(folder, error)
    return None


def _uncached(tensors: Tensors, path: Path, error: Exception) -> Tensors:
    warnings.warn(_cannot_write(path, error), CacheWarning, stacklevel=3)
    return tensors


def _checksum(tensors: Tensors) -> str:
    value = 0
    for name in sorted(tensors):
        header = f"{name}{tensors[name].dtype}{tuple(tensors[name].shape)}"
        content = tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy()
        value = zlib.crc32(content, zlib.crc32(header.encode(), value))
    return f"{value:08x}"


def _read(path: Path, key: str) -> Tensors | None:
    """The tensors of a sound file with this key; None for a file that is missing, damaged or made for another key."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            if facts.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (OSError, SafetensorError):
        return None
    return tensors if facts.get("checksum") == _checksum(tensors) else None


def _write(path: Path, key: str, tensors: Tensors) -> None:
    """Writes a file in one step. Called under the lock."""
    for left in path.parent.glob(f"{path.name}.*.part"):  # by a process that was stopped while it wrote
        left.unlink(missing_ok=True)
    facts = {"key": key, "checksum": _checksum(tensors)}
    try:
        with draft_of(path) as draft:
            save_file({name: value.contiguous() for name, value in tensors.items()}, draft, metadata=facts)
            draft.chmod(0o644)  # safetensors writes for the owner alone, but a class may share one cache
    except SafetensorError as error:  # safetensors wraps the system's own error in text
        full = "No space left" in str(error) or "os error 28" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


def _cannot_write(path: Path, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if isinstance(error, Timeout):
        reason = f"another process has been building it for {LOCK_SECONDS} seconds; stop that process"
    elif isinstance(error, NotImplementedError):
        reason = "its file system cannot lock files; choose a local disk"
    elif code in DISK_FULL:
        reason = "the disk is full; free some space"
    elif code in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "this folder cannot be written to; allow it"
    elif code in (errno.EEXIST, errno.ENOTDIR):
        reason = "a file stands where a folder should be; move it away"
    elif code == errno.EISDIR:
        reason = "a folder stands where the file should be; move it away"
    else:
        reason = f"of an error ({error}); mend that"
    return f"the cache {path} is not used because {reason}, or set MMCOURSE_CACHE to another folder"
