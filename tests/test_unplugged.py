"""With the network switched off after installation the course starts and shows its first chapter."""

import subprocess
import sys

# Runs inside the namespace: starts the course on an empty cache, waits for the URL, asks it for the page.
START = """
import os, re, subprocess, sys, urllib.request
command = [sys.executable, "-m", "mmcourse.course.cli", "lab", sys.argv[1], "--no-browser", "--port", "8123"]
lab = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
said = ""
try:
    for line in lab.stdout:
        said += line
        if found := re.search(r"http://\\S+", line):
            print("status", urllib.request.urlopen(found.group(), timeout=300).status)
            break
finally:
    lab.terminate()
    lab.wait(200)
print(said)
"""


def test_the_prefix_really_unplugs(unplugged):
    outside = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"
    failed = subprocess.run(unplugged([sys.executable, "-c", outside]), capture_output=True, text=True)
    assert "unreachable" in failed.stderr


def test_lab_starts_with_an_empty_cache_and_no_network(unplugged, tmp_path, monkeypatch):
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    command = unplugged([sys.executable, "-c", START, tmp_path / "course"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert "status 200" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "course" / "00_start_here.ipynb").is_file()
    assert list((tmp_path / "cache").glob("*.safetensors"))
