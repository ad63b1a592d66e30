import pytest

from mmcourse import content


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package folder as a wheel lays it out: the course's files inside it."""
    package = tmp_path / "site-packages" / "mmcourse"
    for name in ("chapters", "data"):
        (package / "_content" / name).mkdir(parents=True)
    monkeypatch.setattr(content, "PACKAGE", package)
    return package


def test_a_clone_has_its_files_beside_the_package():
    assert (content.content_dir("data") / "glyphs.csv").is_file()
    assert content.content_dir("chapters").parent == content.PACKAGE.parent == content.repository()


def test_a_wheel_has_its_files_inside_the_package(installed):
    assert content.content_dir("data") == installed / "_content" / "data"
    assert content.repository() is None


def test_a_foreign_data_folder_beside_the_package_is_not_taken(installed):
    (installed.parent / "data").mkdir()  # some other project's, in site-packages
    assert content.content_dir("data") == installed / "_content" / "data"


def test_an_incomplete_installation_says_so(installed):
    (installed / "_content" / "data").rmdir()
    with pytest.raises(FileNotFoundError, match=r"'data' is missing from .*mmcourse; install mmcourse again"):
        content.content_dir("data")
