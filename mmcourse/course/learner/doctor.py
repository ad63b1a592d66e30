"""`mmcourse doctor`: what this machine has and, where something is missing, what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.version import Version

from mmcourse.content import tested_set

State = Literal["ok", "note", "bad"]
OLDEST_PYTHON = (3, 10)
FREE_GIGABYTES = 2.0
NAMED = 8  # packages that one line of the report names
LIBRARIES = ("torch", "numpy", "matplotlib", "PIL", "mmcourse", "torchvision", "timm", "tokenizers", "transformers")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; `remedy` says what to do when it is not well."""

    name: str
    state: State
    value: str
    remedy: str = ""


def examine(work: Path) -> list[Finding]:
    """Everything in order; only `bad` findings keep the course from working."""
    findings = [python(), *packages(), versions(), torch_pair()]
    if findings[-1].state == "ok":  # the rest of the library stands on torch
        findings += [device(), threads(), budget(), *cache_folder()]
    return [*findings, home(), disk(work), work_folder(work), own_modules(work), chromium()]


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    text = ".".join(map(str, version))
    if version[:2] >= OLDEST_PYTHON:
        return Finding(name="Python", state="ok", value=text)
    return Finding(name="Python", state="bad", value=text, remedy="install Python 3.10 or newer")


def packages(requirements: list[str] | None = None) -> list[Finding]:
    """Every dependency of the course against the version it needs, as its own metadata lists them."""
    if requirements is None:
        requirements = [line for line in importlib.metadata.requires("mmcourse") or [] if "extra ==" not in line]
    findings = []
    for needed in map(Requirement, requirements):
        version = _installed(needed.name)
        if version is None:
            remedy = f"python -m pip install '{needed}'"
            findings.append(Finding(name=needed.name, state="bad", value="missing", remedy=remedy))
            continue
        fits = needed.specifier.contains(version, prereleases=True)
        remedy = "" if fits else f"needs {needed.specifier}: python -m pip install --upgrade '{needed}'"
        findings.append(Finding(name=needed.name, state="ok" if fits else "bad", value=str(version), remedy=remedy))
    return findings


def versions(lines: list[str] | None = None) -> Finding:
    """The installed versions against the set that the course was tested with; only a note, as others may do as well.

    Args:
        lines: of a constraints file; by default the course's own.
    """
    if lines is None:
        lines = tested_set().read_text(encoding="utf-8").splitlines()
    here, others = 0, []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        tested = Requirement(line)
        version = _installed(tested.name)
        if version is None or (tested.marker is not None and not tested.marker.evaluate()):
            continue  # for another Python or system, or of an extra that is not installed
        here += 1
        if not tested.specifier.contains(version, prereleases=True):  # 2.14.1+cpu counts as 2.14.1
            others.append(f"{tested.name} {version} (tested: {str(tested.specifier).removeprefix('==')})")
    if not others:
        return Finding(name="tested set", state="ok", value=f"all {here} packages are as tested")
    named = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED} more" if len(others) > NAMED else "")
    remedy = f"{named}; should something fail, `make lab` in a fresh clone installs the tested set"
    return Finding(name="tested set", state="note", value=f"{len(others)} of {here} packages differ", remedy=remedy)


def _installed(name: str) -> Version | None:
    try:
        return Version(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def torch_pair() -> Finding:
    """torch and torchvision from different places break when torchvision is imported."""
    try:
        import torch
        import torchvision
    except (ImportError, OSError, RuntimeError) as error:
        remedy = "python -m pip install --force-reinstall torch torchvision, both in one command"
        return Finding(name="torch pair", state="bad", value=str(error).splitlines()[0], remedy=remedy)
    return Finding(name="torch pair", state="ok", value=f"{torch.__version__} and {torchvision.__version__}")


def device() -> Finding:
    """An accelerator has to compute what the CPU computes."""
    from mmcourse import runtime
    from mmcourse.train import trial

    try:
        name = str(runtime.device())
    except ValueError as error:
        return Finding(name="device", state="bad", value=os.environ.get("MMCOURSE_DEVICE", ""), remedy=str(error))
    if name != "cpu" and (problem := trial.try_device(runtime.device())):
        return Finding(name="device", state="bad", value=name, remedy=f"{problem}: set MMCOURSE_DEVICE=cpu")
    speed = "a GPU makes training faster, nothing needs one" if name == "cpu" else ""
    return Finding(name="device", state="ok", value=name, remedy=speed)


def threads() -> Finding:
    import torch

    return Finding(name="threads", state="ok", value=str(torch.get_num_threads()))


def budget() -> Finding:
    from mmcourse import runtime

    try:
        return Finding(name="budget", state="ok", value=runtime.budget())
    except ValueError as error:
        return Finding(name="budget", state="bad", value=os.environ.get("MMCOURSE_BUDGET", ""), remedy=str(error))


def home() -> Finding:
    """Jupyter keeps its running kernels and its settings in the home folder."""
    folder = Path("~").expanduser()
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding(name="home folder", state="ok", value=str(folder))
    except OSError as error:
        remedy = f"Jupyter writes there ({error.strerror}): allow it or set HOME to a folder of yours"
        return Finding(name="home folder", state="bad", value=str(folder), remedy=remedy)


def own_modules(work: Path) -> Finding:
    """Files beside the notebooks that a notebook would import in the place of a library's module."""
    taken = {*sys.stdlib_module_names, *LIBRARIES}
    beside = [*work.glob("*.py"), *(path.parent for path in work.glob("*/__init__.py"))]
    found = sorted(path.name for path in beside if path.stem in taken)
    if not found:
        return Finding(name="own modules", state="ok", value="none hides a library's")
    remedy = f"a notebook imports it in place of the library's: rename it in {work}"
    return Finding(name="own modules", state="bad", value=", ".join(found), remedy=remedy)


def disk(folder: Path, name: str = "disk of your work") -> Finding:
    """Free space where `folder` is or will be."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    value = f"{free:.1f} GB free"
    if free >= FREE_GIGABYTES:
        return Finding(name=name, state="ok", value=value)
    remedy = f"the course likes to have {FREE_GIGABYTES:.0f} GB free at {place}"
    return Finding(name=name, state="note" if free >= FREE_GIGABYTES / 10 else "bad", value=value, remedy=remedy)


def cache_folder() -> tuple[Finding, Finding]:
    """The course works without a cache, so a folder that cannot be written to is only worth a note."""
    from mmcourse import cache

    folder, problem = cache.cache_dir(), cache.writable()
    state: State = "ok" if problem is None else "note"
    return Finding(name="cache", state=state, value=str(folder), remedy=problem or ""), disk(
        folder, "disk of the cache"
    )


def work_folder(work: Path) -> Finding:
    place = next(path for path in (work.absolute(), *work.absolute().parents) if path.exists())
    if place.is_dir() and os.access(place, os.W_OK):
        return Finding(name="work folder", state="ok", value=str(work))
    remedy = f"{place} cannot be written to: allow it or name another folder, `mmcourse lab FOLDER`"
    return Finding(name="work folder", state="bad", value=str(work), remedy=remedy)


def chromium() -> Finding:
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is not None:
        return Finding(name="Chromium", state="ok", value=Path(found).name)
    remedy = "only the browser tests of `make test` need it (Debian: apt-get install chromium)"
    return Finding(name="Chromium", state="note", value="not installed", remedy=remedy)
