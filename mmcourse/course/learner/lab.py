"""`mmcourse lab`: from nothing to a JupyterLab that shows the first chapter; the user's own settings stay untouched."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmcourse.cache import CacheWarning
from mmcourse.course.errors import CourseError
from mmcourse.course.learner import workspace
from mmcourse.course.learner.progress import STATE
from mmcourse.files import write_in_one_step

FIRST = "00_start_here.ipynb"
START_SECONDS, STOP_SECONDS = 120, 15
PORTS = range(8888, 8988)
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never ask a proxy for this machine

# No request leaves the machine, and running a cell does not write times into the notebook.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {"recordTiming": False},
}


def lab(
    work: Path,
    *,
    port: int | None = None,
    ip: str = "localhost",
    browser: bool = True,
    chapters_dir: Path | None = None,
) -> int:
    """Prepares data and copies, starts JupyterLab and stays until Ctrl-C. Returns the exit code.

    Raises:
        CourseError: a port is taken, the server does not start, or the folder cannot be used.
    """
    port = free_port(port)
    prepare_data()
    for message in workspace.prepare(work, chapters_dir):
        print(f"· {message}", flush=True)
    print(f"Your chapters are in {work}", flush=True)
    first = FIRST if (work / FIRST).is_file() else ""
    token = secrets.token_urlsafe(24)
    with _server(work, first, port=port, ip=ip, browser=browser, token=token) as process:
        url = f"http://localhost:{port}/lab{f'/tree/{first}' if first else ''}?token={token}"
        _wait(process, port, ip)
        print(f"JupyterLab is ready: {url}\nCtrl-C in this window ends it.", flush=True)
        return process.wait()
    return 0  # ended with Ctrl-C


def prepare_data() -> None:
    """Fills the data cache. Where it cannot be written to, one sentence says so and the course goes on without it."""
    from mmcourse import datasets  # imports torch, which takes seconds

    print("Preparing the data …", flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("default", CacheWarning)
        warnings.showwarning = lambda message, *_: print(f"· {message}.", flush=True)
        datasets.prepare_data()


def free_port(wanted: int | None) -> int:
    """The wanted port if it is free, or else the first free one from 8888 on."""
    for port in PORTS if wanted is None else [wanted]:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if os.name != "nt":  # there it would allow a port that is in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except PermissionError:
                raise CourseError(f"port {port} needs more rights; choose one above 1023 with --port") from None
            except OverflowError:
                raise CourseError(f"port {port} does not exist; choose one between 1024 and 65535") from None
            except OSError:
                continue
            return int(probe.getsockname()[1])  # of 0, the one that the system chose
    taken = f"port {wanted} is" if wanted is not None else f"all ports from {PORTS[0]} to {PORTS[-1]} are"
    raise CourseError(f"{taken} in use; choose another one with --port")


def write_config(folder: Path) -> Path:
    """Our settings as defaults below the user's own, in a folder that only this server looks into."""
    write_in_one_step(folder / "labconfig" / "default_setting_overrides.json", json.dumps(SETTINGS, indent=1))
    return folder


def environment(work: Path, token: str) -> dict[str, str]:
    """The server's environment: kernels inherit it, so that progress finds its place and nothing asks the network."""
    config = str(write_config(work / STATE / "jupyter"))
    before = os.environ.get("JUPYTER_CONFIG_PATH")
    return {
        **os.environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join([config, before] if before else [config]),
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not another one with the same name
        "JUPYTER_TOKEN": token,
        "MMCOURSE_WORK": str(work.resolve()),
        "HF_HUB_OFFLINE": "1",
    }


def command(work: Path, first: str, *, port: int, ip: str, browser: bool) -> list[str]:
    parts = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={work.resolve()}", f"--ServerApp.port={port}"]
    parts += [f"--ServerApp.ip={ip}", "--ServerApp.port_retries=0", "--Application.log_level=ERROR"]
    parts += ["--LabApp.extension_manager=readonly", f"--LabApp.default_url=/lab{f'/tree/{first}' if first else ''}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        parts.append("--allow-root")  # in containers everybody is root
    return parts if browser else [*parts, "--no-browser"]


@contextmanager
def _server(
    work: Path, first: str, *, port: int, ip: str, browser: bool, token: str
) -> Iterator[subprocess.Popen[bytes]]:
    """The server in a group of its own: Ctrl-C reaches us alone, and we end it in good order."""
    own_group = (
        {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
    )
    parts = command(work, first, port=port, ip=ip, browser=browser)
    # The interrupt too: a job in the background of a script inherits that it is ignored. A hang-up that is ignored
    # stays so, because that is what nohup is for.
    endings = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    endings = [n for n in endings if n in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(n) != signal.SIG_IGN]
    before = [(number, signal.signal(number, _interrupt)) for number in endings]
    process = subprocess.Popen(parts, env=environment(work, token), stdin=subprocess.DEVNULL, **own_group)
    try:
        yield process
    except KeyboardInterrupt:
        print("\nJupyterLab ends. Your work is saved in the notebooks that you saved.", flush=True)
    finally:
        stop(process, port, ip, token)
        for number, handler in before:
            signal.signal(number, handler)


def stop(process: subprocess.Popen[bytes], port: int, ip: str, token: str) -> None:
    """Asks the server to end, which also ends its kernels, and insists after a while."""
    if process.poll() is None:
        request = urllib.request.Request(_address(port, ip) + "/api/shutdown", method="POST")
        request.add_header("Authorization", f"token {token}")
        try:
            _DIRECT.open(request, timeout=5).close()
        except OSError:  # it does not listen (yet)
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _address(port: int, ip: str) -> str:
    """Where this machine reaches the server."""
    return f"http://{'localhost' if ip in ('0.0.0.0', '::', '*', '') else ip}:{port}"


def _wait(process: subprocess.Popen[bytes], port: int, ip: str) -> None:
    """Until the server answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise CourseError(f"JupyterLab ended at once (code {process.returncode}); its reason stands above")
        try:
            with _DIRECT.open(_address(port, ip) + "/api", timeout=2):
                return
        except OSError:  # not yet
            time.sleep(0.2)
    raise CourseError(
        f"JupyterLab did not answer within {START_SECONDS} seconds; `mmcourse doctor` looks for the cause"
    )
