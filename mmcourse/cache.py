"""The data cache: things that are made once and read many times, as checked safetensors files or folders of files.

Each is written beside its place and moved into it in one step, under a lock, with a checksum of its contents, so a
stopped run, two processes at once or a damaged disk never leave half of it for somebody to believe later.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mmcourse.files import draft_of, expanded, sha256

Tensors = dict[str, torch.Tensor]
LOCK_SECONDS = 600
MADE = "made.json"  # in a folder of the cache: its key and the checksums of its files
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


def sound_folder(name: str, key: str) -> Path | None:
    """The folder of the cache that `folder_or_build` made with this key, if it is whole and undamaged."""
    path = cache_dir() / name
    try:
        made = json.loads((path / MADE).read_text(encoding="utf-8"))
        sound = made["key"] == key and all(sha256(path / file) == digest for file, digest in made["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # missing, or no such JSON
        return None
    return path if sound else None


@contextmanager
def folder_or_build(name: str, key: str, build: Callable[[Path], None]) -> Iterator[Path]:
    """A folder of the cache to read from, built first where it is missing, damaged or of another key.

    Args:
        name, key: as of `load_or_build`.
        build: writes the files into the folder that it is given, and is asked again for another where that cannot be
            written. Its own errors pass through.
    Returns:
        The folder for a `with` statement. Where nothing can be written to the cache it is a temporary one, gone
        afterwards, and a `CacheWarning` says why.
    """
    path, failure = cache_dir() / name, None
    try:
        if sound_folder(name, key) is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock", timeout=LOCK_SECONDS):
                if sound_folder(name, key) is None:  # another process may have built it while this one waited
                    _write_folder(path, key, build)
    except (OSError, Timeout, NotImplementedError) as error:
        failure = error
    if failure is None:
        yield path
        return
    with tempfile.TemporaryDirectory() as spare:
        build(Path(spare))  # what was an error of its own is raised here
        warnings.warn(_cannot_write(path, failure), CacheWarning, stacklevel=3)
        yield Path(spare)


def save_tensors(tensors: Tensors, path: Path, facts: dict[str, str]) -> None:
    """Writes a safetensors file that everybody may read, with facts in its header.

    Raises:
        OSError: it cannot be written.
    """
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path, metadata=facts)
        path.chmod(0o644)  # safetensors writes for the owner alone, but a class may share one cache
    except SafetensorError as error:  # safetensors wraps the system's own error in text
        full = "No space left" in str(error) or "os error 28" in str(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error


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
    with draft_of(path) as draft:
        save_tensors(tensors, draft, {"key": key, "checksum": _checksum(tensors)})


def _write_folder(path: Path, key: str, build: Callable[[Path], None]) -> None:
    """Writes a folder beside its place and moves it there. Called under the lock."""
    for left in path.parent.glob(f"{path.name}.*.part"):  # by a process that was stopped while it wrote
        shutil.rmtree(left, ignore_errors=True)
    with draft_of(path) as draft:
        draft.mkdir()
        build(draft)
        sums = {file.name: sha256(file) for file in sorted(draft.iterdir())}
        (draft / MADE).write_text(json.dumps({"key": key, "files": sums}, indent=1), encoding="utf-8")
        if path.is_dir():
            shutil.rmtree(path)  # damaged or outdated


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
