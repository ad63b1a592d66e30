"""Linux: a world of one's own for a process that runs answers, and what is and is not to be seen in it."""

from __future__ import annotations

import ctypes
import os
import platform
import site
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path

from mmcourse.content import PACKAGE, content_dir

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_KEPT_FLAGS = 2 | 4 | 8 | 1024 | 2048  # nosuid, nodev, noexec, noatime, nodiratime may not be taken off
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt/python")
_FILES = ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/passwd", "/etc/group")
_FILES += ("/etc/nsswitch.conf", "/etc/fonts", "/etc/alternatives", "/etc/mime.types")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encode = [None if text is None else text.encode() for text in (source, target, kind, data)]
    if _libc().mount(encode[0], encode[1], encode[2], ctypes.c_ulong(flags), encode[3]):
        number = ctypes.get_errno()
        raise OSError(number, f"mounting {target} failed: {os.strerror(number)}")


def _unshare(flags: int) -> None:
    if _libc().unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"new namespaces were refused: {os.strerror(number)}")


def enter() -> None:
    """New user, mount, network, IPC, host and process namespaces, and a root folder with only what Python needs."""
    user, group = os.geteuid(), os.getegid()
    probe = os.fork()  # a failure half-way would leave this process between two worlds: try it in another one first
    if probe == 0:
        try:
            _enter(user, group)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(probe, 0)[1])
    if code:
        raise OSError(code, f"new namespaces were refused: {os.strerror(abs(code))}")
    _enter(user, group)


def _enter(user: int, group: int) -> None:
    _unshare(_NEWUSER | _NEWNS | _NEWNET | _NEWIPC | _NEWUTS | _NEWPID)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _mount("none", "/", None, _REC | _PRIVATE)
    root = "/sys"  # a folder that is always there, and not needed: nothing is left behind
    base = Path(root)
    _mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    for place in visible_places():
        _bind(place, base)
    for place in hidden_places():
        target = f"{root}{place}"
        if os.path.isdir(target):
            _mount("tmpfs", target, "tmpfs", _NOSUID | _NODEV | _RDONLY, "size=4k,mode=755")
    for place in ("/tmp", "/proc", _mark()):
        Path(f"{root}{place}").mkdir(parents=True, exist_ok=True)
    for number, place in enumerate(_below_tmp()):  # `own_files` lays a fresh /tmp over them and needs another way there
        Path(f"{root}/kept/{number}").mkdir(parents=True)
        _mount(f"{root}{place}", f"{root}/kept/{number}", None, _BIND | _REC)
    os.chdir(root)
    if _libc().syscall(155 if platform.machine() == "x86_64" else 41, b".", b"."):
        raise OSError(ctypes.get_errno(), "the new root folder was refused")
    if _libc().umount2(b".", 2):  # the old root, which lies over the new one now
        raise OSError(ctypes.get_errno(), "the old root folder could not be left")
    os.chdir("/")
    _mount("none", "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _bind(place: str, base: Path) -> None:
    """Makes a file or folder visible below the new root, read-only; a symbolic link is made again as it is."""
    target = Path(f"{base}{place}")
    if target.exists() or target.is_symlink() or not os.path.lexists(place):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.islink(place):
        os.symlink(os.readlink(place), target)
        return
    if os.path.isdir(place):
        target.mkdir()
    else:
        target.touch()
    _mount(place, str(target), None, _BIND | _REC)
    if not place.startswith("/dev/"):
        kept = os.statvfs(place).f_flag
        flags = (kept & _KEPT_FLAGS) | ((1 << 21) if kept & 4096 else 0)
        _mount("none", str(target), None, _REMOUNT | _BIND | _RDONLY | _NOSUID | flags)


def visible_places() -> list[str]:
    """What an answer may read: the system's libraries, this Python with its packages, the library and its data."""
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, str(PACKAGE), str(content_dir("data"))}
    paths |= {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {site.getusersitepackages()} if site.ENABLE_USER_SITE else set()
    paths |= {os.path.realpath(path) for path in paths}
    found: list[str] = []
    for path in (*_SYSTEM, *_FILES, *_DEVICES, *sorted(paths)):
        if not any(path == other or path.startswith(f"{other}/") for other in found if not os.path.islink(other)):
            found.append(path)
    return found


@lru_cache(maxsize=1)
def _below_tmp() -> tuple[str, ...]:
    """The visible folders that lie in /tmp, as those of a trial installation do."""
    return tuple(place for place in visible_places() if place.startswith("/tmp/"))


@lru_cache(maxsize=1)
def _mark() -> str:
    """The folder, empty for answers, by which the library knows that the data lie beside it."""
    return str(content_dir("data").parent / "chapters")


def hidden_places() -> list[str]:
    """What lies below a visible place and holds right answers or checks."""
    # Beside the package that runs, another copy may be installed, with chapters and solutions inside.
    packages = {PACKAGE, *(Path(sysconfig.get_paths()[name], "mmcourse") for name in ("purelib", "platlib"))}
    packages |= {Path(site.getusersitepackages(), "mmcourse")} if site.ENABLE_USER_SITE else set()
    inside = ("course/exercises", "_content/chapters", "_content/tests")
    return [str(package / folder) for package in sorted(packages) for folder in inside]


def own_files(size: int) -> None:
    """Gives this process a /tmp of its own, of `size` MiB, over the one that it shares with its neighbors."""
    _unshare(_NEWNS)
    _mount("tmpfs", "/tmp", "tmpfs", _NOSUID | _NODEV, f"size={size}m,nr_inodes=4096,mode=1777")
    for number, place in enumerate(_below_tmp()):
        Path(place).mkdir(parents=True, exist_ok=True)
        _mount(f"/kept/{number}", place, None, _BIND | _REC)
    if _mark().startswith("/tmp/"):
        Path(_mark()).mkdir(parents=True, exist_ok=True)
    os.chdir("/tmp")


def die_with_parent() -> None:
    """Lets this process end with the one that started it (Linux)."""
    _libc().prctl(1, 9, 0, 0, 0)


def hide_memory() -> None:
    """Lets no other process of the same user look into this one (Linux)."""
    _libc().prctl(4, 0, 0, 0, 0)


def drop_capabilities() -> None:
    libc = _libc()
    for number in range(64):
        libc.prctl(24, number, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "privileges could not be dropped")
