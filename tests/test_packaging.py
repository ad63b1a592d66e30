"""One list of dependencies, and a wheel that carries the whole course."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("python", ["3.10.13", "3.11.7", "3.12.1", "3.13.0"])
def test_the_tested_set_has_one_version_of_every_dependency(project, python):
    """For each Python that the course promises, and within the ranges that `pyproject.toml` names."""
    extras = project["project"]["optional-dependencies"].values()
    wanted = map(Requirement, [*project["project"]["dependencies"], *chain.from_iterable(extras)])
    place = {"python_version": python.rpartition(".")[0], "python_full_version": python, "sys_platform": "linux"}
    place |= {"platform_machine": "x86_64", "platform_system": "Linux", "os_name": "posix"}
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    pins = [pin for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate(place)]
    tested = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    assert len(tested) == len(pins), "one version each"
    for needed in wanted:
        assert needed.specifier.contains(tested[canonicalize_name(needed.name)], prereleases=True), needed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_environment_yml_and_pyproject_hold_together(project):
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    dependencies = [line[2:] for line in lines[lines.index("dependencies:") + 1 :]]
    # conda gives Python and pip and nothing else; pip installs this package from the folder the file lies in
    assert dependencies == [f"python{project['project']['requires-python']}", "pip", "pip:", "--editable .[test]"]
    assert "test" in project["project"]["optional-dependencies"]


def test_main_packages_are_dependencies(project):
    named = {line.split(">")[0].split("=")[0] for line in project["project"]["dependencies"]}
    assert {"jupyterlab", "torch", "torchvision", "transformers", "matplotlib", "ipywidgets", "nbval"} <= named


def test_wheel_carries_chapters_and_data(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "chapters", "data", "constraints.txt"], cwd=ROOT, capture_output=True, text=True
    )
    if tracked.returncode:
        pytest.skip("not a git clone, so the tracked files are not known")
    missing = [name for name in tracked.stdout.split("\n") if name and f"mmcourse/_content/{name}" not in names]
    assert not missing


def test_an_editable_installation_holds_no_copy_of_the_solutions(tmp_path):
    sys_path = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    build = f"{sys_path}; from hatchling.build import build_editable; print(build_editable({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.whl")
    assert [name for name in zipfile.ZipFile(path).namelist() if "_content" in name or name.endswith(".ipynb")] == []


def ask(python, question, **options):
    done = subprocess.run([python, "-c", question], capture_output=True, text=True, check=True, **options)
    return done.stdout.strip()


def test_installed_wheel_starts_the_course_without_the_repository(wheel, tmp_path, start_lab):
    home = tmp_path / "home"
    home.mkdir()
    venv.create(tmp_path / "env", with_pip=False, symlinks=os.name != "nt")
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    subprocess.run([*map(str, install)], check=True, capture_output=True)
    # The dependencies are borrowed from this environment; the package itself came from the wheel alone.
    Path(ask(python, "import sysconfig; print(sysconfig.get_path('purelib'))"), "borrowed.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )
    assert str(tmp_path) in ask(python, "import mmcourse; print(mmcourse.__file__)", cwd=home)
    lab = start_lab(home / "course", home=home, program=[scripts / "mmcourse"])
    assert "00_start_here" in lab.wait()
    assert json.loads((home / "course" / "01_attention.ipynb").read_text(encoding="utf-8"))["cells"]
