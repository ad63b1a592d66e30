"""What models share: a folder to live in; and those of pictures and texts: two encoders by name, texts made ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from mmcourse.encoders.pretrained import ImageEncoder, TextEncoder
from mmcourse.models.parts import make_image_encoder, make_text_encoder
from mmcourse.models.saving import fill, read_folder, save_folder
from mmcourse.tokenizer import EncodedBatch, Tokenizer

M = TypeVar("M", bound="SavedModel")


class SavedModel(nn.Module):
    """A model that a configuration describes, and perhaps a tokenizer: it can be saved in a folder, and loaded.

    Args:
        config: a dataclass, the subclass's `Config`; everything in it can be written as JSON.
        tokenizer: of texts; saved with the model.
    """

    Config: ClassVar[type]
    needs_tokenizer: ClassVar[bool] = False  # whether a folder without one is refused

    def __init__(self, config: Any, tokenizer: Tokenizer | None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def save(self, folder: str | Path) -> None:
        """Writes config.json, model.safetensors and tokenizer.json; of a pretrained network its fingerprint alone."""
        config = {"config": asdict(self.config), "pretrained": self._fingerprints()}
        save_folder(folder, type(self).__name__, config, self._stored(), self.tokenizer)

    @classmethod
    def load(
        cls: type[M], folder: str | Path, device: torch.device | str | None = None, *, check_pretrained: bool = True
    ) -> M:
        """The model that `save` wrote, in evaluation mode, on the CPU or the device asked for.

        Args:
            check_pretrained: refuse a pretrained network that is not, to the bit, the one of the saving machine.
        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the files are damaged or do not fit together, or a pretrained network has changed.
        """
        values, weights, tokenizer = read_folder(folder, cls.__name__)
        if tokenizer is None and cls.needs_tokenizer:
            raise FileNotFoundError(f"folder {str(folder)!r} holds no tokenizer.json; give one that save wrote")
        model = cls(config_from(cls.Config, values["config"]), tokenizer)
        marks = values.get("pretrained", {})  # captioners of earlier versions wrote none
        for path, part in model._pretrained().items() if check_pretrained else ():
            # Earlier versions wrote a mark under the name of its network, which two towers may share.
            if part.fingerprint != marks.get(path, marks.get(part.name)):
                raise ValueError(
                    f"the pretrained network {part.name!r} is not the one that the model was trained with, so it would "
                    "see other features; install the versions of then, train again, or pass check_pretrained=False"
                )
        fill(model, weights, model._stored())
        return model.eval() if device is None else model.eval().to(device)

    def _pretrained(self) -> dict[str, ImageEncoder | TextEncoder]:
        parts = self.named_modules()
        return {path: part for path, part in parts if isinstance(part, ImageEncoder | TextEncoder)}

    def _fingerprints(self) -> dict[str, str]:
        return {path: part.fingerprint for path, part in self._pretrained().items()}

    def _stored(self) -> dict[str, Tensor]:
        """The weights that are this model's own."""
        frozen = tuple(f"{path}." for path in self._pretrained())
        return {name: value for name, value in self.state_dict().items() if not name.startswith(frozen)}


class PictureTextModel(SavedModel):
    """A picture encoder and a text encoder; subclasses add what comes after.

    Args:
        config: a dataclass, the subclass's `Config`, with at least image, text and the options of both.
        tokenizer: of texts, for an encoder that brings none; saved with the model.
        tokens: whether the image encoder must give tokens.
    """

    def __init__(self, config: Any, tokenizer: Tokenizer | None, *, tokens: bool) -> None:
        super().__init__(config, tokenizer)
        self.image_encoder = make_image_encoder(config.image, dict(config.image_options), tokens=tokens)
        self.text_encoder = make_text_encoder(config.text, self._text_options())

    def tokenize(self, texts: Sequence[str]) -> EncodedBatch:
        """Texts as the text encoder reads them: ids (B, L) and mask (B, L)."""
        encoder = getattr(self.text_encoder, "encoder", None)
        if isinstance(encoder, TextEncoder):
            return EncodedBatch(*encoder.tokenize(texts))
        if self.tokenizer is None:
            raise ValueError(f"the model has no tokenizer for its text encoder {self.config.text!r}; give it one")
        return self.tokenizer.encode_batch(texts)

    def _text_options(self) -> dict[str, Any]:
        """The options of the text encoder, with the size of the vocabulary from the tokenizer."""
        options = dict(self.config.text_options)
        if self.tokenizer is not None and self.config.text in ("bag", "transformer"):
            size = options.setdefault("vocabulary_size", len(self.tokenizer))
            if size < len(self.tokenizer):
                raise ValueError(f"vocabulary_size must be at least {len(self.tokenizer)}, the tokenizer's, got {size}")
        return options


def config_from(kind: type, values: Mapping[str, Any]) -> Any:
    """A configuration from what a JSON file holds."""
    known = [each.name for each in fields(kind)]
    for name in values:
        if name not in known:
            raise ValueError(f"config has the fields {', '.join(known)}, got {name!r}")
    return kind(**values)
