import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from mmcourse import viz
from mmcourse.viz.style import COLORS, DPI

ONES = torch.ones(2, 3) / 3


def drawn(figure):
    """Draws the figure, so that what only fails on drawing fails here, and returns its first axes."""
    figure.canvas.draw()
    return figure.axes[0]


def texts(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_every_figure_is_unknown_to_pyplot():
    plt.close("all")
    weights = torch.eye(3)
    for figure in (
        viz.attention_map(weights),
        viz.attention_heads(weights[None]),
        viz.heat(weights),
        viz.curves({"a": [1, 2]}),
        viz.bars({"a": 1.0}),
    ):
        drawn(figure)
    assert plt.get_fignums() == []


def test_attention_map_shows_the_weights_with_their_names():
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.1, 0.9]])
    ax = drawn(viz.attention_map(weights, rows=["$5", "b"], columns=["x", "y", "z"], title="map"))
    np.testing.assert_allclose(ax.images[0].get_array(), weights)
    assert (texts(ax.yaxis), texts(ax.xaxis)) == (["$5", "b"], ["x", "y", "z"])
    assert ax.get_xlabel() == "looks at"
    assert ax.images[0].get_clim() == (0, pytest.approx(0.9))
    assert drawn(viz.attention_map(weights, top=1.0)).images[0].get_clim() == (0, 1)
    square = drawn(viz.attention_map(torch.eye(2), rows=["a", "b"]))
    assert texts(square.xaxis) == ["a", "b"]


def test_heads_share_one_scale():
    weights = torch.zeros(5, 2, 2)
    weights[3] = 0.5
    figure = viz.attention_heads(weights, titles=list("abcde"))
    drawn(figure)
    maps = [ax.images[0] for ax in figure.axes if ax.images]
    assert len(maps) == 5
    assert {picture.get_clim() for picture in maps} == {(0, 0.5)}


def test_heat_writes_every_number():
    matrix = torch.tensor([[1.0, -torch.inf], [-0.26, 1234.0], [-0.001, torch.nan]])
    ax = drawn(viz.heat(matrix, digits=1))
    assert [text.get_text() for text in ax.texts] == ["1.0", "−∞", "−0.3", "1,234", "0.0", "NaN"]


def test_numbers_in_cells_stand_out():
    ax = drawn(viz.heat(torch.linspace(-1, 1, 21)[None]))
    for text, value in zip(ax.texts, np.linspace(-1, 1, 21), strict=True):
        back = ax.images[0].to_rgba(value)[:3]
        assert contrast(to_rgb(text.get_color()), back) > 3


def contrast(one, two):
    """The contrast ratio of WCAG 2."""

    def light(color):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return np.dot(linear, (0.2126, 0.7152, 0.0722)) + 0.05

    return max(light(one), light(two)) / min(light(one), light(two))


def test_curves_take_values_or_pairs():
    ax = drawn(
        viz.curves({"ours": ([1, 10, 100], [3, 2, 1]), "theirs": torch.ones(4)}, baseline={"chance": 0.5}, logx=True)
    )
    ours, theirs, level = ax.lines
    assert ours.get_xdata().tolist() == [1, 10, 100]
    assert theirs.get_xdata().tolist() == [0, 1, 2, 3]
    assert ours.get_linestyle() != theirs.get_linestyle()  # not by color alone
    assert level.get_ydata() == [0.5, 0.5]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ours", "theirs"]


def test_measured_places_alone_are_marked_and_values_keep_their_small_ticks():
    ax = drawn(viz.curves({"": ([32, 64, 128], [0.2, 0.04, 0.06])}, log=True, logx=True))
    assert texts(ax.xaxis) == ["32", "64", "128"]
    assert len(ax.xaxis.get_minorticklocs()) == 0
    assert len(ax.yaxis.get_minorticklocs()) > 3


def test_bars():
    ax = drawn(viz.bars({"cat": 0.5, "dog": -0.25}, highlight="dog", baseline={"chance": 0.1}, ylim=(-1, 1)))
    assert [bar.get_height() for bar in ax.patches] == [0.5, -0.25]
    assert ax.patches[0].get_facecolor() != ax.patches[1].get_facecolor()
    assert ax.get_ylim() == (-1, 1)
    with pytest.raises(ValueError, match=r"highlight must be one of the labels \['cat'\], got 'cow'"):
        viz.bars({"cat": 1.0}, highlight="cow")


def test_dots_show_every_run_and_the_mean():
    ax = drawn(viz.dots({"a": [0.5, 0.7], "b": torch.tensor([0.2])}, ylabel="accuracy", baseline={"chance": 0.5}))
    assert texts(ax.xaxis) == ["a", "b"]
    heights = [
        line.get_ydata().tolist() if hasattr(line.get_ydata(), "tolist") else list(line.get_ydata())
        for line in ax.lines
    ]
    assert heights[0] == [0.5, 0.7]
    assert heights[1] == pytest.approx([0.6, 0.6])
    with pytest.raises(ValueError, match="at least one run of each label, got none of 'c'"):
        viz.dots({"c": []})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: viz.attention_map(torch.ones(1, 2, 3)), r"weights must be a matrix .* got shape \(1, 2, 3\)"),
        (lambda: viz.attention_map(ONES, rows=["a"]), "rows has 1 names for 2 rows"),
        (lambda: viz.attention_map(ONES, columns=["a"]), "columns has 1 names for 3 columns"),
        (lambda: viz.attention_heads(ONES), r"weights must have shape \(heads, T, S\), got \(2, 3\)"),
        (lambda: viz.curves({}), "lines is empty"),
        (lambda: viz.heat(ONES, title="注意"), "title holds '注', which not every machine can draw"),
        (lambda: viz.bars({"猫": 1.0}), "label holds '猫'"),
    ],
)
def test_what_is_wrong_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_figures_fit_a_notebook():
    long = [f"token{i}" for i in range(16)]
    for figure in (
        viz.attention_map(torch.rand(60, 64)),
        viz.attention_map(torch.rand(16, 16), rows=long),
        viz.attention_heads(torch.rand(8, 16, 16), rows=long),
        viz.heat(torch.rand(3, 12)),
        viz.bars(dict.fromkeys(long, 0.5)),
    ):
        drawn(figure)
        assert figure.get_figwidth() <= 8.01
        small = [t for ax in figure.axes for t in (*ax.get_xticklabels(), *ax.get_yticklabels(), ax.title, *ax.texts)]
        assert min(text.get_fontsize() for text in small) >= 10
        assert not overlaps(figure), "names on an axis overlap"


def overlaps(figure):
    """Whether two neighboring tick labels of one axis cover each other."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            labels = [label for label in axis.get_ticklabels() if label.get_text() and label.get_visible()]
            if axis is ax.xaxis and labels and labels[0].get_rotation() not in (0, 90):
                continue  # the boxes of slanted words overlap where the words do not
            boxes = [label.get_window_extent() for label in labels]
            if any(one.overlaps(two) for one, two in itertools.pairwise(boxes)):
                return True
    return False


def test_style_colors_differ_without_color_vision():
    """Seen by a red-blind and a green-blind eye (Viénot, Brettel and Mollon, 1999), no two line colors look alike."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    red_blind = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
    green_blind = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    colors = np.array([to_rgb(color) for color in COLORS[:4]])
    for eye in (red_blind, green_blind):
        seen = colors @ to_lms.T @ eye.T @ np.linalg.inv(to_lms).T
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
        assert apart.min() > 0.15


def test_use_style_reaches_pyplot():
    with plt.rc_context():
        viz.use_style()
        figure, ax = plt.subplots()
        plt.close(figure)
        assert figure.get_figwidth() == 8
        assert not ax.spines["top"].get_visible()
    assert DPI >= 100
