"""A filter for system calls (Linux): no new processes, no network, no signals to others, on request no writing.

It needs no privileges and cannot be taken off again, so it holds where namespaces are not to be had. Threads and
reading files stay possible. https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

# numbers on x86-64 and on arm64; None where the call does not exist
_CALLS = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "rt_sigqueueinfo": (129, 138), "tkill": (200, 130),
    "rt_tgsigqueueinfo": (297, 240), "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "unshare": (272, 97), "setns": (308, 268), "chroot": (161, 51), "keyctl": (250, 219), "add_key": (248, 217),
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265), "fsopen": (430, 430), "open_tree": (428, 428), "move_mount": (429, 429),
    "mount_setattr": (442, 442), "setpriority": (141, 140), "sched_setaffinity": (203, 122), "quotactl": (179, 60),
    "swapon": (167, 224), "reboot": (169, 142), "syslog": (103, 116), "inotify_init1": (294, 26),
}  # fmt: skip
_WRITING = {
    "creat": (85, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "link": (86, None),
    "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "chmod": (90, None), "fchmod": (91, 52),
    "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55), "fchownat": (260, 54), "lchown": (94, None),
    "truncate": (76, 45), "mknod": (133, None), "mknodat": (259, 33), "utimensat": (280, 88), "setxattr": (188, 5),
    "fsetxattr": (190, 7), "lsetxattr": (189, 6), "removexattr": (197, 14), "fallocate": (285, 47),
}  # fmt: skip
_SPECIAL = {
    "clone": (56, 220), "clone3": (435, 435), "kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261),
    "open": (2, None), "openat": (257, 56), "openat2": (437, 437),
}  # fmt: skip
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _ANY_BIT, _RETURN, _AT_LEAST = 0x20, 0x15, 0x45, 0x06, 0x35
_CLONE_THREAD = 0x00010000
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def available() -> bool:
    """Whether this system and processor have a filter here."""
    return platform.system() == "Linux" and platform.machine() in _ARCHITECTURES


def program(machine: str, own: int, *, writing: bool) -> list[tuple[int, int, int, int]]:
    """The filter as (code, jump if true, jump if false, constant); `own` is the process that may signal itself."""
    column, architecture = _ARCHITECTURES[machine]
    no, later = _REFUSE | errno.EPERM, _REFUSE | errno.ENOSYS

    def argument(number: int) -> tuple[int, int, int, int]:
        return _LOAD, 0, 0, 16 + 8 * number  # its lower half

    def on(name: str, *steps: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
        """Steps for one call; each list ends in a return of its own."""
        call = {**_SPECIAL, **_CALLS, **_WRITING}[name][column]
        return [] if call is None else [(_EQUAL, 0, len(steps), call), *steps]

    lines = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, no), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":  # numbers of the x32 table
        lines += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, no)]
    for name in (*_CALLS, *(() if writing else _WRITING)):
        lines += on(name, (_RETURN, 0, 0, no))
    refuse_or_allow = [(_RETURN, 0, 0, no), (_RETURN, 0, 0, _ALLOW)]
    lines += on("clone", argument(0), (_ANY_BIT, 1, 0, _CLONE_THREAD), *refuse_or_allow)
    lines += on("clone3", (_RETURN, 0, 0, later))  # glibc then takes clone, whose flags can be looked at
    for name in ("kill", "tgkill"):
        lines += on(name, argument(0), (_EQUAL, 1, 0, own), *refuse_or_allow)
    if not writing:
        for name, flags in (("open", 1), ("openat", 2)):
            allow_or_refuse = refuse_or_allow[::-1]
            lines += on(name, argument(flags), (_ANY_BIT, 1, 0, _WRITE_FLAGS), *allow_or_refuse)
        lines += on("openat2", (_RETURN, 0, 0, later))
    return [*lines, (_RETURN, 0, 0, _ALLOW)]


def install(*, writing: bool) -> None:
    """Puts the filter on this process for good.

    Args:
        writing: whether files may be opened for writing (where only a folder of its own is writable).
    Raises:
        OSError: the kernel has no such filters.
    """
    lines = program(platform.machine(), os.getpid(), writing=writing)
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, header, 0, 0):  # NO_NEW_PRIVS, then SECCOMP with a filter
        number = ctypes.get_errno()
        raise OSError(number, f"the system call filter was refused: {os.strerror(number)}")
