"""Losses that compare: every picture with every text of the batch, where only those that belong together should agree.

`images` and `texts` are features of length 1, (N, D), row i of the one belonging to row i of the other, so that their
products are cosine similarities. All is computed in float32 at least, even inside `torch.autocast`: half precision has
three digits, and similarities that a scale of 100 has stretched need more.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mmcourse.runtime import full_precision


def contrastive_logits(
    images: Tensor, texts: Tensor, *, scale: Tensor | float, bias: Tensor | float | None = 0.0
) -> Tensor:
    """scale · images · textsᵀ + bias: how well each picture and each text agree, (N, D) and (M, D) -> (N, M).

    Args:
        scale: 1 / temperature, a number or a tensor of one.
        bias: added to every logit; None adds nothing.
    Raises:
        ValueError: shapes or scale do not fit.

    >>> contrastive_logits(torch.eye(2), torch.eye(2), scale=10.0)
    tensor([[10.,  0.],
            [ 0., 10.]])
    """
    for name, features in (("images", images), ("texts", texts)):
        if features.dim() != 2 or not features.is_floating_point():
            raise ValueError(f"{name} must be floating-point (N, D), got {features.dtype} {tuple(features.shape)}")
    if images.shape[1] != texts.shape[1]:
        raise ValueError(f"images have width {images.shape[1]}, texts {texts.shape[1]}; both must be of one space")
    if not isinstance(scale, Tensor) and not scale > 0:
        raise ValueError(f"scale must be above 0, got {scale}; it is 1 / temperature")
    with full_precision(images.device.type):
        logits = (scale * _exact(images)) @ _exact(texts).T  # (N, D) @ (D, M) -> (N, M)
        return logits if bias is None else logits + bias


def info_nce(images: Tensor, texts: Tensor, *, scale: Tensor | float, negatives: Tensor | None = None) -> Tensor:
    """(CE(rows) + CE(columns)) / 2: which text belongs to this picture, and which picture to this text?

    Each row of `contrastive_logits` is a classification among the N texts, each column one among the N pictures, and
    the right answer stands on the diagonal; CE is their mean cross-entropy. Equals `open_clip.ClipLoss`.
    Source: van den Oord et al., "Representation learning with contrastive predictive coding" (2018), equation 4; in
    both directions Radford et al., "Learning transferable visual models from natural language supervision" (2021).

    Args:
        negatives: (K, D), further texts that belong to no picture: every picture chooses among N + K.
    Raises:
        ValueError: shapes or scale do not fit, or there are no pairs.

    >>> info_nce(torch.ones(4, 1), torch.ones(4, 1), scale=10.0)  # all look the same: log 4
    tensor(1.3863)
    """
    logits = _pair_logits(images, texts, negatives, scale, None)
    rows = logits.log_softmax(dim=1).diagonal()  # (N, N + K) -> (N,)
    columns = logits[:, : len(images)].log_softmax(dim=0).diagonal()
    return -(rows.mean() + columns.mean()) / 2


def sigmoid_loss(
    images: Tensor,
    texts: Tensor,
    *,
    scale: Tensor | float,
    bias: Tensor | float | None,
    negatives: Tensor | None = None,
) -> Tensor:
    """−(1/N) Σᵢⱼ log σ(±logitᵢⱼ), + on the diagonal and − elsewhere: does this text belong to this picture, yes or no?

    N² questions that do not look at each other, in place of 2 N choices. Equals `open_clip.SigLipLoss`.
    Source: Zhai et al., "Sigmoid loss for language image pre-training" (2023), equation 3.

    Args:
        bias: what keeps the many "no" from ruling at the start; learned, from −10 on.
        negatives: (K, D), further texts that belong to no picture.
    Raises:
        ValueError: shapes or scale do not fit, or there are no pairs.

    >>> sigmoid_loss(torch.eye(4), torch.eye(4), scale=1e-6, bias=0.0)  # four questions a picture, each log 2
    tensor(2.7726)
    """
    logits = _pair_logits(images, texts, negatives, scale, bias)
    signs = torch.full_like(logits, -1.0, requires_grad=False).fill_diagonal_(1.0)
    return -F.logsigmoid(signs * logits).sum() / len(images)


def _pair_logits(
    images: Tensor, texts: Tensor, negatives: Tensor | None, scale: Tensor | float, bias: Tensor | float | None
) -> Tensor:
    """Logits (N, N + K) of pairs, with the negatives as further columns."""
    if len(images) != len(texts) or not len(images):
        raise ValueError(f"images and texts must be the same number of at least 1, got {len(images)} and {len(texts)}")
    if negatives is not None:
        if negatives.shape[1:] != texts.shape[1:]:
            raise ValueError(f"negatives must be (K, {texts.shape[-1]}) as texts, got {tuple(negatives.shape)}")
        texts = torch.cat((texts, negatives))  # (N, D) and (K, D) -> (N + K, D)
    return contrastive_logits(images, texts, scale=scale, bias=bias)


def _exact(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
