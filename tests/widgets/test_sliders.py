import ipywidgets
import nbformat
import pytest
from notebook_runs import nbval

from mmcourse import viz, widgets
from mmcourse.course.author.execute import execute
from mmcourse.widgets import sliders


def figure_of(amount=2, name="a", up=True):
    return viz.bars({name: float(amount) if up else -float(amount)}, title=f"{name} {amount}")


@pytest.fixture
def screen(monkeypatch):
    """Every (figure title, alt text) that was shown, in order."""
    shown = []
    monkeypatch.setattr(sliders, "show", lambda figure, alt: shown.append((figure.axes[0].get_title(), alt)))
    return shown


@pytest.fixture
def boxes(monkeypatch):
    """Every widget that was displayed."""
    seen = []
    monkeypatch.setattr(sliders, "show_widget", lambda box, text: seen.append(box))
    return seen


def test_draws_at_once_and_again_when_a_control_moves(screen, boxes):
    widgets.explore(figure_of, amount=(0, 5, 1), name=["a", "b"])
    assert screen == [("a 2", "figure of with amount = 2, name = a")]
    slider, choice, output, _ = boxes[0].children
    assert isinstance(output, ipywidgets.Output)
    slider.value = 4
    choice.value = "b"
    assert screen[1:] == [
        ("a 4", "figure of with amount = 4, name = a"),
        ("b 4", "figure of with amount = 4, name = b"),
    ]


def test_controls_fit_what_was_given():
    made = widgets.make_controls(figure_of, {"amount": (0.0, 5.0, 0.5), "name": ["b", "a"], "up": False})
    assert isinstance(made["amount"], ipywidgets.FloatSlider)
    assert (made["amount"].value, made["amount"].step) == (2.0, 0.5)
    assert (made["name"].value, made["up"].value) == ("a", True)  # the function's own defaults
    start = widgets.make_controls(figure_of, {"amount": (0, 5, 1, 3)})["amount"]
    assert isinstance(start, ipywidgets.IntSlider)
    assert start.value == 3
    field = widgets.make_controls(lambda name: None, {"name": "a sentence"})["name"]
    assert isinstance(field, ipywidgets.Text)
    assert field.value == "a sentence"
    assert not field.continuous_update  # every letter would draw
    bare = widgets.make_controls(lambda size, kind, on: None, {"size": (1, 4, 1), "kind": ["x"], "on": False})
    assert [widget.value for widget in bare.values()] == [1, "x", False]


def test_an_error_of_the_first_drawing_is_raised_and_a_later_one_is_shown(boxes, screen, capsys):
    def picky(amount=1):
        if amount > 2:
            raise RuntimeError("too much")
        return figure_of(amount)

    widgets.explore(picky, amount=(0, 5, 1))
    boxes[0].children[0].value = 3
    assert "RuntimeError: too much" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="too much"):
        widgets.explore(picky, amount=(0, 5, 1, 4))


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        ({}, "needs at least one control"),
        ({"size": (1, 2, 1)}, "figure_of has no argument 'size'; it has: amount, name, up"),
        ({"amount": (5, 1, 1)}, r"amount must be \(lowest, highest, step\) .* got \(5, 1, 1\)"),
        ({"amount": (1, 5)}, r"amount must be .* got \(1, 5\)"),
        ({"amount": (1, 5, 1, 9)}, "amount starts at 9, which is not between 1 and 5"),
        ({"name": []}, r"name must be .* got \[\]"),
    ],
)
def test_what_is_wrong_is_named(controls, words):
    with pytest.raises(ValueError, match=words):
        widgets.explore(figure_of, **controls)


CELL = """from mmcourse import viz, widgets
def soften(factor=1.0):
    return viz.bars({"cat": factor, "dog": 2 * factor})
widgets.explore(soften, factor=(0.0, 4.0, 0.5))"""


@pytest.mark.slow
def test_stored_picture_passes_strict_nbval(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL, id="explore")])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    done = execute(notebook, name="explore", budget="smoke")
    (output,) = [output for output in done.cells[0].outputs if "image/png" in output.data]
    assert output.data["text/plain"] == "[figure: soften with factor = 1.0]"
    assert output.metadata["image/png"]["alt"] == "soften with factor = 1.0"
    path = tmp_path / "explore.ipynb"
    nbformat.write(done, path)
    run = nbval(path)
    assert run.returncode == 0, run.stdout
    assert "1 passed" in run.stdout
