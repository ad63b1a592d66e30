import io

import matplotlib.pyplot as plt
import pytest
from PIL import Image

from mmcourse import viz
from mmcourse.viz import style


@pytest.fixture
def displayed(monkeypatch):
    """What a notebook is told to display."""
    calls = []
    monkeypatch.setattr(style, "get_ipython", lambda: object())
    monkeypatch.setattr(style, "display", lambda data, metadata, raw: calls.append((data, metadata)))
    return calls


def test_show_gives_picture_and_words(displayed):
    viz.show(viz.bars({"a": 1.0}), alt="One bar.")
    ((data, metadata),) = displayed
    assert data["text/plain"] == "[figure: One bar.]"
    assert metadata["image/png"]["alt"] == "One bar."
    with Image.open(io.BytesIO(data["image/png"])) as picture:
        assert picture.width == metadata["image/png"]["width"] * style.DPI / style.SHOWN_DPI
        assert "Software" not in picture.info


def test_the_same_figure_gives_the_same_bytes(displayed):
    for _ in range(2):
        viz.show(viz.curves({"loss": [3, 2, 1]}), alt="A falling line.")
    assert displayed[0] == displayed[1]


def test_show_closes_figures_of_pyplot(displayed):
    figure, _ = plt.subplots()
    viz.show(figure, "Empty axes.")
    assert plt.get_fignums() == []


def test_show_outside_a_notebook_and_without_words(capsys):
    viz.show(viz.bars({"a": 1.0}), alt="One bar.")
    assert capsys.readouterr().out == "[figure: One bar.]\n"
    with pytest.raises(ValueError, match="alt is empty"):
        viz.show(viz.bars({"a": 1.0}), alt=" ")
