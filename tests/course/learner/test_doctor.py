"""`mmcourse doctor`: each finding with its remedy, and a start even where torch does not work."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys

import pytest

from mmcourse.course.learner import doctor


def test_an_old_python_is_bad():
    assert doctor.python((3, 9, 18)).state == "bad"
    assert "3.10" in doctor.python((3, 9, 18)).remedy
    assert doctor.python((3, 10, 0)).state == "ok"


@pytest.mark.parametrize(
    ("line", "state", "words"),
    [
        ("no-such-package-here>=1", "bad", "python -m pip install 'no-such-package-here>=1'"),
        ("numpy>=999", "bad", "needs >=999: python -m pip install --upgrade 'numpy>=999'"),
        ("numpy>=1.9", "ok", ""),
        ("numpy", "ok", ""),
    ],
)
def test_packages(line, state, words):
    (finding,) = doctor.packages([line])
    assert finding.state == state
    assert words == finding.remedy


def test_the_real_list_names_the_main_packages_and_no_extras():
    names = {finding.name for finding in doctor.packages()}
    assert {"torch", "torchvision", "jupyterlab", "nbval"} <= names
    assert "hypothesis" not in names


def test_a_matching_set_is_told_from_one_that_differs():
    here = {name: importlib.metadata.version(name) for name in ("numpy", "torch", "pytest")}
    matching = [f"{name}=={version.partition('+')[0]}" for name, version in here.items()]
    elsewhere = ["numpy==0.1 ; python_full_version < '3.0'", "no-such-package-here==1", "# a remark", ""]
    finding = doctor.versions(matching + elsewhere)
    assert (finding.state, finding.value, finding.remedy) == ("ok", "all 3 packages are as tested", "")
    finding = doctor.versions([*elsewhere, "numpy==0.1", *matching[1:]])
    assert (finding.state, finding.value) == ("note", "1 of 3 packages differ")
    assert finding.remedy.startswith(f"numpy {here['numpy']} (tested: 0.1); should something fail")


def test_many_that_differ_are_named_in_part(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: doctor.Version("2.0"))
    finding = doctor.versions([f"package-{number}==1.0" for number in range(12)])
    assert finding.remedy.count("(tested: 1.0)") == doctor.NAMED
    assert " and 4 more; " in finding.remedy


@pytest.mark.parametrize(("free", "state"), [(50e9, "ok"), (1e9, "note"), (1e7, "bad")])
def test_disk(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(100e9, 100e9 - free, free))
    finding = doctor.disk(tmp_path / "not" / "there" / "yet")
    assert finding.state == state
    assert (str(tmp_path) in finding.remedy) == (state != "ok")


def test_a_device_that_is_not_here(monkeypatch):
    monkeypatch.setenv("MMCOURSE_DEVICE", "quantum")
    assert doctor.device().state == "bad"
    assert "choose one of" in doctor.device().remedy
    monkeypatch.setenv("MMCOURSE_DEVICE", "cpu")
    assert doctor.device().value == "cpu"


def test_a_cache_and_a_work_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MMCOURSE_CACHE", str(tmp_path / "file"))
    finding, _ = doctor.cache_folder()
    assert finding.state == "note"
    assert "MMCOURSE_CACHE" in finding.remedy
    assert doctor.work_folder(tmp_path / "file").state == "bad"
    assert doctor.work_folder(tmp_path / "new" / "work").state == "ok"


def test_chromium_is_optional(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.chromium().state == "note"
    assert "install chromium" in doctor.chromium().remedy
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh")
    browser.chmod(0o755)
    assert doctor.chromium().state == "ok"


def run_doctor(work, **env):
    command = [sys.executable, "-m", "mmcourse.course.cli", "doctor", "--work", str(work)]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)


def test_a_sound_machine_gets_exit_code_0(tmp_path):
    done = run_doctor(tmp_path / "work", MMCOURSE_CACHE=str(tmp_path / "cache"), MMCOURSE_DEVICE="cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ Python" in done.stdout
    assert "Everything the course needs is here." in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("module", "error"),
    [("torch", "ImportError('libtorch.so: no such file')"), ("torchvision", "RuntimeError('operator does not exist')")],
)
def test_it_starts_where_torch_is_broken_and_says_how_to_mend_it(tmp_path, module, error):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / f"{module}.py").write_text(f"raise {error}")
    done = run_doctor(tmp_path / "work", PYTHONPATH=str(tmp_path / "broken"))
    assert done.returncode == 1
    assert "✗ torch pair" in done.stdout
    assert "--force-reinstall torch torchvision" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stderr


def test_a_home_that_cannot_be_written_to_a_wrong_budget_and_a_module_in_the_way_are_named(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "random.py").write_text("seed = 3")
    (tmp_path / "work" / "notes.py").write_text("mine = 1")
    (tmp_path / "home").write_text("a file, so that nothing can be written into it")
    done = run_doctor(tmp_path / "work", HOME=str(tmp_path / "home"), MMCOURSE_BUDGET="Smoke", MMCOURSE_DEVICE="cpu")
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "✗ home folder" in said
    assert "✗ budget Smoke" in said
    assert "set it to one of: smoke, standard, gpu" in said
    assert "✗ own modules random.py" in said
    assert "notes.py" not in said
    assert "Everything the course needs is here." not in said
