import errno
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import filelock
import pytest
import torch

from mmcourse import cache
from mmcourse.cache import CacheWarning, cache_dir, folder_or_build, load_or_build, sound_folder, writable

TENSORS = {
    "bytes": torch.arange(4000, dtype=torch.uint8).reshape(10, 400),
    "half": torch.linspace(-1, 1, 7, dtype=torch.bfloat16),
    "flags": torch.tensor([[True, False], [False, False]]),
    "number": torch.tensor(3.5),
    "nothing": torch.zeros(0, 3),
    "turned": torch.arange(6.0).reshape(2, 3).T,  # not contiguous
}
ROOT = getattr(os, "geteuid", lambda: 1)() == 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builder:
    """Counts how often it was asked."""

    def __init__(self, tensors=None):
        self.tensors = TENSORS if tensors is None else tensors
        self.count = 0

    def __call__(self):
        self.count += 1
        return {name: value.clone() for name, value in self.tensors.items()}


def assert_same(found, expected=TENSORS):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert torch.equal(found[name], value), name


def assert_warns_and_builds_once(match, name="thing"):
    build = Builder()
    with pytest.warns(CacheWarning, match=match) as caught:
        assert_same(load_or_build(name, "1", build))
    assert build.count == 1
    (warning,) = caught
    assert warning.filename == __file__  # points to the caller, not into the library
    message = str(warning.message)
    assert message.endswith(", or set MMCOURSE_CACHE to another folder")
    assert "\n" not in message


def test_built_once_then_read(folder):
    build = Builder()
    assert_same(load_or_build("deep/thing", "1", build))
    assert_same(load_or_build("deep/thing", "1", build))
    assert build.count == 1
    assert {p.name for p in (folder / "deep").iterdir()} <= {"thing.safetensors", "thing.safetensors.lock"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_everybody_may_read_a_shared_cache(folder):
    load_or_build("thing", "1", Builder())
    assert (folder / "thing.safetensors").stat().st_mode & 0o777 == 0o644


def test_folder_comes_from_the_environment_and_is_not_made_by_asking(folder, monkeypatch):
    assert cache_dir() == folder
    assert not folder.exists()
    monkeypatch.setenv("MMCOURSE_CACHE", "~/somewhere")
    assert cache_dir() == Path.home() / "somewhere"
    monkeypatch.setenv("MMCOURSE_CACHE", "")
    assert cache_dir().name == "mmcourse"


def test_another_key_rebuilds(folder):
    load_or_build("thing", "version 1", Builder())
    newer = Builder({"only": torch.ones(2)})
    assert_same(load_or_build("thing", "version 2", newer), newer.tensors)
    assert_same(load_or_build("thing", "version 2", newer), newer.tensors)
    assert newer.count == 1


@pytest.mark.parametrize("length", [0, 4, 7, 100, 4400])
def test_a_cut_file_repairs_itself(folder, length):
    load_or_build("thing", "1", Builder())
    path = folder / "thing.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    build = Builder()
    assert_same(load_or_build("thing", "1", build))
    assert_same(load_or_build("thing", "1", build))
    assert build.count == 1


def test_every_flipped_byte_is_noticed_or_harmless(folder):
    """Every byte of the header, and a sample of the data: never wrong tensors, never an error."""
    load_or_build("thing", "1", Builder())
    path = folder / "thing.safetensors"
    sound = path.read_bytes()
    start = 8 + int.from_bytes(sound[:8], "little")
    rebuilt = 0
    for place in [*range(start), *range(start, len(sound), 97), len(sound) - 1]:
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x11]) + sound[place + 1 :])
        build = Builder()
        assert_same(load_or_build("thing", "1", build))
        rebuilt += build.count
        assert build.count == 1 or place < start, f"a flipped data byte at {place} was believed"
    assert rebuilt > 0.9 * start


def test_text_in_place_of_the_file_repairs_itself(folder):
    folder.mkdir()
    (folder / "thing.safetensors").write_text("<html>404</html>" * 100)
    build = Builder()
    assert_same(load_or_build("thing", "1", build))
    assert_same(load_or_build("thing", "1", build))
    assert build.count == 1


def test_leftovers_of_a_stopped_process_are_removed(folder):
    folder.mkdir()
    left = folder / "thing.safetensors.99999999.part"
    left.write_bytes(b"half")
    other = folder / "other.safetensors.99999999.part"
    other.write_bytes(b"somebody may be writing this one")
    (folder / "thing.safetensors.lock").touch()
    load_or_build("thing", "1", Builder())
    assert not left.exists()
    assert other.exists()


def test_errors_of_the_builder_pass_through_and_leave_nothing(folder):
    def build():
        raise FileNotFoundError("a picture is missing")

    with pytest.raises(FileNotFoundError, match="a picture is missing"):
        load_or_build("thing", "1", build)
    assert not list(folder.glob("*.safetensors"))
    assert_same(load_or_build("thing", "1", Builder()))  # the lock was given back


@pytest.fixture
def tiny_disk(tmp_path, monkeypatch):
    """A real disk of 64 KiB."""
    if sys.platform != "linux" or not ROOT:
        pytest.skip("mounting a small disk needs root on Linux")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    monkeypatch.setenv("MMCOURSE_CACHE", str(disk))
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk(tiny_disk):
    big = Builder({"big": torch.zeros(100_000)})
    with pytest.warns(CacheWarning, match=r"^the cache .*big\.safetensors is not used because the disk is full; free"):
        assert_same(load_or_build("big", "1", big), big.tensors)
    assert big.count == 1
    assert not [p for p in tiny_disk.iterdir() if p.suffix != ".lock"]  # no half file takes the last space
    assert_same(load_or_build("small", "1", Builder()))  # what fits is still kept
    assert (tiny_disk / "small.safetensors").is_file()
    with pytest.raises(OSError, match="No space left"):
        (tiny_disk / "filler").write_bytes(bytes(65536))
    assert "the disk is full; free some space" in writable()
    assert not list(tiny_disk.glob(".probe*"))


def test_a_disk_that_is_mounted_read_only(tiny_disk):
    load_or_build("old", "1", Builder())
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    build = Builder()
    assert_same(load_or_build("old", "1", build))  # what is there can be read
    assert build.count == 0
    assert_warns_and_builds_once("this folder cannot be written to; allow it")
    assert "this folder cannot be written to; allow it" in writable()


def test_a_disk_that_fills_while_moving_the_file(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert_warns_and_builds_once("the disk is full; free some space")
    assert not list(folder.glob("*.part"))


def test_a_file_where_the_folder_should_be(folder):
    folder.write_text("a file")
    assert_warns_and_builds_once("a file stands where a folder should be; move it away")
    assert_warns_and_builds_once("a file stands where a folder should be; move it away", name="deep/thing")
    assert "a file stands where a folder should be" in writable()


def test_a_folder_where_the_file_should_be(folder):
    (folder / "thing.safetensors").mkdir(parents=True)
    assert_warns_and_builds_once("a folder stands where the file should be; move it away")


@pytest.mark.skipif(ROOT or os.name == "nt", reason="this user may write everywhere")
def test_a_read_only_folder(folder):
    load_or_build("old", "1", Builder())
    folder.chmod(0o500)
    try:
        build = Builder()
        assert_same(load_or_build("old", "1", build))  # what is there can be read
        assert build.count == 0
        assert_warns_and_builds_once("this folder cannot be written to; allow it")
        assert "this folder cannot be written to; allow it" in writable()
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_that_refuses_files(folder, monkeypatch, code):
    load_or_build("old", "1", Builder())

    def refuse(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    build = Builder()
    assert_same(load_or_build("old", "1", build))
    assert build.count == 0
    assert_warns_and_builds_once("this folder cannot be written to; allow it")
    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert "this folder cannot be written to; allow it" in writable()


def test_a_file_system_without_locks(folder, monkeypatch):
    def refuse(*_, **__):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    assert_warns_and_builds_once("its file system cannot lock files; choose a local disk")


def test_waiting_for_another_process_has_an_end(folder, monkeypatch):
    monkeypatch.setattr(cache, "LOCK_SECONDS", 0.2)
    folder.mkdir()
    with filelock.FileLock(folder / "thing.safetensors.lock"):
        assert_warns_and_builds_once(r"another process has been building it for 0\.2 seconds; stop that process")
    assert_same(load_or_build("thing", "1", Builder()))


def test_writable(folder):
    assert writable() is None
    assert list(folder.iterdir()) == []
    assert writable(folder / "new" / "deep") is None


SCRIPT = """
    import sys, time
    from pathlib import Path
    import torch
    from mmcourse.cache import load_or_build

    work = Path(sys.argv[1])

    def build():
        with (work / "builds").open("a") as log:
            log.write("built\\n")
        time.sleep(1.5)
        return {"x": torch.arange(1000)}

    (work / f"ready-{sys.argv[2]}").touch()
    while not (work / "go").exists():
        time.sleep(0.01)
    x = load_or_build("shared", "1", build)["x"]
    assert torch.equal(x, torch.arange(1000))
"""


@pytest.fixture
def start(spawn):
    def started(work, folder, name):
        environment = os.environ | {"MMCOURSE_CACHE": str(folder), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), work, name]
        return spawn(command, env=environment, stderr=subprocess.PIPE, text=True)

    return started


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_two_processes_at_once_build_once(tmp_path, folder, start):
    running = [start(tmp_path, folder, name) for name in "ab"]
    wait_until(lambda: all((tmp_path / f"ready-{name}").exists() for name in "ab"))
    (tmp_path / "go").touch()
    for process in running:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert err == ""
    assert (tmp_path / "builds").read_text() == "built\n"


def test_a_killed_builder_blocks_nobody(tmp_path, folder, start):
    (tmp_path / "go").touch()
    victim = start(tmp_path, folder, "victim")
    wait_until((tmp_path / "builds").exists)
    victim.kill()
    victim.communicate(timeout=300)
    build = Builder({"x": torch.arange(1000)})
    assert_same(load_or_build("shared", "1", build), build.tensors)
    assert build.count == 1


def test_a_home_folder_of_nobody_is_a_name_like_any_other(monkeypatch):
    for chosen in ("~nobody-of-this-name/cache", "here"):
        monkeypatch.setenv("MMCOURSE_CACHE", chosen)
        assert cache.cache_dir() == Path(chosen)


class Writer:
    """Writes two files into a folder and counts how often it was asked."""

    def __init__(self, error=None):
        self.error = error
        self.count = 0

    def __call__(self, place):
        self.count += 1
        (place / "words.txt").write_text("a cat", encoding="utf-8")
        if self.error is not None:
            raise self.error
        (place / "numbers.bin").write_bytes(bytes(range(100)))


def read(build, key="1"):
    with folder_or_build("deep/pair", key, build) as found:
        return (found / "words.txt").read_text(encoding="utf-8"), (found / "numbers.bin").read_bytes()


def test_a_folder_is_built_once_then_read(folder):
    assert sound_folder("deep/pair", "1") is None
    build = Writer()
    assert read(build) == read(build) == ("a cat", bytes(range(100)))
    assert build.count == 1
    assert sound_folder("deep/pair", "1") == folder / "deep" / "pair"
    assert sound_folder("deep/pair", "2") is None
    assert {each.name for each in (folder / "deep").iterdir()} <= {"pair", "pair.lock"}
    assert read(build, key="2") == read(build, key="2")
    assert build.count == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("words.txt", b"a bat"),
        ("numbers.bin", bytes(range(99))),
        ("numbers.bin", None),
        ("made.json", b"{"),
        ("made.json", b"\xff"),
        ("made.json", b"[]"),
        ("made.json", b'{"key": "1", "files": 3}'),
        ("made.json", None),
    ],
)
def test_a_damaged_folder_repairs_itself(folder, name, content):
    build = Writer()
    sound = read(build)
    damaged = folder / "deep" / "pair" / name
    damaged.unlink() if content is None else damaged.write_bytes(content)
    assert sound_folder("deep/pair", "1") is None
    assert read(build) == read(build) == sound
    assert build.count == 2


def test_half_a_folder_of_a_stopped_process_is_removed(folder):
    half = folder / "deep" / "pair.123-abc.part"
    half.mkdir(parents=True)
    (half / "words.txt").write_text("a c", encoding="utf-8")
    assert read(Writer())[0] == "a cat"
    assert not half.exists()


@pytest.mark.parametrize("error", [ValueError("its own"), FileNotFoundError("its own"), KeyboardInterrupt()])
def test_a_folder_that_cannot_be_built_is_not_there(folder, error):
    with pytest.raises(type(error)):
        read(Writer(error))
    assert {each.name for each in (folder / "deep").iterdir()} <= {"pair.lock"}
    assert read(Writer())[0] == "a cat"


def test_a_folder_lives_for_a_moment_where_nothing_can_be_written(folder):
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "pair").write_text("in the way", encoding="utf-8")
    with (
        pytest.warns(CacheWarning, match="is not used because a file stands where a folder") as caught,
        folder_or_build("deep/pair", "1", Writer()) as found,
    ):
        assert (found / "words.txt").read_text(encoding="utf-8") == "a cat"
    assert caught[0].filename == __file__
    assert not found.exists()
    assert (folder / "deep" / "pair").read_text(encoding="utf-8") == "in the way"
