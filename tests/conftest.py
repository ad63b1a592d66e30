"""What tests of the whole course share: a machine without a network, and a running JupyterLab."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading

import pytest

# Runs a command where only this machine's own address answers: brings the loopback up in a fresh network namespace.
UNPLUGGED = """
import fcntl, os, socket, struct, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
os.execvp(sys.argv[1], sys.argv[1:])
"""


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
        self.process = subprocess.Popen(
            command, cwd=home or folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines = []
        self.url = None
        self.answered = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"http://\S+", line):
                self.url = self.url or found.group()
                self.answered.set()
        self.process.stdout.close()
        self.answered.set()

    def wait(self, seconds=300):
        """The URL that was printed once the server answers."""
        assert self.answered.wait(seconds), f"no URL after {seconds} s: {''.join(self.lines)}"
        assert self.url, f"mmcourse lab ended without a URL: {''.join(self.lines)}"
        return self.url

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)


@pytest.fixture
def start_lab():
    labs = []

    def start(folder, **options):
        labs.append(Lab(folder, **options))
        return labs[-1]

    yield start
    for lab in labs:
        lab.stop()
