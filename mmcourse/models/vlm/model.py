"""`VLM`: a causal language model that sees. The patches of a picture become words of its text by one small projector.

A frozen language model can be prompted by vectors that are in no table (Frozen: Tsimpoukelli et al., "Multimodal
few-shot learning with frozen language models", 2021); LLaVA (Liu et al., "Visual instruction tuning", 2023) gives it
every patch, projected, where the text has a placeholder.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from mmcourse.distributed import Mean
from mmcourse.lm import GPT, IGNORED, GPTConfig
from mmcourse.losses import cross_entropy
from mmcourse.models.base import SavedModel, config_from
from mmcourse.models.picture_decoder import PictureDecoderConfig
from mmcourse.models.saving import fill, read_folder
from mmcourse.models.vlm.eyes import Eyes, Projector, make_projector, merged, mixed_words
from mmcourse.models.vlm.language import Language, language_of, positions_of
from mmcourse.models.vlm.packing import IMAGE, Packed, image_id_of
from mmcourse.models.vlm.writing import Writer
from mmcourse.runtime import evaluating, on_best_device
from mmcourse.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class VLMConfig:
    """The size of a `VLM`, and what its parts are.

    Args:
        language: the size of the language model, a `GPTConfig`; or the name of one of transformers, whose weights are
            then not saved with the model.
        features, patches: channels F and number P of the patches of a picture.
        merge: side of the squares of patches that are projected together, see `merged`.
        spread: words that each of them becomes, side by side; the more, the more they may be like a sentence.
        projector: "linear", "mlp" for two layers, or "words" for means of the language model's own, see `mixed_words`.
        eyes: the model whose picture side the model sees with, see `Eyes`; None where features come from elsewhere.
    """

    language: GPTConfig | str
    features: int
    patches: int
    merge: int = 1
    spread: int = 1
    projector: Projector = "mlp"
    eyes: PictureDecoderConfig | None = None

    def __post_init__(self) -> None:
        for name, kind in (("language", GPTConfig), ("eyes", PictureDecoderConfig)):
            if isinstance(given := getattr(self, name), Mapping):  # as a file has it
                object.__setattr__(self, name, config_from(kind, given))
        if self.features < 1 or self.patches < 1:
            raise ValueError(f"features and patches must be at least 1, got {self.features} and {self.patches}")
        side = math.isqrt(self.patches)
        if self.merge < 1 or (self.merge > 1 and (side * side != self.patches or side % self.merge)):
            raise ValueError(f"merge must divide the side of a square of patches, got {self.merge} for {self.patches}")
        if self.spread < 1:
            raise ValueError(f"spread must be at least 1, got {self.spread}")

    @property
    def words(self) -> int:
        """Placeholders that a picture takes in a text."""
        return self.patches // self.merge**2 * self.spread


class VLM(Writer, SavedModel):
    """Pictures and the beginnings of texts in, logits of each next token out; `generate` goes on with the texts.

    Args:
        config: its size.
        tokenizer: of the texts, with <pad>, <eos> and <image>; saved with the model.
        language_model: a trained one, which becomes part of the model as it is; None makes a new `GPT` of that size.
        eyes: a module that gives patches (B, P, F) of pictures uint8 (B, 3, H, W), frozen here; None makes those that
            config.eyes describes, or none at all. Others than `Eyes` are not saved.
    Raises:
        ValueError: a token is missing, or the parts do not fit together.

    >>> from mmcourse.tokenizer import SPECIAL_TOKENS, WordTokenizer
    >>> tokenizer = WordTokenizer.train(["what is this? a cat"], special_tokens=[*SPECIAL_TOKENS, IMAGE])
    >>> language = GPTConfig(vocabulary_size=len(tokenizer), context=32, width=16, heads=2, depth=1)
    >>> model = VLM(VLMConfig(language=language, features=8, patches=4), tokenizer).eval()
    >>> tokens, mask, _ = model.pack(["<image> what is this?"], ["a cat"])
    >>> model(torch.zeros(1, 4, 8), tokens, mask).shape == (*tokens.shape, len(tokenizer))
    True
    """

    Config: ClassVar[type] = VLMConfig

    def __init__(
        self,
        config: VLMConfig,
        tokenizer: Tokenizer,
        *,
        language_model: nn.Module | None = None,
        eyes: nn.Module | None = None,
    ) -> None:
        super().__init__(config, tokenizer)
        self.image_id = image_id_of(tokenizer)
        missing = [name for name in ("pad", "eos") if getattr(tokenizer, f"{name}_id") is None]
        if missing:
            raise ValueError(f"tokenizer has no <{'>, <'.join(missing)}>; answers need an end and padding behind it")
        if language_model is None:
            if isinstance(config.language, str):
                raise ValueError(f"language_model is missing: config names {config.language!r}; load it and give it")
            language_model = GPT(config.language)
        self.language_model = language_model
        if isinstance(config.language, GPTConfig) and getattr(language_model, "config", None) != config.language:
            raise ValueError("language_model has another size than config.language says; give its own config there")
        if (size := self.language.table.num_embeddings) < len(tokenizer) - (self.image_id == len(tokenizer) - 1):
            raise ValueError(f"tokenizer has {len(tokenizer)} tokens, the language model knows {size}")
        self.projector = make_projector(
            config.projector, config.features * config.merge**2, self.language.width, spread=config.spread
        )
        self.eyes = Eyes(config.eyes) if eyes is None and config.eyes is not None else eyes
        if self.eyes is not None:
            self.eyes.requires_grad_(False)

    @property
    def language(self) -> Language:
        """What can be asked of the language model."""
        return language_of(self.language_model)

    def forward(
        self, features: Tensor | None, tokens: Tensor, mask: Tensor, *, columns: Tensor | None = None
    ) -> Tensor:
        """Logits (B, T, V) of the token after each of `tokens`; at padding they mean nothing.

        Args:
            features: of one picture a text, (B, P, F), see `see`; None for texts without a picture.
            tokens: (B, T) with a placeholder for each patch, see `pack`.
            mask: bool (B, T), True = a token, False = padding, on either side.
            columns: int64 (K,), those of `tokens` whose logits are wanted, (B, K, V); None = all.
        Raises:
            ValueError: shapes do not fit, a text has not P placeholders, or it is too long for the language model.
        """
        if mask.dtype != torch.bool or mask.shape != tokens.shape:
            wanted, found = f"bool {tuple(tokens.shape)}, as tokens", f"{mask.dtype} {tuple(mask.shape)}"
            raise ValueError(f"mask must be {wanted}, got {found}")
        return self.language.read(self.embed(features, tokens), mask, self.places(mask), columns=columns)

    def embed(self, features: Tensor | None, tokens: Tensor) -> Tensor:
        """What the language model reads: words from its table and patches projected, (B, T) -> (B, T, C)."""
        if tokens.dim() != 2 or tokens.dtype != torch.int64:
            raise ValueError(f"tokens must be int64 (batch, length), got {tokens.dtype} {tuple(tokens.shape)}")
        # The placeholder may lie outside the table of a language model that has never heard of it.
        words = self.language.table(tokens.masked_fill(tokens == self.image_id, 0))
        if features is None:
            patches = words.new_zeros(len(words), 0, words.shape[-1])
        else:
            patches = self.projector(merged(self._checked(features, len(tokens)), self.config.merge))
            patches = patches.view(len(words), -1, words.shape[-1])  # (B, P, spread · C) -> (B, P · spread, C)
            if self.config.projector == "words":
                patches = mixed_words(patches, self.language.table.weight)
        return put_patches(words, tokens, patches, image_id=self.image_id)

    def places(self, mask: Tensor) -> Tensor:
        """The position of each token, padding not counted: bool (B, T) -> int64 (B, T)."""
        longest, context = int(mask.sum(dim=-1).max()) if mask.numel() else 0, self.language.context
        if context is not None and longest > context:
            raise ValueError(f"a text has {longest} tokens with its patches, the language model reads {context}")
        return positions_of(mask)

    def see(self, images: Tensor, *, batch_size: int = 250) -> Tensor:
        """The features of pictures uint8 (N, 3, H, W) -> (N, P, F), on the CPU, to be used again and again."""
        if self.eyes is None:
            raise ValueError("images were given, but the model has no eyes; give features (B, P, F), or eyes= to VLM")
        with on_best_device(self) as place, evaluating(self):
            return torch.cat([self.eyes(part.to(place)).cpu() for part in images.split(batch_size)])

    def save(self, folder: str | Path) -> None:
        """Writes config.json, model.safetensors and tokenizer.json; of a hub language model its fingerprint alone.

        Raises:
            ValueError: the model has weights that its config does not describe, such as adapters.
        """
        given = self.language_model if isinstance(self.config.language, str) else None
        with torch.device("meta"):  # its names are wanted, not its numbers
            plain = VLM(self.config, self.tokenizer, language_model=given)._stored()
        if others := sorted(self._stored().keys() ^ plain.keys()):
            advice = "keep adapters with save_adapter, or take them off with remove_lora before saving"
            raise ValueError(f"the model has other weights than its config describes, such as {others[0]}; {advice}")
        super().save(folder)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: torch.device | str | None = None,
        *,
        check_pretrained: bool = True,
        language_model: nn.Module | None = None,
        eyes: nn.Module | None = None,
    ) -> VLM:
        """The model that `save` wrote, in evaluation mode.

        Args:
            language_model, eyes: those that were not saved, see `VLM` and `VLMConfig`.
            check_pretrained: refuse a language model that is not, to the bit, the one of the saving machine.
        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the files are damaged, or do not fit together or to what is given.
        """
        values, weights, tokenizer = read_folder(folder, cls.__name__)
        if tokenizer is None:
            raise FileNotFoundError(f"folder {str(folder)!r} holds no tokenizer.json; give one that save wrote")
        model = cls(config_from(cls.Config, values["config"]), tokenizer, language_model=language_model, eyes=eyes)
        if check_pretrained and model._fingerprints() != values["pretrained"]:
            raise ValueError(
                "the language model or the eyes are not those that the model was trained with, so it would read "
                "nonsense; give those of then, or pass check_pretrained=False"
            )
        fill(model, weights, model._stored())
        return model.eval() if device is None else model.eval().to(device)

    def _fingerprints(self) -> dict[str, str]:
        return {path: _digest(getattr(self, path)) for path in self._not_stored()}

    def _not_stored(self) -> list[str]:
        hub, strange = isinstance(self.config.language, str), self.eyes is not None and self.config.eyes is None
        return ["language_model"] * hub + ["eyes"] * strange

    def _stored(self) -> dict[str, Tensor]:
        left_out = tuple(f"{path}." for path in self._not_stored())
        return {name: value for name, value in self.state_dict().items() if not name.startswith(left_out)}

    def _checked(self, features: Tensor, rows: int) -> Tensor:
        wanted = (rows, self.config.patches, self.config.features)
        if not features.is_floating_point() or features.shape != wanted:
            found = f"{features.dtype} {tuple(features.shape)}"
            raise ValueError(f"features must be float {wanted}, (texts, patches, channels), got {found}")
        return features.to(next(self.projector.parameters()))


def put_patches(words: Tensor, tokens: Tensor, patches: Tensor, *, image_id: int) -> Tensor:
    """Replaces the embeddings of placeholders by the patches of the same row, in their order.

    Args:
        words: embeddings (B, T, C).
        tokens: int64 (B, T).
        patches: (B, P, C).
    Returns:
        (B, T, C).
    Raises:
        ValueError: a row has not exactly P placeholders. Their sum being right is not enough: one missing here and one
            too many there would hand every picture in between to the wrong text.

    >>> put_patches(torch.zeros(1, 3, 1), torch.tensor([[7, 9, 9]]), torch.tensor([[[1.0], [2.0]]]), image_id=9)
    tensor([[[0.],
             [1.],
             [2.]]])
    """
    places = tokens == image_id
    counts, wanted = places.sum(dim=1), patches.shape[1]
    if bool((counts != wanted).any()):
        row = int((counts != wanted).nonzero()[0])
        raise ValueError(f"text {row} has {int(counts[row])} placeholders {IMAGE}, its picture {wanted} patches")
    # masked_scatter fills row by row, and rows have equally many.
    return words.masked_scatter(places[..., None], patches.to(words.dtype))


def _digest(network: nn.Module) -> str:
    """Of the weights of a network as they were before adapters, which live in a file of their own and wrap layers."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        if name.rpartition(".")[-1] not in ("down", "up"):
            digest.update(f"{name.replace('.base.', '.')} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class Lesson(NamedTuple):
    """What a step of training needs: the features of the pictures or None, and the conversations, see `pack`."""

    features: Tensor | None
    packed: Packed


def loss(model: VLM, lesson: Lesson) -> Mean:
    """The mean surprise of the tokens of answers; pictures, prompts and padding count for nothing."""
    tokens, mask, targets = lesson.packed
    columns = (targets != IGNORED).any(dim=0).nonzero().squeeze(-1)  # no logits where nobody is asked
    logits, targets = model(lesson.features, tokens, mask, columns=columns), targets[:, columns]
    total = cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    return Mean(total, (targets != IGNORED).sum())
