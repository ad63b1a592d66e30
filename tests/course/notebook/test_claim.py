"""`claim`: what it says, when it holds, and what it shows."""

import doctest
import io
import math

import pytest
import torch
from matplotlib import rc_context
from PIL import Image

from mmcourse.course.notebook import claim as claims
from mmcourse.course.notebook.claim import ClaimError, claim, gauge
from mmcourse.viz import GREEN, use_style


@pytest.fixture(autouse=True)
def _standard_budget(monkeypatch):
    monkeypatch.setenv("MMCOURSE_BUDGET", "standard")


@pytest.mark.parametrize(
    ("value", "limits", "said"),
    [
        (0.987, {"at_least": 0.95}, "✓ recall is at least 0.95"),
        (0.95, {"at_least": 0.95}, "✓ recall is at least 0.95"),
        (3e-7, {"at_most": 1e-5}, "✓ recall is at most 1e-05"),
        (1.97, {"at_least": 1.5, "at_most": 2.5}, "✓ recall is between 1.5 and 2.5"),
        (1.02, {"near": 1.0, "tolerance": 0.1}, "✓ recall is 1 to within 0.1"),
        (131072, {"near": 131072, "tolerance": 0}, "✓ recall is 131,072"),
        (-5, {"at_most": -2}, "✓ recall is at most −2"),
        (torch.tensor(0.5, requires_grad=True), {"at_least": 0.1}, "✓ recall is at least 0.1"),
    ],
)
def test_true_claim_says_name_limit_and_verdict_only(capsys, value, limits, said):
    claim("recall", value, **limits)
    assert capsys.readouterr().out == said + "\n"


@pytest.mark.parametrize(
    ("value", "limits", "said"),
    [
        (0.61, {"at_least": 0.95}, "recall is 0.61, but it should be at least 0.95"),
        (2e-5, {"at_most": 1e-5}, "recall is 2e-05, but it should be at most 1e-05"),
        (1.2, {"near": 1.0, "tolerance": 0.1}, "recall is 1.2, but it should be 1 to within 0.1"),
        (math.nan, {"at_least": 0.0}, "recall is nan, but it should be at least 0"),
        (math.nan, {"at_most": 0.0}, "recall is nan, but it should be at most 0"),
        (math.inf, {"at_most": 1.0}, "recall is inf, but it should be at most 1"),
    ],
)
def test_false_claim_raises_one_sentence(value, limits, said):
    with pytest.raises(ClaimError) as caught:
        claim("recall", value, **limits)
    assert str(caught.value) == said
    assert caught.value._render_traceback_() == [f"ClaimError: {said}"]


def test_several_values_share_one_gauge_and_the_worst_of_them_speaks(capsys):
    claim("accuracy", {"cat": 0.97, "dog": torch.tensor(0.96)}, at_least=0.95)
    assert capsys.readouterr().out == "✓ accuracy is at least 0.95 for cat · dog\n"
    with pytest.raises(ClaimError, match=r"^accuracy is 0.9 for dog, but it should be at least 0.95$"):
        claim("accuracy", {"cat": 0.97, "dog": 0.9}, at_least=0.95)
    with pytest.raises(ClaimError, match="is nan for cat"):
        claim("accuracy", {"cat": math.nan, "dog": 0.99}, at_least=0.95)
    with pytest.raises(ClaimError, match=r"is 1\.4 for far"):
        claim("ratio", {"close": 1.05, "far": 1.4}, near=1.0, tolerance=0.1)
    with pytest.raises(ValueError, match="empty mapping"):
        claim("accuracy", {}, at_least=0.95)


def test_smoke_budget_shows_but_does_not_judge(monkeypatch, capsys):
    monkeypatch.setenv("MMCOURSE_BUDGET", "smoke")
    claim("recall", 0.1, at_least=0.95)
    assert capsys.readouterr().out == "○ recall is at least 0.95 (not judged at smoke budget)\n"


@pytest.mark.parametrize(
    "limits", [{}, {"near": 1.0}, {"tolerance": 0.1}, {"near": 1.0, "tolerance": 0.1, "at_least": 0.5}]
)
def test_limits_that_make_no_sense_are_named(limits):
    with pytest.raises(ValueError, match="near"):
        claim("recall", 1.0, **limits)


def test_notebook_gets_a_picture_with_alt_text_and_stable_text(monkeypatch):
    shown = []
    monkeypatch.setattr(claims, "get_ipython", object)
    monkeypatch.setattr(claims, "display", lambda data, *, metadata, raw: shown.append((data, metadata)))
    for value in (0.991, 0.993):
        claim("recall", value, at_least=0.95)
    (first, metadata), (second, _) = shown
    assert first["text/plain"] == second["text/plain"] == "✓ recall is at least 0.95"
    assert first["image/png"] != second["image/png"]
    assert "measured 0.991" in metadata["image/png"]["alt"]


CASES = [
    (0.5, 0.95, None),
    (3e-7, None, 1e-5),
    (0.0, None, 1e-5),
    (-5.0, None, -2.0),
    (0.0, 0.0, 0.0),
    (math.nan, 0.95, None),
    (math.inf, None, 0.5),
    (-math.inf, 0.5, None),
    (1e12, 1e11, None),
]


@pytest.mark.parametrize(("value", "low", "high"), CASES)
def test_gauge_draws_every_number_the_same_way_twice(value, low, high):
    first, second = (gauge("✓ cost in $T is at most 1", value, low, high, GREEN) for _ in range(2))
    assert first == second
    assert b"Software" not in first
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.size == (1140, 144)
        assert len(picture.convert("RGB").getcolors(10**6)) > 3


def test_gauge_looks_the_same_before_and_after_use_style():
    with rc_context():
        before = gauge("✓", 0.5, 0.2, None, GREEN)
        use_style()
        assert gauge("✓", 0.5, 0.2, None, GREEN) == before


def test_docstring_examples_run():
    assert doctest.testmod(claims).failed == 0
    assert doctest.testmod(claims).attempted == 2


def test_gauge_bar_grows_with_the_value():
    def green(value: float) -> int:
        with Image.open(io.BytesIO(gauge("", value, 0.9, None, GREEN))) as picture:
            counts = {color: count for count, color in picture.convert("RGB").getcolors(10**6)}
        return counts[0x00, 0x9E, 0x73]

    assert green(0.2) < green(0.5) < green(0.99)
