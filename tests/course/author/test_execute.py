"""Running notebooks the way nbval sees them."""

import base64
import io

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from notebook_runs import nbval
from PIL import Image, PngImagePlugin

from mmcourse.course.author.execute import execute, plain_png, unstable_text
from mmcourse.course.author.source import BuildError

WIDGETS = [
    "import ipywidgets\nfrom IPython.display import clear_output, display\nfrom tqdm.auto import tqdm",
    "def square(k):\n    print(k * k)",
    "ipywidgets.interact(square, k=(1, 5));",
    "for _ in tqdm(range(3), desc='train'):\n    pass",
    "panel = ipywidgets.Output()\nwith panel:\n    print('inside')\npanel",
    "handle = display('first', display_id=True)\nhandle.update('second')",
    "print('gone?')\nclear_output()\nprint('here')",
    "6 * 7;",
    "display({'image/png': '" + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode() + "', 'text/plain': 'dot'}, raw=True)",
]


def notebook(*sources, tags=()):
    cells = [new_code_cell(source, id=f"cell-{n}") for n, source in enumerate(sources)]
    for position in tags:
        cells[position].metadata["tags"] = ["raises-exception"]
    metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return new_notebook(cells=cells, metadata=metadata)


def printed(done, position=0):
    return "".join(output.get("text", "") for output in done.cells[position].outputs)


@pytest.fixture(scope="module")
def widgets():
    return execute(notebook(*WIDGETS), name="widgets")


def test_widget_cells_keep_a_static_picture_and_no_ids(widgets):
    assert "9\n" in printed(widgets, 2)
    assert printed(widgets, 4) == "inside\n"
    assert printed(widgets, 6) == "gone?\nhere\n"
    assert widgets.cells[3].outputs[0].data["text/plain"].startswith("train:   0%")
    assert widgets.cells[5].outputs[0].data["text/plain"] == "'first'"
    assert widgets.cells[7].outputs[0].data["text/plain"] == "42"
    text = nbformat.writes(widgets)
    assert "widget-view" not in text
    assert "model_id" not in text
    assert list(widgets.metadata) == ["kernelspec"]


def test_executing_again_gives_the_same_bytes(widgets):
    again = execute(widgets, name="widgets")
    assert nbformat.writes(again) == nbformat.writes(widgets)


@pytest.mark.slow
def test_widget_cells_pass_strict_nbval(widgets, tmp_path):
    path = tmp_path / "a.ipynb"
    nbformat.write(widgets, path)
    assert nbval(path).returncode == 0
    widgets.cells[2].outputs[0].text = "16\n"
    nbformat.write(widgets, path)
    changed = nbval(path)
    assert changed.returncode == 1
    assert "1 failed" in changed.stdout


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ValueError('bad value')", "ValueError: bad value"),
        ("import sys\nprint('careful', file=sys.stderr)", "wrote to stderr, which a notebook must not: 'careful\\n'"),
        ("import os, time\nos.write(2, b'low')\ntime.sleep(3)\n", "wrote to stderr"),
        ("import time\ntime.sleep(600)", "no result within 10 seconds"),
        ("import os\nos._exit(1)", "the kernel died"),
    ],
)
def test_what_goes_wrong_is_named_with_its_cell(source, said):
    seconds = 10 if "sleep" in source else 300
    with pytest.raises(BuildError, match=r"^01_tiny, cell cell-1") as caught:
        execute(notebook("1", source, "2"), name="01_tiny", timeout=seconds)
    assert said in str(caught.value)


def test_tagged_errors_pass_only_when_asked():
    sources = notebook("1 / 0", "print('after')", tags=[0])
    assert printed(execute(sources, name="a", go_on=True), 1) == "after\n"
    with pytest.raises(BuildError, match=r"cell cell-0 .*ZeroDivisionError"):
        execute(sources, name="a")
    with pytest.raises(BuildError, match=r"cell cell-0 .*ZeroDivisionError"):
        execute(notebook("1 / 0", "print('after')"), name="a", go_on=True)


def test_runs_in_an_empty_folder_with_fixed_settings(monkeypatch):
    monkeypatch.setenv("MMCOURSE_WORK", "somewhere")
    monkeypatch.setenv("MMCOURSE_BUDGET", "gpu")
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    names = ["OMP_NUM_THREADS", "MMCOURSE_BUDGET", "MMCOURSE_WORK", "MMCOURSE_DEVICE", "HF_HUB_OFFLINE"]
    code = f"import os\nprint(os.listdir(), [os.environ[name] for name in {names}])"
    assert printed(execute(notebook(code), name="a")) == "[] ['2', 'standard', '', 'cpu', '1']\n"
    other = execute(notebook(code), name="a", budget="smoke", threads=1)
    assert printed(other) == "[] ['1', 'smoke', '', 'cpu', '1']\n"


def test_notebook_that_is_executed_is_left_alone():
    source = notebook("print(1)")
    before = nbformat.writes(source)
    execute(source, name="a")
    assert nbformat.writes(source) == before


def test_pictures_lose_the_names_of_software_and_nothing_else():
    picture = Image.new("RGB", (5, 3), (10, 20, 30))
    facts = PngImagePlugin.PngInfo()
    facts.add_text("Software", "painter 1.0")
    stream = io.BytesIO()
    picture.save(stream, "png", pnginfo=facts, dpi=(100, 100))
    plain = plain_png(stream.getvalue())
    assert b"painter" in stream.getvalue()
    assert b"painter" not in plain
    assert plain_png(plain) == plain
    with Image.open(io.BytesIO(plain)) as again:
        assert again.getpixel((4, 2)) == (10, 20, 30)
        assert again.info["dpi"][0] == pytest.approx(100, abs=0.1)
    with pytest.raises(ValueError, match="PNG"):
        plain_png(b"JFIF")


def test_unstable_text_is_found_in_every_kind_of_output():
    cell = new_code_cell("")
    cell.outputs = [
        nbformat.v4.new_output("stream", text="<a at 0x7f00aa00bb>"),
        nbformat.v4.new_output("display_data", data={"text/html": "<b>/tmp/x</b>", "text/plain": "0x12"}),
    ]
    assert unstable_text(cell) == ["0x7f00aa00bb", "/tmp/x"]
