"""`mmcourse lab`: the server starts on the first chapter with our settings and ends cleanly."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import nbformat
import pytest

from mmcourse.cache import CacheWarning
from mmcourse.course.errors import CourseError
from mmcourse.course.learner import lab

DRIVER = """
import sys
from pathlib import Path
from mmcourse.course.learner import lab
lab.prepare_data = lambda: None
sys.exit(lab.lab(Path(sys.argv[1]), browser=False, chapters_dir=Path(sys.argv[2])))
"""


def test_a_port_in_use_is_told_and_without_a_wish_the_next_is_taken(monkeypatch):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(CourseError, match=f"port {port} is in use; choose another one with --port"):
            lab.free_port(port)
        monkeypatch.setattr(lab, "PORTS", range(port, port + 20))
        assert port < lab.free_port(None) < port + 20
    with pytest.raises(CourseError, match="between 1024 and 65535"):
        lab.free_port(700_000)


def test_a_cache_that_cannot_be_written_is_one_sentence(monkeypatch, capsys):
    import warnings

    from mmcourse import datasets

    monkeypatch.setattr(datasets, "prepare_data", lambda: warnings.warn("the disk is full", CacheWarning, stacklevel=1))
    lab.prepare_data()
    said = capsys.readouterr()
    assert said.out.endswith("· the disk is full.\n")
    assert said.err == ""


def test_the_command_starts_on_the_first_chapter_and_as_root_where_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    parts = lab.command(tmp_path, lab.FIRST, port=9000, ip="localhost", browser=False)
    assert {"--allow-root", "--no-browser", "--ServerApp.port=9000"} <= set(parts)
    assert "--LabApp.default_url=/lab/tree/00_start_here.ipynb" in parts
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    parts = lab.command(tmp_path, "", port=9000, ip="localhost", browser=True)
    assert "--allow-root" not in parts
    assert "--no-browser" not in parts


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("ignored", [False, True], ids=["in front", "in the background"])
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_the_server_shows_chapter_00_with_our_settings_and_ends_cleanly(tmp_path, spawn, way, ignored):
    chapters, work, home = tmp_path / "chapters", tmp_path / "work", tmp_path / "home"
    chapters.mkdir()
    home.mkdir()
    nbformat.write(nbformat.v4.new_notebook(), chapters / "00_start_here.ipynb")
    env = {**os.environ, "HOME": str(home), "http_proxy": "http://127.0.0.1:9", "PYTHONUNBUFFERED": "1"}
    # A job in the background of a script begins with the interrupt ignored.
    begin = f"import signal; signal.signal(signal.SIGINT, signal.{'SIG_IGN' if ignored else 'default_int_handler'})"
    process = spawn(
        [sys.executable, "-c", begin + DRIVER, work, chapters],
        env=env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    while not (lines and "http://" in lines[-1]):
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    base, token = re.search(r"(http://\S+)/lab/tree/00_start_here.ipynb\?token=(\S+)", lines[-1]).groups()
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path):
        request = urllib.request.Request(base + path, headers={"Authorization": f"token {token}"})
        return json.load(direct.open(request, timeout=200))

    plugin = ask("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert plugin["schema"]["properties"]["fetchNews"]["default"] == "false"
    plugin = ask("/lab/api/settings/@jupyterlab/notebook-extension:tracker")
    assert plugin["schema"]["properties"]["recordTiming"]["default"] is False
    assert [item["name"] for item in ask("/api/contents")["content"]] == ["00_start_here.ipynb"]
    process.send_signal(way)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0
    assert "JupyterLab ends." in out
    assert "Traceback" not in err
    assert not list(home.glob(".jupyter/*config*"))
    with pytest.raises(OSError, match="refused"):
        direct.open(base + "/api", timeout=100)


def test_port_0_is_one_that_the_system_chooses():
    port = lab.free_port(0)
    assert 1024 <= port <= 65535
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
