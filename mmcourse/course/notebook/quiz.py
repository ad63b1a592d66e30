"""`quiz`: a few questions to ask yourself, answered on the spot.

With a kernel each question is a group of radio buttons, worked with the mouse or with Tab and the space bar, that says
at once what is right and why. Without one, on the web or on paper, the same questions read as text with the answers
folded away. What is stored holds no random ids, so strict `pytest --nbval` passes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

import ipywidgets
from IPython import get_ipython
from IPython.display import display

WIDGET = "application/vnd.jupyter.widget-view+json"
RIGHT, WRONG = "#009E73", "#D55E00"  # Okabe–Ito green and vermillion


@dataclass(frozen=True)
class Question:
    """One question.

    Args:
        text: the question; `code` in backticks and $math$ are set as such.
        choices: two or more different answers.
        answer_index: which of them is right, counted from 0.
        why: the reason, shown with the right answer; or one remark for every choice, shown with that choice.
    """

    text: str
    choices: tuple[str, ...]
    answer_index: int
    why: str | tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.choices) < 2 or len(set(self.choices)) < len(self.choices):
            raise ValueError(f"choices must be two or more different answers, got {self.choices!r}")
        if not 0 <= self.answer_index < len(self.choices):
            raise ValueError(f"answer_index must be in 0..{len(self.choices) - 1}, got {self.answer_index}")
        if not isinstance(self.why, str) and len(self.why) != len(self.choices):
            raise ValueError(f"why has {len(self.why)} remarks for {len(self.choices)} choices; give one for each")

    def feedback(self, choice: int) -> str:
        """What to say when the learner picks `choice`."""
        if choice == self.answer_index:
            return f"✓ Right. {self.reason}"
        return "✗ Not this one: think again." if isinstance(self.why, str) else f"✗ Not this one. {self.why[choice]}"

    @property
    def reason(self) -> str:
        return self.why if isinstance(self.why, str) else self.why[self.answer_index]


def quiz(*questions: Question | Iterable[Question]) -> None:
    """Shows the questions, given one by one or as a list.

    >>> quiz([Question("What do the weights of a row sum to?", ("0", "1"), 1, "They are a softmax.")])
    1. What do the weights of a row sum to?
       a) 0
       b) 1
    """
    asked: list[Question] = []
    for item in questions:
        asked.extend([item] if isinstance(item, Question) else item)
    if not asked or not all(isinstance(question, Question) for question in asked):
        raise ValueError(f"quiz needs one or more Question(text, choices, answer_index, why), got {questions!r}")
    text = "\n".join(_as_text(number, question) for number, question in enumerate(asked, 1))
    if get_ipython() is None:
        print(text)
        return
    view = _widget(asked)._repr_mimebundle_()[WIDGET]
    display({WIDGET: view, "text/html": _as_html(asked), "text/plain": text}, raw=True)


def _letter(index: int) -> str:
    return chr(ord("a") + index)


def _as_text(number: int, question: Question) -> str:
    choices = (f"   {_letter(index)}) {choice}" for index, choice in enumerate(question.choices))
    return "\n".join([f"{number}. {question.text}", *choices])


def _rich(text: str) -> str:
    """Escaped for HTML, with `code` set as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _as_html(questions: list[Question]) -> str:
    """The questions without a kernel: the answers are folded away."""
    parts = []
    for number, question in enumerate(questions, 1):
        choices = "".join(f"<li>{_rich(choice)}</li>" for choice in question.choices)
        answer = f"{_letter(question.answer_index)}) {_rich(question.choices[question.answer_index].removesuffix('.'))}"
        parts.append(
            f'<p><b>{number}.</b> {_rich(question.text)}</p><ol type="a">{choices}</ol>'
            f"<details><summary>Answer</summary><p>{answer}. {_rich(question.reason)}</p></details>"
        )
    return "<div>" + "".join(parts) + "</div>"


def _widget(questions: list[Question]) -> ipywidgets.VBox:
    """Radio buttons that answer at once, and a line that counts the right ones."""
    score = ipywidgets.HTML()
    buttons: list[ipywidgets.RadioButtons] = []
    rows: list[ipywidgets.Widget] = []

    def count() -> None:
        right = sum(box.value == question.answer_index for box, question in zip(buttons, questions, strict=True))
        score.value = f"<b>{right} of {len(questions)} right</b>"

    for number, question in enumerate(questions, 1):
        box = ipywidgets.RadioButtons(
            options=[(choice.replace("`", ""), index) for index, choice in enumerate(question.choices)],
            value=None,
            layout=ipywidgets.Layout(width="auto"),
        )
        remark = ipywidgets.HTMLMath(layout=ipywidgets.Layout(min_height="1.6em"))

        def answered(change: dict, question: Question = question, remark: ipywidgets.HTMLMath = remark) -> None:
            if change["new"] is None:
                return
            color = RIGHT if change["new"] == question.answer_index else WRONG
            text = _rich(question.feedback(change["new"]))
            remark.value = f'<div style="border-left:4px solid {color};padding-left:8px">{text}</div>'
            count()

        box.observe(answered, "value")
        buttons.append(box)
        rows += [ipywidgets.HTMLMath(f"<b>{number}.</b> {_rich(question.text)}"), box, remark]
    count()
    return ipywidgets.VBox([*rows, score])
