"""What keeps an answer in its place: limits, and on Linux namespaces and a filter of system calls.

Two steps. `enclose` is called once by the process that starts answers: from then on it sees a read-only file system
with Python and the library in it but neither exercises nor solutions nor anybody's files, no network, no other
processes. `confine` is called in each process that runs an answer. What the system does not offer is named.
"""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass

from mmcourse.course.grading import namespaces, seccomp

MEBI = 1 << 20
# What Python and its libraries need to start. Nothing else that the teacher's shell knows reaches a grading process.
_VARIABLES = {"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV", "CONDA_PREFIX"}
_VARIABLES |= {"PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONUTF8", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH"}
_VARIABLES |= {"DYLD_LIBRARY_PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE"}
_VARIABLES |= {"APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE"}
_SETTINGS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_SETTINGS |= {"MPLBACKEND": "Agg", "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one answer may use.

    Args:
        seconds: from start to end, for loading the answer and all its checks together.
        memory: MiB on top of what Python and the library take.
        output: KiB that it may print; more than a hundredth of it is not kept.
        files: MiB that it may write, into a folder that goes away.
    """

    seconds: float = 10.0
    memory: int = 1024
    output: int = 4096
    files: int = 32

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name} must be more than 0, got {value}")


def environment() -> dict[str, str]:
    """The variables for a process that grades: those on a list, and what keeps it quiet and the same every time."""
    kept = {name: value for name, value in os.environ.items() if name in _VARIABLES or name.startswith("LC_")}
    return {**kept, **_SETTINGS}


def missing(report: dict[str, bool]) -> list[str]:
    """The parts of the isolation that could not be had, and what is done instead, in words for a warning."""
    words = {
        "namespaces": (
            "a read-only file system without the solutions, and a process space of its own",
            "what an answer opens or writes is noted in the table, and not prevented",
        ),
        "filter": (
            "a filter of system calls (no new processes, no network)",
            "processes and connections are noted in the table, and not prevented",
        ),
        "memory": ("a limit on memory", "only the end of its time stops an answer that takes more and more"),
        "limits": ("limits on processor time, output files and processes", "the time limit counts by the clock"),
        "group": (
            "an end for a whole group of processes",
            "the answer is ended, and with it those that the system still lists below it",
        ),
        "fork": ("quick starts", "every answer starts a Python of its own, which takes some seconds"),
    }
    return [f"{what} (instead, {instead})" for name, (what, instead) in words.items() if not report.get(name)]


def can_fork() -> bool:
    """Whether answers can be forks of a process that has everything loaded, to which open files can be handed."""
    return hasattr(os, "fork") and hasattr(os, "wait4") and hasattr(socket, "send_fds")


def offered() -> dict[str, bool]:
    """Which parts of the isolation this system has, as far as it can be known without trying; namespaces must be."""
    try:
        import resource  # noqa: F401

        limits = True
    except ImportError:  # Windows
        limits = False
    return {
        "namespaces": False,
        "filter": seccomp.available(),
        "memory": limits and platform.system() == "Linux",  # macOS takes the limit and does not keep it
        "limits": limits,
        "group": hasattr(os, "killpg"),
        "fork": can_fork(),
    }


def enclose() -> dict[str, bool]:
    """Shuts this process and its children off; says which parts worked."""
    report = offered()
    if platform.system() == "Linux":
        try:
            namespaces.enter()
            report["namespaces"] = True
        except OSError as error:
            report["why"] = str(error)
    return report


def confine(limits: Limits, report: dict[str, bool], size: int) -> None:
    """Binds this process, which is about to run an answer; `size` is its address space so far, in bytes."""
    if hasattr(os, "setsid"):
        os.setsid()
    if report.get("namespaces"):
        namespaces.own_files(limits.files)
    if platform.system() == "Linux":
        namespaces.die_with_parent()
        namespaces.drop_capabilities()
    if report.get("limits"):
        _limit(limits, size, filtered=bool(report.get("filter")))
    if report.get("filter"):
        seccomp.install(writing=bool(report.get("namespaces")))


def _limit(limits: Limits, size: int, *, filtered: bool) -> None:
    import resource

    seconds = int(limits.seconds) + 2
    wanted = {
        "RLIMIT_CPU": seconds,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits.files * MEBI,
        "RLIMIT_NOFILE": 128,
        "RLIMIT_MSGQUEUE": 0,
    }
    if not filtered:
        wanted["RLIMIT_NPROC"] = 512  # of all processes of this user; the filter allows no new one at all
    if platform.system() == "Linux":
        wanted["RLIMIT_AS"] = size + limits.memory * MEBI
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(kind, (value, value))
