"""A class graded in shares, or by a Dask cluster: the table is the one that a single run writes."""

from __future__ import annotations

import sys

import nbformat
import pytest

from mmcourse.course import cli
from mmcourse.course.errors import CourseError
from mmcourse.course.grading import grade_submissions
from mmcourse.course.grading.collection import Submission, share_of

RIGHT = "def build_causal_mask(length):\n    return torch.ones(length, length).tril().bool()"
CELLS = {"ada": RIGHT, "ben": RIGHT.replace("torch.ones", "~torch.ones"), "cleo": "1 / 0", "=dan": RIGHT}


def write(path, answer):
    code = nbformat.v4.new_code_cell
    cells = [code("import torch", id="01-start"), code(answer, id="01-causal-mask", metadata={"tags": ["exercise"]})]
    cells.append(code('check("01-causal-mask", build_causal_mask)', id="c1", metadata={"tags": ["check"]}))
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Submissions (one student hands in twice) and the course that they belong to."""
    place = tmp_path_factory.mktemp("cluster")
    write(place / "chapters" / "01_small.ipynb", "def build_causal_mask(length):\n    raise NotImplementedError")
    for student, answer in CELLS.items():
        write(place / "class" / student / "01_small.ipynb", answer)
    write(place / "class" / "ada" / "01_small again.ipynb", "1 / 0")
    (place / "class" / "eve.ipynb").write_text('{"cells": [')
    return place


@pytest.fixture(scope="module")
def whole(place):
    """The table of one run on one machine."""
    out = place / "whole" / "grades.csv"
    grade_submissions([place / "class"], out, workers=2, chapters=place / "chapters")
    content = out.read_bytes()
    assert content.count(b"\n") == 7
    assert b"2 times" in content
    assert b"inverted" in content
    return content


def test_two_shares_make_the_table_of_one_run(place, whole, tmp_path):
    out = tmp_path / "grades.csv"
    shares = [
        grade_submissions([place / "class"], out, workers=1, chapters=place / "chapters", share=share)
        for share in ("1/2", "2/2")
    ]
    assert [(one.files, one.kept) for one in shares] == [(3, 0), (3, 0)]
    assert not out.exists()
    done = grade_submissions([place / "class"], out, workers=1, chapters=place / "chapters")
    assert (done.files, done.kept) == (6, 6)
    assert out.read_bytes() == whole


@pytest.mark.slow
def test_a_dask_cluster_writes_the_table_of_one_run(place, whole, tmp_path, monkeypatch):
    from distributed import LocalCluster

    from mmcourse.course.grading.run import cluster

    monkeypatch.setattr(cluster, "BATCH", 2)  # so that both workers have something to do
    out, said = tmp_path / "grades.csv", []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local:
        address = local.scheduler_address
        call = {"chapters": place / "chapters", "dask": address, "tell": said.append}
        monkeypatch.chdir(place)  # where the workers are not
        done = grade_submissions(["class"], out, **call)
        assert (done.files, done.kept) == (6, 0)
        assert out.read_bytes() == whole
        assert sum(" of 6: " in line for line in said) == 6
        assert grade_submissions([place / "class"], out, **call).kept == 6


def test_without_dask_or_a_scheduler_there_is_one_sentence(place, tmp_path, monkeypatch, capsys):
    from mmcourse.course.grading.run import cluster

    monkeypatch.setattr(cluster, "_SECONDS", 1)
    command = ["grade", str(place / "class"), "--out", str(tmp_path / "grades.csv"), "--dask", "tcp://127.0.0.1:9"]
    assert cli.main(command) != 0
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cli.main(command) != 0
    assert "pip install distributed" in capsys.readouterr().err


def test_a_worker_with_another_course_is_refused():
    from mmcourse.course.grading.run.cluster import grade_batch

    settings = {"limits": {}, "hidden": None, "strict": True, "salt": "", "chapters": None}
    with pytest.raises(CourseError, match="another version of the course"):
        grade_batch(settings, "something else", [])


@pytest.mark.parametrize("shares", [1, 2, 5, 30])
def test_every_submission_is_in_one_share(shares, tmp_path):
    every = [Submission(student=str(number), name="x", path=tmp_path) for number in range(23)]
    parts = [share_of(every, f"{number}/{shares}") for number in range(1, shares + 1)]
    assert sorted((one for part in parts for one in part), key=lambda one: int(one.student)) == every
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("share", ["0/20", "21/20", "3", "3/", "a/b", "-1/2", "1/0", "1/2/3", ""])
def test_what_is_no_share_is_named(share):
    with pytest.raises(CourseError, match="share must be like 3/20"):
        share_of([], share)
