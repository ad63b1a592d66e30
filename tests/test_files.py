"""Files are either whole or not there, whatever stops the one who writes."""

import errno
import multiprocessing
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from mmcourse.files import draft_of, expanded, write_in_one_step


@pytest.mark.parametrize(("content", "expected"), [(b"\x00\xff\r\n", b"\x00\xff\r\n"), ("猫\n", "猫\n".encode())])
def test_bytes_and_text_arrive_as_they_are_and_folders_are_made(tmp_path, content, expected):
    path = tmp_path / "deep" / "er" / "thing.json"
    for _ in range(2):  # where nothing was, and over an earlier file
        write_in_one_step(path, content)
        assert path.read_bytes() == expected
        assert list(path.parent.iterdir()) == [path]


def test_the_draft_lies_beside_its_file_under_a_name_that_is_its_own(tmp_path):
    path = tmp_path / "run.1.pt"
    with draft_of(path) as one, draft_of(path) as other:
        assert one != other
        for draft in (one, other):
            assert draft.parent == tmp_path
            assert re.fullmatch(rf"run\.1\.pt\.{os.getpid()}-[0-9a-f]{{8}}\.part", draft.name)
        one.write_text("first")
        other.write_text("second")
        assert sorted(tmp_path.glob("run.1.pt.*.part")) == sorted([one, other])
        assert not path.exists()
    assert path.read_text() == "first"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_stops_the_writing_passes_through_and_leaves_the_earlier_file(tmp_path, error):
    path = tmp_path / "thing"
    path.write_text("whole")

    def write():
        with draft_of(path) as draft:
            draft.write_text("ha")
            raise error

    with pytest.raises(type(error)) as caught:
        write()
    assert caught.value is error
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("owner", [Path, os])
def test_a_disk_that_fills_while_writing_or_moving(tmp_path, monkeypatch, owner):
    path = tmp_path / "thing"
    write_in_one_step(path, "whole")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(owner, "write_bytes" if owner is Path else "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_in_one_step(path, "other")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_that_nobody_wrote_and_a_folder_that_is_not_there_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError), draft_of(tmp_path / "thing"):
        pass
    with pytest.raises(FileNotFoundError), draft_of(tmp_path / "none" / "thing") as draft:
        draft.write_text("lost")
    assert not list(tmp_path.iterdir())


def write_and_die(path):
    with draft_of(path) as draft:
        draft.write_text("ha")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_leaves_the_earlier_file_and_a_draft_that_can_be_found(tmp_path):
    path = tmp_path / "thing"
    path.write_text("whole")
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert path.read_text() == "whole"
    (left,) = tmp_path.glob("thing.*.part")
    assert left.name.startswith(f"thing.{process.pid}-")


@pytest.mark.skipif(os.name == "nt", reason="the home folder of Windows is not HOME")
def test_the_home_folder_stands_for_its_sign_and_that_of_nobody_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("~/pictures", Path("~/pictures")):
        assert expanded(given) == tmp_path / "pictures"
    for given in ("~nobody-of-this-name/pictures", "pictures/~", "/a/b"):
        assert expanded(given) == Path(given)
