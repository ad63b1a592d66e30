"""`quiz`: the same questions as radio buttons, as HTML and as text."""

import doctest
import importlib

import ipywidgets
import pytest

from mmcourse.course.notebook.quiz import WIDGET, Question, quiz

module = importlib.import_module(
    "mmcourse.course.notebook.quiz"
)  # the package exports the function under the same name

ONE = Question("What does `softmax` give?", ("numbers < 0", "weights", "<b>words</b>"), 1, "They sum to $1$.")
TWO = Question("Is it linear?", ("yes", "no"), 1, ("No: it has an exponential.", "The exponential is not."))


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would get, each time it is called."""
    outputs = []
    monkeypatch.setattr(module, "get_ipython", object)
    monkeypatch.setattr(module, "display", lambda data, *, raw: outputs.append(data))

    def show() -> dict:
        quiz([ONE, TWO])
        return outputs[-1]

    return show


def test_text_and_html_are_the_same_every_time_and_hold_no_ids(shown):
    first, second = shown(), shown()
    assert first[WIDGET] != second[WIDGET]
    for kind in ("text/plain", "text/html"):
        assert first[kind] == second[kind]
        assert first[WIDGET]["model_id"] not in first[kind]
    assert set(first) == {WIDGET, "text/html", "text/plain"}


def test_static_page_shows_questions_and_folds_the_answers(shown):
    page = shown()["text/html"]
    assert page.count("<details>") == 2
    assert "<code>softmax</code>" in page
    assert "&lt;b&gt;words&lt;/b&gt;" in page
    assert "b) weights. They sum to $1$." in page
    assert "b) no. The exponential is not." in page


def test_text_gives_no_answer_away(capsys):
    quiz(ONE, TWO)
    text = capsys.readouterr().out
    assert text.startswith("1. What does `softmax` give?\n   a) numbers < 0\n   b) weights\n")
    assert "2. Is it linear?" in text
    assert "They sum" not in text


def test_radio_buttons_answer_at_once():
    children = module._widget([ONE, TWO]).children
    (first, second) = (child for child in children if isinstance(child, ipywidgets.RadioButtons))
    remarks = [children[children.index(box) + 1] for box in (first, second)]
    score = children[-1]
    assert (first.value, second.value) == (None, None)
    assert "0 of 2 right" in score.value
    first.value = 0
    assert "✗ Not this one" in remarks[0].value
    assert "They sum" not in remarks[0].value
    first.value = 1
    assert "✓ Right. They sum to $1$." in remarks[0].value
    assert "1 of 2 right" in score.value
    second.value = 0
    assert "✗ Not this one. No: it has an exponential." in remarks[1].value
    second.value = 1
    assert "2 of 2 right" in score.value


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("?", ("one",), 0, "why"), "choices"),
        (("?", ("one", "one"), 0, "why"), "choices"),
        (("?", ("one", "two"), 2, "why"), "answer_index"),
        (("?", ("one", "two"), -1, "why"), "answer_index"),
        (("?", ("one", "two"), 0, ("a", "b", "c")), "why has 3 remarks for 2 choices"),
    ],
)
def test_bad_questions_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        Question(*arguments)


@pytest.mark.parametrize("questions", [(), ([],), (["text"],)])
def test_quiz_wants_questions(questions):
    with pytest.raises(ValueError, match="one or more Question"):
        quiz(*questions)


def test_docstring_examples_run():
    assert doctest.testmod(module) == (0, 1)
