"""Masked language modeling: texts with holes, and what was in them (Devlin et al., "BERT", 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from mmcourse.losses import IGNORED
from mmcourse.pooling import check_mask


class MaskedTokens(NamedTuple):
    """A text with holes: what the model reads, and what it is to guess; `targets` are -100 where nothing is asked."""

    tokens: Tensor  # (B, T)
    targets: Tensor  # (B, T)


def mask_tokens(
    tokens: Tensor,
    mask: Tensor,
    *,
    mask_id: int,
    vocabulary_size: int,
    special_ids: Iterable[int],
    share: float = 0.15,
    generator: torch.Generator,
) -> MaskedTokens:
    """Chooses a share of the tokens to be guessed: 80 % become [MASK], 10 % any token, 10 % stay (the 80/10/10 rule).

    Each text gives `share` of its tokens, rounded up or down by chance so that the mean is right, but at least one:
    a text without a hole teaches nothing. Padding and special tokens are neither chosen nor drawn as a replacement.

    Args:
        tokens: (B, T).
        mask: bool (B, T), True = a token, False = padding.
        special_ids: the tokens that stand for no text, such as [CLS].
        generator: draws everything, so that the same one in the same state hides the same tokens.
    """
    check_mask(mask, tokens.shape)
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device).to(tokens.device)

    ordinary = torch.ones(vocabulary_size, dtype=torch.bool, device=tokens.device)
    ordinary[list(special_ids)] = False
    allowed = mask & ordinary[tokens]
    wanted = (share * allowed.sum(dim=1, keepdim=True) + draw(len(tokens), 1)).floor().clamp(min=1)  # (B, 1)
    order = draw(*tokens.shape).masked_fill(~allowed, 2.0).argsort(dim=1).argsort(dim=1)  # place of each token's draw
    chosen = allowed & (order < wanted)
    replacements = ordinary.nonzero().flatten()  # (V − special,)
    pick = torch.randint(len(replacements), tokens.shape, generator=generator, device=generator.device)
    others = replacements[pick.to(tokens.device)]
    fate = draw(*tokens.shape)
    read = torch.where(chosen & (fate < 0.8), mask_id, tokens)
    read = torch.where(chosen & (fate >= 0.9), others, read)
    return MaskedTokens(read, tokens.masked_fill(~chosen, IGNORED))
