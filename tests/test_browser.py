"""The learner's copy in a real JupyterLab in Chromium: Run All, a slider, no word on stderr."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from PIL import Image

from mmcourse.cache import cache_dir
from mmcourse.content import content_dir
from mmcourse.datasets import make_scenes

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOTS = os.environ.get("MMCOURSE_SCREENSHOTS")  # a folder, for those who want to look
STUCK = 600  # seconds without a cell that ends: the run has stopped


@pytest.fixture
def lab_page(browser, start_lab, tmp_path):
    """`lab_page(notebook)` opens the learner's copy of a chapter and returns the page and the copy's path."""
    lab = start_lab(tmp_path / "work", home=tmp_path, env={"MMCOURSE_CACHE": str(cache_dir())})
    url = urlsplit(lab.wait())
    context = browser.new_context(viewport={"width": 1400, "height": 950})

    def opened(name):
        page = context.new_page()
        page.goto(f"{url.scheme}://{url.netloc}/lab/tree/{name}?{url.query}&reset", wait_until="domcontentloaded")
        page.locator(".jp-NotebookPanel:visible").wait_for(timeout=300_000)
        idle(page)
        return page, tmp_path / "work" / name

    yield opened
    context.close()


def idle(page):
    page.locator(".jp-StatusBar-TextItem", has_text="| Idle").wait_for(timeout=300_000)


def run_all(page, path):
    """Runs all cells; returns the cells as saved at the end and the execution count of each code cell."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    # The status bar is no witness: it says Idle between two cells, and while a widget talks to the kernel.
    done, changed = -1, time.monotonic()
    while time.monotonic() - changed < STUCK:
        page.wait_for_timeout(1000)
        cells = saved(page, path)
        code = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
        counts = [cell["execution_count"] for cell in code]
        if counts[-1] is not None:
            return cells, counts
        if done != (done := sum(count is not None for count in counts)):
            changed = time.monotonic()
    raise AssertionError(f"{path.name} did not get past {done} of {len(counts)} cells for {STUCK} seconds")


def saved(page, path):
    """The notebook's cells as JupyterLab writes them to disk."""
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    for _ in range(1200):
        time.sleep(0.1)
        if path.stat().st_mtime_ns != before:
            try:
                return json.loads(path.read_text(encoding="utf-8"))["cells"]
            except json.JSONDecodeError:
                continue  # still being written
    raise AssertionError(f"{path.name} was not saved")


def shot(page, name):
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS, f"{name}.png"))


def outputs(cells):
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


CHAPTERS = [path.name for path in sorted(content_dir("chapters").glob("[0-9]*.ipynb"))]
LATER = [pytest.param(name, marks=pytest.mark.exhaustive) for name in CHAPTERS[1:]]


@pytest.mark.parametrize("name", [CHAPTERS[0], *LATER])
def test_run_all_on_a_blank_chapter_reaches_the_last_cell(lab_page, name):
    page, path = lab_page(name)
    shot(page, f"{path.stem}-opened")
    cells, counts = run_all(page, path)
    shot(page, f"{path.stem}-run")
    assert counts == list(range(1, len(counts) + 1))
    assert not [output for output in outputs(cells) if output.get("name") == "stderr"]
    assert not [output for output in outputs(cells) if output["output_type"] == "error"]
    checks = [cell for cell in cells if "check" in cell["metadata"].get("tags", [])]
    assert checks
    assert all("not written yet" in str(cell["outputs"]).lower() for cell in checks)


def test_the_slider_of_chapter_01_changes_its_figure(lab_page):
    page, path = lab_page("01_attention.ipynb")
    run_all(page, path)
    cell = page.locator(".jp-CodeCell", has_text="explore(").last
    cell.scroll_into_view_if_needed()
    handle = cell.locator(".noUi-handle").first
    handle.wait_for(timeout=300_000)
    image = cell.locator(".jupyter-widgets-output-area img, .widget-output img, .jp-OutputArea-output img").first
    before = image.get_attribute("src")
    handle.focus()
    for _ in range(4):
        handle.press("ArrowRight")
    deadline = time.time() + 300
    while image.get_attribute("src") == before and time.time() < deadline:
        page.wait_for_timeout(200)
    shot(page, "01_attention-slider")
    assert image.get_attribute("src") != before


KNOBS = """from pathlib import Path

from mmcourse import viz, widgets


def turn(temperature=1.0, top_k=3, world="scenes", masks=False):
    Path("turned.txt").write_text(f"{temperature} {top_k} {world} {masks}")
    return viz.bars({world: temperature * top_k}, title="masks" if masks else "pictures")


widgets.explore(turn, temperature=(0.5, 2.0, 0.5), top_k=(1, 9, 1), world=["scenes", "glyphs"], masks=False)"""


def test_every_kind_of_control_works_by_keyboard_alone(lab_page, tmp_path):
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(KNOBS)], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "work" / "knobs.ipynb")
    page, path = lab_page("knobs.ipynb")
    run_all(page, path)
    page.locator(".mm-panel.mm-explore .noUi-handle").first.focus()
    for keys, expected in (
        (["ArrowRight"], "1.5 3 scenes False"),
        (["Tab", "Tab", "ArrowRight"], "1.5 4 scenes False"),  # behind a slider, Tab stops at its number
        (["Tab", "Tab", "g"], "1.5 4 glyphs False"),  # the down arrow is JupyterLab's: it goes to the next cell
        (["Tab", "Space"], "1.5 4 glyphs True"),
    ):
        for key in keys:
            page.keyboard.press(key)
        deadline = time.monotonic() + 300
        while (turned := path.with_name("turned.txt").read_text()) != expected and time.monotonic() < deadline:
            page.wait_for_timeout(200)
        assert turned == expected
    shot(page, "knobs")


PLAY = """from mmcourse.widgets import caption_playground

playground = caption_playground(pause=0)"""


def test_the_playground_writes_about_an_uploaded_picture(lab_page, tmp_path):
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(PLAY)], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "work" / "play.ipynb")
    batch = make_scenes(1, split="test")
    Image.fromarray(batch.images[0].permute(1, 2, 0).numpy()).resize((300, 200)).save(tmp_path / "mine.png")
    (tmp_path / "no picture.png").write_text("words")
    page, path = lab_page("play.ipynb")
    run_all(page, path)
    caption, verdict = page.locator(".mm-caption").first, page.locator(".mm-verdict").first
    verdict.get_by_text("scene").wait_for(timeout=300_000)
    first = caption.inner_text()
    with page.expect_file_chooser() as chooser:
        page.locator(".mm-upload").first.click()
    chooser.value.set_files(tmp_path / "mine.png")
    verdict.get_by_text("mine.png, seen as 64 × 64 pixels").wait_for(timeout=300_000)
    assert caption.inner_text() not in ("", first)
    assert set(caption.inner_text().split()) & {thing.noun for thing in batch.scenes[0].objects}
    page.locator(".mm-playground").first.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    shot(page, "playground")
    with page.expect_file_chooser() as chooser:
        page.locator(".mm-upload").first.click()
    chooser.value.set_files(tmp_path / "no picture.png")
    verdict.get_by_text("no picture.png is no picture that can be read").wait_for(timeout=300_000)


def test_without_chromium_the_browser_tests_say_so_and_skip(tmp_path):
    command = [sys.executable, "-m", "pytest", "-rs", "-k", "slider", __file__, "-c", ROOT / "pyproject.toml"]
    done = subprocess.run(
        [*map(str, command)], env={**os.environ, "PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
    assert "Chromium is not installed; install it to run the browser tests" in done.stdout
