"""What tests of the whole course share: a machine without a network, a running JupyterLab, and a browser."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
if hasattr(os, "geteuid") and os.geteuid() == 0:
    QUIET.append("--no-sandbox")  # Chromium refuses to run its sandbox as root
# Runs a command where only this machine's own address answers: brings the loopback up in a fresh network namespace.
UNPLUGGED = """
import fcntl, os, socket, struct, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
os.execvp(sys.argv[1], sys.argv[1:])
"""


KERNELS = os.path.join(os.path.dirname(__file__), "kernel_startup.py")


def pytest_configure(config):
    """Warnings of other packages are theirs, in tests and in the kernels of notebooks; `STRICT=1` counts all."""
    if os.environ.get("MMCOURSE_STRICT"):
        config.addinivalue_line("filterwarnings", "error")
        config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:jupyter_client.*")
    else:
        os.environ["PYTHONSTARTUP"] = KERNELS


def pytest_collection_modifyitems(items):
    """Long tests first, so that none of them is left to end the run alone on one core."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # else as they were


def end(process):
    """Ends a process and the group that it leads; asks first, as torchrun has to end workers in groups of their own."""
    if os.name == "nt":
        process.kill()
    else:
        for number, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 60)):
            try:
                os.killpg(process.pid, number)
                process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:  # nobody is left
                break
    process.wait(60)


@pytest.fixture
def spawn():
    """`spawn(command, …)` is a process like `Popen`'s that has ended after the test, whatever happens in it."""
    started = []

    def start(command, **options):
        started.append(subprocess.Popen([*map(str, command)], start_new_session=True, **options))
        return started[-1]

    yield start
    for process in started:
        end(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def unplugged_prefix():
    """The words before a command that switch its network off, or None where the system does not allow it."""
    if shutil.which("unshare") is None:
        return None
    for flags in (["-n"], ["-r", "-n"]):
        prefix = ["unshare", *flags, sys.executable, "-c", UNPLUGGED]
        if subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True).returncode == 0:
            return prefix
    return None


@pytest.fixture(scope="session")
def without_network():
    """`without_network(command)` is the same command with the network switched off, where the system allows that."""
    prefix = unplugged_prefix() or []
    return lambda command: [*prefix, *map(str, command)]


@pytest.fixture(scope="session")
def unplugged(without_network):
    """The same for tests that prove nothing with the network on."""
    if without_network([]) == []:
        pytest.skip("this system allows no network namespace (unshare), so the network cannot be switched off")
    return without_network


class Lab:
    """`mmcourse lab` in a process of its own, with everything it says."""

    def __init__(self, folder, *, program=None, env=None, home=None):
        self.port = free_port()
        program = program or [sys.executable, "-m", "mmcourse.course.cli"]
        command = [*map(str, program), "lab", str(folder), "--no-browser", "--port", str(self.port)]
        small = {"HOME": str(home or folder), "MMCOURSE_BUDGET": "smoke", "OMP_NUM_THREADS": "1"}
        env = {**os.environ, **small, **(env or {})}
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True, "text": True}
        self.process = subprocess.Popen(command, cwd=home or folder, env=env, **options)
        self.lines = []
        self.url = None
        self.answered = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with self.process.stdout as said:
            for line in said:
                self.lines.append(line)
                if found := re.search(r"http://\S+", line):
                    self.url = self.url or found.group()
                    self.answered.set()
        self.answered.set()

    def wait(self, seconds=300):
        """The URL that was printed once the server answers."""
        assert self.answered.wait(seconds), f"no URL after {seconds} s: {''.join(self.lines)}"
        assert self.url, f"mmcourse lab ended without a URL: {''.join(self.lines)}"
        return self.url


@pytest.fixture
def start_lab():
    labs = []

    def start(folder, **options):
        labs.append(Lab(folder, **options))
        return labs[-1]

    yield start
    for lab in labs:
        end(lab.process)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; install it to run the browser tests (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[test]' brings playwright")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()
