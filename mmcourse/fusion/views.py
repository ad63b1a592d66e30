"""What every fusion reads and shares: the views of a sample, and what stands for a missing one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Views(NamedTuple):
    """One batch as two encoders see it. A view may be missing (None) until `ModalityDropout` has put something there.

    Masks are bool, True = a real patch or word, None = all are; `has_image` and `has_text` tell which samples have one.
    """

    image: Tensor | None = None  # (B, image_width), the whole picture
    text: Tensor | None = None  # (B, text_width), the whole sentence
    image_tokens: Tensor | None = None  # (B, P, image_width), patch by patch
    text_tokens: Tensor | None = None  # (B, L, text_width), word by word
    image_mask: Tensor | None = None  # (B, P)
    text_mask: Tensor | None = None  # (B, L)
    has_image: Tensor | None = None  # (B,)
    has_text: Tensor | None = None  # (B,)


class Fusion(nn.Module):
    """What all fusions share: three sizes, and a check that the views are there and fit."""

    uses_tokens: ClassVar[bool] = False  # whether it reads patches and words rather than whole pictures and sentences
    gives_logits: ClassVar[bool] = False  # whether the result is already one logit a class

    def __init__(self, image_width: int, text_width: int, width: int) -> None:
        super().__init__()
        self.image_width, self.text_width, self.width = image_width, text_width, width

    def _read(self, views: Views, name: str) -> Tensor:
        """The view of that name, (B, size) or (B, tokens, size)."""
        view, size = getattr(views, name), getattr(self, f"{name.removesuffix('_tokens')}_width")
        dimensions = 3 if name.endswith("_tokens") else 2
        wanted = f"(B, {size})" if dimensions == 2 else f"(B, tokens, {size})"
        if view is None:
            hint = "ModalityDropout fills in a missing one" if dimensions == 2 else "take an encoder that gives them"
            raise ValueError(f"{type(self).__name__} needs {name} {wanted}, got None; {hint}")
        if view.dim() != dimensions or view.shape[-1] != size:
            raise ValueError(f"{name} must have shape {wanted}, got {tuple(view.shape)}")
        return view


def mlp(sizes: Sequence[int], *, dropout: float = 0.0, bend_last: bool = True) -> nn.Sequential:
    """Linear maps from size to size with ReLU between them, and after the last unless told otherwise.

    >>> [type(part).__name__ for part in mlp((8, 4, 2), bend_last=False)]
    ['Linear', 'ReLU', 'Dropout', 'Linear']
    """
    parts: list[nn.Module] = []
    for before, after in pairwise(sizes):
        parts += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*parts[: None if bend_last else -2])


class ModalityDropout(nn.Module):
    """Puts a placeholder where a view is missing, and in training takes views away to make both useful.

    As in Neverova et al., "ModDrop" (2016), but never both views of a sample. The placeholder stands for the vector
    and, as the first token with the others masked, for all tokens.

    Args:
        share: in training, the share of samples that lose their picture, and the share that lose their sentence.
        learned: the placeholder is learned; it starts at zero, where one that is not learned stays.
    """

    def __init__(self, image_width: int, text_width: int, *, share: float = 0.0, learned: bool = False) -> None:
        super().__init__()
        if not 0 <= share <= 0.5:
            raise ValueError(f"share must lie between 0 and 0.5, as never both views are taken away, got {share}")
        self.share = share
        self.image = nn.Parameter(torch.zeros(image_width), requires_grad=learned)
        self.text = nn.Parameter(torch.zeros(text_width), requires_grad=learned)

    def forward(self, views: Views) -> Views:
        """The same views, complete, with `has_image` and `has_text`.

        Raises:
            ValueError: both are missing.
        """
        known = next((view for view in views[:4] if view is not None), None)
        if known is None:
            raise ValueError("image, text or both must be given, got None for both")
        has_image, has_text = self._has(views, "image", known), self._has(views, "text", known)
        if self.training and self.share:
            draw = torch.rand(len(known), device=known.device)
            both = has_image & has_text
            has_image, has_text = (
                has_image & ~(both & (draw < self.share)),
                has_text & ~(both & (draw >= 1 - self.share)),
            )
        return self._fill(self._fill(views, "image", has_image), "text", has_text)

    def _has(self, views: Views, name: str, known: Tensor) -> Tensor:
        """Which samples have this view: bool (B,)."""
        if getattr(views, name) is None and getattr(views, f"{name}_tokens") is None:
            return known.new_zeros(len(known), dtype=torch.bool)
        has = getattr(views, f"has_{name}")
        return known.new_ones(len(known), dtype=torch.bool) if has is None else has

    def _fill(self, views: Views, name: str, has: Tensor) -> Views:
        """The views with the placeholder where one of them is missing."""
        vector, tokens, mask = (getattr(views, part) for part in (name, f"{name}_tokens", f"{name}_mask"))
        placeholder = getattr(self, name)
        if vector is None and tokens is None:
            vector = placeholder.expand(len(has), -1)  # (C,) -> (B, C)
            tokens = vector[:, None]  # (B, C) -> (B, 1, C)
        elif getattr(views, f"has_{name}") is not None or (self.training and self.share):
            vector = None if vector is None else torch.where(has[:, None], vector, placeholder)
            if tokens is not None:
                tokens = torch.where(has[:, None, None], tokens, placeholder)
                first = torch.arange(tokens.shape[1], device=tokens.device) == 0  # (T,)
                mask = torch.where(has[:, None], True if mask is None else mask, first)
        return views._replace(**{name: vector, f"{name}_tokens": tokens, f"{name}_mask": mask, f"has_{name}": has})
