"""Talking with the language model that sees about one picture of the reader's own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from mmcourse.models.vlm import IMAGE, VLM, prompt_ids
from mmcourse.pictures import square
from mmcourse.recipes.data.captions import SIDE
from mmcourse.recipes.data.readings import DESCRIBE, TELL, WITHOUT_MARK
from mmcourse.recipes.engine.base import RecipeError
from mmcourse.recipes.one_picture import EXAMPLE, check_question, open_model, open_picture
from mmcourse.recipes.registry import find
from mmcourse.recipes.seeing.exam import LONGEST

EXAMPLES = (EXAMPLE, "how many objects are there?", DESCRIBE, TELL)


class Said(NamedTuple):
    """An answer, its probability as a whole, whether the model abstains because that is too small, and unread words.

    `unknown` are the words of the question that the model has never read.
    """

    text: str
    probability: float
    abstains: bool
    unknown: list[str]


class Conversation(NamedTuple):
    """A model and what it sees of one picture; each question is about the picture alone, not about earlier answers.

    features: (1, P, F), see `VLM.see`.
    size: width and height of the picture's file in pixels.
    """

    model: VLM
    features: Tensor
    size: tuple[int, int]

    def ask(self, question: str, *, threshold: float = 0.0) -> Said:
        """Answers a question, "describe it" or "tell everything"; capitals and the mark at the end do not matter.

        Args:
            threshold: below this probability the model abstains; its guess is told all the same. Never for a
                description: many are true of a picture, so each is improbable, however sure the model is.
        Raises:
            RecipeError: the question is empty or too long; one sentence.
        """
        check_question(question)
        text = _as_learned(question)
        try:
            self._check_length(f"{IMAGE} {text}")
            (reply,) = self.model.generate(self.features, [f"{IMAGE} {text}"], max_new_tokens=LONGEST)
        except ValueError as error:
            raise RecipeError(str(error)) from None
        probability = math.exp(reply.log_probability)
        abstains = text not in WITHOUT_MARK and probability < threshold
        return Said(reply.text, probability, abstains, self.model.tokenizer.unknown_words(text))

    def _check_length(self, prompt: str) -> None:
        """Raises RecipeError for a prompt that leaves no room for an answer."""
        context, patches = self.model.language.context, self.model.config.words
        more = len(prompt_ids(self.model.tokenizer, prompt, patches=patches)) + LONGEST - 1 - (context or math.inf)
        if more > 0:  # the last token of an answer is written, but never read
            asked = len(self.model.tokenizer.encode(prompt.removeprefix(IMAGE), spelled=False))
            most = max(asked - more, 0)
            raise RecipeError(
                f"the question has {asked} tokens, the model reads {most} beside a picture; ask a shorter one"
            )


def talk(path: str | Path, *, model: str | Path | None = None) -> Conversation:
    """Opens a picture file of any size and kind to be asked about.

    Args:
        model: a file that `mmcourse train vlm` wrote, or a folder of `VLM.save`; by default the one of the course.
    Raises:
        RecipeError: the picture or the model cannot be read; one sentence.
    """
    image = open_picture(path)
    speaker = open_model(model, find("vlm"), VLM)
    try:
        features = speaker.see(square(image, SIDE)[None])
    except ValueError as error:
        raise RecipeError(str(error)) from None
    return Conversation(speaker, features, (image.shape[2], image.shape[1]))


def _as_learned(question: str) -> str:
    """A question as those in training are written: small letters, one question mark, or a request without one."""
    words = " ".join(question.lower().split()).rstrip("?.! ")
    # The one picture is not the reader's to place: a placeholder that is typed is text.
    return words if words in WITHOUT_MARK else f"{words}?".replace(IMAGE, "< image >")
