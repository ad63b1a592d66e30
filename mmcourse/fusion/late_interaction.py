"""Late interaction: a picture and a text meet token by token, and only in one product of vectors.

Both sides are computed and stored apart, as with two towers, but as one vector a token. Each word looks for the patch
that fits it best, and the text's score is the mean of what its words have found: MaxSim of Khattab and Zaharia,
"ColBERT" (2020), divided by the number of words; between words and patches Yao et al., "FILIP" (2021).
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmcourse.pooling import masked_mean


def late_interaction(patches: Tensor, words: Tensor, mask: Tensor | None = None) -> Tensor:
    """For each text, the mean over its words of the best product with a patch.

    Args:
        patches: (N, P, C), of N pictures.
        words: (M, T, C), of M texts that every picture is compared with; or (N, K, T, C), K texts for each picture.
        mask: bool (M, T) or (N, K, T), True = a word; None = all are. A text without words scores 0.
    Returns:
        Scores (N, M), or (N, K). For tokens of length 1 they lie between −1 and 1.
    Raises:
        ValueError: shapes do not fit, or the mask is not bool.

    >>> late_interaction(torch.eye(2)[None], torch.tensor([[[1.0, 0.0], [0.0, 0.5]]]))
    tensor([[0.7500]])
    """
    own = words.dim() == 4
    if patches.dim() != 3 or words.dim() not in (3, 4) or patches.shape[-1] != words.shape[-1]:
        wanted = "patches (N, P, C) and words (M, T, C) or (N, K, T, C)"
        raise ValueError(f"want {wanted}, got {tuple(patches.shape)} and {tuple(words.shape)}")
    if own and len(words) != len(patches):
        raise ValueError(f"words are texts of {len(words)} pictures, patches of {len(patches)}; want as many")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != words.shape[:-1]):
        raise ValueError(f"mask must be bool {tuple(words.shape[:-1])}, got {mask.dtype} {tuple(mask.shape)}")
    # (N, P, C) @ (N, C, K·T) or (N, P, C) @ (C, M·T) -> (N, P, texts · T), the best patch of each word -> (N, texts, T)
    flat = words.flatten(1, 2).mT if own else words.flatten(0, 1).T
    best = (patches @ flat).amax(dim=1).unflatten(-1, words.shape[-3:-1])
    mask = None if mask is None else mask.expand(best.shape)
    return masked_mean(best[..., None], mask)[..., 0]  # (N, texts, T) -> (N, texts)
