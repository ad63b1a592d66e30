"""A scene of your own, or a picture of your own, and what a captioner writes about it."""

from __future__ import annotations

import html
import io
import time
from collections.abc import Sequence

import ipywidgets
from torch import Tensor

from mmcourse.datasets import BACKGROUNDS, POSITIONS, SIZES, Scene, caption_is_true, lexicon, read_image, render, square
from mmcourse.datasets.scenes.arrange import arrange
from mmcourse.models.captioner import Captioner
from mmcourse.recipes import load_trained
from mmcourse.recipes.data.captions import SIDE
from mmcourse.viz import overlay, show
from mmcourse.widgets.look import NARROW, described, panel, show_widget

NOTHING = "nothing"
START = (("cat", "large", "left"), ("dog", "small", "top right"), (NOTHING, "medium", "bottom"))


def caption_playground(
    model: Captioner | None = None,
    *,
    things: Sequence[tuple[str, str, str]] = START,
    background: str = "green",
    layer: int = -1,
    head: int | None = None,
    pause: float = 0.15,
) -> CaptionPlayground:
    """Arrange a scene, or upload a picture, and read the caption word by word, with the patches behind each word.

    Args:
        model: the captioner that comes with the course by default.
        things, background: the scene at the start, see `arrange`; "nothing" leaves a place empty.
        layer, head: whose attention is shown, see `Captioner.word_maps`.
        pause: seconds between two words.
    """
    chosen = load_trained("captioner").model if model is None else model
    playground = CaptionPlayground(chosen, things, background, layer=layer, head=head, pause=pause)
    playground.start()
    return playground


class CaptionPlayground:
    """The controls and what they change; CSS classes mm-playground, mm-upload, mm-caption, mm-verdict."""

    def __init__(
        self,
        model: Captioner,
        things: Sequence[tuple[str, str, str]],
        background: str,
        *,
        layer: int,
        head: int | None,
        pause: float,
    ) -> None:
        self.model, self.layer, self.head, self.pause = model, layer, head, pause
        rows = [*things, *START[len(things) :]][:3]
        nouns = [NOTHING, *(noun.name for noun in lexicon())]
        self.rows = [
            [
                _choice(*pair)
                for pair in zip(("thing", "size", "place"), (nouns, [*SIZES], [*POSITIONS]), row, strict=True)
            ]
            for row in rows
        ]
        self.background = _choice("background", [*BACKGROUNDS], background)
        self.upload = ipywidgets.FileUpload(accept="image/*", multiple=False, description="Your own picture")
        self.upload.add_class("mm-upload")
        self.caption, self.verdict = ipywidgets.HTML(), ipywidgets.HTML()
        self.caption.add_class("mm-caption")
        self.verdict.add_class("mm-verdict")
        self.output = ipywidgets.Output()
        self.box = panel(
            *(ipywidgets.HBox(row) for row in self.rows),
            ipywidgets.HBox([self.background, self.upload]),
            self.caption,
            self.verdict,
            self.output,
            name="playground",
        )

    def start(self) -> None:
        """Shows everything, with the first scene."""
        show_widget(self.box, "[playground: arrange a scene or upload a picture; it answers while the notebook runs]")
        self._arranged(first=True)
        for control in (*(control for row in self.rows for control in row), self.background):
            control.observe(lambda _: self._arranged(), "value")
        self.upload.observe(lambda change: self._uploaded(change["new"]), "value")

    def scene(self) -> Scene:
        """The scene as the controls have it.

        Raises:
            ValueError: there is none; one sentence.
        """
        things = [tuple(control.value for control in row) for row in self.rows]
        return arrange([thing for thing in things if thing[0] != NOTHING], self.background.value)

    def _arranged(self, *, first: bool = False) -> None:
        try:
            scene = self.scene()
        except ValueError as error:
            self._say("", str(error))
            return
        text = self._read(render([scene])[0][0], f"the scene: {str(scene).partition(': ')[2]}", first=first)
        verdict = caption_is_true(scene, text)
        self._say(text, "✓ true of the scene" if verdict else f"✗ {verdict.truth.value}: {verdict.reason}")

    def _uploaded(self, files: Sequence[dict]) -> None:
        if not files:
            return
        name = files[0]["name"]
        try:
            image = square(read_image(io.BytesIO(bytes(files[0]["content"]))), SIDE)
        except OSError:
            self._say("", f"{name} is no picture that can be read; try a PNG or a JPEG")
            return
        text = self._read(image, f"the picture {name}")
        self._say(text, f"{name}, seen as 64 × 64 pixels; nobody here knows whether it is true")

    def _read(self, image: Tensor, what: str, *, first: bool = False) -> str:
        """Lets the model write about a picture: word by word into the line, then with the attention behind each."""
        text = self.model.generate(image[None])[0].text
        words, maps = self.model.word_maps(image, text, layer=self.layer, head=self.head)
        for count in range(1, len(words) + 1) if not first else ():
            self._say(" ".join(words[:count]) + " …", "")
            time.sleep(self.pause)
        figure = overlay(image, maps, titles=words, columns=7)
        # The first text alternative is stored in the notebook, where it must not hang on what a network wrote.
        caption = "its caption" if first else f"its caption “{text}”"
        with self.output:
            self.output.clear_output(wait=True)
            show(figure, f"{what}; beside it each word of {caption} with the patches that the model looked at")
        return text

    def _say(self, caption: str, verdict: str) -> None:
        self.caption.value = f"<b style='font-size: 130%'>{html.escape(caption)}</b>"
        self.verdict.value = html.escape(verdict)


def _choice(name: str, options: list[str], value: str) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, value=value, **described(name, width=NARROW))
